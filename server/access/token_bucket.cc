#include "server/access/token_bucket.h"

#include <algorithm>
#include <chrono>

#include "base/check.h"

namespace heapsync {
namespace {

// The part of an item that rounding may leave unpaid.
constexpr double kRounding = 1e-6;

}  // namespace

bool TokenBucket::TryTake(double items, MonotonicTime now) {
  Refill(now);
  if (level_ < std::min(items, burst_)) return false;
  level_ -= items;
  return true;
}

Duration TokenBucket::TimeUntil(double items, MonotonicTime now) {
  Refill(now);
  return TimeFor(std::min(items, burst_) - level_);
}

TokenBucket::Ticket TokenBucket::Join(double items, MonotonicTime now) {
  Refill(now);
  queue_.push_back({.ticket = next_ticket_, .unpaid = items});
  PayFromBucket();
  return next_ticket_++;
}

Duration TokenBucket::TimeUntilPaid(Ticket ticket, MonotonicTime now) {
  Refill(now);
  const auto message = Find(ticket);
  if (message->unpaid <= 0) {
    queue_.erase(message);
    return Duration::zero();
  }
  double unpaid = 0;
  for (auto it = queue_.begin(); it <= message; ++it) unpaid += it->unpaid;
  return std::max(TimeFor(unpaid - kept_ - level_), Duration(1));
}

void TokenBucket::Leave(Ticket ticket) {
  const auto message = Find(ticket);
  const double returned = std::min(message->paid, burst_ - level_);
  level_ += returned;
  kept_ = std::max(kept_, message->paid - returned);
  queue_.erase(message);
  PayFromBucket();
}

void TokenBucket::Refill(MonotonicTime now) {
  if (now <= refilled_) return;
  double earned = 0;
  if (refilled_ != MonotonicTime()) {
    earned =
        std::chrono::duration<double>(now - refilled_).count() * per_second_;
  }
  refilled_ = now;
  while (earned > 0) {
    const auto first = FirstUnpaid();
    if (first == queue_.end()) break;
    // With this it is paid, since it takes what is in the bucket then.
    const double part = std::min(earned, first->unpaid - kept_ - level_);
    earned -= part;
    const double to_bucket = std::min(part / 2, burst_ - level_);
    level_ += to_bucket;
    first->paid += part - to_bucket;
    first->unpaid -= part - to_bucket;
    PayFromBucket();
  }
  level_ = std::min(burst_, level_ + earned);
}

void TokenBucket::PayFromBucket() {
  for (auto it = FirstUnpaid();
       it != queue_.end() && it->unpaid <= kept_ + level_ + kRounding;
       it = FirstUnpaid()) {
    const double from_kept = std::min(kept_, it->unpaid);
    kept_ -= from_kept;
    level_ -= it->unpaid - from_kept;
    it->paid += it->unpaid;
    it->unpaid = 0;
  }
}

std::deque<TokenBucket::Message>::iterator TokenBucket::FirstUnpaid() {
  return std::find_if(queue_.begin(), queue_.end(),
                      [](const Message& each) { return each.unpaid > 0; });
}

std::deque<TokenBucket::Message>::iterator TokenBucket::Find(Ticket ticket) {
  const auto found =
      std::find_if(queue_.begin(), queue_.end(),
                   [&](const Message& each) { return each.ticket == ticket; });
  HEAPSYNC_CHECK(found != queue_.end()) << "no message waits with this ticket";
  return found;
}

Duration TokenBucket::TimeFor(double items) const {
  if (items <= 0) return Duration::zero();
  // A rate close to zero must not leave the range of Duration.
  const double seconds = std::min(items / per_second_, 86'400.0);
  return Duration(static_cast<Duration::rep>(seconds * 1e6) + 1);
}

}  // namespace heapsync
