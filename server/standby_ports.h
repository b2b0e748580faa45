#ifndef HEAPSYNC_SERVER_STANDBY_PORTS_H_
#define HEAPSYNC_SERVER_STANDBY_PORTS_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "server/config/server_config.h"
#include "server/health/health_service.h"
#include "server/net/connection_acceptor.h"
#include "server/net/connection_guard.h"
#include "server/net/tls_credentials.h"
#include "server/observe/http_server.h"
#include "server/observe/owner_metrics.h"
#include "server/observe/process_metrics.h"

namespace heapsync {

// Why a server waits.
struct StandbyReason {
  std::string text;    // for everyone
  std::string detail;  // for operators; may be empty
};

// The ports of a server that waits until the database of its spool can be used:
// it is alive and not ready, says why, and answers every call with UNAVAILABLE
// and the reason NOT_OWNER.
// Any thread.
class StandbyPorts {
 public:
  // Errors: kUnavailable with the address and the cause.
  static absl::StatusOr<std::unique_ptr<StandbyPorts>> Listen(
      const ServerConfig& config, StandbyReason reason);

  // Closes the ports and ends all calls.
  ~StandbyPorts();

  void SetReason(StandbyReason reason);
  StandbyReason reason() const;

 private:
  // Refuses every call of every service that is not registered.
  class Refusals final : public grpc::CallbackGenericService {
   public:
    explicit Refusals(const StandbyPorts& ports) : ports_(ports) {}
    grpc::ServerGenericBidiReactor* CreateReactor(
        grpc::GenericCallbackServerContext* context) override;

   private:
    const StandbyPorts& ports_;
  };

  StandbyPorts(const ServerConfig& config, StandbyReason reason);
  absl::Status Start(const ServerConfig& config);
  HttpPages Pages() const;

  mutable Mutex mutex_;
  StandbyReason reason_ ABSL_GUARDED_BY(mutex_);
  // In the order in which they need each other.
  ProcessMetrics process_;
  OwnerMetrics owner_;
  ConnectionGuard guard_;
  const std::unique_ptr<TlsCertificates> certificates_;
  HealthService health_;
  Refusals refusals_{*this};
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<ConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::Server> grpc_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_STANDBY_PORTS_H_
