#ifndef HEAPSYNC_HEAP_ADAPTER_STREAM_OPEN_STREAMS_H_
#define HEAPSYNC_HEAP_ADAPTER_STREAM_OPEN_STREAMS_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace heapsync {

// A stream, or another call that waits, that the server can end.
class EndableStream {
 public:
  virtual ~EndableStream() = default;
  // Ends the stream soon, after its client was notified of how far it came. Any
  // thread, any number of times; does nothing once the stream has ended.
  virtual void End() = 0;

  // The time since which the stream waits for nothing but its client; none if
  // it waits for something else, has ended or cannot tell. Any thread.
  virtual std::optional<MonotonicTime> SilentSince() { return std::nullopt; }
  // Ends the stream so that another one has its place, if it has been silent
  // since `time` or longer. Returns whether it did. Any thread.
  virtual bool EndIfSilent(MonotonicTime /*time*/) { return false; }
};

// The open streams of a server. Its shutdown waits for them, and they wait for
// their clients, so that they have to be ended. Any thread.
//
// Holds each stream until Remove(), and EndAll() until it returns, so that
// EndableStream::End() may come after Remove(), on a stream whose call is gone.
class OpenStreams {
 public:
  // False after EndAll(): the stream must not start. `owner` is its caller.
  bool Add(std::shared_ptr<EndableStream> stream,
           absl::string_view owner = {}) {
    MutexLock lock(mutex_);
    if (!ended_) streams_.emplace(std::move(stream), owner);
    return !ended_;
  }
  void Remove(const std::shared_ptr<EndableStream>& stream) {
    MutexLock lock(mutex_);
    streams_.erase(stream);
  }
  // Calls End() without a lock, so that streams may remove themselves.
  void EndAll();

  // Ends the stream that has been silent for the longest, if that is since
  // `time` or longer. Returns whether one was ended; its call ends soon. With
  // an owner, only streams of that owner count.
  bool EndLongestSilent(MonotonicTime time,
                        const std::optional<std::string>& owner);

 private:
  Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<std::shared_ptr<EndableStream>, std::string> streams_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_STREAM_OPEN_STREAMS_H_
