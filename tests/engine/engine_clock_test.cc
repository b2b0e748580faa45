// The engine with its threads, and time that advances only while it waits for
// Heap.

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "heap_adapter/engine.h"
#include "tests/spool/memory_store.h"

namespace heapsync {
namespace {

class MovedClock final : public Clock {
 public:
  void Advance(Duration time) { passed_ += time.count(); }
  Now Read() const override {
    const Duration passed(passed_.load());
    return {.wall = WallTime(std::chrono::seconds(1'700'000'000)) + passed,
            .monotonic = MonotonicTime(std::chrono::seconds(5)) + passed};
  }
  uint64_t Epoch() const override { return 1; }

 private:
  std::atomic<Duration::rep> passed_{0};
};

// Heap accepts everything and takes seven seconds per request.
class SlowHeap final : public Transport {
 public:
  static constexpr Duration kTakes = std::chrono::seconds(7);

  explicit SlowHeap(MovedClock& clock) : clock_(clock) {}

  void Send(HeapRequest request) override {
    answers_.push_back(
        {.request_id = request.id,
         .result = HttpResponse{
             .status = 200, .retry_after = std::nullopt, .body = "{}"}});
  }
  std::vector<HeapResponse> Wait(Duration timeout) override {
    if (!answers_.empty()) {
      clock_.Advance(kTakes);
      return std::exchange(answers_, {});
    }
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, timeout, [this] { return woken_; });
    woken_ = false;
    return {};
  }
  void Wake() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      woken_ = true;
    }
    changed_.notify_all();
  }

 private:
  MovedClock& clock_;
  std::vector<HeapResponse> answers_;  // of the dispatcher's thread
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
};

TEST(EngineClockTest, ARequestEndsWhenItsAnswerIsThereAndNoMomentSooner) {
  MovedClock clock;
  SlowHeap heap(clock);
  MemoryStore store;
  Destination destination{.name = "prod", .app_id = *AppId::Parse("1")};
  destination.batch.max_wait = std::chrono::milliseconds(0);
  EngineOptions options;
  options.destinations.destinations.push_back(destination);
  options.destinations.default_destination = "prod";
  std::vector<Duration> steps;
  options.on_step = [&steps](Duration step) { steps.push_back(step); };
  Duration latency{};
  auto engine = Engine::Start(
      store, heap, clock, std::move(options),
      [&latency](const AttemptEvent& event) { latency = event.latency; });
  ASSERT_TRUE(engine.ok()) << engine.status();

  std::promise<void> settled;
  const Destination& prod = *(*engine)->FindDestination("prod");
  EncodedChunk chunk;
  chunk.accepted_at = clock.Read().wall;
  chunk.items.push_back({.size = 2, .identity_hash = 1});
  chunk.text = "{}";
  ASSERT_TRUE((*engine)
                  ->Append(
                      prod, (*engine)->LaneFor(prod, ObjectType::kTrackEvent),
                      std::move(chunk), [](absl::StatusOr<SeqRange>) {},
                      [&settled](Settlement) { settled.set_value(); })
                  .ok());
  settled.get_future().get();
  engine->reset();
  EXPECT_EQ(latency, SlowHeap::kTakes);
  // No step waits for Heap.
  EXPECT_GT(steps.size(), 3);
  EXPECT_EQ(steps, std::vector<Duration>(steps.size()));
}

TEST(EngineSnapshotTest, ManyDestinationsAreTakenInSeveralSteps) {
  constexpr size_t kDestinations = 1'000;
  MovedClock clock;
  SlowHeap heap(clock);
  MemoryStore store;
  EngineOptions options;
  for (size_t i = 0; i < kDestinations; ++i) {
    options.destinations.destinations.push_back(
        {.name = absl::StrCat("d", i), .app_id = *AppId::Parse("1")});
  }
  options.destinations.default_destination = "d0";
  std::atomic<int> steps = 0;
  options.on_step = [&steps](Duration) { ++steps; };
  auto engine = Engine::Start(store, heap, clock, std::move(options), nullptr);
  ASSERT_TRUE(engine.ok()) << engine.status();

  const int before = steps;
  std::promise<int> done;
  (*engine)->RequestSnapshot([&](const EngineSnapshot& snapshot) {
    EXPECT_EQ(snapshot.destinations.size(), kDestinations);
    EXPECT_EQ(snapshot.destinations.back().name, "d999");
    done.set_value(steps);
  });
  // The other commands, and in between the requests that may start.
  EXPECT_GE(done.get_future().get() - before, 6);
}

}  // namespace
}  // namespace heapsync
