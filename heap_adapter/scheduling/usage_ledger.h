#ifndef HEAPSYNC_HEAP_ADAPTER_SCHEDULING_USAGE_LEDGER_H_
#define HEAPSYNC_HEAP_ADAPTER_SCHEDULING_USAGE_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "heap_adapter/base/clock.h"

namespace heapsync {

// What one attempt takes: units for each identity hash.
using Usage = std::vector<std::pair<uint64_t, uint32_t>>;

// Keeps a sliding-window limit, in total and for each identity, so that no
// window that Heap could measure holds too much.
//
// Heap sees a request at some moment between its sending and its answer. So an
// attempt counts from its beginning until one window after its end: whatever
// moment Heap saw, a unit is never used again before the window that Heap saw
// it in is over.
//
// No clock and no threads. Times must not go backwards.
class UsageLedger {
 public:
  struct Rules {
    Duration window;
    uint32_t total = 0;         // zero: unlimited
    uint32_t per_identity = 0;  // zero: unlimited
  };
  static constexpr uint32_t kUnlimited = std::numeric_limits<uint32_t>::max();

  explicit UsageLedger(const Rules& rules) : rules_(rules) {}

  // From now on these are the limits; the window stays. What is in use stays in
  // use. REQUIRES: where identities had no limit and get one, the caller begins
  // nothing for one window, since nobody counted for them.
  void SetLimits(const Rules& rules) {
    rules_.total = rules.total;
    rules_.per_identity = rules.per_identity;
  }
  const Rules& rules() const { return rules_; }

  // `account` is who uses the units, for UsedBy() only.
  // REQUIRES: `attempt` is not in flight; the units fit the allowances.
  void Begin(uint64_t attempt, Usage usage, uint32_t account = 0);
  // REQUIRES: Begin(attempt). Its units come back at `now` + window.
  void End(uint64_t attempt, MonotonicTime now);

  // The attempt certainly never reached Heap: its units come back at once.
  // REQUIRES: Begin(attempt).
  void Refund(uint64_t attempt);

  // Units that may begin now.
  uint32_t TotalAllowance() const;
  uint32_t IdentityAllowance(uint64_t identity_hash) const;

  // Takes back what is over at `now`. Gives the watched identities among it,
  // each once, and watches them no more.
  std::vector<uint64_t> Advance(MonotonicTime now);
  // When Advance() next has something to do; none if nothing has ended.
  std::optional<MonotonicTime> NextRelease() const;

  // The greatest even pace, in units per second, that `free` units and those
  // that come back keep up for one window from `now` on. A time shorter than
  // `shortest` until some come back is passed over. REQUIRES: a total limit;
  // Advance(now).
  double EvenPace(uint64_t free, MonotonicTime now, Duration shortest) const;

  // Asks Advance() to tell when some of this identity's units come back.
  // REQUIRES: the identity has units in use.
  void Watch(uint64_t identity_hash);

  // Multiplies the total limit; at least one unit stays. In (0, 1].
  void Slow(double factor) { factor_ = factor; }
  double factor() const { return factor_; }

  uint64_t total_in_use() const { return in_use_; }
  // Of these: those of one account.
  uint64_t UsedBy(uint32_t account) const;
  uint32_t total_limit() const;
  // Whether there is any limit at all.
  bool limits() const { return rules_.total > 0 || limits_identities(); }
  // False: usages may give one entry for all identities.
  bool limits_identities() const { return rules_.per_identity > 0; }
  // Entries held, for bounding memory: one per identity and attempt.
  size_t entries() const { return entries_; }

 private:
  struct Identity {
    uint32_t in_use = 0;
    bool watched = false;
  };
  struct Attempt {
    Usage usage;
    uint64_t units = 0;
    uint32_t account = 0;
  };
  struct Ended {
    MonotonicTime release;
    Attempt attempt;
  };

  void TakeBack(const Attempt& attempt, std::vector<uint64_t>& freed);

  Rules rules_;
  std::vector<uint64_t> refunded_watched_;
  double factor_ = 1.0;
  uint64_t in_use_ = 0;
  size_t entries_ = 0;
  absl::flat_hash_map<uint64_t, Identity> identities_;
  absl::flat_hash_map<uint32_t, uint64_t> by_account_;
  absl::flat_hash_map<uint64_t, Attempt> in_flight_;
  std::deque<Ended> ended_;  // by release
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SCHEDULING_USAGE_LEDGER_H_
