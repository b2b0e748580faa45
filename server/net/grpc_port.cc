#include "server/net/grpc_port.h"

#include <grpcpp/resource_quota.h>

#include <algorithm>
#include <chrono>
#include <limits>

namespace heapsync {
namespace {

int Milliseconds(std::chrono::milliseconds duration) {
  return static_cast<int>(
      std::min<int64_t>(duration.count(), std::numeric_limits<int>::max()));
}

}  // namespace

void SetPortLimits(const PortLimits& limits, grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(static_cast<int>(limits.max_message_bytes));
  // gRPC 1.51 inflates a message without a bound, before any handler runs.
  // server/wire/wire_message.h does it once the caller is known, up to the
  // maximum.
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE,
                             static_cast<int>(limits.max_metadata_bytes));
  builder.AddChannelArgument(
      GRPC_ARG_MAX_CONCURRENT_STREAMS,
      static_cast<int>(limits.max_streams_per_connection));
  builder.SetResourceQuota(
      grpc::ResourceQuota("heapsync").Resize(limits.max_memory_bytes));
  if (limits.max_connection_age > std::chrono::milliseconds::zero()) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                               Milliseconds(limits.max_connection_age));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                               Milliseconds(limits.max_connection_age_grace));
  }
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS,
                             Milliseconds(limits.keepalive_time));
  constexpr int kKeepaliveTimeoutMs = 20'000;
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                             kKeepaliveTimeoutMs);
  // A client may send a keepalive ping every ten seconds, also without open
  // calls, as load balancers do; one that pings more often is disconnected.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  constexpr int kPingEveryMs = 10'000;
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kPingEveryMs);
  constexpr int kMaxPingStrikes = 2;
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, kMaxPingStrikes);
  // An idle connection is closed after a while to free it for others; its
  // client reconnects when necessary.
  constexpr int kIdleMs = 10 * 60 * 1'000;
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kIdleMs);
  // A connection that does not complete its handshake is closed soon.
  constexpr int kHandshakeMs = 10'000;
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                             kHandshakeMs);
}

}  // namespace heapsync
