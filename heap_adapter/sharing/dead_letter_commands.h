#ifndef HEAPSYNC_HEAP_ADAPTER_SHARING_DEAD_LETTER_COMMANDS_H_
#define HEAPSYNC_HEAP_ADAPTER_SHARING_DEAD_LETTER_COMMANDS_H_

#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "heap_adapter/inspection/dead_letter_admin.h"
#include "heap_adapter/inspection/dead_letter_order.h"
#include "heap_adapter/sharing/sharing.h"
#include "heap_adapter/spool/records.h"

namespace heapsync {

using OrdersDone =
    absl::AnyInvocable<void(absl::StatusOr<std::vector<DeadLetterResult>>)>;

// Sends `command` with `order` for `letters`, one for each of their
// destinations. `done` gets the results of all, in any order; letters of a
// destination whose owner did not answer were not stored. It gets an error if
// none answered until then.
void SendOrders(Sharing& sharing, const CommandRecord& command,
                MonotonicTime until,
                const std::vector<FoundDeadLetter>& letters,
                DeadLetterOrder order, OrdersDone done);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SHARING_DEAD_LETTER_COMMANDS_H_
