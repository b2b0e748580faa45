#include "heap_adapter/intake/lane_directory.h"

#include <xxhash.h>

#include <algorithm>
#include <string>

#include "heap_adapter/model/object_type.h"

namespace heapsync {

void LaneDirectory::Add(LaneId id, const LaneKey& key) {
  MutexLock lock(mutex_);
  AddLocked(id, key);
}

void LaneDirectory::AddLocked(LaneId id, const LaneKey& key) {
  if (!keys_.emplace(id, key).second) return;
  ids_.emplace(key, id);
  next_ = std::max(next_, id + 1);
  if (key.caller.empty()) return;
  ++callers_[key.destination];
  ++caller_lanes_;
}

LaneId LaneDirectory::NewIdLocked(const LaneKey& key) const {
  if (!bounds_.shared) return next_;
  const std::string name = key.Encode();
  auto id = static_cast<LaneId>(XXH3_64bits(name.data(), name.size()));
  while (id == 0 || keys_.contains(id)) ++id;
  return id;
}

void LaneDirectory::Publish(LaneId lane) {
  MutexLock lock(mutex_);
  unpublished_.erase(lane);
}

LaneDirectory::Found LaneDirectory::FindOrAdd(absl::string_view destination,
                                              ObjectType type,
                                              absl::string_view caller) {
  LaneKey key{.destination = std::string(destination),
              .type = type,
              .caller = PolicyOf(type).lane_per_caller ? std::string(caller)
                                                       : std::string()};
  MutexLock lock(mutex_);
  auto it = ids_.find(key);
  const auto callers = callers_.find(destination);
  const bool full = caller_lanes_ >= bounds_.caller_lanes ||
                    (callers != callers_.end() &&
                     callers->second >= bounds_.callers_per_destination);
  const bool shares =
      it == ids_.end() ? full : unpublished_.contains(it->second);
  if (!key.caller.empty() && shares) {
    key.caller.clear();
    it = ids_.find(key);
  }
  if (it != ids_.end()) return {.id = it->second, .is_new = false};
  const LaneId id = NewIdLocked(key);
  AddLocked(id, key);
  // The shared lanes are there before anybody asks for a caller's.
  if (!key.caller.empty()) unpublished_.insert(id);
  return {.id = id, .is_new = true};
}

std::optional<LaneKey> LaneDirectory::KeyOf(LaneId lane) const {
  MutexLock lock(mutex_);
  const auto it = keys_.find(lane);
  if (it == keys_.end()) return std::nullopt;
  return it->second;
}

std::vector<std::pair<LaneId, LaneKey>> LaneDirectory::All() const {
  std::vector<std::pair<LaneId, LaneKey>> lanes;
  {
    MutexLock lock(mutex_);
    lanes.assign(keys_.begin(), keys_.end());
  }
  std::sort(lanes.begin(), lanes.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return lanes;
}

}  // namespace heapsync
