#include "heap_adapter/spool/spool.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "heap_adapter/spool/block.h"
#include "heap_adapter/spool/coding.h"

namespace heapsync {
namespace {

// The first byte of a key: the table that it belongs to.
enum class Table : char {
  kMeta = 'M',           // name → value
  kLane = 'L',           // lane → LaneKey
  kProgress = 'P',       // lane → LaneProgress
  kBlock = 'B',          // lane, last sequence → block
  kDeferred = 'A',       // lane, identity hash, sequence → DeferredItem
  kDeferredIndex = 'a',  // lane, sequence → identity hash
  kIsolated = 'I',       // lane, sequence → IsolatedItem
  kDeadLetter = 'D',     // lane, sequence → DeadLetter
  kForwarding = 'F',     // lane, last sequence → Forwarding
  kAttempt = 'T',        // attempt → AttemptRecord
  kHistory = 'H',        // lane, last sequence, attempt → first sequence
  kUsage = 'U',          // attempt → UsageRecord
  kPlan = 'O',           // attempt → PlanRecord
  kPaused = 'S',         // destination → nothing
  kEnd = 'E',            // lane → LaneEnd
  kFigures = 'Q',        // destination → OwnerFigures
  kSnapshot = 'q',       // destination → the encoded DestinationSnapshot
  kCommand = 'C',        // command, part → CommandRecord or CommandAnswer
};

constexpr char kFormat[] = "1";
// History ranges are split at this size, which bounds the search for one item.
constexpr uint64_t kMaxHistoryRange = 1'000;
constexpr Seq kEnd = std::numeric_limits<Seq>::max();

std::string Key(Table table) {
  return std::string(1, static_cast<char>(table));
}

std::string Key(Table table, uint32_t lane) {
  std::string key = Key(table);
  AppendBigEndian32(key, lane);
  return key;
}

std::string Key(Table table, uint32_t lane, uint64_t a) {
  std::string key = Key(table, lane);
  AppendBigEndian64(key, a);
  return key;
}

std::string Key(Table table, uint32_t lane, uint64_t a, uint64_t b) {
  std::string key = Key(table, lane, a);
  AppendBigEndian64(key, b);
  return key;
}

std::string AttemptKey(Table table, AttemptId id) {
  std::string key = Key(table);
  AppendBigEndian64(key, id);
  return key;
}

// A command and its answer stand together, so that one scan sees both.
enum class CommandPart : char { kAnswer = 'a', kCommand = 'c' };

std::string CommandKey(CommandId id, CommandPart part) {
  std::string key = Key(Table::kCommand);
  AppendBigEndian64(key, id);
  key.push_back(static_cast<char>(part));
  return key;
}

// The range of one key.
Store::KeyRange Only(std::string key) {
  std::string end = absl::StrCat(key, std::string(1, '\0'));
  return {.begin = std::move(key), .end = std::move(end)};
}

// The smallest key that is greater than every key with this prefix.
std::string PrefixEnd(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) {
    prefix.pop_back();
  }
  if (!prefix.empty()) ++prefix.back();
  return prefix;
}

// The numbers that follow the table and lane in a key.
struct Tail {
  explicit Tail(absl::string_view key) : reader(key.substr(5)) {}
  uint64_t Next() { return reader.BigEndian64(); }
  Reader reader;
};

LaneId LaneOf(absl::string_view key) {
  return Reader(key.substr(1)).BigEndian32();
}

AttemptId AttemptOf(absl::string_view key) {
  return Reader(key.substr(1)).BigEndian64();
}

template <typename Visit>
void ForEachHistoryRange(const SeqSet& seqs, Visit visit) {
  for (const auto& [begin, end] : seqs.ranges()) {
    Seq from = begin;
    for (; end - from > kMaxHistoryRange; from += kMaxHistoryRange) {
      visit(SeqRange{from, from + kMaxHistoryRange});
    }
    visit(SeqRange{from, end});
  }
}

DeferredItem DecodeDeferred(absl::string_view value) {
  return DeferredItem::Decode(value).value_or(DeferredItem());
}

absl::Status Located(const absl::Status& status, absl::string_view where) {
  return absl::Status(status.code(),
                      absl::StrCat(where, ": ", status.message()));
}

// Adds one dead letter to `delta`, or with a `sign` of -1 subtracts it.
void Count(absl::string_view key, absl::string_view letter, int64_t sign,
           DeadLetterDelta& delta) {
  delta.letters += sign;
  delta.bytes += sign * static_cast<int64_t>(key.size() + letter.size());
  delta.by_reason[DeadLetter::ReasonNumber(letter)] += sign;
}

}  // namespace

