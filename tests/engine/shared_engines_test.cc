// Engines of two servers over one store: what is asked of the one that does not
// deliver.

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/promise.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "heap_adapter/engine.h"
#include "heap_adapter/inspection/dead_letter_order.h"
#include "heap_adapter/spool/spool.h"
#include "tests/engine/append_event.h"
#include "tests/engine/one_way_heap.h"
#include "tests/spool/forwarding_store.h"
#include "tests/spool/memory_store.h"

namespace heapsync {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr auto kPatience = seconds(20);

// What the servers share.
struct Database {
  MemoryStore store;
  Mutex updates;
};

// The database as one server sees it.
class View final : public ForwardingStore {
 public:
  explicit View(Database& database)
      : ForwardingStore(database.store), database_(database) {}
  bool shared() const override { return true; }
  absl::Status Write(const StoreBatch& batch, Durability durability) override {
    MutexLock lock(database_.updates);
    return ForwardingStore::Write(batch, durability);
  }
  absl::Status Update(const std::vector<std::string>& keys, BatchMaker make,
                      Durability durability) override {
    MutexLock lock(database_.updates);
    std::vector<std::optional<std::string>> values;
    for (const std::string& key : keys) {
      auto value = Get(key);
      if (!value.ok()) return value.status();
      values.push_back(*std::move(value));
    }
    return ForwardingStore::Write(make(values), durability);
  }

 private:
  Database& database_;
};

class Server {
 public:
  Server(Database& database, const std::string& name) : view_(database) {
    EngineOptions options;
    options.destinations.destinations.push_back(
        {.name = "prod",
         .app_id = *AppId::Parse("1"),
         .batch = {.max_items = 100,
                   .max_bytes = 1 << 20,
                   .max_wait = std::chrono::milliseconds(0)}});
    options.destinations.default_destination = "prod";
    options.server_name = name;
    options.on_command = [this](const ObeyedCommand& obeyed) {
      MutexLock lock(mutex_);
      log_.push_back(std::string(Name(obeyed.command.kind)) + " from " +
                     obeyed.command.server + ", " + obeyed.command.caller);
    };
    engine_ = *Engine::Open(view_, heap_, SystemClock(), std::move(options),
                            [](const AttemptEvent&) {});
  }
  void Stop() { engine_.reset(); }

  Engine& engine() { return *engine_; }
  OneWayHeap& heap() { return heap_; }
  // What was obeyed.
  std::vector<std::string> log() {
    MutexLock lock(mutex_);
    return log_;
  }

  // Appends one event, and waits for its end.
  std::optional<Settlement> Deliver(Duration patience = kPatience) {
    return Append().WaitFor(patience);
  }
  Future<Settlement> Append() {
    Promise<Settlement> settled;
    auto end = settled.future();
    const auto stored =
        AppendEvent(
            *engine_, *engine_->FindDestination("prod"),
            [settled = std::move(settled)](Settlement settlement) mutable {
              settled.Set(settlement);
            })
            .WaitFor(kPatience);
    EXPECT_TRUE(stored.has_value() && stored->ok());
    return end;
  }
  Future<Settlement> Flush() {
    Promise<Settlement> flushed;
    auto end = flushed.future();
    const absl::Status begun = engine_->Flush(
        "prod", [flushed = std::move(flushed)](Settlement settlement) mutable {
          flushed.Set(settlement);
        });
    EXPECT_TRUE(begun.ok()) << begun;
    return end;
  }
  Future<absl::Status> Pause(Duration patience = kPatience) {
    return Change(&Engine::Pause, patience);
  }
  Future<absl::Status> Resume() { return Change(&Engine::Resume, kPatience); }
  std::vector<FoundDeadLetter> Letters() {
    auto page = engine_->FindDeadLetters({}, {}, 100, DeadLetterScope::kLive);
    EXPECT_TRUE(page.ok()) << page.status();
    return page->letters;
  }
  using Results = absl::StatusOr<std::vector<DeadLetterResult>>;
  Future<Results> Replay(std::vector<FoundDeadLetter> letters) {
    Promise<Results> replayed;
    auto end = replayed.future();
    engine_->Replay(std::move(letters), {}, std::nullopt,
                    {.caller = "someone", .patience = kPatience},
                    [replayed = std::move(replayed)](Results results) mutable {
                      replayed.Set(std::move(results));
                    });
    return end;
  }
  Future<Results> Discard(const std::vector<FoundDeadLetter>& letters) {
    Promise<Results> discarded;
    auto end = discarded.future();
    engine_->Discard(
        letters, {}, {.caller = "someone", .patience = kPatience},
        [discarded = std::move(discarded)](Results results) mutable {
          discarded.Set(std::move(results));
        });
    return end;
  }

