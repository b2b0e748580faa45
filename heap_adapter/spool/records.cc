#include "heap_adapter/spool/records.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "heap_adapter/spool/coding.h"

namespace heapsync {
namespace {

void AppendTime(std::string& bytes, WallTime time) {
  AppendFixed64(bytes, static_cast<uint64_t>(time.time_since_epoch().count()));
}

WallTime ReadTime(Reader& reader) {
  return WallTime(Duration(static_cast<int64_t>(reader.Fixed64())));
}

absl::Status Malformed(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("malformed ", what));
}

bool IsObjectType(uint64_t number) {
  return std::any_of(kObjectTypes.begin(), kObjectTypes.end(),
                     [number](ObjectType type) {
                       return static_cast<uint64_t>(type) == number;
                     });
}

}  // namespace

std::string LaneKey::Encode() const {
  std::string bytes;
  AppendVarint(bytes, static_cast<uint64_t>(type));
  AppendText(bytes, destination);
  AppendText(bytes, caller);
  return bytes;
}

absl::StatusOr<LaneKey> LaneKey::Decode(absl::string_view bytes) {
  Reader reader(bytes);
  const uint64_t type = reader.Varint();
  LaneKey key;
  key.destination = std::string(reader.Text());
  key.caller = std::string(reader.Text());
  if (!reader.AtEnd() || !IsObjectType(type)) return Malformed("lane key");
  key.type = static_cast<ObjectType>(type);
  return key;
}

std::string LaneEnd::Encode() const {
  std::string bytes;
  AppendVarint(bytes, next);
  AppendVarint(bytes, lane_bytes);
  return bytes;
}

absl::StatusOr<LaneEnd> LaneEnd::Decode(absl::string_view bytes) {
  Reader reader(bytes);
  LaneEnd end;
  end.next = reader.Varint();
  end.lane_bytes = reader.Varint();
  if (!reader.AtEnd()) return Malformed("end of a lane");
  return end;
}

std::string OwnerFigures::Encode() const {
  std::string bytes;
  AppendVarint(bytes, queued_bytes);
  AppendVarint(bytes, drained_in.has_value() ? *drained_in + 1 : 0);
  AppendVarint(bytes, dead_letters.size());
  for (const DeadLetters& lane : dead_letters) {
    AppendVarint(bytes, lane.lane);
    AppendVarint(bytes, lane.letters);
    AppendVarint(bytes, lane.bytes);
  }
  return bytes;
}

absl::StatusOr<OwnerFigures> OwnerFigures::Decode(absl::string_view bytes) {
  Reader reader(bytes);
  OwnerFigures figures;
  figures.queued_bytes = reader.Varint();
  const uint64_t drained_in = reader.Varint();
  if (drained_in > 0) figures.drained_in = drained_in - 1;
  const uint64_t lanes = reader.Varint();
  for (uint64_t i = 0; i < lanes && reader.ok(); ++i) {
    DeadLetters lane;
    lane.lane = reader.Varint32();
    lane.letters = reader.Varint();
    lane.bytes = reader.Varint();
    figures.dead_letters.push_back(lane);
  }
  if (!reader.AtEnd()) return Malformed("figures of a destination");
  return figures;
}

std::string CommandRecord::Encode() const {
  std::string bytes;
  AppendVarint(bytes, static_cast<uint64_t>(kind));
  AppendVarint(bytes, beat);
  AppendText(bytes, destination);
  AppendText(bytes, server);
  AppendText(bytes, caller);
  AppendText(bytes, body);
  return bytes;
}

absl::StatusOr<CommandRecord> CommandRecord::Decode(absl::string_view bytes) {
  Reader reader(bytes);
  const uint64_t kind = reader.Varint();
  CommandRecord record;
  record.beat = reader.Varint();
  record.destination = std::string(reader.Text());
  record.server = std::string(reader.Text());
  record.caller = std::string(reader.Text());
  record.body = std::string(reader.Text());
  if (!reader.AtEnd() || kind < 1 || kind > 5) return Malformed("command");
  record.kind = static_cast<Kind>(kind);
  return record;
}

absl::string_view Name(CommandRecord::Kind kind) {
  switch (kind) {
    case CommandRecord::Kind::kFlush:
      return "Flush";
    case CommandRecord::Kind::kPause:
      return "PauseDestination";
    case CommandRecord::Kind::kResume:
      return "ResumeDestination";
    case CommandRecord::Kind::kReplay:
      return "ReplayDeadLetters";
    case CommandRecord::Kind::kDiscard:
      return "DiscardDeadLetters";
  }
  HEAPSYNC_UNREACHABLE();
}

std::string CommandAnswer::Encode() const {
  std::string bytes;
  AppendVarint(bytes, static_cast<uint64_t>(status.raw_code()));
  AppendText(bytes, status.message());
  AppendText(bytes, body);
  return bytes;
}