void SpoolChange::PutLane(LaneId lane, const LaneKey& key) {
  batch_.Put(Key(Table::kLane, lane), key.Encode());
}

void SpoolChange::PutBlock(LaneId lane, Seq last, std::string block) {
  batch_.Put(Key(Table::kBlock, lane, last), std::move(block));
}

void SpoolChange::DeleteBlock(LaneId lane, Seq last) {
  batch_.Delete(Key(Table::kBlock, lane, last));
}

void SpoolChange::PutProgress(LaneId lane, const LaneProgress& progress) {
  batch_.Put(Key(Table::kProgress, lane), progress.Encode());
}

void SpoolChange::PutDeferred(LaneId lane, const DeferredItem& item) {
  batch_.Put(Key(Table::kDeferred, lane, item.identity_hash, item.seq),
             item.Encode());
  std::string hash;
  AppendBigEndian64(hash, item.identity_hash);
  batch_.Put(Key(Table::kDeferredIndex, lane, item.seq), std::move(hash));
}

void SpoolChange::DeleteDeferred(LaneId lane, uint64_t identity_hash, Seq seq) {
  batch_.Delete(Key(Table::kDeferred, lane, identity_hash, seq));
  batch_.Delete(Key(Table::kDeferredIndex, lane, seq));
}

void SpoolChange::PutIsolated(LaneId lane, const IsolatedItem& item) {
  batch_.Put(Key(Table::kIsolated, lane, item.seq), item.Encode());
}

void SpoolChange::DeleteIsolated(LaneId lane, Seq seq) {
  batch_.Delete(Key(Table::kIsolated, lane, seq));
}

void SpoolChange::PutDeadLetter(LaneId lane, const DeadLetter& letter) {
  batch_.Put(Key(Table::kDeadLetter, lane, letter.seq), letter.Encode());
  has_dead_letters_ = true;
}

void SpoolChange::DeleteDeadLetter(LaneId lane, Seq seq) {
  batch_.Delete(Key(Table::kDeadLetter, lane, seq));
  has_dead_letters_ = true;
}

void SpoolChange::PutForwarding(LaneId lane, const Forwarding& forwarding) {
  batch_.Put(Key(Table::kForwarding, lane, forwarding.from.end - 1),
             forwarding.Encode());
}

void SpoolChange::DeleteForwarding(LaneId lane, SeqRange from) {
  batch_.Delete(Key(Table::kForwarding, lane, from.end - 1));
}

void SpoolChange::PutAttempt(AttemptId id, const AttemptRecord& record) {
  batch_.Put(AttemptKey(Table::kAttempt, id), record.Encode());
  ForEachHistoryRange(record.seqs, [&](SeqRange range) {
    std::string first;
    AppendBigEndian64(first, range.begin);
    batch_.Put(Key(Table::kHistory, record.lane, range.end - 1, id),
               std::move(first));
  });
}

void SpoolChange::DeleteAttempt(AttemptId id, const AttemptRecord& record) {
  batch_.Delete(AttemptKey(Table::kAttempt, id));
  ForEachHistoryRange(record.seqs, [&](SeqRange range) {
    batch_.Delete(Key(Table::kHistory, record.lane, range.end - 1, id));
  });
}

void SpoolChange::PutUsage(AttemptId id, const UsageRecord& record) {
  batch_.Put(AttemptKey(Table::kUsage, id), record.Encode());
}

void SpoolChange::DeleteUsage(AttemptId id) {
  batch_.Delete(AttemptKey(Table::kUsage, id));
}

void SpoolChange::PutPlan(AttemptId id, const PlanRecord& record) {
  batch_.Put(AttemptKey(Table::kPlan, id), record.Encode());
}

void SpoolChange::DeletePlan(AttemptId id) {
  batch_.Delete(AttemptKey(Table::kPlan, id));
}

void SpoolChange::PutPaused(absl::string_view destination, bool paused) {
  std::string key = absl::StrCat(Key(Table::kPaused), destination);
  if (paused) {
    batch_.Put(std::move(key), "");
  } else {
    batch_.Delete(std::move(key));
  }
}

