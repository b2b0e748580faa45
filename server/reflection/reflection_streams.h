#ifndef HEAPSYNC_SERVER_REFLECTION_REFLECTION_STREAMS_H_
#define HEAPSYNC_SERVER_REFLECTION_REFLECTION_STREAMS_H_

#include <cstddef>
#include <list>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"

namespace heapsync {

// The open streams of a reflection service. A new one always gets a place: when
// there are too many, the caller with the most loses the one that has been
// silent for longest, since a tool can ask again on another. Any thread.
class ReflectionStreams {
 public:
  static constexpr size_t kMax = 100;

  class Stream {
   public:
    virtual ~Stream() = default;
    // Its place was needed. Called once at most, before Leave() returns, on a
    // thread that must not be made to call any of these.
    virtual void GiveWay() = 0;

   private:
    friend class ReflectionStreams;
    std::string caller_;
    std::list<Stream*>::iterator position_;
    bool has_place_ = false;
  };

  // Takes a place for a stream that has none. `caller`: empty if callers are
  // not told apart.
  void Enter(Stream& stream, absl::string_view caller);
  // It asked something. Nothing happens if it has no place any more.
  void Asked(Stream& stream);
  // Gives its place back, if it has one. To be called before it is destroyed.
  void Leave(Stream& stream);

 private:
  void Remove(Stream& stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  size_t count_ ABSL_GUARDED_BY(mutex_) = 0;
  // By caller, the longest silent one first.
  absl::flat_hash_map<std::string, std::list<Stream*>> streams_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_REFLECTION_REFLECTION_STREAMS_H_
