#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_DEFERRED_ITEMS_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_DEFERRED_ITEMS_H_

#include <cstdint>
#include <list>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "heap_adapter/spool/records.h"
#include "heap_adapter/spool/seq_set.h"
#include "heap_adapter/spool/spool.h"

namespace heapsync {

// Index of a lane's deferred items, by identity. The items themselves are on
// disk; an identity costs memory, its items do not. An item waits, is in
// flight, or has ended. Identities that may go stand in line. One thread.
class DeferredItems {
 public:
  // Identities that the spool holds; all of them may go.
  explicit DeferredItems(const std::vector<DeferredIdentity>& stored);

  // Items that wait or are in flight.
  uint64_t items() const { return items_; }
  // True if items of the identity wait.
  bool Waits(uint64_t identity_hash) const;
  // The newest item that waits. REQUIRES: Waits(identity_hash).
  Seq LastOf(uint64_t identity_hash) const;
  // At most `max` identities, in no order, that have other items than those
  // which `isolated` names.
  std::vector<uint64_t> SomeIdentities(
      size_t max, absl::FunctionRef<bool(Seq)> isolated) const;

  // A new item waits.
  void Add(uint64_t identity_hash, Seq seq);
  // An item that waits goes in flight without its identity's turn. False, and
  // nothing changes, if no item of the identity is known.
  bool Claim(uint64_t identity_hash, Seq seq);
  // An item in flight waits again.
  void PutBack(uint64_t identity_hash, Seq seq);
  // An item was delivered or dead-lettered.
  void End(uint64_t identity_hash, Seq seq);
  // True if items have ended since the last call.
  bool TakeEnded() { return std::exchange(ended_, false); }

  // Puts the identity in line if items of it wait.
  void MakeReady(uint64_t identity_hash);
  bool HasReady() const { return !ready_.empty(); }
  // The first identity in line; none if the line is empty.
  std::optional<uint64_t> FirstReady() const;
  // Takes the first identity out of the line. REQUIRES: FirstReady() gave one.
  void PopReady();

  // The place to continue reading the identity's items: from here on, items
  // in flight are passed over. REQUIRES: the identity is known.
  Seq NextOf(uint64_t identity_hash) const;
  const SeqSet& InFlightOf(uint64_t identity_hash) const;
  enum class Passed { kTaken, kEnded };
  // The item at `seq` was read: it is in flight now, or has ended.
  // REQUIRES: the identity is known.
  void Pass(uint64_t identity_hash, Seq seq, Passed passed);
  // The spool has no more items of the identity, whatever was counted.
  // REQUIRES: the identity is known.
  void ForgetWaiting(uint64_t identity_hash);

 private:
  struct Identity {
    uint64_t waiting = 0;  // items, not counting those in flight
    Seq next = 0;
    Seq last = 0;
    SeqSet in_flight;
    bool ready = false;  // stands in ready_
  };

  const Identity& Of(uint64_t identity_hash) const;
  Identity& Of(uint64_t identity_hash);
  void Enlist(uint64_t identity_hash, Identity& identity);
  void EraseIfOver(uint64_t identity_hash);

  absl::flat_hash_map<uint64_t, Identity> identities_;
  std::list<uint64_t> ready_;
  uint64_t items_ = 0;
  bool ended_ = false;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_DEFERRED_ITEMS_H_
