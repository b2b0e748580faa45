#ifndef HEAPSYNC_SERVER_OBSERVE_STATUS_LIST_H_
#define HEAPSYNC_SERVER_OBSERVE_STATUS_LIST_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "heap_adapter/engines.h"
#include "server/observe/flow_history.h"
#include "server/observe/server_status.h"
#include "server/observe/status_query.h"

namespace heapsync {

// Sums over all destinations, whatever a query asks for.
struct StatusTotals {
  // By the number of the DestinationState.
  std::array<uint64_t, kDestinationStates.size()> in_state{};
  TypeNumbers items;
  DeadLetterTotals dead_letters;
  std::optional<FlowRates> rates;
  // The destination that used the largest part of its limit; null: none has a
  // limit.
  const DestinationSnapshot* fullest = nullptr;
};

struct ListedDestination {
  const DestinationStatus* status;
  TypeNumbers items;  // of all types
  std::optional<FlowRates> rates;
};

struct StatusList {
  StatusTotals totals;
  size_t matching = 0;  // destinations that the query matches
  size_t page = 1;      // the last page if the query asked for a later one
  size_t pages = 1;
  std::vector<ListedDestination> shown;
};

// The part of the limit per minute that is used, from 0 to 1 and above; 0 if
// there is none.
double AllowancePart(const DestinationSnapshot& destination);

// The destinations that `query` shows. Points into `status`.
StatusList ListDestinations(const ServerStatus& status,
                            const FlowHistory& history,
                            const StatusQuery& query);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_STATUS_LIST_H_
