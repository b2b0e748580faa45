#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_CHUNK_ENCODER_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_CHUNK_ENCODER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "heap_adapter/base/clock.h"
#include "heap_adapter/encoding/findings.h"
#include "heap_adapter/encoding/timestamp_text.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/model/object_type.h"
#include "heap_adapter/model/trace_context.h"
#include "heapsync/v1/items.pb.h"

namespace heapsync {

// Items of one lane in the form in which Heap gets them.
struct EncodedChunk {
  struct Item {
    uint32_t size;           // bytes of `text` that are this item's
    uint64_t identity_hash;  // see HashIdentity
  };

  WallTime accepted_at;
  // How often a person sent these items again from the dead letters.
  uint32_t replays = 0;
  // Of the call that brought them. Not stored.
  std::optional<TraceContext> trace = std::nullopt;
  std::vector<Item> items;
  std::string text;  // JSON objects, one after the other with nothing between
};

// Stable over processes and versions (it is stored): XXH3-64 of the identity,
// user id or account id. A user id is hashed apart from an identity of the same
// text.
uint64_t HashIdentity(absl::string_view identity);
uint64_t HashUserId(absl::string_view user_id);

// Checks items against the rules of Heap's API and writes the valid ones
// straight into the text of a chunk, without a document tree in between. Every
// fault of an item is found, not only the first (reasons.h names them). An item
// either is added whole or leaves the chunk as it was.
//
// Lengths are counted in UTF-16 units everywhere. Heap's reference says
// "characters"; of the ways to count them this is the one that refuses most,
// and one item too long for Heap would fail its whole batch.
//
// One thread at a time. `rules` must outlive the encoder.
class ChunkEncoder {
 public:
  // `accepted_at` becomes the timestamp of the events that carry none.
  // REQUIRES: it lies in the years 1 to 9999, and `rules.denied_identities` are
  // in ASCII lowercase.
  ChunkEncoder(const EncodingRules& rules, WallTime accepted_at);

  // Makes room for items and bytes still to come; saves copying. A hint.
  void Reserve(size_t items, size_t bytes);

  // `derived_key` is the idempotency key for an event that brings none; it is
  // not checked against the rules for keys.
  Findings Add(const v1::TrackEvent& event, const ItemPath& path,
               absl::string_view derived_key);
  Findings Add(const v1::UserProperties& user, const ItemPath& path);
  Findings Add(const v1::AccountProperties& account, const ItemPath& path);

  // Bytes and items so far.
  size_t text_size() const { return chunk_.text.size(); }
  size_t size() const { return chunk_.items.size(); }

  // Gives the chunk away; the encoder is empty afterwards and may go on.
  EncodedChunk Take();

 private:
  struct Limits;

  void AppendField(absl::string_view field, absl::string_view value,
                   Limits limits, FindingLog& log);
  void AppendIdentity(absl::string_view identity, FindingLog& log);
  void AppendUserId(absl::string_view user_id, FindingLog& log);
  bool IsDenied(absl::string_view identity) const;
  void AppendPropertyField(const google::protobuf::Struct& properties,
                           std::optional<absl::string_view> email,
                           ObjectType type, FindingLog& log);
  Findings Finish(size_t start, uint64_t identity_hash, FindingLog& log);

  const EncodingRules& rules_;
  size_t max_denied_ = 0;
  TimestampText accepted_at_text_;
  EncodedChunk chunk_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_CHUNK_ENCODER_H_