 private:
  Future<absl::Status> Change(void (Engine::*change)(absl::string_view,
                                                     const Asker&,
                                                     Engine::PauseDone),
                              Duration patience) {
    Promise<absl::Status> changed;
    auto end = changed.future();
    (*engine_.*change)(
        "prod", {.caller = "someone", .patience = patience},
        [changed = std::move(changed)](absl::Status status) mutable {
          changed.Set(std::move(status));
        });
    return end;
  }

  View view_;
  OneWayHeap heap_;
  Mutex mutex_;
  std::vector<std::string> log_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Engine> engine_;
};

std::vector<DeadLetterOutcome> Outcomes(
    std::optional<Server::Results> results) {
  std::vector<DeadLetterOutcome> outcomes;
  EXPECT_TRUE(results.has_value() && results->ok());
  if (!results.has_value() || !results->ok()) return outcomes;
  for (const DeadLetterResult& result : **results) {
    outcomes.push_back(result.outcome);
  }
  return outcomes;
}

class SharedEnginesTest : public ::testing::Test {
 protected:
  SharedEnginesTest() {
    HEAPSYNC_CHECK(owner_.engine().Deliver().ok());
    polling_ = true;
    poll_ = std::thread([this] {
      // As the owner's membership does.
      while (polling_) {
        {
          MutexLock lock(mutex_);
          if (polled_ != nullptr) polled_->LookAtOthers();
        }
        MutexLock lock(mutex_);
        pause_.WaitFor(mutex_, std::chrono::milliseconds(5));
      }
    });
  }
  ~SharedEnginesTest() override {
    polling_ = false;
    poll_.join();
  }

  void Poll(Engine* engine) {
    MutexLock lock(mutex_);
    polled_ = engine;
  }
  // The owner dies with what it was doing, and the other one takes over.
  void TakeOver() {
    Poll(nullptr);
    owner_.Stop();
    ASSERT_TRUE(other_.engine().Deliver().ok());
    Poll(&other_.engine());
  }
  std::vector<FoundDeadLetter> MakeLetters(int count) {
    owner_.heap().Go(OneWayHeap::Way::kRefuses);
    for (int i = 0; i < count; ++i) {
      EXPECT_EQ(other_.Deliver()->dead_lettered, 1);
    }
    owner_.heap().Go(OneWayHeap::Way::kTakes);
    return other_.Letters();
  }

  Database database_;
  Server owner_{database_, "owner"};
  Server other_{database_, "other"};

 private:
  Mutex mutex_;
  CondVar pause_;
  Engine* polled_ ABSL_GUARDED_BY(mutex_) = &owner_.engine();
  std::atomic<bool> polling_{false};
  std::thread poll_;
};

TEST_F(SharedEnginesTest, ADeliveryIsWaitedForAnywhere) {
  const auto delivered = other_.Deliver();
  ASSERT_TRUE(delivered.has_value());
  EXPECT_EQ(delivered->delivered, 1);
  owner_.heap().Go(OneWayHeap::Way::kRefuses);
  const auto refused = other_.Deliver();
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->dead_lettered, 1);
}

TEST_F(SharedEnginesTest, ADeliveryIsWaitedForWhoeverDelivers) {
  owner_.heap().Go(OneWayHeap::Way::kHangs);
  Future<Settlement> end = other_.Append();
  TakeOver();
  const auto settlement = end.WaitFor(kPatience);
  ASSERT_TRUE(settlement.has_value());
  EXPECT_EQ(settlement->delivered, 1);
}

// A command that was answered tells that earlier ones have been obeyed.
TEST_F(SharedEnginesTest, AFlushWaitsForWhatWasAcceptedAnywhere) {
  EXPECT_EQ(other_.Pause().WaitFor(kPatience), absl::OkStatus());
  Future<Settlement> here = other_.Append();
  Future<Settlement> there = owner_.Append();
  Future<Settlement> flushed = other_.Flush();
  EXPECT_EQ(other_.Pause().WaitFor(kPatience), absl::OkStatus());
  EXPECT_FALSE(flushed.WaitFor(seconds(0)).has_value());
  EXPECT_EQ(other_.Resume().WaitFor(kPatience), absl::OkStatus());
  const auto settlement = flushed.WaitFor(kPatience);
  ASSERT_TRUE(settlement.has_value());
  EXPECT_EQ(settlement->delivered, 2);
  EXPECT_TRUE(here.WaitFor(kPatience).has_value());
  EXPECT_TRUE(there.WaitFor(kPatience).has_value());
}

