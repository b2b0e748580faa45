#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_OCCURRENCES_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_OCCURRENCES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "heap_adapter/encoding/idempotency_key.h"

namespace heapsync {

// Numbers the occurrences of equal contents: 0 for the first that comes, 1 for
// the second. So a set of contents gets the same numbers in whatever order it
// comes, and equal contents are told apart.
//
// Memory is bounded, by a Bloom filter of the contents that came and by an
// exact count of those that came again. Once the filter is well filled, some
// contents are taken for repeated ones when they come first and their numbers
// depend on the order; but no two equal contents ever get the same number. One
// thread at a time.
class Occurrences {
 public:
  // `filter_bytes`: memory of the filter, of which only what is used is
  // touched. With the default one content in 100,000 of ten million is taken
  // for a repeated one, and one in 400 of thirty million.
  // `max_repeated`: repeated contents that are counted, about 30 bytes each.
  explicit Occurrences(size_t filter_bytes = 32 << 20,
                       size_t max_repeated = 1'000'000);

  // The number of this occurrence; none if too many contents were repeated to
  // count another.
  std::optional<uint64_t> Next(const ContentDigest& content);

 private:
  struct Block {
    uint64_t words[8];
  };
  struct Free {
    void operator()(Block* blocks) const;
  };

  // Adds the content. Gives whether it was there, which is sometimes said of
  // one that was not.
  bool WasAdded(const ContentDigest& content);

  const size_t max_repeated_;
  size_t blocks_;  // a power of two
  std::unique_ptr<Block[], Free> filter_;
  // Hash of a content -> how often it came.
  absl::flat_hash_map<uint64_t, uint64_t> repeated_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_OCCURRENCES_H_
