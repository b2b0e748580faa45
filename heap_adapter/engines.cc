#include "heap_adapter/engines.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/mutex.h"
#include "base/promise.h"
#include "heap_adapter/spool/shards.h"

namespace heapsync {
namespace {

// The answers of several engines to one question, shared by the callbacks that
// put them. The last to let go, with an answer or without, reports what there
// is. A callback lets go as soon as it has run: it may live on for a while.
template <typename Answer>
class Gathering {
 public:
  using Done = absl::AnyInvocable<void(std::vector<Answer>)>;
  explicit Gathering(Done done) : done_(std::move(done)) {}
  ~Gathering() { done_(std::move(answers_)); }
  Gathering(const Gathering&) = delete;
  Gathering& operator=(const Gathering&) = delete;

  void Put(Answer answer) {
    MutexLock lock(mutex_);
    answers_.push_back(std::move(answer));
  }

 private:
  Done done_;
  Mutex mutex_;
  std::vector<Answer> answers_;
};

const std::string& NameOf(const DestinationSnapshot& destination) {
  return destination.name;
}
const std::string& NameOf(const DestinationFlow& destination) {
  return destination.destination->name;
}

// Puts the destinations of several answers into one, in the order of `rank`.
template <typename Answer>
Answer Together(std::vector<Answer> answers, Now now,
                const absl::flat_hash_map<std::string, size_t>& rank) {
  Answer together;
  together.taken_at = now;
  for (Answer& answer : answers) {
    // A part of no time could not be read.
    if (answer.taken_at.monotonic != MonotonicTime() &&
        answer.taken_at.monotonic < together.taken_at.monotonic) {
      together.taken_at = answer.taken_at;
    }
    std::move(answer.destinations.begin(), answer.destinations.end(),
              std::back_inserter(together.destinations));
    if constexpr (requires { answer.accepted; }) {
      std::move(answer.accepted.begin(), answer.accepted.end(),
                std::back_inserter(together.accepted));
    }
  }
  const auto rank_of = [&rank](const auto& destination) {
    const auto found = rank.find(NameOf(destination));
    return found == rank.end() ? rank.size() : found->second;
  };
  std::stable_sort(
      together.destinations.begin(), together.destinations.end(),
      [&](const auto& a, const auto& b) { return rank_of(a) < rank_of(b); });
  return together;
}

// Tells of every destination that its database is away, if it is.
EngineSnapshot WithAway(EngineSnapshot part, const absl::Status& there) {
  if (there.ok()) return part;
  for (DestinationSnapshot& each : part.destinations) {
    each.last_error = std::string(there.message());
  }
  return part;
}

absl::flat_hash_map<std::string, size_t> RanksOf(
    const std::vector<Destination>& destinations) {
  absl::flat_hash_map<std::string, size_t> ranks;
  for (const Destination& destination : destinations) {
    ranks.emplace(destination.name, ranks.size());
  }
  return ranks;
}

}  // namespace

Engines::Generation::Generation(DestinationConfig config_in)
    : config(std::move(config_in)) {
  for (const Destination& destination : config.destinations) {
    by_name.emplace(destination.name, &destination);
  }
}

std::vector<DestinationConfig> Engines::Split(const DestinationConfig& all,
                                              size_t shards) {
  std::vector<DestinationConfig> parts(shards);
  for (DestinationConfig& part : parts) {
    part.default_destination = all.default_destination;
  }
  for (const Destination& destination : all.destinations) {
    const int32_t shard =
        ShardOf(destination.name, static_cast<int32_t>(shards));
    parts[static_cast<size_t>(shard)].destinations.push_back(destination);
  }
  return parts;
}

Engines::Engines(std::vector<std::unique_ptr<Engine>> engines,
                 DestinationConfig destinations) {
  HEAPSYNC_CHECK(!engines.empty()) << "no engine";
  generations_.push_back(std::make_unique<Generation>(std::move(destinations)));
  current_ = generations_.back().get();
  wanted_ = current_.load();
  for (auto& engine : engines) AddEngine(std::move(engine));
}

Engines::Engines(std::unique_ptr<Engine> engine) {
  generations_.push_back(std::make_unique<Generation>(engine->configuration()));
  current_ = generations_.back().get();
  wanted_ = current_.load();
  AddEngine(std::move(engine));
}

void Engines::AddEngine(std::unique_ptr<Engine> engine) {
  Slot& slot = *slots_.emplace_back(std::make_unique<Slot>());
  slot.engine = engine.get();
  MutexLock lock(slot.mutex);
  slot.taken = current_;
  MutexLock engines_lock(engines_mutex_);
  engines_.push_back(std::move(engine));
}

size_t Engines::ShardFor(absl::string_view destination) const {
  if (size() == 1) return 0;
  return static_cast<size_t>(
      ShardOf(destination, static_cast<int32_t>(size())));
}

size_t Engines::ShardWithSpool(uint64_t spool_id) const {
  size_t shard = 0;
  while (shard < size() && (*this)[shard].spool_id() != spool_id) ++shard;
  return shard;
}

const Destination* Engines::FindDestination(absl::string_view name) const {
  const Generation& current = Current();
  if (name.empty()) name = current.config.default_destination;
  const auto it = current.by_name.find(name);
  return it == current.by_name.end() ? nullptr : it->second;
}

absl::Status Engines::SetDestinations(DestinationConfig destinations) {
  std::vector<DestinationConfig> parts = Split(destinations, size());
  const Generation* const next =
      generations_
          .emplace_back(std::make_unique<Generation>(std::move(destinations)))
          .get();
  // From here on, a shard that comes back takes it.
  wanted_ = next;
  for (size_t shard = 0; shard < size(); ++shard) {
    Slot& slot = *slots_[shard];
    if (slot.away) continue;
    MutexLock lock(slot.mutex);
    if (slot.away || slot.taken == next) continue;
    absl::Status set = slot.Get().SetDestinations(std::move(parts[shard]));
    if (!set.ok()) return set;
    slot.taken = next;
  }
  current_.store(next, std::memory_order_release);
  return absl::OkStatus();
}

bool Engines::delivers() const {
  return CheckAll().ok() &&
         AllOf([](const Engine& engine) { return engine.delivers(); });
}

void Engines::RequestSnapshot(absl::AnyInvocable<void(EngineSnapshot)> done) {
  if (size() == 1) return (*this)[0].RequestSnapshot(std::move(done));
  const auto gathering = std::make_shared<Gathering<EngineSnapshot>>(
      [now = clock().Read(), ranks = RanksOf(destinations()),
       done = std::move(done)](std::vector<EngineSnapshot> parts) mutable {
        done(Together(std::move(parts), now, ranks));
      });
  for (size_t shard = 0; shard < size(); ++shard) {
    Engine& engine = (*this)[shard];
    const absl::Status there = CheckShard(shard);
    if (!there.ok() && !engine.delivers()) {
      gathering->Put(WithAway(engine.AcceptedHere(), there));
      continue;
    }
    engine.RequestSnapshot(
        [gathering = gathering, there](EngineSnapshot part) mutable {
          gathering->Put(WithAway(std::move(part), there));
          gathering.reset();
        });
  }
}

void Engines::RequestFlows(absl::AnyInvocable<void(EngineFlows)> done) {
  if (size() == 1) return (*this)[0].RequestFlows(std::move(done));
  const auto gathering = std::make_shared<Gathering<EngineFlows>>(
      [now = clock().Read(), ranks = RanksOf(destinations()),
       done = std::move(done)](std::vector<EngineFlows> parts) mutable {
        done(Together(std::move(parts), now, ranks));
      });
  for (size_t shard = 0; shard < size(); ++shard) {
    Engine& engine = (*this)[shard];
    // A gap in the history.
    if (is_away(shard) && !engine.delivers()) continue;
    engine.RequestFlows([gathering = gathering](EngineFlows part) mutable {
      gathering->Put(std::move(part));
      gathering.reset();
    });
  }
}

absl::StatusOr<EngineSnapshot> Engines::SnapshotOf(
    const std::vector<absl::string_view>& destinations) {
  std::vector<std::vector<absl::string_view>> names(size());
  absl::flat_hash_map<std::string, size_t> ranks;
  for (const absl::string_view name : destinations) {
    names[ShardFor(name)].push_back(name);
    ranks.emplace(std::string(name), ranks.size());
  }
  std::vector<EngineSnapshot> parts;
  const Now now = clock().Read();
  for (size_t shard = 0; shard < size(); ++shard) {
    if (names[shard].empty()) continue;
    Engine& engine = (*this)[shard];
    const absl::Status there = CheckShard(shard);
    absl::StatusOr<EngineSnapshot> part;
    if (!there.ok() && !engine.delivers()) {
      part = engine.AcceptedHere();
      std::erase_if(part->destinations, [&](const auto& each) {
        return std::find(names[shard].begin(), names[shard].end(), each.name) ==
               names[shard].end();
      });
    } else {
      part = engine.SnapshotOf(names[shard]);
      if (!part.ok()) return part;
    }
    parts.push_back(WithAway(*std::move(part), there));
  }
  return Together(std::move(parts), now, ranks);
}

absl::StatusOr<std::optional<WallTime>> Engines::OldestWaiting(
    absl::string_view destination, const LaneSnapshot& lane) const {
  const size_t shard = ShardFor(destination);
  if (is_away(shard)) return std::nullopt;
  return (*this)[shard].OldestWaiting(lane);
}

absl::Status Engines::Barrier() {
  absl::Status status;
  for (size_t shard = 0; shard < size(); ++shard) {
    status.Update((*this)[shard].Barrier());
  }
  return status;
}

absl::Status Engines::Flush(absl::string_view destination, SettledCallback done,
                            absl::string_view caller) {
  if (size() == 1 || !destination.empty()) {
    const size_t shard = ShardFor(destination);
    if (absl::Status s = CheckShard(shard); !s.ok()) return s;
    return (*this)[shard].Flush(destination, std::move(done), caller);
  }
  if (absl::Status s = CheckAll(); !s.ok()) return s;
  struct Join {
    Mutex mutex;
    size_t open ABSL_GUARDED_BY(mutex) = 0;
    Settlement total ABSL_GUARDED_BY(mutex);
    SettledCallback done;
    void End(Settlement part) {
      Settlement sum;
      {
        MutexLock lock(mutex);
        total.delivered += part.delivered;
        total.dead_lettered += part.dead_lettered;
        total.abandoned = total.abandoned || part.abandoned;
        if (--open > 0) return;
        sum = total;
      }
      done(sum);
    }
  };
  // Shared by the engines' callbacks: the last of them ends it.
  const auto join = std::make_shared<Join>();
  const auto listener = done.listener();
  join->done = std::move(done);
  {
    MutexLock lock(join->mutex);
    join->open = size();
  }
  for (size_t shard = 0; shard < size(); ++shard) {
    absl::Status begun = (*this)[shard].Flush(
        "", {listener, [join](Settlement part) { join->End(part); }}, caller);
    if (!begun.ok()) return begun;
  }
  return absl::OkStatus();
}

void Engines::StopAccepting() {
  for (size_t shard = 0; shard < size(); ++shard) {
    (*this)[shard].StopAccepting();
  }
}

bool Engines::Drain(Duration timeout) {
  if (size() == 1) return (*this)[0].Drain(timeout);
  const MonotonicTime deadline = clock().Read().monotonic + timeout;
  const auto left = [&] {
    return std::max<Duration>(deadline - clock().Read().monotonic,
                              Duration::zero());
  };
  bool drained = true;
  std::vector<Future<Settlement>> ends;
  for (size_t shard = 0; shard < size(); ++shard) {
    Engine& engine = (*this)[shard];
    if (is_away(shard)) {
      drained = false;
      continue;
    }
    if (!engine.delivers()) {
      drained = engine.Barrier(left()).ok() && drained;
      continue;
    }
    Promise<Settlement> end;
    ends.push_back(end.future());
    const absl::Status begun =
        engine.Flush("", [end = std::move(end)](Settlement settlement) mutable {
          end.Set(settlement);
        });
    drained = begun.ok() && drained;
  }
  for (Future<Settlement>& end : ends) {
    drained = end.WaitFor(left()).has_value() && drained;
  }
  return drained;
}

bool Engines::healthy() const {
  return AllOf([](const Engine& engine) { return engine.healthy(); });
}

std::string Engines::failure() const {
  for (size_t shard = 0; shard < size(); ++shard) {
    if (is_away(shard)) continue;
    std::string failure = (*this)[shard].failure();
    if (!failure.empty()) return failure;
  }
  return "";
}

SpoolFigures Engines::spool_figures() const {
  SpoolFigures sum{.healthy = healthy()};
  for (size_t shard = 0; shard < size(); ++shard) {
    if (is_away(shard)) continue;
    sum.disk_nearly_full =
        sum.disk_nearly_full || (*this)[shard].spool_figures().disk_nearly_full;
  }
  // A counter does not fall when an engine is replaced.
  MutexLock lock(engines_mutex_);
  for (const auto& engine : engines_) {
    sum.commits += engine->spool_figures().commits;
    sum.syncs += engine->spool_figures().syncs;
  }
  return sum;
}

}  // namespace heapsync
