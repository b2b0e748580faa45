#include "heap_adapter/spool/spool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "heap_adapter/spool/block.h"
#include "heap_adapter/spool/coding.h"
#include "heap_adapter/spool/layout.h"

namespace heapsync {
namespace {

using layout::Key;
using layout::LaneOf;
using layout::Located;
using layout::Only;
using layout::PrefixEnd;
using layout::Table;
using layout::Tail;

constexpr char kFormat[] = "1";

// The values of entries of `lanes`. Sets `damage` if one cannot be decoded.
template <typename Value>
std::vector<std::optional<Value>> DecodeEach(
    absl::Span<const std::optional<std::string>> values,
    const std::vector<LaneId>& lanes, absl::Status& damage) {
  std::vector<std::optional<Value>> decoded(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (!values[i].has_value()) continue;
    auto value = Value::Decode(*values[i]);
    if (value.ok()) {
      decoded[i] = *std::move(value);
    } else {
      damage = Located(value.status(), absl::StrCat("lane ", lanes[i]));
    }
  }
  return decoded;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Spool>> Spool::Open(Store& store,
                                                   uint64_t new_id) {
  const std::string format_key = Key(Table::kMeta) + "format";
  const std::string id_key = Key(Table::kMeta) + "id";
  absl::StatusOr<std::optional<std::string>> format = store.Get(format_key);
  if (!format.ok()) return format.status();
  if (!format->has_value()) {
    // Another server may do the same.
    const absl::Status made = store.Update(
        {format_key, id_key},
        [&](const std::vector<std::optional<std::string>>& values) {
          StoreBatch batch;
          format = values[0];
          if (values[0].has_value()) return batch;
          std::string id;
          AppendBigEndian64(id, new_id);
          batch.Put(format_key, kFormat);
          batch.Put(id_key, id);
          format = std::optional<std::string>(kFormat);
          return batch;
        },
        Durability::kDisk);
    if (!made.ok()) return made;
  }
  if (**format != kFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat("the spool has format \"", **format,
                     "\"; this version reads \"", kFormat, "\""));
  }
  absl::StatusOr<std::optional<std::string>> id = store.Get(id_key);
  if (!id.ok()) return id.status();
  if (!id->has_value() || (*id)->size() != 8) {
    return absl::DataLossError("the spool's id is missing");
  }
  std::unique_ptr<Spool> spool(new Spool(store, Reader(**id).BigEndian64()));
  if (spool->shared()) return spool;
  if (absl::Status s = spool->MeasureDeadLetters(); !s.ok()) return s;
  return spool;
}

absl::Status Spool::Commit(const SpoolChange& change) {
  DeadLetterCounter::Deltas deltas;
  if (change.has_dead_letters()) deltas = dead_letters_.In(change.batch());
  absl::Status written = store_.Write(change.batch(), change.durability());
  if (written.ok()) dead_letters_.Add(deltas);
  return written;
}

absl::Status Spool::CommitAtEnds(const std::vector<LaneId>& lanes,
                                 const std::vector<LaneId>& new_lanes,
                                 EndsVisitor make) {
  std::vector<std::string> names;
  names.reserve(lanes.size() + new_lanes.size());
  for (const LaneId lane : lanes) names.push_back(Key(Table::kEnd, lane));
  for (const LaneId lane : new_lanes) names.push_back(Key(Table::kLane, lane));
  DeadLetterCounter::Deltas deltas;
  absl::Status damage;
  const absl::Status written = store_.Update(
      names,
      [&](const std::vector<std::optional<std::string>>& values) {
        const auto ends = DecodeEach<LaneEnd>(
            absl::MakeConstSpan(values).first(lanes.size()), lanes, damage);
        const auto keys = DecodeEach<LaneKey>(
            absl::MakeConstSpan(values).subspan(lanes.size()), new_lanes,
            damage);
        if (!damage.ok()) return StoreBatch();
        const SpoolChange& change = make(ends, keys);
        deltas.clear();
        if (change.has_dead_letters())
          deltas = dead_letters_.In(change.batch());
        return change.batch();
      },
      Durability::kDisk);
  if (!written.ok()) return written;
  if (!damage.ok()) return damage;
  dead_letters_.Add(deltas);
  return written;
}

absl::Status Spool::VisitEnds(
    absl::FunctionRef<void(LaneId, const LaneEnd&)> visit) const {
  const std::string prefix = Key(Table::kEnd);
  const auto cursor = store_.Scan(prefix, PrefixEnd(prefix));
  for (; cursor->Valid(); cursor->Next()) {
    const LaneId lane = LaneOf(cursor->key());
    const auto end = LaneEnd::Decode(cursor->value());
    if (!end.ok()) return Located(end.status(), absl::StrCat("lane ", lane));
    visit(lane, *end);
  }
  return cursor->status();
}

absl::StatusOr<std::optional<LaneKey>> Spool::ReadLaneKey(LaneId lane) const {
  auto value = store_.Get(Key(Table::kLane, lane));
  if (!value.ok()) return value.status();
  if (!value->has_value()) return std::nullopt;
  absl::StatusOr<LaneKey> key = LaneKey::Decode(**value);
  if (!key.ok()) return Located(key.status(), absl::StrCat("lane ", lane));
  return *std::move(key);
}

absl::StatusOr<std::vector<std::pair<LaneId, LaneKey>>> Spool::LaneKeys()
    const {
  std::vector<std::pair<LaneId, LaneKey>> lanes;
  const std::string prefix = Key(Table::kLane);
  const auto cursor = store_.Scan(prefix, PrefixEnd(prefix));
  for (; cursor->Valid(); cursor->Next()) {
    const LaneId lane = LaneOf(cursor->key());
    absl::StatusOr<LaneKey> key = LaneKey::Decode(cursor->value());
    if (!key.ok()) return Located(key.status(), absl::StrCat("lane ", lane));
    lanes.emplace_back(lane, *std::move(key));
  }
  if (!cursor->status().ok()) return cursor->status();
  return lanes;
}

absl::StatusOr<std::vector<LaneProgress>> Spool::ReadProgress(
    absl::Span<const LaneId> lanes) const {
  std::vector<Store::KeyRange> keys;
  for (const LaneId lane : lanes) {
    keys.push_back(Only(Key(Table::kProgress, lane)));
  }
  const auto entries = store_.FirstOfEach(keys);
  if (!entries.ok()) return entries.status();
  std::vector<LaneProgress> all(lanes.size());
  for (size_t i = 0; i < lanes.size(); ++i) {
    if (!(*entries)[i].has_value()) continue;
    auto progress = LaneProgress::Decode((*entries)[i]->second);
    if (!progress.ok()) {
      return Located(progress.status(), absl::StrCat("lane ", lanes[i]));
    }
    all[i] = *std::move(progress);
  }
  return all;
}

absl::StatusOr<std::vector<StoredFate>> Spool::ReadFates(
    absl::Span<const LaneItems> items) const {
  std::vector<Store::KeyRange> ranges;
  for (const auto& [lane, range] : items) {
    for (const Table table : {Table::kDeferredIndex, Table::kDeadLetter}) {
      ranges.push_back({.begin = Key(table, lane, range.begin),
                        .end = Key(table, lane, range.end),
                        .with_value = false});
    }
    // By its last item, which may be behind the range.
    ranges.push_back({.begin = Key(Table::kForwarding, lane, range.begin),
                      .end = PrefixEnd(Key(Table::kForwarding, lane))});
  }
  const auto entries = store_.FirstOfEach(ranges);
  if (!entries.ok()) return entries.status();
  std::vector<StoredFate> fates;
  for (size_t i = 0; i < items.size(); ++i) {
    const auto* of_item = &(*entries)[3 * i];
    StoredFate& fate = fates.emplace_back();
    fate.deferred = of_item[0].has_value();
    fate.dead_letter = of_item[1].has_value();
    if (!of_item[2].has_value()) continue;
    auto forwarding = Forwarding::Decode(of_item[2]->second);
    if (!forwarding.ok()) {
      return Located(forwarding.status(), absl::StrCat("lane ", items[i].lane));
    }
    if (forwarding->from.begin < items[i].items.end) {
      fate.forwarding = *forwarding;
    }
  }
  return fates;
}

absl::StatusOr<std::vector<std::optional<DeadLetter>>> Spool::FindDeadLetters(
    absl::Span<const LaneItem> items) const {
  std::vector<Store::KeyRange> keys;
  for (const auto& [lane, seq] : items) {
    keys.push_back(Only(Key(Table::kDeadLetter, lane, seq)));
  }
  const auto entries = store_.FirstOfEach(keys);
  if (!entries.ok()) return entries.status();
  std::vector<std::optional<DeadLetter>> letters(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    if (!(*entries)[i].has_value()) continue;
    auto letter = DeadLetter::Decode((*entries)[i]->second);
    if (!letter.ok()) {
      return Located(letter.status(), absl::StrCat("lane ", items[i].lane));
    }
    letters[i] = *std::move(letter);
    letters[i]->seq = items[i].seq;
  }
  return letters;
}

absl::StatusOr<std::vector<StoredLane>> Spool::Lanes() const {
  std::vector<StoredLane> lanes;
  absl::StatusOr<std::vector<std::pair<LaneId, LaneKey>>> keys = LaneKeys();
  if (!keys.ok()) return keys.status();
  for (auto& [id, key] : *keys) {
    StoredLane lane{.id = id, .key = std::move(key), .progress = {}};
    absl::StatusOr<LaneExtent> extent = ReadExtent(lane.id);
    if (!extent.ok()) return extent.status();
    lane.progress = std::move(extent->progress);
    lane.head = extent->head;
    if (absl::Status status = MeasureBlocks(lane); !status.ok()) return status;
    lanes.push_back(std::move(lane));
  }
  return lanes;
}

absl::StatusOr<Spool::LaneExtent> Spool::ReadExtent(LaneId lane) const {
  LaneExtent extent;
  // A block is deleted in the same commit that stores the progress past it.
  // Reading the blocks before the progress therefore accounts for every item.
  const std::string blocks = Key(Table::kBlock, lane);
  auto last = store_.Last(blocks, PrefixEnd(blocks));
  if (!last.ok()) return last.status();
  if (last->has_value()) extent.head = Tail((*last)->first).Next() + 1;
  auto progress = store_.Get(Key(Table::kProgress, lane));
  if (!progress.ok()) return progress.status();
  if (!progress->has_value()) return extent;
  absl::StatusOr<LaneProgress> decoded = LaneProgress::Decode(**progress);
  if (!decoded.ok()) {
    return Located(decoded.status(), absl::StrCat("lane ", lane));
  }
  extent.progress = *std::move(decoded);
  extent.head = std::max(extent.head, extent.progress.low_watermark);
  if (!extent.progress.settled.empty()) {
    extent.head = std::max(extent.head, extent.progress.settled.back() + 1);
  }
  return extent;
}

absl::Status Spool::MeasureBlocks(StoredLane& lane) const {
  const std::string begin = Key(Table::kBlock, lane.id);
  std::string end = PrefixEnd(begin);
  // A damaged block has no known size, so the nearest intact one is used.
  while (true) {
    auto newest = store_.Last(begin, end);
    if (!newest.ok()) return newest.status();
    if (!newest->has_value()) break;
    const Seq last = Tail((*newest)->first).Next();
    lane.head = std::max(lane.head, last + 1);
    const BlockReader block((*newest)->second, last);
    lane.lane_bytes = block.lane_bytes();
    if (block.status().ok()) break;
    end = (*newest)->first;
  }
  if (shared()) {
    // Read after the blocks, whose last ones may be older.
    auto value = store_.Get(Key(Table::kEnd, lane.id));
    if (!value.ok()) return value.status();
    if (value->has_value()) {
      const auto lane_end = LaneEnd::Decode(**value);
      if (!lane_end.ok()) {
        return Located(lane_end.status(), absl::StrCat("lane ", lane.id));
      }
      lane.head = std::max(lane.head, lane_end->next);
      lane.lane_bytes = lane_end->lane_bytes;
    }
    lane.settled_bytes = lane.lane_bytes;
  }
  for (Seq from = lane.progress.low_watermark; from < lane.head;) {
    auto oldest = ReadBlock(lane.id, from);
    if (!oldest.ok()) return oldest.status();
    if (!oldest->has_value()) break;
    const BlockReader block((*oldest)->value, (*oldest)->last);
    if (block.status().ok()) {
      lane.settled_bytes = block.lane_bytes();
      for (const StoredItem& item : block.items()) {
        lane.settled_bytes -= item.text.size();
      }
      break;
    }
    from = (*oldest)->last + 1;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Spool::IsPaused(absl::string_view destination) const {
  auto value = store_.Get(absl::StrCat(Key(Table::kPaused), destination));
  if (!value.ok()) return value.status();
  return value->has_value();
}

absl::StatusOr<std::optional<StoredBlock>> Spool::ReadBlock(LaneId lane,
                                                            Seq from) const {
  const auto cursor = store_.Scan(Key(Table::kBlock, lane, from),
                                  PrefixEnd(Key(Table::kBlock, lane)));
  if (!cursor->Valid()) {
    if (!cursor->status().ok()) return cursor->status();
    return std::nullopt;
  }
  return StoredBlock{.last = Tail(cursor->key()).Next(),
                     .value = std::string(cursor->value())};
}

absl::StatusOr<std::optional<DeadLetter>> Spool::FindDeadLetter(LaneId lane,
                                                                Seq seq) const {
  auto value = store_.Get(Key(Table::kDeadLetter, lane, seq));
  if (!value.ok()) return value.status();
  if (!value->has_value()) return std::nullopt;
  absl::StatusOr<DeadLetter> letter = DeadLetter::Decode(**value);
  if (!letter.ok()) return letter.status();
  letter->seq = seq;
  return *std::move(letter);
}

absl::Status Spool::VisitDeadLetters(
    LaneId lane, Seq from,
    absl::FunctionRef<bool(const DeadLetter&)> visit) const {
  const auto cursor = store_.Scan(Key(Table::kDeadLetter, lane, from),
                                  PrefixEnd(Key(Table::kDeadLetter, lane)));
  for (; cursor->Valid(); cursor->Next()) {
    absl::StatusOr<DeadLetter> letter = DeadLetter::Decode(cursor->value());
    if (!letter.ok()) return letter.status();
    letter->seq = Tail(cursor->key()).Next();
    if (!visit(*letter)) return absl::OkStatus();
  }
  return cursor->status();
}

absl::StatusOr<std::optional<Forwarding>> Spool::FindForwarding(LaneId lane,
                                                                Seq seq) const {
  const auto cursor = store_.Scan(Key(Table::kForwarding, lane, seq),
                                  PrefixEnd(Key(Table::kForwarding, lane)));
  if (!cursor->Valid()) {
    if (!cursor->status().ok()) return cursor->status();
    return std::nullopt;
  }
  absl::StatusOr<Forwarding> forwarding = Forwarding::Decode(cursor->value());
  if (!forwarding.ok()) return forwarding.status();
  if (forwarding->from.begin > seq) return std::nullopt;
  return *std::move(forwarding);
}

absl::Status Spool::VisitForwardings(
    LaneId lane, Seq from,
    absl::FunctionRef<bool(const Forwarding&)> visit) const {
  const auto cursor = store_.Scan(Key(Table::kForwarding, lane, from),
                                  PrefixEnd(Key(Table::kForwarding, lane)));
  for (; cursor->Valid(); cursor->Next()) {
    absl::StatusOr<Forwarding> forwarding = Forwarding::Decode(cursor->value());
    if (!forwarding.ok()) return forwarding.status();
    if (!visit(*forwarding)) return absl::OkStatus();
  }
  return cursor->status();
}

}  // namespace heapsync
