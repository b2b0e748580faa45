#include "heap_adapter/encoding/occurrences.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>

#include "base/check.h"

namespace heapsync {
namespace {

// Bits of the filter that a content sets, all in one block: each is named by
// nine bits of its digest.
constexpr int kBitsPerContent = 7;
constexpr int kBitsOfName = 9;

}  // namespace

void Occurrences::Free::operator()(Block* blocks) const { std::free(blocks); }

Occurrences::Occurrences(size_t filter_bytes, size_t max_repeated)
    : max_repeated_(max_repeated),
      blocks_(std::bit_floor(std::max(filter_bytes, sizeof(Block)) /
                             sizeof(Block))) {
  // The system gives pages of zeros once they are touched, so a small input
  // does not pay for a large filter.
  filter_.reset(static_cast<Block*>(std::calloc(blocks_, sizeof(Block))));
  HEAPSYNC_CHECK(filter_ != nullptr) << "out of memory";
}

bool Occurrences::WasAdded(const ContentDigest& content) {
  uint64_t place;
  uint64_t names;
  static_assert(sizeof(place) + sizeof(names) == sizeof(content.bytes));
  std::memcpy(&place, content.bytes.data(), sizeof(place));
  std::memcpy(&names, content.bytes.data() + sizeof(place), sizeof(names));
  Block& block = filter_[place & (blocks_ - 1)];
  bool was_added = true;
  for (int i = 0; i < kBitsPerContent; ++i, names >>= kBitsOfName) {
    uint64_t& word = block.words[(names >> 6) & 7];
    const uint64_t bit = uint64_t{1} << (names & 63);
    was_added &= (word & bit) != 0;
    word |= bit;
  }
  return was_added;
}

std::optional<uint64_t> Occurrences::Next(const ContentDigest& content) {
  if (!WasAdded(content)) return 0;
  uint64_t hash;
  std::memcpy(&hash, content.bytes.data(), sizeof(hash));
  const auto known = repeated_.find(hash);
  if (known != repeated_.end()) return ++known->second;
  if (repeated_.size() >= max_repeated_) return std::nullopt;
  repeated_.emplace(hash, 1);
  return 1;
}

}  // namespace heapsync
