#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_REPEATED_KEYS_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_REPEATED_KEYS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/encoding/idempotency_key.h"

namespace heapsync {

// Finds idempotency keys that are used again with other content. Heap keeps
// only the first event of a key, so the others would be lost silently.
//
// Remembers at least the last `max_keys` different keys, by 64-bit hashes:
// reuse at a greater distance may be missed, but (short of a collision) none is
// reported that does not exist. One thread at a time.
class RepeatedKeys {
 public:
  // Memory grows with the number of keys, to about 40 bytes for each of
  // `max_keys`.
  explicit RepeatedKeys(size_t max_keys) : max_keys_(max_keys) {}

  // Returns true if `key` was first used with other content.
  bool IsReused(absl::string_view key, const ContentDigest& content);

 private:
  // Hash of a key -> the start of the digest of its first content.
  using FirstContents = absl::flat_hash_map<uint64_t, uint64_t>;

  const size_t max_keys_;
  FirstContents recent_;    // at most max_keys_
  FirstContents previous_;  // the max_keys_ before them
};

// Uses of a key with other content than its first: all are counted, some named.
struct ReusedKeys {
  static constexpr size_t kMaxPlaces = 10;

  void Add(uint64_t place);
  // "2, 3, 17", and ", …" if there are more.
  std::string PlacesText() const;

  uint64_t count = 0;
  std::vector<uint64_t> first_places;  // at most kMaxPlaces
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_REPEATED_KEYS_H_
