#ifndef HEAPSYNC_SERVER_ACCESS_CALL_SLOTS_H_
#define HEAPSYNC_SERVER_ACCESS_CALL_SLOTS_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

namespace heapsync {

// Limits the number of open calls of a kind. An open call uses memory, and some
// calls wait for Heap, so a large number could stay open for a long time. Any
// thread.
class CallSlots {
 public:
  explicit CallSlots(uint32_t most) : most_(most) {}

  // Occupies one slot until it is destroyed. `slots` must outlive it.
  class Slot {
   public:
    explicit Slot(CallSlots& slots) : slots_(&slots) {}
    Slot(Slot&& other) noexcept
        : slots_(std::exchange(other.slots_, nullptr)) {}
    Slot& operator=(Slot&& other) noexcept {
      std::swap(slots_, other.slots_);
      return *this;
    }
    ~Slot() {
      if (slots_ != nullptr) slots_->open_.fetch_sub(1);
    }

   private:
    CallSlots* slots_;
  };

  // Takes a slot; none if all are in use.
  std::optional<Slot> Take() {
    if (open_.fetch_add(1) < most_) return std::optional<Slot>(*this);
    open_.fetch_sub(1);
    return std::nullopt;
  }

 private:
  const uint32_t most_;
  std::atomic<uint32_t> open_{0};
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ACCESS_CALL_SLOTS_H_
