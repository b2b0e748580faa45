#ifndef HEAPSYNC_HEAP_ADAPTER_SCHEDULING_USAGE_LEDGER_H_
#define HEAPSYNC_HEAP_ADAPTER_SCHEDULING_USAGE_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <list>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/clock.h"

namespace heapsync {

// Usage of one attempt: units for each identity hash.
using Usage = std::vector<std::pair<uint64_t, uint32_t>>;

// Enforces a sliding-window limit, in total and per identity, for every window
// that Heap could measure.
//
// Heap counts a request at some time between its sending and its response. An
// attempt is therefore counted from its start until one window after its end:
// whenever Heap counted it, no unit is used again before that window is over.
//
// Pure; one thread. Times must not go backwards.
class UsageLedger {
 public:
  struct Rules {
    Duration window;
    uint32_t total = 0;         // zero: unlimited
    uint32_t per_identity = 0;  // zero: unlimited
  };
  static constexpr uint32_t kUnlimited = std::numeric_limits<uint32_t>::max();

  explicit UsageLedger(const Rules& rules) : rules_(rules) {}

  // Replaces the limits; the window and the units in use stay. REQUIRES: if a
  // limit per identity is introduced, the caller begins nothing for one window,
  // because usage per identity was not counted before.
  void SetLimits(const Rules& rules) {
    rules_.total = rules.total;
    rules_.per_identity = rules.per_identity;
  }
  const Rules& rules() const { return rules_; }

  // Counts the units of an attempt. `account` is used for UsedBy() only.
  // REQUIRES: `attempt` is not in flight; the units are within the allowances.
  void Begin(uint64_t attempt, Usage usage, uint32_t account = 0);
  // Ends an attempt: its units are released at `now` + window. REQUIRES:
  // Begin(attempt).
  void End(uint64_t attempt, MonotonicTime now);

  // Ends an attempt that certainly never reached Heap: its units are released
  // immediately. REQUIRES: Begin(attempt).
  void Refund(uint64_t attempt);

  // Units that may begin now.
  uint32_t TotalAllowance() const;
  uint32_t IdentityAllowance(uint64_t identity_hash) const;

  // Releases the units that are due at `now`. Returns the watched identities
  // among them, each once, and stops watching these.
  std::vector<uint64_t> Advance(MonotonicTime now);
  // Time of the next release; none if no attempt has ended.
  std::optional<MonotonicTime> NextRelease() const;

  // The maximum even pace, in units per second, that `free` units and released
  // ones can sustain for one window from `now` on. Waits for a release that are
  // shorter than `min_wait` are ignored. REQUIRES: a total limit; Advance(now).
  double EvenPace(uint64_t free, MonotonicTime now, Duration min_wait) const;

  // Makes Advance() return this identity when some of its units are released.
  // REQUIRES: the identity has units in use.
  void Watch(uint64_t identity_hash);

  // Multiplies the total limit by `factor`, in (0, 1]; at least one unit stays.
  void Slow(double factor) { factor_ = factor; }
  double factor() const { return factor_; }

  // Units in use at `now`, without those that Advance(now) would release.
  uint64_t InUse(MonotonicTime now) const;
  // Units in use by one account.
  uint64_t UsedBy(uint32_t account) const;
  uint32_t total_limit() const;
  // True if there is any limit.
  bool limits() const { return rules_.total > 0 || limits_identities(); }
  // True if there is a limit per identity. If not, a Usage may have one entry
  // for all identities.
  bool limits_identities() const { return rules_.per_identity > 0; }
  // Number of entries held, one per identity and attempt; for bounding memory.
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
  // By release. A list, since an empty std::deque takes 600 bytes.
  std::list<Ended> ended_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SCHEDULING_USAGE_LEDGER_H_
