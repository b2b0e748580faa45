#ifndef HEAPSYNC_CLIENT_UNACKNOWLEDGED_WINDOW_H_
#define HEAPSYNC_CLIENT_UNACKNOWLEDGED_WINDOW_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

namespace heapsync {

// Bounds of a window and of its chunks; see BulkWriterOptions.
struct WindowLimits {
  size_t max_items;
  size_t max_bytes;
  size_t max_chunk_items;
  size_t max_chunk_bytes;
};

// The items that are not durable yet, in order, packed into the messages in
// which they travel, and how far the present stream has sent them. Indices
// count from the start of the whole job. Knows no threads and no time.
//
// Traits has the types Item and Request, and Items(request): the request's
// items, to be changed.
template <typename Traits>
class UnacknowledgedWindow {
 public:
  using Item = typename Traits::Item;

  struct Chunk {
    uint64_t first_index;
    size_t bytes;
    typename Traits::Request request;

    size_t size() { return static_cast<size_t>(Traits::Items(request).size()); }
    uint64_t end_index() { return first_index + size(); }
  };

  UnacknowledgedWindow(const WindowLimits& limits, uint64_t start_index)
      : limits_(limits), durable_(start_index), end_(start_index) {}

  // True if an item of this size may be added. An empty window takes any item.
  bool HasSpace(size_t bytes) const {
    if (end_ == durable_) return true;
    return end_ - durable_ < limits_.max_items &&
           bytes_ + bytes <= limits_.max_bytes;
  }

  void Add(Item item, size_t bytes) {
    if (open_ && open_->bytes + bytes > limits_.max_chunk_bytes) Seal();
    if (!open_) {
      open_ = std::make_shared<Chunk>();
      open_->first_index = end_;
      open_->bytes = 0;
    }
    Traits::Items(open_->request).Add(std::move(item));
    open_->bytes += bytes;
    bytes_ += bytes;
    ++end_;
    if (open_->size() >= limits_.max_chunk_items ||
        open_->bytes >= limits_.max_chunk_bytes) {
      Seal();
    }
  }

  // Ends the chunk that is being filled, so that it can be sent.
  void Seal() {
    if (open_) sealed_.push_back(std::exchange(open_, nullptr));
  }

  bool HasOpenChunk() const { return open_ != nullptr; }
  bool HasSealedToSend() const { return sent_ < sealed_.size(); }

  // The next chunk of this stream. Shared, because it may become durable, and
  // leave the window, before the call that writes it has returned.
  // REQUIRES: HasSealedToSend()
  std::shared_ptr<Chunk> TakeNextToSend() {
    std::shared_ptr<Chunk> next = sealed_[sent_++];
    sent_end_ = next->end_index();
    return next;
  }

  // Forgets everything below `position`; what the server claims beyond the
  // items that were sent is not believed.
  void Acknowledge(uint64_t position) {
    durable_ = std::max(durable_, std::min(position, sent_end_));
    while (!sealed_.empty() && sealed_.front()->end_index() <= durable_) {
      bytes_ -= sealed_.front()->bytes;
      sealed_.pop_front();
      if (sent_ > 0) --sent_;
    }
  }

  // Begins a new stream, whose first item has the index durable_position().
  // REQUIRES: no chunk of the old stream is being written.
  void Rewind() {
    sent_ = 0;
    sent_end_ = durable_;
    if (sealed_.empty() || sealed_.front()->first_index >= durable_) return;
    Chunk& front = *sealed_.front();
    const auto known = static_cast<int>(durable_ - front.first_index);
    Traits::Items(front.request).DeleteSubrange(0, known);
    front.first_index = durable_;
  }

  // Every index below is durable or was refused.
  uint64_t durable_position() const { return durable_; }

  // The index that the next added item gets.
  uint64_t end_position() const { return end_; }

 private:
  const WindowLimits limits_;
  uint64_t durable_;
  uint64_t end_;
  uint64_t sent_end_ = 0;
  size_t bytes_ = 0;
  std::deque<std::shared_ptr<Chunk>> sealed_;
  size_t sent_ = 0;  // how many of sealed_ the present stream has taken
  std::shared_ptr<Chunk> open_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_UNACKNOWLEDGED_WINDOW_H_
