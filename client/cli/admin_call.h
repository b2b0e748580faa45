#ifndef HEAPSYNC_CLIENT_CLI_ADMIN_CALL_H_
#define HEAPSYNC_CLIENT_CLI_ADMIN_CALL_H_

#include "absl/status/statusor.h"
#include "heapsync/client/client.h"
#include "heapsync/v1/heap_sync_admin_service.pb.h"

namespace heapsync {

// Each calls the admin RPC that takes this request, once and within the
// client's timeout. Errors are those of Client. Thread-safe.
absl::StatusOr<v1::ListDestinationsResponse> CallAdmin(
    const Client& client, const v1::ListDestinationsRequest& request);
absl::StatusOr<v1::GetDestinationResponse> CallAdmin(
    const Client& client, const v1::GetDestinationRequest& request);
absl::StatusOr<v1::PauseDestinationResponse> CallAdmin(
    const Client& client, const v1::PauseDestinationRequest& request);
absl::StatusOr<v1::ResumeDestinationResponse> CallAdmin(
    const Client& client, const v1::ResumeDestinationRequest& request);
absl::StatusOr<v1::FlushResponse> CallAdmin(const Client& client,
                                            const v1::FlushRequest& request);
absl::StatusOr<v1::GetDeliveryResponse> CallAdmin(
    const Client& client, const v1::GetDeliveryRequest& request);
absl::StatusOr<v1::ListDeadLettersResponse> CallAdmin(
    const Client& client, const v1::ListDeadLettersRequest& request);
absl::StatusOr<v1::ReplayDeadLettersResponse> CallAdmin(
    const Client& client, const v1::ReplayDeadLettersRequest& request);
absl::StatusOr<v1::DiscardDeadLettersResponse> CallAdmin(
    const Client& client, const v1::DiscardDeadLettersRequest& request);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_ADMIN_CALL_H_
