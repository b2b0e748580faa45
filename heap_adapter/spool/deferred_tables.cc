#include "heap_adapter/spool/deferred_tables.h"

#include <string>
#include <utility>

#include "heap_adapter/spool/coding.h"
#include "heap_adapter/spool/layout.h"

namespace heapsync {
namespace {

using layout::Key;
using layout::PrefixEnd;
using layout::Table;
using layout::Tail;

DeferredItem DecodeDeferred(absl::string_view value) {
  return DeferredItem::Decode(value).value_or(DeferredItem());
}

}  // namespace

absl::StatusOr<std::vector<DeferredItem>> DeferredTables::ReadDeferred(
    LaneId lane, uint64_t identity_hash, Seq from, size_t limit) const {
  std::vector<DeferredItem> items;
  const auto cursor =
      store_.Scan(Key(Table::kDeferred, lane, identity_hash, from),
                  PrefixEnd(Key(Table::kDeferred, lane, identity_hash)));
  for (; cursor->Valid() && items.size() < limit; cursor->Next()) {
    DeferredItem item = DecodeDeferred(cursor->value());
    Tail tail(cursor->key());
    item.identity_hash = tail.Next();
    item.seq = tail.Next();
    items.push_back(std::move(item));
  }
  if (!cursor->status().ok()) return cursor->status();
  return items;
}

absl::StatusOr<std::optional<DeferredItem>> DeferredTables::FindDeferred(
    LaneId lane, Seq seq) const {
  auto hash = store_.Get(Key(Table::kDeferredIndex, lane, seq));
  if (!hash.ok()) return hash.status();
  if (!hash->has_value()) return std::nullopt;
  const uint64_t identity_hash = Reader(**hash).BigEndian64();
  auto value = store_.Get(Key(Table::kDeferred, lane, identity_hash, seq));
  if (!value.ok()) return value.status();
  if (!value->has_value()) return std::nullopt;
  DeferredItem item = DecodeDeferred(**value);
  item.seq = seq;
  item.identity_hash = identity_hash;
  return item;
}

absl::StatusOr<std::vector<DeferredIdentity>>
DeferredTables::DeferredIdentities(LaneId lane) const {
  std::vector<DeferredIdentity> identities;
  const std::string prefix = Key(Table::kDeferred, lane);
  const auto cursor = store_.Scan(prefix, PrefixEnd(prefix));
  for (; cursor->Valid(); cursor->Next()) {
    Tail tail(cursor->key());
    const uint64_t hash = tail.Next();
    const Seq seq = tail.Next();
    if (identities.empty() || identities.back().hash != hash) {
      identities.push_back({.hash = hash, .first = seq});
    }
    ++identities.back().items;
    identities.back().last = seq;
  }
  if (!cursor->status().ok()) return cursor->status();
  return identities;
}

absl::StatusOr<std::optional<IsolatedItem>> DeferredTables::FindIsolated(
    LaneId lane, Seq seq) const {
  auto value = store_.Get(Key(Table::kIsolated, lane, seq));
  if (!value.ok()) return value.status();
  if (!value->has_value()) return std::nullopt;
  absl::StatusOr<IsolatedItem> item = IsolatedItem::Decode(**value);
  if (!item.ok()) return item.status();
  item->seq = seq;
  return *std::move(item);
}

absl::StatusOr<std::vector<IsolatedItem>> DeferredTables::IsolatedItems(
    LaneId lane) const {
  std::vector<IsolatedItem> items;
  const std::string prefix = Key(Table::kIsolated, lane);
  const auto cursor = store_.Scan(prefix, PrefixEnd(prefix));
  for (; cursor->Valid(); cursor->Next()) {
    absl::StatusOr<IsolatedItem> item = IsolatedItem::Decode(cursor->value());
    if (!item.ok()) continue;
    item->seq = Tail(cursor->key()).Next();
    items.push_back(*std::move(item));
  }
  if (!cursor->status().ok()) return cursor->status();
  return items;
}

}  // namespace heapsync
