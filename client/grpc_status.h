#ifndef HEAPSYNC_CLIENT_GRPC_STATUS_H_
#define HEAPSYNC_CLIENT_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace heapsync {

// The same code and message; the details of google.rpc.Status become payloads
// under their type URLs, where DetailsOf() finds them.
absl::Status ToAbslStatus(const grpc::Status& status);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_GRPC_STATUS_H_
