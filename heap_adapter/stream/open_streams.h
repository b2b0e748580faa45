#ifndef HEAPSYNC_HEAP_ADAPTER_STREAM_OPEN_STREAMS_H_
#define HEAPSYNC_HEAP_ADAPTER_STREAM_OPEN_STREAMS_H_

#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "heap_adapter/base/mutex.h"

namespace heapsync {

// A stream, or another call that waits, that the server can end.
class EndableStream {
 public:
  virtual ~EndableStream() = default;
  // Ends the stream soon, after its client was notified of how far it came. Any
  // thread, any number of times; does nothing once the stream has ended.
  virtual void End() = 0;
};

// The open streams of a server. Its shutdown waits for them, and they wait for
// their clients, so that they have to be ended. Any thread.
//
// Holds each stream until Remove(), and EndAll() until it returns, so that
// EndableStream::End() may come after Remove(), on a stream whose call is gone.
class OpenStreams {
 public:
  // False after EndAll(): the stream must not start.
  bool Add(std::shared_ptr<EndableStream> stream) {
    MutexLock lock(mutex_);
    if (!ended_) streams_.insert(std::move(stream));
    return !ended_;
  }
  void Remove(const std::shared_ptr<EndableStream>& stream) {
    MutexLock lock(mutex_);
    streams_.erase(stream);
  }
  // Calls End() without a lock, so that streams may remove themselves.
  void EndAll() {
    std::vector<std::shared_ptr<EndableStream>> streams;
    {
      MutexLock lock(mutex_);
      ended_ = true;
      streams.assign(streams_.begin(), streams_.end());
    }
    for (const auto& stream : streams) stream->End();
  }

 private:
  Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<std::shared_ptr<EndableStream>> streams_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_STREAM_OPEN_STREAMS_H_
