#include "heap_adapter/delivery/deferred_items.h"

#include <algorithm>

#include "base/check.h"

namespace heapsync {

DeferredItems::DeferredItems(const std::vector<DeferredIdentity>& stored) {
  for (const DeferredIdentity& each : stored) {
    Identity& identity = identities_[each.hash];
    identity.waiting = each.items;
    identity.next = each.first;
    identity.last = each.last;
    items_ += each.items;
    Enlist(each.hash, identity);
  }
}

const DeferredItems::Identity& DeferredItems::Of(uint64_t identity_hash) const {
  const auto it = identities_.find(identity_hash);
  HEAPSYNC_CHECK(it != identities_.end()) << "no deferred items";
  return it->second;
}

DeferredItems::Identity& DeferredItems::Of(uint64_t identity_hash) {
  const auto it = identities_.find(identity_hash);
  HEAPSYNC_CHECK(it != identities_.end()) << "no deferred items";
  return it->second;
}

void DeferredItems::Enlist(uint64_t identity_hash, Identity& identity) {
  if (identity.ready) return;
  identity.ready = true;
  ready_.push_back(identity_hash);
}

void DeferredItems::EraseIfOver(uint64_t identity_hash) {
  const auto it = identities_.find(identity_hash);
  if (it == identities_.end()) return;
  const Identity& identity = it->second;
  if (identity.waiting == 0 && identity.in_flight.empty() && !identity.ready) {
    identities_.erase(it);
  }
}

bool DeferredItems::Waits(uint64_t identity_hash) const {
  const auto it = identities_.find(identity_hash);
  return it != identities_.end() && it->second.waiting > 0;
}

Seq DeferredItems::LastOf(uint64_t identity_hash) const {
  return Of(identity_hash).last;
}

std::vector<uint64_t> DeferredItems::SomeIdentities(
    size_t max, absl::FunctionRef<bool(Seq)> isolated) const {
  const auto all_isolated = [&](const Identity& identity) {
    if (identity.waiting > 0) return false;
    for (const auto& [begin, end] : identity.in_flight.ranges()) {
      for (Seq seq = begin; seq < end; ++seq) {
        if (!isolated(seq)) return false;
      }
    }
    return true;
  };
  std::vector<uint64_t> hashes;
  for (const auto& [hash, identity] : identities_) {
    if (hashes.size() == max) break;
    if (all_isolated(identity)) continue;
    hashes.push_back(hash);
  }
  return hashes;
}

void DeferredItems::Add(uint64_t identity_hash, Seq seq) {
  Identity& identity = identities_[identity_hash];
  const bool alone = identity.waiting == 0;
  identity.next = alone ? seq : std::min(identity.next, seq);
  identity.last = alone ? seq : std::max(identity.last, seq);
  ++identity.waiting;
  ++items_;
}

bool DeferredItems::Claim(uint64_t identity_hash, Seq seq) {
  const auto it = identities_.find(identity_hash);
  if (it == identities_.end()) return false;
  --it->second.waiting;
  it->second.in_flight.Add(seq);
  return true;
}

void DeferredItems::PutBack(uint64_t identity_hash, Seq seq) {
  Add(identity_hash, seq);
  --items_;  // It was counted while it was in flight.
  identities_[identity_hash].in_flight.Remove({seq, seq + 1});
}

void DeferredItems::End(uint64_t identity_hash, Seq seq) {
  --items_;
  ended_ = true;
  const auto it = identities_.find(identity_hash);
  if (it == identities_.end()) return;
  it->second.in_flight.Remove({seq, seq + 1});
  EraseIfOver(identity_hash);
}

void DeferredItems::MakeReady(uint64_t identity_hash) {
  const auto it = identities_.find(identity_hash);
  if (it == identities_.end() || it->second.waiting == 0) return;
  Enlist(identity_hash, it->second);
}

std::optional<uint64_t> DeferredItems::FirstReady() const {
  if (ready_.empty()) return std::nullopt;
  return ready_.front();
}

void DeferredItems::PopReady() {
  const uint64_t identity_hash = ready_.front();
  ready_.pop_front();
  Of(identity_hash).ready = false;
  EraseIfOver(identity_hash);
}

Seq DeferredItems::NextOf(uint64_t identity_hash) const {
  return Of(identity_hash).next;
}

const SeqSet& DeferredItems::InFlightOf(uint64_t identity_hash) const {
  return Of(identity_hash).in_flight;
}

void DeferredItems::Pass(uint64_t identity_hash, Seq seq, Passed passed) {
  Identity& identity = Of(identity_hash);
  --identity.waiting;
  identity.next = seq + 1;
  if (passed == Passed::kTaken) identity.in_flight.Add(seq);
}

void DeferredItems::ForgetWaiting(uint64_t identity_hash) {
  Identity& identity = Of(identity_hash);
  items_ -= std::min(items_, identity.waiting);
  identity.waiting = 0;
}

}  // namespace heapsync
