#ifndef HEAPSYNC_HEAP_ADAPTER_STREAM_UNSENT_BYTES_H_
#define HEAPSYNC_HEAP_ADAPTER_STREAM_UNSENT_BYTES_H_

#include <atomic>
#include <cstddef>

namespace heapsync {

// Bytes of the refusals and previews that wait to be written, of all streams.
// Any thread.
class UnsentBytes {
 public:
  explicit UnsentBytes(size_t max) : max_(max) {}

  void Add(size_t bytes) { bytes_.fetch_add(bytes, std::memory_order_relaxed); }
  void Remove(size_t bytes) {
    bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  }
  bool full() const { return bytes_.load(std::memory_order_relaxed) > max_; }

 private:
  const size_t max_;
  std::atomic<size_t> bytes_{0};
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_STREAM_UNSENT_BYTES_H_
