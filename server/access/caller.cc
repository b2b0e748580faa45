#include "server/access/caller.h"

#include <algorithm>
#include <chrono>

namespace heapsync {
namespace {

// The rate may change, and a long queue become short.
constexpr std::chrono::milliseconds kMaxRetryDelay{60'000};

std::chrono::milliseconds RetryDelay(Duration wait) {
  return std::min(std::chrono::ceil<std::chrono::milliseconds>(wait),
                  kMaxRetryDelay);
}

}  // namespace

Duration CallerAllowance::TryTake(double items, MonotonicTime now) {
  MutexLock lock(mutex_);
  if (bucket_.TryTake(items, now)) return Duration::zero();
  return bucket_.TimeUntil(items, now);
}

MessagePayment::~MessagePayment() {
  if (!ticket_.has_value()) return;
  MutexLock lock(allowance_->mutex_);
  allowance_->bucket_.Leave(*ticket_);
  allowance_->waiting_bytes_ -= bytes_;
}

std::variant<Duration, CallError> MessagePayment::Continue(MonotonicTime now) {
  MutexLock lock(allowance_->mutex_);
  TokenBucket& bucket = allowance_->bucket_;
  size_t& waiting_bytes = allowance_->waiting_bytes_;
  const bool joins = !ticket_.has_value();
  const TokenBucket::Ticket ticket =
      joins ? bucket.Join(items_, now) : *ticket_;
  const Duration left = bucket.TimeUntilPaid(ticket, now);
  if (left == Duration::zero()) {
    if (!joins) waiting_bytes -= bytes_;
    ticket_.reset();
    return left;
  }
  if (!joins) return left;
  if (waiting_bytes > 0 &&
      waiting_bytes + bytes_ > CallerAllowance::kMaxWaitingBytes) {
    bucket.Leave(ticket);
    return CallerRateExceeded(RetryDelay(left));
  }
  ticket_ = ticket;
  waiting_bytes += bytes_;
  return left;
}

std::optional<CallError> Caller::Spend(uint64_t items,
                                       MonotonicTime now) const {
  if (allowance == nullptr) return std::nullopt;
  const Duration wait = allowance->TryTake(static_cast<double>(items), now);
  if (wait == Duration::zero()) return std::nullopt;
  return CallerRateExceeded(RetryDelay(wait));
}

}  // namespace heapsync
