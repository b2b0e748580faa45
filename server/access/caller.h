#ifndef HEAPSYNC_SERVER_ACCESS_CALLER_H_
#define HEAPSYNC_SERVER_ACCESS_CALLER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "heap_adapter/base/mutex.h"
#include "server/access/access_rules.h"
#include "server/access/token_bucket.h"
#include "server/wire/rich_status.h"

namespace heapsync {

// Remaining allowance of a caller, shared by all its calls. Any thread.
class CallerAllowance {
 public:
  explicit CallerAllowance(CallerRate rate)
      : rate_(rate), bucket_(rate.items_per_second, rate.burst) {}

  const CallerRate& rate() const { return rate_; }

  // Takes `items` and returns zero, or takes nothing and returns the time after
  // which to retry.
  Duration TryTake(double items, MonotonicTime now);
  // Takes `items` unconditionally; returns how long to pause reading.
  Duration Take(double items, MonotonicTime now);

 private:
  const CallerRate rate_;
  Mutex mutex_;
  TokenBucket bucket_ ABSL_GUARDED_BY(mutex_);
};

// The caller of a call, with its permissions.
struct Caller {
  // Callers are served in turn by this name, so one that sends much delays only
  // itself. Empty: unnamed. Otherwise IsCallerName() holds.
  std::string name;
  // Null: there are no access rules, so everything is permitted.
  std::shared_ptr<const CallerGrant> grant;
  // Null: no rate limit.
  std::shared_ptr<CallerAllowance> allowance;
  // Generation of the rules by which it was admitted.
  uint64_t generation = 0;

  bool MayUse(absl::string_view destination) const {
    return grant == nullptr || grant->MayUse(destination);
  }
  bool MayUseAll() const {
    return grant == nullptr || !grant->destinations.has_value();
  }
  // Charges `items` for a call that cannot wait; returns the error if that
  // would exceed the rate.
  std::optional<CallError> Spend(uint64_t items, MonotonicTime now) const;
  // Charges `items` of a stream unconditionally; returns how long to pause
  // reading.
  Duration SpendAnyway(uint64_t items, MonotonicTime now) const;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ACCESS_CALLER_H_
