#ifndef HEAPSYNC_SERVER_DATA_OPEN_STREAMS_H_
#define HEAPSYNC_SERVER_DATA_OPEN_STREAMS_H_

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
  // Ends the stream soon, after telling its client how far it came. Any thread,
  // any number of times; does nothing once the stream is gone.
  virtual void End() = 0;
};

// The streams that are open. gRPC's shutdown waits for them, and they for their
// clients, so somebody has to end them. Any thread.
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

#endif  // HEAPSYNC_SERVER_DATA_OPEN_STREAMS_H_
