#ifndef HEAPSYNC_SERVER_NET_GRPC_PORT_H_
#define HEAPSYNC_SERVER_NET_GRPC_PORT_H_

#include <grpcpp/server_builder.h>

#include "server/config/server_config.h"

namespace heapsync {

// Bounds what clients can make gRPC use, and lets connections end so that load
// balancers work.
void SetPortLimits(const PortLimits& limits, grpc::ServerBuilder& builder);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_NET_GRPC_PORT_H_
