#ifndef HEAPSYNC_SERVER_ADMIN_DELIVERY_RPCS_H_
#define HEAPSYNC_SERVER_ADMIN_DELIVERY_RPCS_H_

#include "heap_adapter/engines.h"
#include "heapsync/v1/heap_sync_admin_service.pb.h"
#include "server/admin/admin_call.h"

namespace heapsync {

// Tells what became of a receipt's items, some of them in each turn. Waits for
// the engine and reads the spool: for the admin worker's thread.
class DeliveryQuestion {
 public:
  // `engines` must outlive it.
  explicit DeliveryQuestion(Engines& engines) : engines_(&engines) {}

  // The next turn, always with the same arguments.
  TurnResult<v1::GetDeliveryResponse> operator()(
      const Caller& caller, const v1::GetDeliveryRequest& request);

 private:
  Engines* engines_;
  v1::GetDeliveryResponse response_;  // of the turns so far
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ADMIN_DELIVERY_RPCS_H_
