#ifndef HEAPSYNC_HEAP_ADAPTER_INTAKE_SETTLEMENT_H_
#define HEAPSYNC_HEAP_ADAPTER_INTAKE_SETTLEMENT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "heap_adapter/spool/seq_set.h"

namespace heapsync {

// The ends of the items of one append.
struct Settlement {
  uint64_t delivered = 0;
  uint64_t dead_lettered = 0;
  // The rest is delivered later, or by another server, and not reported here.
  bool abandoned = false;

  std::string Encode() const;
  static absl::StatusOr<Settlement> Decode(absl::string_view bytes);
};

// The listener to how items ended. Called once, when the last item's end is
// stored: from the dispatcher's thread, or, for an append whose caller was not
// answered by then, from the answering thread after that. It must not block.
// One whose listener is gone by then may be forgotten instead.
class SettledCallback {
 public:
  SettledCallback() = default;
  SettledCallback(std::nullptr_t) {}  // NOLINT(google-explicit-constructor)
  template <typename Call,
            typename = std::enable_if_t<std::is_invocable_v<Call, Settlement>>>
  SettledCallback(Call call)  // NOLINT(google-explicit-constructor)
      : call_(std::move(call)) {}
  // Wanted as long as `listener` is alive; none: always.
  template <typename Call>
  SettledCallback(std::optional<std::weak_ptr<const void>> listener, Call call)
      : call_(std::move(call)), listener_(std::move(listener)) {}

  explicit operator bool() const { return static_cast<bool>(call_); }
  void operator()(Settlement settlement) { call_(settlement); }
  bool wanted() const {
    return !listener_.has_value() || !listener_->expired();
  }

  // None: wanted always.
  const std::optional<std::weak_ptr<const void>>& listener() const {
    return listener_;
  }

 private:
  absl::AnyInvocable<void(Settlement)> call_;
  std::optional<std::weak_ptr<const void>> listener_;
};

// Keeps the settlement of an append until its caller was answered. Whichever of
// Settle() and Open() comes second calls the callback, so it is never lost.
// Each is called at most once; any thread.
class SettlementGate {
 public:
  explicit SettlementGate(SettledCallback callback)
      : callback_(std::move(callback)) {}

  // The callback to hand out instead: it calls Settle(), and is wanted as long
  // as that of `gate`.
  static SettledCallback Through(const std::shared_ptr<SettlementGate>& gate);

  void Settle(Settlement settlement);
  void Open();

 private:
  Mutex mutex_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<Settlement> kept_ ABSL_GUARDED_BY(mutex_);
  // Used by whichever comes second.
  SettledCallback callback_;
};

// Callbacks that wait for the ends of items of a lane. One thread.
class SettlementWaiters {
 public:
  // `items` must not overlap those of another append.
  void WaitForItems(SeqRange items, SettledCallback callback);
  // Waits for `count` items below `end` to end: all of those that have not yet,
  // but for what travels inside another. REQUIRES: `end` is the lane's head.
  void WaitForAllBelow(Seq end, uint64_t count, SettledCallback callback);

  // Item `seq` travels inside item `into` from now on.
  void Forward(Seq seq, Seq into);
  // Item `seq` ended, and with it whatever was forwarded into it.
  void End(Seq seq, bool delivered);

  // Takes out what waits for the items of appends, from their first to their
  // last one. Flushes are abandoned: they have finished.
  std::vector<std::pair<SeqRange, SettledCallback>> TakeAll();

  // Waiters whose last item ended since the last call; call them once that is
  // stored.
  std::vector<std::pair<SettledCallback, Settlement>> TakeFinished();

  bool empty() const { return by_begin_.empty() && flushes_.empty(); }
  // Of appends and flushes; those whose listener left are forgotten before they
  // make up half of it.
  size_t size() const { return by_begin_.size() + flushes_.size(); }

 private:
  static constexpr size_t kFirstLook = 1'024;
  // Each flush costs a look with every item that ends.
  static constexpr size_t kFirstLookAtFlushes = 16;

  struct Waiter {
    Seq end;
    uint64_t remaining;
    SettledCallback callback;
    Settlement so_far;
  };

  void Count(Waiter& waiter, bool delivered);
  void ForgetUnwanted();
  void ForgetUnwantedFlushes();
  bool IsWaitedFor(Seq seq) const;

  // The sizes at which to look for callbacks that are no longer wanted.
  size_t next_look_ = kFirstLook;
  size_t next_look_at_flushes_ = kFirstLookAtFlushes;
  absl::btree_map<Seq, Waiter> by_begin_;
  std::vector<Waiter> flushes_;
  absl::flat_hash_map<Seq, std::vector<Seq>> forwarded_;
  std::vector<std::pair<SettledCallback, Settlement>> finished_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_INTAKE_SETTLEMENT_H_
