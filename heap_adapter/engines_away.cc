// Shards whose database is away.

#include <utility>

#include "heap_adapter/engines.h"

namespace heapsync {

absl::StatusOr<Engine*> Engines::Serving(absl::string_view destination) {
  const size_t shard = ShardFor(destination);
  if (absl::Status s = CheckShard(shard); !s.ok()) return s;
  Engine& engine = (*this)[shard];
  // The call began before a change of the configuration and of the engine.
  if (size() > 1 && !engine.Knows(destination)) {
    return absl::UnavailableError(
        "the destination is not configured any more, or not yet");
  }
  return &engine;
}

absl::Status Engines::CheckShard(size_t shard) const {
  const Slot& slot = *slots_[shard];
  if (!slot.away) return absl::OkStatus();
  MutexLock lock(slot.why_mutex);
  return absl::UnavailableError(slot.why);
}

absl::Status Engines::CheckAll() const {
  absl::Status status;
  for (size_t shard = 0; shard < size(); ++shard) {
    status.Update(CheckShard(shard));
  }
  return status;
}

void Engines::SetAway(size_t shard, absl::string_view why) {
  Slot& slot = *slots_[shard];
  MutexLock lock(slot.why_mutex);
  slot.why = std::string(why);
  if (!slot.away.exchange(true)) slot.Get().StopSending();
}

absl::Status Engines::SetBack(size_t shard) {
  Slot& slot = *slots_[shard];
  MutexLock lock(slot.mutex);
  if (!slot.away) return absl::OkStatus();
  // SetDestinations() passes over a shard that it finds away.
  while (slot.away || slot.taken != wanted_) {
    const Generation* const wanted = wanted_;
    if (slot.taken != wanted) {
      absl::Status set = slot.Get().SetDestinations(
          std::move(Split(wanted->config, size())[shard]));
      if (!set.ok()) {
        MutexLock why_lock(slot.why_mutex);
        if (!slot.away.exchange(true)) slot.Get().StopSending();
        return set;
      }
      slot.taken = wanted;
    }
    MutexLock why_lock(slot.why_mutex);
    slot.away = false;
    slot.Get().GoOnSending();
  }
  return absl::OkStatus();
}

DestinationConfig Engines::ConfigFor(size_t shard) const {
  return std::move(Split(wanted_.load()->config, size())[shard]);
}

void Engines::Replace(size_t shard, std::unique_ptr<Engine> engine) {
  Slot& slot = *slots_[shard];
  MutexLock lock(slot.mutex);
  slot.taken = nullptr;
  slot.engine.store(engine.get(), std::memory_order_release);
  MutexLock engines_lock(engines_mutex_);
  engines_.push_back(std::move(engine));
}

}  // namespace heapsync