TEST_F(SharedEnginesTest, AFlushIsEndedByTheNextOwner) {
  EXPECT_EQ(other_.Pause().WaitFor(kPatience), absl::OkStatus());
  Future<Settlement> end = other_.Append();
  Future<Settlement> flushed = other_.Flush();
  EXPECT_EQ(other_.Pause().WaitFor(kPatience), absl::OkStatus());
  TakeOver();
  EXPECT_EQ(other_.Pause().WaitFor(kPatience), absl::OkStatus());
  EXPECT_FALSE(flushed.WaitFor(seconds(0)).has_value());
  EXPECT_EQ(other_.Resume().WaitFor(kPatience), absl::OkStatus());
  const auto settlement = flushed.WaitFor(kPatience);
  ASSERT_TRUE(settlement.has_value());
  EXPECT_EQ(settlement->delivered, 1);
}

TEST_F(SharedEnginesTest, APauseAnywhereHoldsWhereverItIsAccepted) {
  EXPECT_EQ(other_.Pause().WaitFor(kPatience), absl::OkStatus());
  const int requests = owner_.heap().requests();
  Future<Settlement> held = owner_.Append();
  // The second question comes after the dispatcher could have sent it.
  ASSERT_TRUE(owner_.engine().SnapshotOf({"prod"}).ok());
  ASSERT_TRUE(owner_.engine().SnapshotOf({"prod"}).ok());
  EXPECT_EQ(owner_.heap().requests(), requests);
  EXPECT_THAT(owner_.log(),
              ElementsAre("PauseDestination from other, someone"));
}

TEST_F(SharedEnginesTest, WhoPausedSeesThatItIsPaused) {
  EXPECT_EQ(other_.Pause().WaitFor(kPatience), absl::OkStatus());
  const auto seen = other_.engine().SnapshotOf({"prod"});
  ASSERT_TRUE(seen.ok()) << seen.status();
  ASSERT_EQ(seen->destinations.size(), 1);
  EXPECT_EQ(seen->destinations[0].state, DestinationState::kPaused);
  EXPECT_EQ(seen->destinations[0].delivered_by, "owner");
  EXPECT_EQ(seen->destinations[0].masked_app_id,
            owner_.engine().FindDestination("prod")->app_id.Masked());
}

TEST_F(SharedEnginesTest, WithoutAnOwnerAChangeEndsWithAnError) {
  Poll(nullptr);
  owner_.Stop();
  const auto status =
      other_.Pause(std::chrono::milliseconds(100)).WaitFor(kPatience);
  ASSERT_TRUE(status.has_value());
  EXPECT_TRUE(absl::IsDeadlineExceeded(*status)) << *status;
}

TEST_F(SharedEnginesTest, AServerThatStopsLetsNobodyWait) {
  Poll(nullptr);
  owner_.Stop();
  Future<absl::Status> paused = other_.Pause();
  other_.engine().StopAccepting();
  const auto status = paused.WaitFor(kPatience);
  ASSERT_TRUE(status.has_value());
  EXPECT_TRUE(absl::IsUnavailable(*status)) << *status;
}

TEST_F(SharedEnginesTest, LettersAreReplayedAnywhere) {
  const std::vector<FoundDeadLetter> letters = MakeLetters(2);
  ASSERT_EQ(letters.size(), 2);
  auto results = other_.Replay(letters).WaitFor(kPatience);
  EXPECT_THAT(Outcomes(results), ElementsAre(DeadLetterOutcome::kReplayed,
                                             DeadLetterOutcome::kReplayed));
  EXPECT_TRUE((**results)[0].into.has_value());
  ASSERT_TRUE(other_.Flush().WaitFor(kPatience).has_value());
  EXPECT_THAT(other_.Letters(), IsEmpty());
  EXPECT_THAT(owner_.log(),
              ElementsAre("ReplayDeadLetters from other, someone"));
}

TEST_F(SharedEnginesTest, TwoReplaysAtOnceReplayOnce) {
  const std::vector<FoundDeadLetter> letters = MakeLetters(1);
  const int requests = owner_.heap().requests();
  auto here = other_.Replay(letters);
  auto there = owner_.Replay(letters);
  std::vector<DeadLetterOutcome> outcomes = Outcomes(here.WaitFor(kPatience));
  for (const auto outcome : Outcomes(there.WaitFor(kPatience))) {
    outcomes.push_back(outcome);
  }
  EXPECT_THAT(outcomes, UnorderedElementsAre(DeadLetterOutcome::kReplayed,
                                             DeadLetterOutcome::kNotFound));
  ASSERT_TRUE(other_.Flush().WaitFor(kPatience).has_value());
  EXPECT_EQ(owner_.heap().requests(), requests + 1);
}

