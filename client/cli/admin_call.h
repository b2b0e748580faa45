#ifndef HEAPSYNC_CLIENT_CLI_ADMIN_CALL_H_
#define HEAPSYNC_CLIENT_CLI_ADMIN_CALL_H_

#include <grpcpp/client_context.h>

#include <chrono>

#include "absl/status/statusor.h"
#include "client/cli/command.h"
#include "client/grpc_status.h"
#include "heapsync/client/client.h"
#include "heapsync/v1/heap_sync_admin_service.grpc.pb.h"

namespace heapsync {

using AdminStub = v1::HeapSyncAdminService::Stub;

// Calls an admin RPC once. Errors are as those of Client.
template <typename Request, typename Response>
absl::StatusOr<Response> CallAdmin(
    const Client& client,
    grpc::Status (AdminStub::*method)(grpc::ClientContext*, const Request&,
                                      Response*),
    const Request& request) {
  AdminStub stub(client.channel());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       client.options().timeout);
  Response response;
  const absl::Status status =
      ToAbslStatus((stub.*method)(&context, request, &response));
  if (!status.ok()) return status;
  return response;
}

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_ADMIN_CALL_H_
