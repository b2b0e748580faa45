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

absl::flat_hash_map<std::string, size_t> RanksOf(
    const std::vector<Destination>& destinations) {
  absl::flat_hash_map<std::string, size_t> ranks;
  for (const Destination& destination : destinations) {
    ranks.emplace(destination.name, ranks.size());
  }
  return ranks;
}

std::vector<std::unique_ptr<Engine>> One(std::unique_ptr<Engine> engine) {
  std::vector<std::unique_ptr<Engine>> one;
  one.push_back(std::move(engine));
  return one;
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
                 DestinationConfig destinations)
    : engines_(std::move(engines)) {
  HEAPSYNC_CHECK(!engines_.empty()) << "no engine";
  generations_.push_back(std::make_unique<Generation>(std::move(destinations)));
  current_ = generations_.back().get();
}

Engines::Engines(std::unique_ptr<Engine> engine)
    : engines_(One(std::move(engine))) {
  generations_.push_back(
      std::make_unique<Generation>(engines_.front()->configuration()));
  current_ = generations_.back().get();
}

size_t Engines::ShardFor(absl::string_view destination) const {
  if (engines_.size() == 1) return 0;
  return static_cast<size_t>(
      ShardOf(destination, static_cast<int32_t>(engines_.size())));
}

size_t Engines::ShardWithSpool(uint64_t spool_id) const {
  size_t shard = 0;
  while (shard < size() && engines_[shard]->spool_id() != spool_id) ++shard;
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
  for (size_t shard = 0; shard < size(); ++shard) {
    absl::Status set =
        engines_[shard]->SetDestinations(std::move(parts[shard]));
    if (!set.ok()) return set;
  }
  auto generation = std::make_unique<Generation>(std::move(destinations));
  current_.store(generation.get(), std::memory_order_release);
  generations_.push_back(std::move(generation));
  return absl::OkStatus();
}

bool Engines::delivers() const {
  return std::all_of(engines_.begin(), engines_.end(),
                     [](const auto& engine) { return engine->delivers(); });
}

void Engines::RequestSnapshot(absl::AnyInvocable<void(EngineSnapshot)> done) {
  if (size() == 1) return engines_.front()->RequestSnapshot(std::move(done));
  const auto gathering = std::make_shared<Gathering<EngineSnapshot>>(
      [now = clock().Read(), ranks = RanksOf(destinations()),
       done = std::move(done)](std::vector<EngineSnapshot> parts) mutable {
        done(Together(std::move(parts), now, ranks));
      });
  for (const auto& engine : engines_) {
    engine->RequestSnapshot(
        [gathering = gathering](EngineSnapshot part) mutable {
          gathering->Put(std::move(part));
          gathering.reset();
        });
  }
}

void Engines::RequestFlows(absl::AnyInvocable<void(EngineFlows)> done) {
  if (size() == 1) return engines_.front()->RequestFlows(std::move(done));
  const auto gathering = std::make_shared<Gathering<EngineFlows>>(
      [now = clock().Read(), ranks = RanksOf(destinations()),
       done = std::move(done)](std::vector<EngineFlows> parts) mutable {
        done(Together(std::move(parts), now, ranks));
      });
  for (const auto& engine : engines_) {
    engine->RequestFlows([gathering = gathering](EngineFlows part) mutable {
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
    auto part = engines_[shard]->SnapshotOf(names[shard]);
    if (!part.ok()) return part;
    parts.push_back(*std::move(part));
  }
  return Together(std::move(parts), now, ranks);
}

absl::Status Engines::Barrier() {
  absl::Status status;
  for (const auto& engine : engines_) status.Update(engine->Barrier());
  return status;
}

absl::Status Engines::Flush(absl::string_view destination, SettledCallback done,
                            absl::string_view caller) {
  if (size() == 1 || !destination.empty()) {
    return For(destination).Flush(destination, std::move(done), caller);
  }
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
  for (const auto& engine : engines_) {
    absl::Status begun = engine->Flush(
        "", {listener, [join](Settlement part) { join->End(part); }}, caller);
    if (!begun.ok()) return begun;
  }
  return absl::OkStatus();
}

void Engines::StopAccepting() {
  for (const auto& engine : engines_) engine->StopAccepting();
}

bool Engines::Drain(Duration timeout) {
  if (size() == 1) return engines_.front()->Drain(timeout);
  const MonotonicTime deadline = clock().Read().monotonic + timeout;
  const auto left = [&] {
    return std::max<Duration>(deadline - clock().Read().monotonic,
                              Duration::zero());
  };
  bool drained = true;
  std::vector<Future<Settlement>> ends;
  for (const auto& engine : engines_) {
    if (!engine->delivers()) {
      drained = engine->Barrier(left()).ok() && drained;
      continue;
    }
    Promise<Settlement> end;
    ends.push_back(end.future());
    const absl::Status begun = engine->Flush(
        "", [end = std::move(end)](Settlement settlement) mutable {
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
  return std::all_of(engines_.begin(), engines_.end(),
                     [](const auto& engine) { return engine->healthy(); });
}

std::string Engines::failure() const {
  for (const auto& engine : engines_) {
    if (std::string failure = engine->failure(); !failure.empty()) {
      return failure;
    }
  }
  return "";
}

SpoolFigures Engines::spool_figures() const {
  SpoolFigures sum;
  for (const auto& engine : engines_) {
    const SpoolFigures figures = engine->spool_figures();
    sum.healthy = sum.healthy && figures.healthy;
    sum.disk_nearly_full = sum.disk_nearly_full || figures.disk_nearly_full;
    sum.commits += figures.commits;
    sum.syncs += figures.syncs;
  }
  return sum;
}

}  // namespace heapsync
