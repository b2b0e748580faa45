#include "heap_adapter/inspection/dead_letter_order.h"

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "heap_adapter/spool/coding.h"

namespace heapsync {
namespace {

void Append(std::string& bytes, DeadLetterPlace place) {
  AppendVarint(bytes, place.lane);
  AppendVarint(bytes, place.seq);
}

DeadLetterPlace ReadPlace(Reader& reader) {
  const LaneId lane = reader.Varint32();
  return {.lane = lane, .seq = reader.Varint()};
}

}  // namespace

std::string DeadLetterOrder::Encode() const {
  std::string bytes;
  AppendVarint(bytes, places.size());
  for (const DeadLetterPlace place : places) Append(bytes, place);
  AppendVarint(bytes, force ? 1 : 0);
  AppendVarint(bytes, instead.has_value() ? 1 : 0);
  if (!instead.has_value()) return bytes;
  AppendFixed64(bytes, static_cast<uint64_t>(
                           instead->accepted_at.time_since_epoch().count()));
  AppendFixed64(bytes, instead->items.front().identity_hash);
  AppendText(bytes, instead->text);
  return bytes;
}

absl::StatusOr<DeadLetterOrder> DeadLetterOrder::Decode(
    absl::string_view bytes) {
  Reader reader(bytes);
  DeadLetterOrder order;
  const uint64_t places = reader.Varint();
  for (uint64_t i = 0; i < places && reader.ok(); ++i) {
    order.places.push_back(ReadPlace(reader));
  }
  const uint64_t force = reader.Varint();
  const uint64_t edits = reader.Varint();
  order.force = force == 1;
  if (edits == 1) {
    EncodedChunk chunk;
    chunk.accepted_at =
        WallTime(Duration(static_cast<int64_t>(reader.Fixed64())));
    const uint64_t identity_hash = reader.Fixed64();
    chunk.text = std::string(reader.Text());
    chunk.items.push_back({.size = static_cast<uint32_t>(chunk.text.size()),
                           .identity_hash = identity_hash});
    order.instead = std::move(chunk);
  }
  if (!reader.AtEnd() || force > 1 || edits > 1) {
    return absl::DataLossError("malformed order about dead letters");
  }
  return order;
}

std::string EncodeResults(const std::vector<DeadLetterResult>& results) {
  std::string bytes;
  AppendVarint(bytes, results.size());
  for (const DeadLetterResult& result : results) {
    Append(bytes, result.place);
    AppendVarint(bytes, static_cast<uint64_t>(result.outcome));
    AppendVarint(bytes, result.into.has_value() ? 1 : 0);
    if (result.into.has_value()) AppendVarint(bytes, *result.into);
    AppendText(bytes, result.detail);
  }
  return bytes;
}

absl::StatusOr<std::vector<DeadLetterResult>> DecodeResults(
    absl::string_view bytes) {
  Reader reader(bytes);
  std::vector<DeadLetterResult> results;
  const uint64_t count = reader.Varint();
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    DeadLetterResult& result = results.emplace_back();
    result.place = ReadPlace(reader);
    const uint64_t outcome = reader.Varint();
    const uint64_t replayed = reader.Varint();
    if (replayed == 1) result.into = reader.Varint();
    if (replayed > 1 ||
        outcome > static_cast<uint64_t>(DeadLetterOutcome::kNotFound)) {
      break;
    }
    result.outcome = static_cast<DeadLetterOutcome>(outcome);
    result.detail = std::string(reader.Text());
  }
  if (!reader.AtEnd()) {
    return absl::DataLossError("malformed results of dead letters");
  }
  return results;
}

}  // namespace heapsync
