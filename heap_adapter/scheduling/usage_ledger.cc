#include "heap_adapter/scheduling/usage_ledger.h"

#include <algorithm>

#include "base/check.h"

namespace heapsync {

void UsageLedger::Begin(uint64_t attempt, Usage usage, uint32_t account) {
  uint64_t units = 0;
  for (const auto& [hash, count] : usage) {
    units += count;
    if (rules_.per_identity > 0) identities_[hash].in_use += count;
  }
  in_use_ += units;
  by_account_[account] += units;
  if (rules_.per_identity == 0) usage.clear();
  entries_ += usage.size();
  in_flight_.emplace(
      attempt,
      Attempt{.usage = std::move(usage), .units = units, .account = account});
}

void UsageLedger::End(uint64_t attempt, MonotonicTime now) {
  auto it = in_flight_.find(attempt);
  ended_.push_back(
      {.release = now + rules_.window, .attempt = std::move(it->second)});
  in_flight_.erase(it);
}

uint32_t UsageLedger::total_limit() const {
  if (rules_.total == 0) return kUnlimited;
  return std::max<uint32_t>(
      1, static_cast<uint32_t>(static_cast<double>(rules_.total) * factor_));
}

uint32_t UsageLedger::TotalAllowance() const {
  const uint32_t limit = total_limit();
  if (limit == kUnlimited) return kUnlimited;
  return in_use_ >= limit ? 0 : limit - static_cast<uint32_t>(in_use_);
}

uint32_t UsageLedger::IdentityAllowance(uint64_t identity_hash) const {
  if (rules_.per_identity == 0) return kUnlimited;
  const auto it = identities_.find(identity_hash);
  if (it == identities_.end()) return rules_.per_identity;
  return it->second.in_use >= rules_.per_identity
             ? 0
             : rules_.per_identity - it->second.in_use;
}

uint64_t UsageLedger::UsedBy(uint32_t account) const {
  const auto it = by_account_.find(account);
  return it == by_account_.end() ? 0 : it->second;
}

void UsageLedger::TakeBack(const Attempt& attempt,
                           std::vector<uint64_t>& freed) {
  in_use_ -= attempt.units;
  entries_ -= attempt.usage.size();
  const auto account = by_account_.find(attempt.account);
  account->second -= attempt.units;
  if (account->second == 0) by_account_.erase(account);
  for (const auto& [hash, count] : attempt.usage) {
    const auto it = identities_.find(hash);
    it->second.in_use -= count;
    if (it->second.watched) {
      it->second.watched = false;
      freed.push_back(hash);
    }
    if (it->second.in_use == 0) identities_.erase(it);
  }
}

void UsageLedger::Refund(uint64_t attempt) {
  const auto it = in_flight_.find(attempt);
  TakeBack(it->second, refunded_watched_);
  in_flight_.erase(it);
}

std::vector<uint64_t> UsageLedger::Advance(MonotonicTime now) {
  std::vector<uint64_t> freed = std::exchange(refunded_watched_, {});
  const bool refunded = !freed.empty();
  while (!ended_.empty() && ended_.front().release <= now) {
    TakeBack(ended_.front().attempt, freed);
    ended_.pop_front();
  }
  // A refunded identity may have been watched again and released a second time.
  if (refunded) {
    std::sort(freed.begin(), freed.end());
    freed.erase(std::unique(freed.begin(), freed.end()), freed.end());
  }
  return freed;
}

uint64_t UsageLedger::InUse(MonotonicTime now) const {
  uint64_t units = in_use_;
  for (const Ended& ended : ended_) {
    if (ended.release > now) break;
    units -= ended.attempt.units;
  }
  return units;
}

std::optional<MonotonicTime> UsageLedger::NextRelease() const {
  if (ended_.empty()) return std::nullopt;
  return ended_.front().release;
}

double UsageLedger::EvenPace(uint64_t free, MonotonicTime now,
                             Duration min_wait) const {
  const auto over = [](uint64_t units, Duration time) {
    return static_cast<double>(units) /
           std::chrono::duration<double>(time).count();
  };
  // Units in flight are released later than those of ended attempts.
  uint64_t units = free;
  double pace = std::numeric_limits<double>::infinity();
  for (const Ended& ended : ended_) {
    const Duration until = ended.release - now;
    if (until >= min_wait) pace = std::min(pace, over(units, until));
    units += ended.attempt.units;
  }
  return std::min(pace, over(units, rules_.window));
}

void UsageLedger::Watch(uint64_t identity_hash) {
  const auto it = identities_.find(identity_hash);
  HEAPSYNC_CHECK(it != identities_.end()) << "identity was never used";
  it->second.watched = true;
}

}  // namespace heapsync
