#ifndef HEAPSYNC_CLIENT_CLIENT_H_
#define HEAPSYNC_CLIENT_CLIENT_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "heapsync/client/client_options.h"
#include "heapsync/client/status_details.h"
#include "heapsync/v1/heap_sync_service.pb.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace heapsync {

// Calls a Heap Sync server. One client holds one connection, which is made at
// the first call and made again whenever it is lost.
//
// Unary calls repeat what IsRetryable() says is worth it until the timeout.
// A call without a `request_id` gets a random one first, so its repetitions
// cannot make duplicates. Errors carry what DetailsOf() decodes.
//
// Thread-safe.
class Client {
 public:
  explicit Client(ClientOptions options);

  absl::StatusOr<v1::TrackEventResponse> TrackEvent(
      v1::TrackEventRequest request) const;
  absl::StatusOr<v1::UserPropertiesResponse> UserProperties(
      v1::UserPropertiesRequest request) const;
  absl::StatusOr<v1::AccountPropertiesResponse> AccountProperties(
      v1::AccountPropertiesRequest request) const;

  // Asks grpc.health.v1.Health about a service; empty: the server as a whole.
  // Not repeated. OK: serving. kFailedPrecondition: not serving. kNotFound: no
  // such service. Else the error of the call.
  absl::Status CheckHealth(absl::string_view service) const;

  const ClientOptions& options() const { return options_; }

  // For stubs of one's own. Shared: the channel lives as long as the last call.
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

 private:
  ClientOptions options_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLIENT_H_
