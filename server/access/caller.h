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

// What a caller may still send now, shared by all its calls. Any thread.
class CallerAllowance {
 public:
  explicit CallerAllowance(CallerRate rate)
      : rate_(rate), bucket_(rate.items_per_second, rate.burst) {}

  const CallerRate& rate() const { return rate_; }

  // Zero: taken. Otherwise nothing is, and it is worth asking again then.
  Duration TryTake(double items, MonotonicTime now);
  // Takes them, and says for how long nothing more should come.
  Duration Take(double items, MonotonicTime now);

 private:
  const CallerRate rate_;
  Mutex mutex_;
  TokenBucket bucket_ ABSL_GUARDED_BY(mutex_);
};

// Who makes a call, and what it may do.
struct Caller {
  // Callers take turns by it, and one that sends much delays itself. Empty:
  // nobody said. Otherwise IsCallerName().
  std::string name;
  // Null: nobody asks who calls, and everybody may do everything.
  std::shared_ptr<const CallerGrant> grant;
  // Null: as fast as it likes.
  std::shared_ptr<CallerAllowance> allowance;
  // Of the rules by which it was admitted.
  uint64_t generation = 0;

  bool MayUse(absl::string_view destination) const {
    return grant == nullptr || grant->MayUse(destination);
  }
  bool MayUseAll() const {
    return grant == nullptr || !grant->destinations.has_value();
  }
  // What stands against `items` more in a call that cannot wait.
  std::optional<CallError> Spend(uint64_t items, MonotonicTime now) const;
  // Takes `items` that came on a stream; how long the stream should now rest.
  Duration SpendAnyway(uint64_t items, MonotonicTime now) const;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ACCESS_CALLER_H_
