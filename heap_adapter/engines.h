#ifndef HEAPSYNC_HEAP_ADAPTER_ENGINES_H_
#define HEAPSYNC_HEAP_ADAPTER_ENGINES_H_

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

  size_t size() const { return engines_.size(); }
  Engine& operator[](size_t shard) { return *engines_[shard]; }
  const Engine& operator[](size_t shard) const { return *engines_[shard]; }

  // The shard, and the engine, of a destination, configured or not.
  size_t ShardFor(absl::string_view destination) const;
  Engine& For(absl::string_view destination) {
    return *engines_[ShardFor(destination)];
  }
  const Engine& For(absl::string_view destination) const {
    return *engines_[ShardFor(destination)];
  }
  // The shard that gives receipts with this spool id; size() if none does.
  size_t ShardWithSpool(uint64_t spool_id) const;

  // See the methods of these names of Engine.
  const Destination* FindDestination(absl::string_view name) const;
  const std::vector<Destination>& destinations() const {
    return Current().config.destinations;
  }
  // If one of the engines cannot take its part, the others may have taken
  // theirs: to be repeated.
  absl::Status SetDestinations(DestinationConfig destinations);

  // True if every destination is delivered by this server.
  bool delivers() const;

  // As those of Engine. If an engine stops first, its destinations are missing.
  void RequestSnapshot(absl::AnyInvocable<void(EngineSnapshot)> done);
  void RequestFlows(absl::AnyInvocable<void(EngineFlows)> done);
  // In the order of the names.
  absl::StatusOr<EngineSnapshot> SnapshotOf(
      const std::vector<absl::string_view>& destinations);

  absl::Status Barrier();
  absl::Status Flush(absl::string_view destination, SettledCallback done,
                     absl::string_view caller = "");
  void StopAccepting();
  bool Drain(Duration timeout);

  // False once any of the spool's shards failed to write.
  bool healthy() const;
  // The first error of one that failed; empty while healthy.
  std::string failure() const;
  SpoolFigures spool_figures() const;

  const Clock& clock() const { return engines_.front()->clock(); }

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

  const std::vector<std::unique_ptr<Engine>> engines_;
  // All that there were: callers hold pointers into them.
  std::vector<std::unique_ptr<Generation>> generations_;
  std::atomic<const Generation*> current_{nullptr};
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENGINES_H_