void SpoolChange::PutEnd(LaneId lane, const LaneEnd& end) {
  batch_.Put(Key(Table::kEnd, lane), end.Encode());
}

void SpoolChange::PutFigures(absl::string_view destination,
                             const OwnerFigures& figures) {
  batch_.Put(absl::StrCat(Key(Table::kFigures), destination), figures.Encode());
}

void SpoolChange::PutSnapshot(absl::string_view destination,
                              std::string snapshot) {
  batch_.Put(absl::StrCat(Key(Table::kSnapshot), destination),
             std::move(snapshot));
}

void SpoolChange::PutCommand(CommandId id, const CommandRecord& command) {
  batch_.Put(CommandKey(id, CommandPart::kCommand), command.Encode());
}

void SpoolChange::PutAnswer(CommandId id, const CommandAnswer& answer) {
  batch_.Put(CommandKey(id, CommandPart::kAnswer), answer.Encode());
}

void SpoolChange::DeleteCommand(CommandId id) {
  batch_.Delete(CommandKey(id, CommandPart::kCommand));
  batch_.Delete(CommandKey(id, CommandPart::kAnswer));
}

void SpoolChange::Append(SpoolChange other) {
  has_dead_letters_ |= other.has_dead_letters_;
  batch_.Append(std::move(other.batch_));
  if (other.durability_ == Durability::kDisk) RequireDisk();
}

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
  DeadLetterDeltas deltas;
  if (change.has_dead_letters()) deltas = DeadLettersIn(change.batch());
  absl::Status written = store_.Write(change.batch(), change.durability());
  if (written.ok()) AddDeadLetters(deltas);
  return written;
}

