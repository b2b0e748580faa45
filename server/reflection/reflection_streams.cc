#include "server/reflection/reflection_streams.h"

#include "base/check.h"

namespace heapsync {

void ReflectionStreams::Enter(Stream& stream, absl::string_view caller) {
  MutexLock lock(mutex_);
  HEAPSYNC_CHECK(!stream.has_place_) << "it has a place";
  std::list<Stream*>& own = streams_[caller];
  stream.caller_ = std::string(caller);
  stream.position_ = own.insert(own.end(), &stream);
  stream.has_place_ = true;
  if (++count_ <= kMax) return;
  const std::list<Stream*>* most = &own;
  for (const auto& [name, streams] : streams_) {
    if (streams.size() > most->size()) most = &streams;
  }
  Stream& first = *most->front();
  Remove(first);
  // The lock keeps it alive.
  first.GiveWay();
}

void ReflectionStreams::Asked(Stream& stream) {
  MutexLock lock(mutex_);
  if (!stream.has_place_) return;
  std::list<Stream*>& own = streams_.at(stream.caller_);
  own.splice(own.end(), own, stream.position_);
}

void ReflectionStreams::Leave(Stream& stream) {
  MutexLock lock(mutex_);
  if (stream.has_place_) Remove(stream);
}

void ReflectionStreams::Remove(Stream& stream) {
  const auto own = streams_.find(stream.caller_);
  own->second.erase(stream.position_);
  if (own->second.empty()) streams_.erase(own);
  stream.has_place_ = false;
  --count_;
}

}  // namespace heapsync
