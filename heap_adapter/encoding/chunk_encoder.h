#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_CHUNK_ENCODER_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_CHUNK_ENCODER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "heap_adapter/clock/clock.h"
#include "heap_adapter/model/destination.h"
#include "heapsync/v1/items.pb.h"

namespace heapsync {

// One thing wrong, or doubtful, about an item.
struct Finding {
  std::string field;   // "events[17].properties.plan"
  std::string reason;  // UPPER_SNAKE, stable: "VALUE_TOO_LONG"
  std::string
      description;  // the rule and what was found, never the value itself
};

// What was found in one item. An item with violations is not part of the chunk.
struct Findings {
  std::vector<Finding> violations;
  std::vector<Finding> warnings;
  bool ok() const { return violations.empty(); }
};

// Where an item stands in its request: "event", or "events[17]". The text is
// only made when there is something to report.
struct ItemPath {
  absl::string_view field;
  std::optional<uint64_t> index;
  std::string ToString() const;
};

// Items of one lane in the form in which Heap gets them.
struct EncodedChunk {
  struct Item {
    uint32_t size;           // bytes of `text` that are this item's
    uint64_t identity_hash;  // see HashIdentity
  };

  WallTime accepted_at;
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
// fault of an item is found, not only the first. An item either is added whole
// or leaves the chunk as it was.
//
// One thread at a time. `rules` must outlive the encoder.
class ChunkEncoder {
 public:
  // `accepted_at` becomes the timestamp of the events that carry none.
  ChunkEncoder(const EncodingRules& rules, WallTime accepted_at);

  // `derived_key` is the idempotency key for an event that brings none.
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
  const EncodingRules& rules_;
  EncodedChunk chunk_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_CHUNK_ENCODER_H_
