#ifndef HEAPSYNC_CLIENT_CLI_DESTINATION_WATCH_H_
#define HEAPSYNC_CLIENT_CLI_DESTINATION_WATCH_H_

#include <chrono>
#include <memory>
#include <string>

#include "heap_adapter/model/object_type.h"
#include "heapsync/client/client.h"
#include "heapsync/v1/heap_sync_admin_service.pb.h"

namespace heapsync {

// The reason why a destination's items of a type wait, in a few words; empty
// where there is none. Pure.
std::string HoldUpOf(const v1::Destination& destination, ObjectType type);

// Asks the admin service from time to time what holds up a destination, for an
// import that waits for its deliveries. Never blocks. One thread at a time.
class DestinationWatch {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // `destination`: empty for the server's default. `client` must outlive this.
  DestinationWatch(const Client& client, std::string destination,
                   ObjectType type);
  // Gives up a question that is open.
  ~DestinationWatch();
  DestinationWatch(const DestinationWatch&) = delete;
  DestinationWatch& operator=(const DestinationWatch&) = delete;

  // HoldUpOf() the latest answer; empty as long as there is none, and for a
  // caller that may not ask. Asks again if the answer is old.
  std::string HoldUp(Time now);

 private:
  struct Question;

  const Client& client_;
  const std::string destination_;
  const ObjectType type_;
  std::unique_ptr<Question> open_;
  Time next_question_;
  bool may_ask_ = true;
  std::string hold_up_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_DESTINATION_WATCH_H_
