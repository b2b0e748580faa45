#include "server/port_setup.h"

#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "server/access/call_slots.h"
#include "server/net/grpc_port.h"

namespace heapsync {

void SetReady(bool ready, HealthService& health) {
  for (const char* service : {"", kDataService, kAdminService, kReadiness}) {
    health.SetServing(service, ready);
  }
}

ConnectionLimits ConnectionLimitsOf(const ServerConfig& config) {
  const PortLimits& port = config.port;
  // The part of the strangers' places for those that have sent no call yet.
  constexpr uint32_t kGreetedPart = 2;
  // A whole first message, and the rest of the call around it.
  constexpr uint64_t kCallBytes = 128 << 10;
  // Messages of strangers have this part of the memory for messages.
  constexpr uint64_t kUnprovenPart = 8;
  // Known callers' messages that did not come whole. gRPC itself ends any
  // connections, innocent ones too, when all of the memory is used.
  constexpr uint64_t kUnfinishedPart = 4;
  const uint64_t bytes = port.max_message_bytes + kCallBytes;
  return {.max_connections = port.max_connections,
          .max_of_caller =
              CallSlots::BoundsFor(port.max_connections, port.max_caller_share)
                  .per_caller,
          .max_unproven = port.max_unproven_connections,
          // With TLS only gRPC can see who has.
          .max_greeted =
              config.tls.has_value()
                  ? port.max_unproven_connections
                  : std::max(1U, port.max_unproven_connections / kGreetedPart),
          .unproven_time = port.unproven_time,
          .all_unproven_bytes =
              std::max(bytes, port.max_memory_bytes / kUnprovenPart),
          .all_unfinished_bytes = std::max(
              uint64_t{2} * bytes, port.max_memory_bytes / kUnfinishedPart),
          .max_streams_per_connection = port.max_streams_per_connection};
}

std::optional<CallError> ErrorOf(ConnectionRules::Admission admission) {
  switch (admission) {
    case ConnectionRules::Admission::kAdmitted:
      return std::nullopt;
    case ConnectionRules::Admission::kShareTaken:
      return ConnectionShareTaken();
    case ConnectionRules::Admission::kAllTaken:
      return NoConnectionLeft();
  }
  HEAPSYNC_UNREACHABLE();
}

ConnectionAcceptor::Options ArrivalsOf(const ServerConfig& config) {
  return {
      .protocol = config.tls.has_value() ? Protocol::kTls : Protocol::kHttp2,
      .max_wait = config.port.unproven_time,
      .max_streams_per_connection = config.port.max_streams_per_connection,
      .max_metadata_bytes = config.port.max_metadata_bytes};
}

std::unique_ptr<TlsCertificates> CertificatesOf(const ServerConfig& config) {
  if (!config.tls.has_value()) return nullptr;
  return std::make_unique<TlsCertificates>(*config.tls);
}

std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> AddPort(
    const ServerConfig& config, TlsCertificates* certificates,
    grpc::ServerBuilder& builder) {
  SetPortLimits(config.port, builder);
  return builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      certificates == nullptr
          ? grpc::InsecureServerCredentials()
          : NewTlsCredentials(*certificates, config.client_certificates));
}

}  // namespace heapsync
