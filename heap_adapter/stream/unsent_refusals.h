#ifndef HEAPSYNC_HEAP_ADAPTER_STREAM_UNSENT_REFUSALS_H_
#define HEAPSYNC_HEAP_ADAPTER_STREAM_UNSENT_REFUSALS_H_

#include <google/protobuf/message_lite.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

namespace heapsync {

// The refusals of one stream that are not sent yet, in the order of their
// items. They are kept as the bytes that go on the wire, which take a quarter
// of the memory that messages would. One thread at a time.
class UnsentRefusals {
 public:
  // `answer` holds nothing but the refusal of the item with this index.
  // Encoded messages that follow each other are one message with the fields of
  // all (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
  void Add(uint64_t index, const google::protobuf::MessageLite& answer) {
    const size_t before = wire_.size();
    answer.AppendToString(&wire_);
    refusals_.push_back({.index = index, .bytes = wire_.size() - before});
  }

  bool empty() const { return refusals_.empty(); }
  size_t bytes() const { return wire_.size() - taken_; }
  // The index of the first item. REQUIRES: !empty().
  uint64_t first() const { return refusals_.front().index; }

  void Clear() { *this = {}; }

  // Takes refusals off the front until they have at least `bytes`, or all.
  // Returns them as encoded fields of an answer.
  std::string Take(size_t bytes) {
    size_t size = 0;
    while (size < bytes && !refusals_.empty()) {
      size += refusals_.front().bytes;
      refusals_.pop_front();
    }
    std::string fields = wire_.substr(taken_, size);
    taken_ += size;
    if (refusals_.empty()) {
      wire_ = {};
      taken_ = 0;
    } else if (taken_ > wire_.size() / 2) {
      // Amortised: erasing the front moves the rest.
      wire_.erase(0, taken_);
      taken_ = 0;
    }
    return fields;
  }

 private:
  struct Refusal {
    uint64_t index = 0;
    size_t bytes = 0;
  };
  std::string wire_;
  size_t taken_ = 0;  // bytes at the front of `wire_`
  std::deque<Refusal> refusals_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_STREAM_UNSENT_REFUSALS_H_
