#ifndef HEAPSYNC_SERVER_NET_GRPC_PORT_H_
#define HEAPSYNC_SERVER_NET_GRPC_PORT_H_

#include <grpcpp/server_builder.h>

#include "server/config/server_config.h"

namespace heapsync {

// Limits the resources that clients can make gRPC use, and ends connections
// after a while so that load balancers can rebalance.
void SetPortLimits(const PortLimits& limits, grpc::ServerBuilder& builder);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_NET_GRPC_PORT_H_
