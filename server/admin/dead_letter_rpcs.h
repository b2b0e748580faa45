#ifndef HEAPSYNC_SERVER_ADMIN_DEAD_LETTER_RPCS_H_
#define HEAPSYNC_SERVER_ADMIN_DEAD_LETTER_RPCS_H_

#include "heap_adapter/engine.h"
#include "heapsync/v1/heap_sync_admin_service.pb.h"
#include "server/admin/admin_call.h"

namespace heapsync {

// The admin RPCs about dead letters. They wait for the disk: for the admin
// worker's thread.

CallResult<v1::ListDeadLettersResponse> ListDeadLetters(
    const Engine& engine, const Caller& caller,
    const v1::ListDeadLettersRequest& request);

CallResult<v1::ReplayDeadLettersResponse> ReplayDeadLetters(
    Engine& engine, const Caller& caller,
    const v1::ReplayDeadLettersRequest& request);

CallResult<v1::DiscardDeadLettersResponse> DiscardDeadLetters(
    Engine& engine, const Caller& caller,
    const v1::DiscardDeadLettersRequest& request);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ADMIN_DEAD_LETTER_RPCS_H_
