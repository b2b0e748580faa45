#ifndef HEAPSYNC_SERVER_PORT_SETUP_H_
#define HEAPSYNC_SERVER_PORT_SETUP_H_

#include <grpcpp/server_builder.h>

#include <memory>
#include <optional>

#include "server/config/server_config.h"
#include "server/health/health_service.h"
#include "server/net/connection_acceptor.h"
#include "server/net/connection_rules.h"
#include "server/net/tls_credentials.h"
#include "server/wire/rich_status.h"

namespace heapsync {

inline constexpr char kDataService[] = "heapsync.v1.HeapSyncService";
inline constexpr char kAdminService[] = "heapsync.v1.HeapSyncAdminService";
inline constexpr char kHealthService[] = "grpc.health.v1.Health";

// Names that the health service knows besides those of the services. The
// process lives until it is restarted for a good reason; it is ready while it
// takes new items.
inline constexpr char kLiveness[] = "heapsync.liveness";
inline constexpr char kReadiness[] = "heapsync.readiness";

// Sets whether new items are accepted. Liveness is not touched: a restart
// would not help.
void SetReady(bool ready, HealthService& health);

ConnectionLimits ConnectionLimitsOf(const ServerConfig& config);

// The error for a call on a connection that has no place; nullopt if it has.
std::optional<CallError> ErrorOf(ConnectionRules::Admission admission);

ConnectionAcceptor::Options ArrivalsOf(const ServerConfig& config);

// Null without TLS.
std::unique_ptr<TlsCertificates> CertificatesOf(const ServerConfig& config);

// Adds a port within the configured limits, with TLS if `certificates` is not
// null. Its connections come through what this returns.
std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> AddPort(
    const ServerConfig& config, TlsCertificates* certificates,
    grpc::ServerBuilder& builder);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_PORT_SETUP_H_
