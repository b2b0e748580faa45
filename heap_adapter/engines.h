#ifndef HEAPSYNC_HEAP_ADAPTER_ENGINES_H_
#define HEAPSYNC_HEAP_ADAPTER_ENGINES_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "heap_adapter/config/config.h"
#include "heap_adapter/engine.h"  // IWYU pragma: export
#include "heap_adapter/intake/settlement.h"
#include "heap_adapter/model/destination.h"

namespace heapsync {

// The engines of a server: one over an embedded spool, or one for each shard of
// a spool that servers share. Each destination has one of them, which alone
// knows of its items: For() says which. What concerns several destinations is
// asked of all engines at once, and their answers are put together.
//
// Where the shards lie in several databases, those of one that is away are set
// away: calls for their destinations are refused, what concerns all
// destinations shows the others, and the engines may be replaced meanwhile.
//
// Engines know nothing of each other. Every method may be called from any
// thread, unless it says otherwise, but not from the engines' own ones.
class Engines {
 public:
  // The destinations of each of `shards` shards; see ShardOf(). Each part has
  // the name of the default destination, wherever that is.
  static std::vector<DestinationConfig> Split(const DestinationConfig& all,
                                              size_t shards);

  // An engine for each shard, in their order, at least one. REQUIRES: each was
  // opened with its part of `destinations`.
  Engines(std::vector<std::unique_ptr<Engine>> engines,
          DestinationConfig destinations);
  // One for all destinations.
  explicit Engines(std::unique_ptr<Engine> engine);

  // The references live as long as this, even of one that was replaced.
  size_t size() const { return slots_.size(); }
  Engine& operator[](size_t shard) { return slots_[shard]->Get(); }
  const Engine& operator[](size_t shard) const { return slots_[shard]->Get(); }

  // The shard, and the engine, of a destination, configured or not.
  size_t ShardFor(absl::string_view destination) const;
  Engine& For(absl::string_view destination) {
    return (*this)[ShardFor(destination)];
  }
  const Engine& For(absl::string_view destination) const {
    return (*this)[ShardFor(destination)];
  }
  // The engine for a call of a destination that is configured. Errors:
  // kUnavailable while its shard is away.
  absl::StatusOr<Engine*> Serving(absl::string_view destination);

  // kUnavailable, with the reason, while a shard is away, or any of them.
  absl::Status CheckShard(size_t shard) const;
  absl::Status CheckAll() const;
  // Sets a shard away, with the reason for callers. Nothing is sent from it.
  void SetAway(size_t shard, absl::string_view why);
  // Takes it back, once the engine has the present destinations. Errors: those
  // of SetDestinations(); the shard is away still.
  absl::Status SetBack(size_t shard);
  // The destinations with which an engine for a shard is to be opened.
  DestinationConfig ConfigFor(size_t shard) const;
  // Replaces the engine of a shard that is away, and was stopped. REQUIRES: the
  // new one was opened with ConfigFor(shard). What it needs lives as long as
  // this, and so does what the old one needs, but for its transport.
  void Replace(size_t shard, std::unique_ptr<Engine> engine);
  // Held by SetDestinations(), and to be held for Deliver() and others of an
  // engine that must not be called at the same time.
  Mutex& MutexOf(size_t shard) { return slots_[shard]->mutex; }
  // The shard that gives receipts with this spool id; size() if none does.
  size_t ShardWithSpool(uint64_t spool_id) const;

  // See the methods of these names of Engine. A shard that is away gets its
  // destinations when it is back.
  const Destination* FindDestination(absl::string_view name) const;
  const std::vector<Destination>& destinations() const {
    return Current().config.destinations;
  }
  // If one of the engines cannot take its part, the others may have taken
  // theirs: to be repeated. One thread.
  absl::Status SetDestinations(DestinationConfig destinations);

  // True if every destination is delivered by this server.
  bool delivers() const;

  // As those of Engine. If an engine stops first, its destinations are missing.
  // Of shards that are away, what is known without the database.
  void RequestSnapshot(absl::AnyInvocable<void(EngineSnapshot)> done);
  void RequestFlows(absl::AnyInvocable<void(EngineFlows)> done);
  // In the order of the names.
  absl::StatusOr<EngineSnapshot> SnapshotOf(
      const std::vector<absl::string_view>& destinations);
  // See Engine. None, too, while the destination's shard is away.
  absl::StatusOr<std::optional<WallTime>> OldestWaiting(
      absl::string_view destination, const LaneSnapshot& lane) const;

  absl::Status Barrier();
  // kUnavailable, too, if one of the shards is away.
  absl::Status Flush(absl::string_view destination, SettledCallback done,
                     absl::string_view caller = "");
  void StopAccepting();
  // Shards that are away are not waited for: something is left there.
  bool Drain(Duration timeout);

  // False once any of the spool's shards failed to write and is not away.
  bool healthy() const;
  // The first error of one that failed; empty while healthy.
  std::string failure() const;
  SpoolFigures spool_figures() const;

  const Clock& clock() const { return (*this)[0].clock(); }

 private:
  // The destinations of one configuration. Never changes.
  struct Generation {
    explicit Generation(DestinationConfig config_in);
    DestinationConfig config;
    absl::flat_hash_map<std::string, const Destination*> by_name;
  };
  const Generation& Current() const {
    return *current_.load(std::memory_order_acquire);
  }
  // The engine of one shard.
  struct Slot {
    Engine& Get() const { return *engine.load(std::memory_order_acquire); }

    std::atomic<Engine*> engine{nullptr};
    std::atomic<bool> away{false};
    Mutex mutex;
    // The configuration that the engine has; null: it is to be given the wanted
    // one.
    const Generation* taken ABSL_GUARDED_BY(mutex) = nullptr;
    mutable Mutex why_mutex;
    std::string why ABSL_GUARDED_BY(why_mutex);
  };

  void AddEngine(std::unique_ptr<Engine> engine);
  // All are there but those that are away.
  template <typename Predicate>
  bool AllOf(Predicate predicate) const {
    return std::all_of(slots_.begin(), slots_.end(), [&](const auto& slot) {
      return slot->away || predicate(slot->Get());
    });
  }
  bool is_away(size_t shard) const { return slots_[shard]->away; }

  std::vector<std::unique_ptr<Slot>> slots_;
  // All that there were: callers hold pointers into them.
  std::vector<std::unique_ptr<Generation>> generations_;
  std::atomic<const Generation*> current_{nullptr};
  // The one that SetDestinations() was last asked for.
  std::atomic<const Generation*> wanted_{nullptr};
  mutable Mutex engines_mutex_;
  // All that there were, likewise.
  std::vector<std::unique_ptr<Engine>> engines_ ABSL_GUARDED_BY(engines_mutex_);
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENGINES_H_