absl::StatusOr<CommandAnswer> CommandAnswer::Decode(absl::string_view bytes) {
  Reader reader(bytes);
  const uint64_t code = reader.Varint();
  const absl::string_view message = reader.Text();
  CommandAnswer answer{.status = {}, .body = std::string(reader.Text())};
  if (!reader.AtEnd() || code > 16 || (code == 0 && !message.empty())) {
    return Malformed("answer to a command");
  }
  answer.status = absl::Status(static_cast<absl::StatusCode>(code), message);
  return answer;
}

void LaneProgress::Settle(SeqRange range) {
  if (range.begin < low_watermark) range.begin = low_watermark;
  settled.Add(range);
  if (!settled.empty() && settled.front() == low_watermark) {
    const Seq end = settled.ranges().begin()->second;
    settled.Remove({low_watermark, end});
    low_watermark = end;
  }
}

std::string LaneProgress::Encode() const {
  std::string bytes;
  AppendVarint(bytes, low_watermark);
  AppendText(bytes, settled.Encode());
  return bytes;
}

absl::StatusOr<LaneProgress> LaneProgress::Decode(absl::string_view bytes) {
  Reader reader(bytes);
  LaneProgress progress;
  progress.low_watermark = reader.Varint();
  absl::StatusOr<SeqSet> settled = SeqSet::Decode(reader.Text());
  if (!reader.AtEnd() || !settled.ok()) return Malformed("lane progress");
  if (!settled->empty() && settled->front() <= progress.low_watermark) {
    return Malformed("lane progress");
  }
  progress.settled = *std::move(settled);
  return progress;
}

std::string DeferredItem::Encode() const {
  std::string bytes;
  AppendTime(bytes, accepted_at);
  AppendVarint(bytes, replays);
  AppendText(bytes, text);
  return bytes;
}

absl::StatusOr<DeferredItem> DeferredItem::Decode(absl::string_view bytes) {
  Reader reader(bytes);
  DeferredItem item;
  item.accepted_at = ReadTime(reader);
  item.replays = reader.Varint32();
  item.text = std::string(reader.Text());
  if (!reader.AtEnd()) return Malformed("item deferred");
  return item;
}

absl::string_view Name(DeadLetterReason reason) {
  switch (reason) {
    case DeadLetterReason::kRefused:
      return "REFUSED";
    case DeadLetterReason::kTooLarge:
      return "TOO_LARGE";
    case DeadLetterReason::kExpired:
      return "EXPIRED";
    case DeadLetterReason::kDamaged:
      return "DAMAGED";
  }
  HEAPSYNC_UNREACHABLE();
}

std::string DeadLetter::Encode() const {
  std::string bytes;
  AppendVarint(bytes, static_cast<uint64_t>(reason));
  AppendTime(bytes, accepted_at);
  AppendTime(bytes, dead_lettered_at);
  AppendFixed64(bytes, identity_hash);
  AppendVarint(bytes, replays);
  AppendVarint(bytes, http_status);
  AppendText(bytes, heap_response);
  AppendText(bytes, text);
  return bytes;
}

size_t DeadLetter::ReasonNumber(absl::string_view bytes) {
  const uint64_t number = Reader(bytes).Varint();
  return number <= kDeadLetterReasons ? number : 0;
}

absl::StatusOr<DeadLetter> DeadLetter::Decode(absl::string_view bytes) {
  Reader reader(bytes);
  DeadLetter letter;
  const uint64_t reason = reader.Varint();
  letter.accepted_at = ReadTime(reader);
  letter.dead_lettered_at = ReadTime(reader);
  letter.identity_hash = reader.Fixed64();
  letter.replays = reader.Varint32();
  letter.http_status = reader.Varint32();
  letter.heap_response = std::string(reader.Text());
  letter.text = std::string(reader.Text());
  if (!reader.AtEnd() || reason < 1 || reason > 4) {
    return Malformed("dead letter");
  }
  letter.reason = static_cast<DeadLetterReason>(reason);
  return letter;
}

std::string AttemptRecord::Encode() const {
  std::string bytes;
  AppendVarint(bytes, lane);
  AppendVarint(bytes, batch_id);
  AppendTime(bytes, started_at);
  AppendTime(bytes, ended_at);
  AppendVarint(bytes, static_cast<uint64_t>(ended.time_since_epoch().count()));
  AppendFixed64(bytes, epoch);
  AppendVarint(bytes, static_cast<uint64_t>(response_class));
  AppendVarint(bytes, http_status);
  AppendText(bytes, summary);
  AppendVarint(bytes, items);
  AppendText(bytes, seqs.Encode());
  AppendVarint(bytes, coalesced.size());
  for (const auto& [seq, into] : coalesced) {
    AppendVarint(bytes, seq);
    AppendVarint(bytes, into);
  }
  return bytes;
}

