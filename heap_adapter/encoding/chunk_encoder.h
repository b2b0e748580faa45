#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_CHUNK_ENCODER_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_CHUNK_ENCODER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/trace_context.h"
#include "heap_adapter/encoding/findings.h"         // IWYU pragma: export
#include "heap_adapter/encoding/idempotency_key.h"  // IWYU pragma: export
#include "heap_adapter/encoding/timestamp_text.h"
#include "heap_adapter/model/destination.h"  // IWYU pragma: export
#include "heap_adapter/model/object_type.h"  // IWYU pragma: export
#include "heapsync/v1/items.pb.h"

namespace heapsync {

// Calls `function` with an empty item of the type, and returns what it returns.
template <typename Function>
auto WithItem(ObjectType type, const Function& function) {
  switch (type) {
    case ObjectType::kTrackEvent:
      return function(v1::TrackEvent());
    case ObjectType::kUserProperties:
      return function(v1::UserProperties());
    case ObjectType::kAccountProperties:
      return function(v1::AccountProperties());
  }
  HEAPSYNC_UNREACHABLE();
}

// Items of one lane, encoded as they are sent to Heap.
struct EncodedChunk {
  struct Item {
    uint32_t size;           // bytes of this item in `text`
    uint64_t identity_hash;  // see HashIdentity
  };

  WallTime accepted_at;
  // Number of times these items were replayed from the dead letters.
  uint32_t replays = 0;
  // Tells the callers of updates apart, who take turns; see CallerNumber(). Not
  // stored.
  uint64_t caller = 0;
  // Trace context of the call that submitted them. Not stored.
  std::optional<TraceContext> trace = std::nullopt;
  std::vector<Item> items;
  std::string text;  // JSON objects, concatenated without separators
};

// The body of the one request to Heap that has all items of the chunk.
std::string BodyOf(const AppId& app_id, ObjectType type,
                   const EncodedChunk& chunk);

// A number for the name of a caller; zero for no name.
uint64_t CallerNumber(absl::string_view name);

// XXH3-64 of the identity, user id or account id. Stored, so it never changes
// between processes and versions. A user id has a different hash than an
// identity with the same text.
uint64_t HashIdentity(absl::string_view identity);
uint64_t HashUserId(absl::string_view user_id);

// Checks items against the rules of Heap's API and writes the valid ones
// directly into the text of a chunk, without an intermediate document tree. All
// violations of an item are found, not only the first (reasons.h lists them).
// An item is either added completely or leaves the chunk unchanged.
//
// All lengths are counted in UTF-16 units. Heap's reference says "characters";
// this is the strictest interpretation, and one item that is too long for Heap
// would fail its whole batch.
//
// A field that names or joins (identity, account id, session, idempotency key,
// email) and says nothing (see placeholder.h) is refused where it would merge
// people, left out where it only means "none", and warned of where in doubt.
//
// One thread at a time. `rules` must outlive the encoder.
class ChunkEncoder {
 public:
  // `accepted_at` is the timestamp of events that have none. REQUIRES: it lies
  // in the years 1 to 9999.
  ChunkEncoder(const EncodingRules& rules, WallTime accepted_at);

  // Reserves memory for further items and bytes, to avoid reallocation. A hint.
  void Reserve(size_t items, size_t bytes);

  // From now on at most one finding of each list is given for an item, and
  // whether there are more.
  void ListFewFindings() { max_findings_ = 2; }

  // Called once for each event without violations. Returns the idempotency key
  // of an event that has none, valid until Add() returns; it is not checked
  // against the rules for keys. For other events the result is ignored.
  using KeyChoice = absl::FunctionRef<absl::string_view(const EventContent&)>;

  Findings Add(const v1::TrackEvent& event, const ItemPath& path,
               KeyChoice choose_key);
  // With a key that is known.
  Findings Add(const v1::TrackEvent& event, const ItemPath& path,
               absl::string_view key);
  Findings Add(const v1::UserProperties& user, const ItemPath& path);
  Findings Add(const v1::AccountProperties& account, const ItemPath& path);

  // Number of bytes and items so far.
  size_t text_size() const { return chunk_.text.size(); }
  size_t size() const { return chunk_.items.size(); }

  // Returns the chunk. The encoder is empty afterwards and can be used again.
  EncodedChunk Take();

 private:
  struct Limits;
  struct IdRule;

  void AppendField(absl::string_view field, absl::string_view value,
                   Limits limits, FindingLog& log);
  void AppendIdentity(absl::string_view identity, FindingLog& log);
  void AppendUserId(absl::string_view user_id, FindingLog& log);
  void CheckId(const IdRule& rule, absl::string_view id, FindingLog& log) const;
  void AppendTimestamp(const google::protobuf::Timestamp& timestamp,
                       FindingLog& log);
  void AppendSession(absl::string_view session_id, FindingLog& log);
  void AppendPropertyField(const google::protobuf::Struct& properties,
                           std::optional<absl::string_view> email,
                           ObjectType type, FindingLog& log);
  Findings Finish(size_t start, uint64_t identity_hash, FindingLog& log);

  const EncodingRules& rules_;
  TimestampText accepted_at_text_;
  int64_t last_plausible_second_;  // Unix time
  size_t max_findings_ = kMaxFindings;
  EncodedChunk chunk_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_CHUNK_ENCODER_H_
