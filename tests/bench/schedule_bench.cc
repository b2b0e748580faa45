// What it costs to decide what is sent when: a lane's pulls and the whole
// dispatcher, over a store and a Heap that cost little. Build it with the
// release preset; numbers from other builds mean nothing.

#include <time.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "heap_adapter/delivery/dispatcher.h"
#include "heap_adapter/delivery/lane.h"
#include "heap_adapter/intake/committer.h"
#include "heap_adapter/scheduling/usage_ledger.h"
#include "heap_adapter/spool/spool.h"
#include "tests/intake/commit_pending.h"
#include "tests/spool/memory_store.h"

namespace heapsync {
namespace {

constexpr uint64_t kBatchItems = 1'000;
constexpr uint64_t kTextBytes = 250;
constexpr uint64_t kEpoch = 1;
constexpr Now kStart{.wall = WallTime(std::chrono::seconds(1'705'314'600)),
                     .monotonic = MonotonicTime(std::chrono::hours(1))};

EncodedChunk Chunk(uint64_t items) {
  EncodedChunk chunk{.accepted_at = kStart.wall, .items = {}, .text = {}};
  for (uint64_t n = 0; n < items; ++n) {
    chunk.items.push_back(
        {.size = kTextBytes, .identity_hash = n * 0x9e3779b97f4a7c15});
  }
  chunk.text.assign(items * kTextBytes, 'x');
  return chunk;
}

Destination Unlimited(uint64_t n) {
  return {.name = absl::StrCat("d", n),
          .app_id = AppId::Parse(absl::StrCat(n + 1)).value(),
          .limits = {.events_per_minute = 0,
                     .events_per_identity_per_minute = 0,
                     .user_requests_per_identity_per_30s = 0}};
}

// Answers everything with 200, at once.
class KindTransport final : public Transport {
 public:
  void Send(HeapRequest request) override {
    answers_.push_back({.request_id = request.id,
                        .result = HttpResponse{
                            .status = 200, .retry_after = {}, .body = "{}"}});
  }
  std::vector<HeapResponse> Wait(Duration) override {
    return std::exchange(answers_, {});
  }
  void Wake() override {}

 private:
  std::vector<HeapResponse> answers_;
};

// Per event: read from its block, put into a batch, settled.
void BM_LanePull(benchmark::State& state) {
  const bool limited = state.range(0) == 1;
  MemoryStore store;
  const auto spool = Spool::Open(store, 1).value();
  SpoolChange change;
  const StoredLane lane{.id = 1,
                        .key = {.destination = "d0"},
                        .progress = {},
                        .head = 100 * kBatchItems};
  for (Seq block = 0; block < 100; ++block) {
    BlockBuilder builder;
    const std::string text(kTextBytes, 'x');
    for (uint64_t n = 0; n < kBatchItems; ++n) {
      builder.Add({.accepted_at = kStart.wall,
                   .identity_hash = n * 0x9e3779b97f4a7c15,
                   .text = text});
    }
    change.PutBlock(1, (block + 1) * kBatchItems - 1, builder.Take(0));
  }
  if (!spool->Commit(change).ok()) state.SkipWithError("not stored");
  const Destination destination = Unlimited(0);
  // Wide enough never to be reached: its cost is what is measured.
  UsageLedger ledger({.window = std::chrono::seconds(60),
                      .total = limited ? 1'000'000'000u : 0,
                      .per_identity = limited ? 1'000'000'000u : 0});
  AttemptId last_id = 0;
  const auto next_id = [&] { return ++last_id; };
  const Lane::PullRules rules{.now = kStart,
                              .destination = destination,
                              .ledger = &ledger,
                              .next_id = next_id};
  auto puller =
      std::make_unique<Lane>(*spool, lane, std::vector<DeferredIdentity>());
  while (state.KeepRunningBatch(kBatchItems)) {
    if (puller->idle()) {
      puller =
          std::make_unique<Lane>(*spool, lane, std::vector<DeferredIdentity>());
    }
    SpoolChange pulled;
    auto pull = puller->Next(rules, pulled);
    if (!pull.ok() || !pull->batch.has_value()) {
      return state.SkipWithError("nothing to pull");
    }
    ledger.Refund(pull->attempt);
    puller->Deliver(*pull->batch, pulled);
  }
}
BENCHMARK(BM_LanePull)->ArgName("limited")->Arg(0)->Arg(1);

// Per event: accepted, committed, batched, sent, answered, settled; with this
// many destinations in turn.
void BM_DispatcherStep(benchmark::State& state) {
  std::vector<Destination> destinations;
  for (int64_t n = 0; n < state.range(0); ++n) {
    destinations.push_back(Unlimited(static_cast<uint64_t>(n)));
  }
  MemoryStore store;
  const auto spool = Spool::Open(store, 1).value();
  std::vector<StoredLane> lanes;
  for (const Destination& destination : destinations) {
    for (const ObjectType type : kObjectTypes) {
      lanes.push_back({.id = static_cast<LaneId>(lanes.size() + 1),
                       .key = {.destination = destination.name, .type = type},
                       .progress = {}});
    }
  }
  std::vector<Committer::Notices> notices;
  Committer committer(*spool, {}, lanes, [&](Committer::Notices each) {
    notices.push_back(std::move(each));
  });
  KindTransport transport;
  Dispatcher dispatcher(
      *spool, committer, transport, {}, [] { return 0.5; }, nullptr);
  if (!dispatcher.Start(destinations, lanes, kStart, kEpoch).ok())
    state.SkipWithError("failed");
  Now now = kStart;
  const EncodedChunk chunk = Chunk(kBatchItems);
  size_t turn = 0;
  while (state.KeepRunningBatch(kBatchItems)) {
    const LaneId lane = lanes[3 * (turn++ % destinations.size())].id;
    if (!committer.Append(lane, chunk, [](absl::StatusOr<SeqRange>) {}).ok()) {
      return state.SkipWithError("refused");
    }
    now.monotonic += std::chrono::milliseconds(1);
    now.wall += std::chrono::milliseconds(1);
    do {
      for (Committer::Notices& each : std::exchange(notices, {})) {
        dispatcher.OnNotices(std::move(each), now);
      }
      while (dispatcher.Step(now) == Dispatcher::kMoreToDo) continue;
      for (const HeapResponse& response : transport.Wait({})) {
        dispatcher.OnResponse(response, now);
      }
    } while (CommitPending(committer) || !notices.empty());
  }
  if (dispatcher.queued_items() != 0) state.SkipWithError("items are left");
}
BENCHMARK(BM_DispatcherStep)->ArgName("destinations")->Arg(1)->Arg(10'000);

// Processor time of this thread.
std::chrono::nanoseconds ThreadTime() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) +
         std::chrono::nanoseconds(time.tv_nsec);
}

// `properties` properties with values of `value_bytes`, from the `from`th on.
std::string Update(uint64_t user, uint64_t from, uint64_t properties,
                   size_t value_bytes) {
  std::string text =
      absl::StrCat(R"({"identity":"user)", user, R"(","properties":{)");
  for (uint64_t n = 0; n < properties; ++n) {
    absl::StrAppend(&text, n == 0 ? "" : ",", "\"p", 100'000 + from + n,
                    "\":\"", std::string(value_bytes, 'x'), "\"");
  }
  return text + "}}";
}

struct Flood {
  const char* label;
  uint64_t users;
  // What each user has at first.
  uint64_t first_properties;
  size_t first_value_bytes;
  // Updates of all users in turn.
  uint64_t updates;
  uint64_t properties;
  size_t value_bytes;
};
constexpr Flood kFloods[] = {
    {"tiny updates of one large user", 1, 1'000, 480, 8'000, 1, 1},
    {"tiny updates of 64 large users", 64, 1'000, 480, 8'000, 1, 1},
    {"1,000 tiny properties of one user", 1, 1, 1, 2'000, 1'000, 1},
    {"large updates of one user", 1, 1, 1, 64, 1'000, 480},
    {"large updates of 64 users", 64, 1, 1, 256, 1'000, 480},
};

// Per update of a user whose request is in flight most of the time. The longest
// step is what another destination may have to wait for.
void BM_CoalescingFlood(benchmark::State& state) {
  const Flood& flood = kFloods[state.range(0)];
  state.SetLabel(flood.label);
  const std::vector<Destination> destinations = {Unlimited(0)};
  std::chrono::nanoseconds longest[3] = {};
  while (state.KeepRunningBatch(static_cast<int64_t>(flood.updates))) {
    state.PauseTiming();
    MemoryStore store;
    const auto spool = Spool::Open(store, 1).value();
    std::vector<StoredLane> lanes = {
        {.id = 1,
         .key = {.destination = "d0", .type = ObjectType::kUserProperties},
         .progress = {}}};
    std::vector<Committer::Notices> notices;
    Committer committer(*spool, {}, lanes, [&](Committer::Notices each) {
      notices.push_back(std::move(each));
    });
    KindTransport transport;
    Dispatcher dispatcher(
        *spool, committer, transport, {}, [] { return 0.5; }, nullptr);
    if (!dispatcher.Start(destinations, lanes, kStart, kEpoch).ok()) {
      return state.SkipWithError("failed");
    }
    Now now = kStart;
    const auto measure = [&](int kind, auto step) {
      const auto begin = ThreadTime();
      state.ResumeTiming();
      step();
      state.PauseTiming();
      longest[kind] = std::max(longest[kind], ThreadTime() - begin);
    };
    const auto append = [&](uint64_t user, const std::string& text) {
      EncodedChunk chunk{
          .accepted_at = kStart.wall,
          .items = {{static_cast<uint32_t>(text.size()), user + 1}},
          .text = text};
      if (!committer.Append(1, chunk, [](absl::StatusOr<SeqRange>) {}).ok()) {
        state.SkipWithError("refused");
      }
    };
    const auto turn = [&](bool answer) {
      now.monotonic += std::chrono::milliseconds(500);
      now.wall += std::chrono::milliseconds(500);
      bool stored = true;
      while (stored) {
        for (Committer::Notices& each : std::exchange(notices, {})) {
          measure(0, [&] { dispatcher.OnNotices(std::move(each), now); });
        }
        measure(
            1, [&] { stored = dispatcher.Step(now) == Dispatcher::kMoreToDo; });
        if (answer) {
          for (const HeapResponse& each : transport.Wait({})) {
            measure(2, [&] { dispatcher.OnResponse(each, now); });
          }
        }
        stored = CommitPending(committer) || !notices.empty() || stored;
      }
    };
    for (uint64_t user = 0; user < flood.users; ++user) {
      append(user,
             Update(user, 0, flood.first_properties, flood.first_value_bytes));
    }
    turn(false);
    // Responses come late, so that most is coalesced while it waits.
    size_t pending_bytes = 0;
    for (uint64_t n = 0; n < flood.updates; ++n) {
      const std::string text = Update(n % flood.users, n * flood.properties,
                                      flood.properties, flood.value_bytes);
      append(n % flood.users, text);
      pending_bytes += text.size();
      if (n % 1'000 == 999 || pending_bytes > (1 << 22)) {
        turn(n % 4'000 == 3'999);
        pending_bytes = 0;
      }
    }
    for (int n = 0; n < 10'000 && dispatcher.queued_items() > 0; ++n) {
      turn(true);
    }
    if (dispatcher.queued_items() != 0) state.SkipWithError("items are left");
    state.ResumeTiming();
  }
  constexpr const char* kNames[] = {"notices_ms", "step_ms", "response_ms"};
  for (int kind = 0; kind < 3; ++kind) {
    state.counters[kNames[kind]] =
        std::chrono::duration<double, std::milli>(longest[kind]).count();
  }
}
BENCHMARK(BM_CoalescingFlood)->ArgName("flood")->DenseRange(0, 4);

// Per identity of a request, over a window of many.
void BM_Ledger(benchmark::State& state) {
  UsageLedger ledger({.window = std::chrono::seconds(60),
                      .total = 1'000'000'000,
                      .per_identity = 1'000'000});
  MonotonicTime now = kStart.monotonic;
  uint64_t attempt = 0;
  uint64_t identity = 0;
  while (state.KeepRunningBatch(kBatchItems)) {
    now += std::chrono::milliseconds(500);
    benchmark::DoNotOptimize(ledger.Advance(now));
    Usage usage;
    for (uint64_t n = 0; n < kBatchItems; ++n) {
      identity += 0x9e3779b97f4a7c15;
      benchmark::DoNotOptimize(ledger.IdentityAllowance(identity));
      usage.emplace_back(identity, 1);
    }
    ledger.Begin(++attempt, std::move(usage));
    ledger.End(attempt, now);
  }
}
BENCHMARK(BM_Ledger);

}  // namespace
}  // namespace heapsync
