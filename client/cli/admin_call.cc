#include "client/cli/admin_call.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <chrono>

#include "client/grpc_status.h"
#include "heapsync/v1/heap_sync_admin_service.grpc.pb.h"

namespace heapsync {
namespace {

using Stub = v1::HeapSyncAdminService::Stub;

template <typename Request, typename Response>
absl::StatusOr<Response> Call(const Client& client,
                              grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                           const Request&,
                                                           Response*),
                              const Request& request) {
  Stub stub(client.channel());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       client.options().timeout);
  Response response;
  const absl::Status status =
      ToAbslStatus((stub.*method)(&context, request, &response));
  if (!status.ok()) return status;
  return response;
}

}  // namespace

absl::StatusOr<v1::ListDestinationsResponse> CallAdmin(
    const Client& client, const v1::ListDestinationsRequest& request) {
  return Call(client, &Stub::ListDestinations, request);
}

absl::StatusOr<v1::GetDestinationResponse> CallAdmin(
    const Client& client, const v1::GetDestinationRequest& request) {
  return Call(client, &Stub::GetDestination, request);
}

absl::StatusOr<v1::PauseDestinationResponse> CallAdmin(
    const Client& client, const v1::PauseDestinationRequest& request) {
  return Call(client, &Stub::PauseDestination, request);
}

absl::StatusOr<v1::ResumeDestinationResponse> CallAdmin(
    const Client& client, const v1::ResumeDestinationRequest& request) {
  return Call(client, &Stub::ResumeDestination, request);
}

absl::StatusOr<v1::FlushResponse> CallAdmin(const Client& client,
                                            const v1::FlushRequest& request) {
  return Call(client, &Stub::Flush, request);
}

absl::StatusOr<v1::GetDeliveryResponse> CallAdmin(
    const Client& client, const v1::GetDeliveryRequest& request) {
  return Call(client, &Stub::GetDelivery, request);
}

absl::StatusOr<v1::ListDeadLettersResponse> CallAdmin(
    const Client& client, const v1::ListDeadLettersRequest& request) {
  return Call(client, &Stub::ListDeadLetters, request);
}

absl::StatusOr<v1::ReplayDeadLettersResponse> CallAdmin(
    const Client& client, const v1::ReplayDeadLettersRequest& request) {
  return Call(client, &Stub::ReplayDeadLetters, request);
}

absl::StatusOr<v1::DiscardDeadLettersResponse> CallAdmin(
    const Client& client, const v1::DiscardDeadLettersRequest& request) {
  return Call(client, &Stub::DiscardDeadLetters, request);
}

}  // namespace heapsync