absl::Status Spool::CommitAtEnds(const std::vector<LaneId>& lanes,
                                 EndsVisitor make) {
  std::vector<std::string> keys;
  keys.reserve(lanes.size());
  for (const LaneId lane : lanes) keys.push_back(Key(Table::kEnd, lane));
  DeadLetterDeltas deltas;
  absl::Status damage;
  const absl::Status written = store_.Update(
      keys,
      [&](const std::vector<std::optional<std::string>>& values) {
        std::vector<std::optional<LaneEnd>> ends;
        for (size_t i = 0; i < values.size(); ++i) {
          ends.emplace_back();
          if (!values[i].has_value()) continue;
          auto end = LaneEnd::Decode(*values[i]);
          if (!end.ok()) {
            damage = Located(end.status(), absl::StrCat("lane ", lanes[i]));
            return StoreBatch();
          }
          ends.back() = *end;
        }
        const SpoolChange& change = make(ends);
        deltas.clear();
        if (change.has_dead_letters()) deltas = DeadLettersIn(change.batch());
        return change.batch();
      },
      Durability::kDisk);
  if (!written.ok()) return written;
  if (!damage.ok()) return damage;
  AddDeadLetters(deltas);
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

absl::Status Spool::VisitFigures(
    absl::FunctionRef<void(absl::string_view, const OwnerFigures&)> visit)
    const {
  const std::string prefix = Key(Table::kFigures);
  const auto cursor = store_.Scan(prefix, PrefixEnd(prefix));
  for (; cursor->Valid(); cursor->Next()) {
    const auto figures = OwnerFigures::Decode(cursor->value());
    if (!figures.ok()) return figures.status();
    visit(cursor->key().substr(prefix.size()), *figures);
  }
  return cursor->status();
}

absl::Status Spool::VisitSnapshots(
    absl::FunctionRef<void(absl::string_view, absl::string_view)> visit) const {
  const std::string prefix = Key(Table::kSnapshot);
  const auto cursor = store_.Scan(prefix, PrefixEnd(prefix));
  for (; cursor->Valid(); cursor->Next()) {
    visit(cursor->key().substr(prefix.size()), cursor->value());
  }
  return cursor->status();
}

absl::StatusOr<std::vector<std::optional<std::string>>> Spool::ReadSnapshots(
    absl::Span<const absl::string_view> destinations) const {
  std::vector<Store::KeyRange> keys;
  for (const absl::string_view destination : destinations) {
    keys.push_back(Only(absl::StrCat(Key(Table::kSnapshot), destination)));
  }
  auto entries = store_.FirstOfEach(keys);
  if (!entries.ok()) return entries.status();
  std::vector<std::optional<std::string>> snapshots;
  for (auto& entry : *entries) {
    snapshots.emplace_back();
    if (entry.has_value()) snapshots.back() = std::move(entry->second);
  }
  return snapshots;
}

absl::StatusOr<std::vector<StoredCommand>> Spool::Commands() const {
  std::vector<StoredCommand> commands;
  const std::string prefix = Key(Table::kCommand);
  const auto cursor = store_.Scan(prefix, PrefixEnd(prefix));
  for (; cursor->Valid(); cursor->Next()) {
    Reader reader(cursor->key().substr(prefix.size()));
    const CommandId id = reader.BigEndian64();
    if (commands.empty() || commands.back().id != id) {
      commands.push_back({.id = id, .command = std::nullopt});
    }
    if (reader.rest() ==
        std::string(1, static_cast<char>(CommandPart::kAnswer))) {
      commands.back().answered = true;
      continue;
    }
    auto command = CommandRecord::Decode(cursor->value());
    if (command.ok()) commands.back().command = *std::move(command);
  }
  if (!cursor->status().ok()) return cursor->status();
  return commands;
}

absl::StatusOr<std::vector<std::optional<CommandAnswer>>> Spool::ReadAnswers(
    absl::Span<const CommandId> commands) const {
  std::vector<Store::KeyRange> keys;
  for (const CommandId id : commands) {
    keys.push_back(Only(CommandKey(id, CommandPart::kAnswer)));
  }
  const auto entries = store_.FirstOfEach(keys);
  if (!entries.ok()) return entries.status();
  std::vector<std::optional<CommandAnswer>> answers;
  for (const auto& entry : *entries) {
    answers.emplace_back();
    if (!entry.has_value()) continue;
    auto answer = CommandAnswer::Decode(entry->second);
    answers.back() = answer.ok() ? *std::move(answer)
                                 : CommandAnswer{.status = answer.status()};
  }
  return answers;
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

void Spool::AddDeadLetters(const DeadLetterDeltas& deltas) {
  if (deltas.empty()) return;
  MutexLock lock(mutex_);
  for (const auto& [lane, delta] : deltas) {
    DeadLetterDelta& sum = dead_letters_[lane];
    sum.letters += delta.letters;
    sum.bytes += delta.bytes;
    for (size_t i = 0; i < sum.by_reason.size(); ++i) {
      sum.by_reason[i] += delta.by_reason[i];
    }
  }
}

absl::Status Spool::MeasureDeadLetters() {
  const std::string prefix = Key(Table::kDeadLetter);
  const auto cursor = store_.Scan(prefix, PrefixEnd(prefix));
  MutexLock lock(mutex_);
  dead_letters_.clear();
  for (; cursor->Valid(); cursor->Next()) {
    Count(cursor->key(), cursor->value(), 1,
          dead_letters_[LaneOf(cursor->key())]);
  }
  return cursor->status();
}

// A letter is put once and deleted once, so that only one that is deleted has
// to be looked up. One that cannot be read counts until the next
// start.
Spool::DeadLetterDeltas Spool::DeadLettersIn(const StoreBatch& batch) const {
  DeadLetterDeltas deltas;
  for (const StoreBatch::Change& change : batch.changes()) {
    if (change.key.front() != static_cast<char>(Table::kDeadLetter)) continue;
    DeadLetterDelta& delta = deltas[LaneOf(change.key)];
    if (change.value.has_value()) {
      Count(change.key, *change.value, 1, delta);
      continue;
    }
    const auto stored = store_.Get(change.key);
    if (!stored.ok() || !stored->has_value()) continue;
    Count(change.key, **stored, -1, delta);
  }
  return deltas;
}

std::vector<DeadLetterDelta> Spool::TakeDeadLetterDeltas() {
  std::vector<DeadLetterDelta> taken;
  MutexLock lock(mutex_);
  for (auto& [lane, delta] : dead_letters_) {
    delta.lane = lane;
    taken.push_back(delta);
  }
  dead_letters_.clear();
  return taken;
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

absl::StatusOr<std::vector<DeferredItem>> Spool::ReadDeferred(
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

absl::StatusOr<std::optional<DeferredItem>> Spool::FindDeferred(LaneId lane,
                                                                Seq seq) const {
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

absl::StatusOr<std::vector<DeferredIdentity>> Spool::DeferredIdentities(
    LaneId lane) const {
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

absl::StatusOr<std::optional<IsolatedItem>> Spool::FindIsolated(LaneId lane,
                                                                Seq seq) const {
  auto value = store_.Get(Key(Table::kIsolated, lane, seq));
  if (!value.ok()) return value.status();
  if (!value->has_value()) return std::nullopt;
  absl::StatusOr<IsolatedItem> item = IsolatedItem::Decode(**value);
  if (!item.ok()) return item.status();
  item->seq = seq;
  return *std::move(item);
}

absl::StatusOr<std::vector<IsolatedItem>> Spool::IsolatedItems(
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

absl::StatusOr<Spool::Attempts> Spool::FindAttempts(LaneId lane, Seq first,
                                                    Seq last) const {
  std::vector<AttemptId> ids;
  const Seq end =
      last > kEnd - kMaxHistoryRange ? kEnd : last + kMaxHistoryRange;
  const auto cursor = store_.Scan(Key(Table::kHistory, lane, first),
                                  Key(Table::kHistory, lane, end));
  for (; cursor->Valid(); cursor->Next()) {
    Tail tail(cursor->key());
    tail.Next();
    const AttemptId id = tail.Next();
    if (Reader(cursor->value()).BigEndian64() <= last) ids.push_back(id);
  }
  if (!cursor->status().ok()) return cursor->status();
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  Attempts attempts;
  for (const AttemptId id : ids) {
    absl::StatusOr<std::optional<AttemptRecord>> record = FindAttempt(id);
    if (!record.ok()) return record.status();
    if (record->has_value()) attempts.emplace_back(id, **std::move(record));
  }
  return attempts;
}

absl::Status Spool::VisitAttempts(
    AttemptId from,
    absl::FunctionRef<bool(AttemptId, const AttemptRecord&)> visit) const {
  const auto cursor = store_.Scan(AttemptKey(Table::kAttempt, from),
                                  PrefixEnd(Key(Table::kAttempt)));
  for (; cursor->Valid(); cursor->Next()) {
    absl::StatusOr<AttemptRecord> record =
        AttemptRecord::Decode(cursor->value());
    if (!record.ok()) return record.status();
    if (!visit(AttemptOf(cursor->key()), *record)) {
      return absl::OkStatus();
    }
  }
  return cursor->status();
}

absl::StatusOr<std::optional<AttemptRecord>> Spool::FindAttempt(
    AttemptId id) const {
  auto value = store_.Get(AttemptKey(Table::kAttempt, id));
  if (!value.ok()) return value.status();
  if (!value->has_value()) return std::nullopt;
  absl::StatusOr<AttemptRecord> record = AttemptRecord::Decode(**value);
  if (!record.ok()) return record.status();
  return *std::move(record);
}

absl::StatusOr<AttemptId> Spool::LastAttempt() const {
  AttemptId greatest = 0;
  for (const Table table : {Table::kAttempt, Table::kUsage, Table::kPlan}) {
    auto last = store_.Last(Key(table), PrefixEnd(Key(table)));
    if (!last.ok()) return last.status();
    if (!last->has_value()) continue;
    greatest = std::max(greatest, AttemptOf((*last)->first));
  }
  return greatest;
}

absl::Status Spool::VisitPlans(
    absl::FunctionRef<void(AttemptId, const PlanRecord&)> visit) const {
  const std::string prefix = Key(Table::kPlan);
  const auto cursor = store_.Scan(prefix, PrefixEnd(prefix));
  for (; cursor->Valid(); cursor->Next()) {
    absl::StatusOr<PlanRecord> record = PlanRecord::Decode(cursor->value());
    if (!record.ok()) return record.status();
    visit(AttemptOf(cursor->key()), *record);
  }
  return cursor->status();
}

absl::Status Spool::VisitUsage(
    absl::FunctionRef<void(AttemptId, const UsageRecord&)> visit) const {
  const std::string prefix = Key(Table::kUsage);
  const auto cursor = store_.Scan(prefix, PrefixEnd(prefix));
  for (; cursor->Valid(); cursor->Next()) {
    absl::StatusOr<UsageRecord> record = UsageRecord::Decode(cursor->value());
    if (!record.ok()) return record.status();
    visit(AttemptOf(cursor->key()), *record);
  }
  return cursor->status();
}

}  // namespace heapsync
