#ifndef HEAPSYNC_TESTS_FAKE_HEAP_TEXT_ARENA_H_
#define HEAPSYNC_TESTS_FAKE_HEAP_TEXT_ARENA_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"

namespace heapsync::fake_heap {

// Keeps many small texts without an allocation and a header for each. Nothing
// is freed before the arena itself. One thread at a time.
class TextArena {
 public:
  // Copies `text`; the copy lives as long as the arena, also when it is moved.
  absl::string_view Store(absl::string_view text) {
    if (text.empty()) return {};
    if (text.size() > left_) {
      left_ = std::max(kBlockBytes, text.size());
      blocks_.push_back(std::make_unique<char[]>(left_));
      next_ = blocks_.back().get();
    }
    char* const copy = next_;
    std::memcpy(copy, text.data(), text.size());
    next_ += text.size();
    left_ -= text.size();
    bytes_ += text.size();
    return {copy, text.size()};
  }

  // Bytes of all texts, without what the blocks waste.
  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kBlockBytes = 256 * 1024;
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  size_t left_ = 0;
  size_t bytes_ = 0;
};

}  // namespace heapsync::fake_heap

#endif  // HEAPSYNC_TESTS_FAKE_HEAP_TEXT_ARENA_H_
