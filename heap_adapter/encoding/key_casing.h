#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_KEY_CASING_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_KEY_CASING_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

// Keys of one item that differ only in case, such as `Plan` and `plan`. Heap
// keeps them as two properties, though people mostly mean one.
namespace heapsync {

// Tells cheaply that keys cannot differ only in case.
class CasingFilter {
 public:
  // Returns true if a key that was added before may be this one in another
  // case. `start`: the first eight bytes of the key as a number.
  bool Add(uint64_t start, size_t size) {
    constexpr uint64_t kEveryByte = 0x0101010101010101u;
    // Beyond ASCII, cases differ in more than one bit.
    const uint64_t folded =
        (start & kEveryByte * 0x80) == 0 ? start | kEveryByte * 0x20 : 0;
    const uint64_t hash = (folded + size) * 0x9e3779b97f4a7c15u;
    uint64_t& word = seen_[hash >> 62];
    const uint64_t bit = uint64_t{1} << (hash >> 56 & 63);
    const bool seen = (word & bit) != 0;
    word |= bit;
    return seen;
  }

 private:
  std::array<uint64_t, 4> seen_{};
};

struct SameInAnotherCase {
  absl::string_view key;
  absl::string_view earlier;
};

// Each key that differs only in case from an earlier one in the order of their
// bytes, with the first of these. Knows the letters of ASCII, Latin-1, Greek
// and Cyrillic. The views are those of `keys`. Pure.
std::vector<SameInAnotherCase> KeysThatDifferInCase(
    absl::Span<const absl::string_view> keys);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_KEY_CASING_H_
