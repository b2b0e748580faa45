#ifndef HEAPSYNC_CLIENT_CLIENT_H_
#define HEAPSYNC_CLIENT_CLIENT_H_

#include <grpcpp/channel.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "heapsync/client/retry_policy.h"
#include "heapsync/client/status_details.h"
#include "heapsync/v1/heap_sync_service.pb.h"

namespace heapsync {

// How a TLS connection is made; all in PEM.
struct TlsOptions {
  std::string ca;  // who may vouch for the server; empty: the system's CAs

  // This client's own, where the server asks for one: both or neither.
  std::string certificate;
  std::string key;

  // The name that the server's certificate must have; empty: the one in
  // `server`.
  std::string server_name;
};

struct ClientOptions {
  // host:port, or any other target that gRPC resolves.
  std::string server = "localhost:50051";

  // None: plaintext. Keep that inside a trusted network.
  std::optional<TlsOptions> tls;

  // Sent with every call as `authorization: Bearer …`, where MayCarryToken().
  std::string token;

  // Let the token go over a plaintext connection to another machine, where
  // something else encrypts.
  bool allow_plaintext_token = false;

  // Bounds one call with all its retries.
  std::chrono::milliseconds timeout{30'000};

  RetryPolicy retry;
};

// Whether nobody on the network can read what these options send: TLS, a target
// that is this machine (localhost, 127.0.0.0/8, [::1], unix:), or somebody who
// says that it is well. Otherwise the token is left out.
bool MayCarryToken(const ClientOptions& options);

// Calls a Heap Sync server. One client holds one connection, which is made at
// the first call and made anew whenever it is lost.
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
