#include "heap_adapter/scheduling/caller_shares.h"

#include <algorithm>

namespace heapsync {
namespace {

// One part in this many of the limit is reserved for callers that use less than
// their share, in addition to their recent usage. A larger part: shorter waits
// for them when their usage grows, less use of the limit by the others.
constexpr uint32_t kReservedDivisor = 128;

}  // namespace

uint64_t CallerShares::Share(const UsageLedger& ledger) const {
  const uint32_t limit = ledger.total_limit();
  if (limit == UsageLedger::kUnlimited || callers_.size() < 2) return limit;
  return limit / callers_.size();
}

uint32_t CallerShares::Allowance(const UsageLedger& ledger, uint32_t caller,
                                 Now now) {
  const uint32_t allowance = ledger.TotalAllowance();
  const uint32_t limit = ledger.total_limit();
  const uint64_t share = Share(ledger);
  if (share == limit) return allowance;
  uint64_t kept = std::max<uint64_t>(1, limit / kReservedDivisor);
  for (auto& [other, peak] : callers_) {
    const uint64_t used = ledger.UsedBy(other);
    const uint64_t needs = std::min(peak.Greatest(used, now), share);
    if (other != caller && needs > used) kept += needs - used;
  }
  const uint64_t used = ledger.UsedBy(caller);
  const uint64_t within =
      std::min<uint64_t>(allowance, used < share ? share - used : 0);
  const uint64_t beyond = beyond_.Allowance(
      ledger, allowance > kept ? allowance - kept : 0, now.monotonic);
  return static_cast<uint32_t>(std::max(within, beyond));
}

void CallerShares::OnBegun(const UsageLedger& ledger, uint64_t used_before,
                           uint64_t used_since, MonotonicTime now) {
  const uint64_t before = std::max(Share(ledger), used_before);
  if (used_since > before) beyond_.OnTaken(used_since - before, now);
}

}  // namespace heapsync
