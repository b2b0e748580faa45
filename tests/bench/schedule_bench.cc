// What it costs to decide what is sent when: a lane's pulls and the whole
// dispatcher, over a store and a Heap that cost little. Build it with the
// release preset; numbers from other builds mean nothing.

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
      dispatcher.Step(now);
      dispatcher.OnResponses(transport.Wait({}), now);
    } while (CommitPending(committer) || !notices.empty());
  }
  if (dispatcher.queued_items() != 0) state.SkipWithError("items are left");
}
BENCHMARK(BM_DispatcherStep)->ArgName("destinations")->Arg(1)->Arg(10'000);

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