absl::StatusOr<AttemptRecord> AttemptRecord::Decode(absl::string_view bytes) {
  Reader reader(bytes);
  AttemptRecord record;
  record.lane = reader.Varint32();
  record.batch_id = reader.Varint();
  record.started_at = ReadTime(reader);
  record.ended_at = ReadTime(reader);
  record.ended = MonotonicTime(Duration(static_cast<int64_t>(reader.Varint())));
  record.epoch = reader.Fixed64();
  const uint64_t response_class = reader.Varint();
  record.http_status = reader.Varint32();
  record.summary = std::string(reader.Text());
  record.items = reader.Varint32();
  absl::StatusOr<SeqSet> seqs = SeqSet::Decode(reader.Text());
  const uint64_t coalesced = reader.Varint();
  for (uint64_t i = 0; i < coalesced && reader.ok(); ++i) {
    const Seq seq = reader.Varint();
    record.coalesced.emplace_back(seq, reader.Varint());
  }
  if (!reader.AtEnd() || !seqs.ok() || response_class < 1 ||
      response_class > 6) {
    return Malformed("attempt record");
  }
  record.response_class = static_cast<ResponseClass>(response_class);
  record.seqs = *std::move(seqs);
  return record;
}

std::string UsageRecord::Encode() const {
  std::string bytes;
  AppendVarint(bytes, lane);
  AppendVarint(bytes, static_cast<uint64_t>(ended.time_since_epoch().count()));
  AppendFixed64(bytes, epoch);
  AppendVarint(bytes, identities.size());
  for (const auto& [hash, count] : identities) {
    AppendFixed64(bytes, hash);
    AppendVarint(bytes, count);
  }
  return bytes;
}

absl::StatusOr<UsageRecord> UsageRecord::Decode(absl::string_view bytes) {
  Reader reader(bytes);
  UsageRecord record;
  record.lane = reader.Varint32();
  record.ended = MonotonicTime(Duration(static_cast<int64_t>(reader.Varint())));
  record.epoch = reader.Fixed64();
  const uint64_t count = reader.Varint();
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    const uint64_t hash = reader.Fixed64();
    record.identities.emplace_back(hash, reader.Varint32());
  }
  if (!reader.AtEnd()) return Malformed("usage record");
  return record;
}

std::string IsolatedItem::Encode() const {
  std::string bytes;
  AppendFixed64(bytes, identity_hash);
  AppendVarint(bytes, failures);
  return bytes;
}

absl::StatusOr<IsolatedItem> IsolatedItem::Decode(absl::string_view bytes) {
  Reader reader(bytes);
  IsolatedItem item;
  item.identity_hash = reader.Fixed64();
  item.failures = reader.Varint32();
  if (!reader.AtEnd() || item.failures == 0) return Malformed("isolated item");
  return item;
}

std::string PlanRecord::Encode() const {
  std::string bytes;
  AppendVarint(bytes, lane);
  AppendText(bytes, main.Encode());
  AppendVarint(bytes, deferred.size());
  for (const auto& [hash, seq] : deferred) {
    AppendFixed64(bytes, hash);
    AppendVarint(bytes, seq);
  }
  return bytes;
}

absl::StatusOr<PlanRecord> PlanRecord::Decode(absl::string_view bytes) {
  Reader reader(bytes);
  PlanRecord record;
  record.lane = reader.Varint32();
  absl::StatusOr<SeqSet> main = SeqSet::Decode(reader.Text());
  const uint64_t count = reader.Varint();
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    const uint64_t hash = reader.Fixed64();
    record.deferred.emplace_back(hash, reader.Varint());
  }
  if (!reader.AtEnd() || !main.ok()) return Malformed("plan record");
  record.main = *std::move(main);
  return record;
}

std::string Forwarding::Encode() const {
  std::string bytes;
  AppendVarint(bytes, static_cast<uint64_t>(kind));
  AppendVarint(bytes, from.begin);
  AppendVarint(bytes, from.end);
  AppendVarint(bytes, into);
  AppendTime(bytes, at);
  AppendFixed64(bytes, by);
  return bytes;
}

absl::StatusOr<Forwarding> Forwarding::Decode(absl::string_view bytes) {
  Reader reader(bytes);
  Forwarding forwarding;
  const uint64_t kind = reader.Varint();
  forwarding.from.begin = reader.Varint();
  forwarding.from.end = reader.Varint();
  forwarding.into = reader.Varint();
  forwarding.at = ReadTime(reader);
  forwarding.by = reader.Fixed64();
  if (!reader.AtEnd() || forwarding.from.empty() || kind < 1 || kind > 3) {
    return Malformed("forwarding record");
  }
  forwarding.kind = static_cast<Kind>(kind);
  return forwarding;
}

}  // namespace heapsync
