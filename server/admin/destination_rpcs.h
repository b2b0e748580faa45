#ifndef HEAPSYNC_SERVER_ADMIN_DESTINATION_RPCS_H_
#define HEAPSYNC_SERVER_ADMIN_DESTINATION_RPCS_H_

#include "heap_adapter/engine.h"
#include "heapsync/v1/heap_sync_admin_service.pb.h"
#include "server/admin/admin_call.h"

namespace heapsync {

// The admin RPCs about destinations. They wait for the engine and read the
// spool: for the admin worker's thread.

CallResult<v1::ListDestinationsResponse> ListDestinations(
    Engine& engine, const Caller& caller,
    const v1::ListDestinationsRequest& request);

CallResult<v1::GetDestinationResponse> GetDestination(
    Engine& engine, const Caller& caller,
    const v1::GetDestinationRequest& request);

CallResult<v1::PauseDestinationResponse> PauseDestination(
    Engine& engine, const Caller& caller,
    const v1::PauseDestinationRequest& request);

CallResult<v1::ResumeDestinationResponse> ResumeDestination(
    Engine& engine, const Caller& caller,
    const v1::ResumeDestinationRequest& request);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ADMIN_DESTINATION_RPCS_H_
