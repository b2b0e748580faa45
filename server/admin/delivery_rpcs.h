#ifndef HEAPSYNC_SERVER_ADMIN_DELIVERY_RPCS_H_
#define HEAPSYNC_SERVER_ADMIN_DELIVERY_RPCS_H_

#include "heap_adapter/engine.h"
#include "heapsync/v1/heap_sync_admin_service.pb.h"
#include "server/admin/admin_call.h"

namespace heapsync {

// Tells what became of a receipt's items. Waits for the engine and reads the
// spool: for the admin worker's thread.
CallResult<v1::GetDeliveryResponse> GetDelivery(
    Engine& engine, const Caller& caller,
    const v1::GetDeliveryRequest& request);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ADMIN_DELIVERY_RPCS_H_
