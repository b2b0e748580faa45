#ifndef HEAPSYNC_SERVER_OBSERVE_CALL_OBSERVER_H_
#define HEAPSYNC_SERVER_OBSERVE_CALL_OBSERVER_H_

#include <grpcpp/server_builder.h>

#include "server/net/connection_guard.h"
#include "server/observe/call_metrics.h"

namespace heapsync {

// Lets `guard` count the calls of each connection, and `metrics` those of each
// method unless it is null. Both must outlive the server that is built. One
// interceptor serves them, since each one that gRPC has to run costs a call
// about a microsecond.
void ObserveCalls(ConnectionGuard& guard, const CallMetrics* metrics,
                  grpc::ServerBuilder& builder);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_CALL_OBSERVER_H_
