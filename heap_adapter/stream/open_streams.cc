#include "heap_adapter/stream/open_streams.h"

#include <algorithm>
#include <vector>

namespace heapsync {

void OpenStreams::EndAll() {
  std::vector<std::shared_ptr<EndableStream>> streams;
  {
    MutexLock lock(mutex_);
    ended_ = true;
    for (const auto& [stream, owner] : streams_) streams.push_back(stream);
  }
  for (const auto& stream : streams) stream->End();
}

bool OpenStreams::EndLongestSilent(MonotonicTime time,
                                   const std::optional<std::string>& owner) {
  std::vector<std::shared_ptr<EndableStream>> streams;
  {
    MutexLock lock(mutex_);
    for (const auto& [stream, its_owner] : streams_) {
      if (!owner.has_value() || *owner == its_owner) streams.push_back(stream);
    }
  }
  std::vector<std::pair<MonotonicTime, EndableStream*>> silent;
  for (const auto& stream : streams) {
    const auto since = stream->SilentSince();
    if (since.has_value() && *since <= time) {
      silent.emplace_back(*since, stream.get());
    }
  }
  std::sort(silent.begin(), silent.end());
  // One that its client woke up meanwhile stays.
  return std::any_of(silent.begin(), silent.end(), [&](const auto& each) {
    return each.second->EndIfSilent(time);
  });
}

}  // namespace heapsync
