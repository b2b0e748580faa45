#ifndef HEAPSYNC_SERVER_ACCESS_CALLER_H_
#define HEAPSYNC_SERVER_ACCESS_CALLER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/string_view.h"
#include "base/mutex.h"
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

 private:
  friend class MessagePayment;

  // Of messages that wait, unless there is only one.
  static constexpr size_t kMaxWaitingBytes = 16 << 20;

  const CallerRate rate_;
  Mutex mutex_;
  TokenBucket bucket_ ABSL_GUARDED_BY(mutex_);
  size_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

// The payment for one message of a stream, which is taken in once it is paid.
// Until then, or until this is destroyed, the message stands in the queue of
// its caller's messages. One thread at a time.
class MessagePayment {
 public:
  // For a message of `items`, which takes `bytes` of memory while it waits.
  MessagePayment(std::shared_ptr<CallerAllowance> allowance, uint64_t items,
                 size_t bytes)
      : allowance_(std::move(allowance)),
        items_(static_cast<double>(items)),
        bytes_(bytes) {}
  ~MessagePayment();
  MessagePayment(const MessagePayment&) = delete;
  MessagePayment& operator=(const MessagePayment&) = delete;

  // Zero once the message is paid; otherwise the time after which to ask again.
  // RESOURCE_EXHAUSTED if too many bytes of its caller's messages wait already.
  std::variant<Duration, CallError> Continue(MonotonicTime now);

  const CallerAllowance* allowance() const { return allowance_.get(); }

 private:
  // Shared with the caller's other calls, whose rules may change meanwhile.
  const std::shared_ptr<CallerAllowance> allowance_;
  const double items_;
  const size_t bytes_;
  std::optional<TokenBucket::Ticket> ticket_;  // while it waits
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
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ACCESS_CALLER_H_