// The first one dies after it has replayed a letter, and before its answer is
// stored.
TEST_F(SharedEnginesTest, AReplayIsFinishedByTheNextOwner) {
  const std::vector<FoundDeadLetter> letters = MakeLetters(1);
  const auto spool = *Spool::Open(database_.store, 42);
  const auto send = [&](CommandId id) {
    SpoolChange change;
    change.DeleteCommand(id);
    change.PutCommand(
        id, {.kind = CommandRecord::Kind::kReplay,
             .destination = "prod",
             .server = "a third",
             .caller = "someone",
             .body = DeadLetterOrder{.places = {letters[0].place()}}.Encode()});
    ASSERT_TRUE(spool->Commit(change).ok());
  };
  const auto result_of = [&](CommandId id) -> DeadLetterResult {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < deadline) {
      const auto answers = spool->published().ReadAnswers({&id, 1});
      if (!answers.ok() || !(*answers)[0].has_value()) continue;
      const auto results = DecodeResults((*answers)[0]->body);
      if (results.ok() && results->size() == 1) return results->front();
      break;
    }
    ADD_FAILURE() << "no result";
    return {};
  };
  send(77);
  const DeadLetterResult first = result_of(77);
  EXPECT_EQ(first.outcome, DeadLetterOutcome::kReplayed);
  Poll(nullptr);
  send(77);
  TakeOver();
  const DeadLetterResult second = result_of(77);
  EXPECT_EQ(second.outcome, DeadLetterOutcome::kReplayed);
  EXPECT_EQ(second.into, first.into);
  send(78);
  EXPECT_EQ(result_of(78).outcome, DeadLetterOutcome::kNotFound);
}

TEST_F(SharedEnginesTest, LettersAreDiscardedAnywhere) {
  const std::vector<FoundDeadLetter> letters = MakeLetters(1);
  EXPECT_THAT(Outcomes(other_.Discard(letters).WaitFor(kPatience)),
              ElementsAre(DeadLetterOutcome::kDiscarded));
  EXPECT_THAT(other_.Letters(), IsEmpty());
  EXPECT_THAT(Outcomes(other_.Discard(letters).WaitFor(kPatience)),
              ElementsAre(DeadLetterOutcome::kNotFound));
}

TEST_F(SharedEnginesTest, LettersOutliveTheirDestination) {
  const std::vector<FoundDeadLetter> letters = MakeLetters(1);
  DestinationConfig config;
  config.destinations.push_back({.name = "else", .app_id = *AppId::Parse("2")});
  ASSERT_TRUE(owner_.engine().SetDestinations(std::move(config)).ok());
  EXPECT_THAT(Outcomes(other_.Replay(letters).WaitFor(kPatience)),
              ElementsAre(DeadLetterOutcome::kDestinationGone));
  EXPECT_THAT(Outcomes(other_.Discard(letters).WaitFor(kPatience)),
              ElementsAre(DeadLetterOutcome::kDiscarded));
}

TEST_F(SharedEnginesTest, TheServerThatOnlyAcceptsShowsTheWhole) {
  ASSERT_TRUE(other_.Deliver().has_value());
  ASSERT_TRUE(owner_.Deliver().has_value());
  uint64_t arrived = 0;
  uint64_t delivered = 0;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (delivered < 2 && std::chrono::steady_clock::now() < deadline) {
    Promise<EngineSnapshot> promise;
    auto snapshot = promise.future();
    other_.engine().RequestSnapshot(
        [promise = std::move(promise)](EngineSnapshot taken) mutable {
          promise.Set(std::move(taken));
        });
    const auto taken = snapshot.WaitFor(kPatience);
    ASSERT_TRUE(taken.has_value());
    EXPECT_FALSE(other_.engine().delivers());
    arrived = delivered = 0;
    for (const LaneSnapshot& lane : taken->destinations.at(0).lanes) {
      arrived += lane.counts.arrived();
      delivered += lane.counts.delivered;
    }
    uint64_t here = 0;
    for (const LaneSnapshot& lane : taken->accepted.at(0).lanes) {
      here += lane.counts.appended;
    }
    EXPECT_EQ(here, 1);
  }
  EXPECT_EQ(arrived, 2);
  EXPECT_EQ(delivered, 2);
}

}  // namespace
}  // namespace heapsync
