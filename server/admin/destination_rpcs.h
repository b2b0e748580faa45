#ifndef HEAPSYNC_SERVER_ADMIN_DESTINATION_RPCS_H_
#define HEAPSYNC_SERVER_ADMIN_DESTINATION_RPCS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "heap_adapter/engines.h"
#include "heapsync/v1/heap_sync_admin_service.pb.h"
#include "server/admin/admin_call.h"

namespace heapsync {

// The admin RPCs about destinations. They wait for the engine and read the
// spool: for the admin worker's thread.

// Some destinations in each turn.
class DestinationListing {
 public:
  // `engines` must outlive it.
  explicit DestinationListing(Engines& engines) : engines_(&engines) {}

  // The next turn, always with the same arguments.
  TurnResult<v1::ListDestinationsResponse> operator()(
      const Caller& caller, const v1::ListDestinationsRequest& request);

 private:
  std::optional<CallError> Begin(const Caller& caller,
                                 const v1::ListDestinationsRequest& request);

  Engines* engines_;
  // The names of the page, and how many of them are listed; none before the
  // first turn.
  std::optional<std::vector<std::string>> page_;
  size_t listed_ = 0;
  v1::ListDestinationsResponse response_;
};

CallResult<v1::GetDestinationResponse> GetDestination(
    Engines& engines, const Caller& caller,
    const v1::GetDestinationRequest& request);

// PauseDestination and ResumeDestination: one turn asks the engine, the next
// one shows the destination.
template <typename Request, typename Response>
class PauseChange {
 public:
  using Change = void (Engine::*)(absl::string_view, const Asker&,
                                  Engine::PauseDone);

  // `engines` and `context` must outlive it.
  PauseChange(Engines& engines, Change change,
              const grpc::CallbackServerContext& context)
      : engines_(&engines), change_(change), context_(&context) {}

  // The next turn, always with the same arguments.
  TurnResult<Response> operator()(const Caller& caller, const Request& request);

 private:
  Engines* engines_;
  Change change_;
  const grpc::CallbackServerContext* context_;
  Awaited<absl::Status> changed_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ADMIN_DESTINATION_RPCS_H_
