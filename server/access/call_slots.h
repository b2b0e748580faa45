#ifndef HEAPSYNC_SERVER_ACCESS_CALL_SLOTS_H_
#define HEAPSYNC_SERVER_ACCESS_CALL_SLOTS_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"

namespace heapsync {

// Limits the number of open calls of a kind, and how many of them one caller
// may have. An open call uses memory, and some calls wait for Heap, so a large
// number could stay open for a long time. Any thread.
class CallSlots {
 public:
  struct Bounds {
    uint32_t all = 0;
    // The share of one caller. Callers without a name cannot be told apart, and
    // only `all` counts for them.
    uint32_t per_caller = std::numeric_limits<uint32_t>::max();
  };

  // Bounds where one caller may have `percent` of `all`, and one at least.
  static Bounds BoundsFor(uint32_t all, uint32_t percent) {
    const uint64_t share = uint64_t{all} * percent / 100;
    return {.all = all,
            .per_caller = static_cast<uint32_t>(std::max<uint64_t>(1, share))};
  }

  explicit CallSlots(Bounds bounds) : bounds_(bounds) {}

  // Occupies one slot until it is destroyed. `slots` must outlive it.
  class Slot {
   public:
    Slot(Slot&& other) noexcept
        : slots_(std::exchange(other.slots_, nullptr)),
          caller_(std::move(other.caller_)) {}
    Slot& operator=(Slot&& other) noexcept {
      std::swap(slots_, other.slots_);
      std::swap(caller_, other.caller_);
      return *this;
    }
    ~Slot() {
      if (slots_ != nullptr) slots_->GiveBack(caller_);
    }

   private:
    friend class CallSlots;
    Slot(CallSlots& slots, absl::string_view caller)
        : slots_(&slots), caller_(caller) {}

    CallSlots* slots_;
    std::string caller_;
  };

  // Why there is no slot.
  enum class Shortage {
    kAllTaken,
    kShareTaken,
  };

  // Takes a slot. If there is none, `make_place` may end another call and
  // return true; the slot is then taken beyond the bounds, until that call has
  // ended.
  std::variant<Slot, Shortage> Take(
      absl::string_view caller = {},
      absl::FunctionRef<bool(Shortage)> make_place = [](Shortage) {
        return false;
      });

  struct Counts {
    uint32_t open = 0;
    // Since the start.
    uint64_t refused_all_taken = 0;
    uint64_t refused_share_taken = 0;
  };
  Counts Read() const;

 private:
  bool IsCounted(absl::string_view caller) const {
    return bounds_.per_caller < bounds_.all && !caller.empty();
  }
  // Takes a slot whatever the bounds say, and returns whether they did.
  std::optional<Shortage> Occupy(absl::string_view caller);
  void GiveBack(const std::string& caller);

  const Bounds bounds_;
  std::atomic<uint32_t> open_{0};
  std::atomic<uint64_t> refused_all_taken_{0};
  std::atomic<uint64_t> refused_share_taken_{0};
  Mutex mutex_;
  // Open calls of each caller that has any and is counted.
  absl::flat_hash_map<std::string, uint32_t> by_caller_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ACCESS_CALL_SLOTS_H_
