#ifndef HEAPSYNC_SERVER_OBSERVE_STATUS_QUERY_H_
#define HEAPSYNC_SERVER_OBSERVE_STATUS_QUERY_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/engines.h"
#include "server/observe/flow_history.h"

namespace heapsync {

enum class StatusSort {
  kAttention,  // need for a person's attention: by state, then by backlog
  kName,
  kAccepted,  // items per second
  kDelivered,
  kBacklog,
  kAllowance,  // part of the limit that is used
  kDeadLetters,
};

// Chooses the destinations that /statusz.json shows, and how much of each.
struct StatusQuery {
  static constexpr size_t kMaxPerPage = 1'000;
  static constexpr size_t kMaxOpen = 50;

  // Part of the name, of the region or of the masked App ID, in lower case.
  std::string search;
  std::optional<DestinationState> state;
  StatusSort sort = StatusSort::kAttention;
  bool reversed = false;
  size_t page = 1;
  size_t per_page = 100;
  // False: the numbers by type and dead letters by reason are left out, but for
  // the destinations in `open`.
  bool detailed = true;
  std::vector<std::string> open;
  // None: no charts.
  std::optional<FlowHistory::Range> history;
};

// `query` is what follows the question mark of a URL:
//
//   search=, state=, page=, per_page=, open= (repeated)
//   sort=attention|name|in|out|backlog|allowance|dead_letters
//   order=reversed
//   detail=brief
//   history=minutes|hours
//
// Errors: kInvalidArgument, which repeats no value.
absl::StatusOr<StatusQuery> ParseStatusQuery(absl::string_view query);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_STATUS_QUERY_H_
