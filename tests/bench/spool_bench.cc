// What it costs to keep items: blocks, and the store underneath. Build it with
// the release preset; numbers from other builds mean nothing.

#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "heap_adapter/spool/block.h"
#include "heap_adapter/spool/rocksdb/rocksdb_store.h"
#include "heap_adapter/spool/seq_set.h"
#include "heap_adapter/spool/spool.h"

namespace heapsync {
namespace {

constexpr uint64_t kBlockItems = 1'000;
constexpr LaneId kLane = 1;
constexpr WallTime kAcceptedAt(std::chrono::seconds(1'705'314'600));

// About as long as a purchase; its digits differ, as those of keys do.
std::string ItemText(uint64_t n) {
  return absl::StrCat(
      R"({"identity":"margaret.)", n * 2'654'435'761, R"(@example.com",)",
      R"("event":"Purchase Completed","timestamp":"2024-01-15T10:30:00Z",)",
      R"("properties":{"amount":49.99,"currency":"USD","items":3,)",
      R"("plan":"Enterprise, yearly","returning":"true"},)",
      R"("idempotency_key":")", absl::Hex(n * 0x9e3779b97f4a7c15),
      absl::Hex(n * 0xc2b2ae3d27d4eb4f), R"("})");
}

std::string Block(uint64_t first) {
  BlockBuilder builder;
  for (uint64_t n = first; n < first + kBlockItems; ++n) {
    builder.Add({.accepted_at = kAcceptedAt,
                 .identity_hash = n * 0x9e3779b97f4a7c15,
                 .text = ItemText(n)});
  }
  return builder.Take(first);
}

// A RocksDB spool in a folder that goes when it does.
class DiskSpool {
 public:
  DiskSpool() {
    if (mkdtemp(folder_.data()) == nullptr) std::abort();
    store_ = OpenRocksDbStore({.path = folder_ + "/spool"}).value();
    spool_ = Spool::Open(*store_, 1).value();
  }
  ~DiskSpool() {
    spool_.reset();
    store_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Spool& spool() { return *spool_; }

 private:
  std::string folder_ =
      std::filesystem::temp_directory_path() / "heapsync_spool_bench.XXXXXX";
  std::unique_ptr<Store> store_;
  std::unique_ptr<Spool> spool_;
};

void BM_BuildBlock(benchmark::State& state) {
  const std::string text = ItemText(7);
  BlockBuilder builder;
  while (state.KeepRunningBatch(kBlockItems)) {
    for (uint64_t n = 0; n < kBlockItems; ++n) {
      builder.Add({.accepted_at = kAcceptedAt,
                   .identity_hash = n * 0x9e3779b97f4a7c15,
                   .text = text});
    }
    benchmark::DoNotOptimize(builder.Take(1));
  }
}
BENCHMARK(BM_BuildBlock);

void BM_ReadBlock(benchmark::State& state) {
  const std::string value = Block(0);
  while (state.KeepRunningBatch(kBlockItems)) {
    const BlockReader reader(value, kBlockItems - 1);
    if (!reader.status().ok()) state.SkipWithError("damaged");
    benchmark::DoNotOptimize(reader.items().data());
  }
}
BENCHMARK(BM_ReadBlock);

// Per item, in blocks of 1,000, with or without a sync after each.
void BM_AppendToDisk(benchmark::State& state) {
  DiskSpool disk;
  const std::string block = Block(0);
  Seq last = 0;
  while (state.KeepRunningBatch(kBlockItems)) {
    last += kBlockItems;
    SpoolChange change;
    change.PutBlock(kLane, last, block);
    if (state.range(0) == 1) change.RequireDisk();
    if (!disk.spool().Commit(change).ok()) state.SkipWithError("not stored");
  }
}
BENCHMARK(BM_AppendToDisk)->ArgName("sync")->Arg(0)->Arg(1)->UseRealTime();

// Per item: what a lane reads on its way through a backlog, and what it deletes
// behind itself.
void BM_ReadFromDisk(benchmark::State& state) {
  constexpr Seq kBlocks = 500;
  DiskSpool disk;
  const auto fill = [&] {
    for (Seq n = 1; n <= kBlocks; ++n) {
      SpoolChange change;
      change.PutBlock(kLane, n * kBlockItems - 1, Block(n * kBlockItems));
      if (!disk.spool().Commit(change).ok()) state.SkipWithError("not stored");
    }
  };
  fill();
  Seq next = 0;
  while (state.KeepRunningBatch(kBlockItems)) {
    if (next == kBlocks * kBlockItems) {
      state.PauseTiming();
      fill();
      next = 0;
      state.ResumeTiming();
    }
    const auto block = disk.spool().ReadBlock(kLane, next);
    if (!block.ok() || !block->has_value()) return state.SkipWithError("gone");
    next = (*block)->last + 1;
    SpoolChange change;
    change.DeleteBlock(kLane, (*block)->last);
    if (!disk.spool().Commit(change).ok()) state.SkipWithError("not stored");
  }
}
BENCHMARK(BM_ReadFromDisk)->UseRealTime();

// Deliveries that end out of order, as with several requests in flight.
void BM_SettleItems(benchmark::State& state) {
  LaneProgress progress;
  Seq next = 0;
  while (state.KeepRunningBatch(2 * kBlockItems)) {
    for (Seq n = 0; n < kBlockItems; ++n) {
      progress.Settle({next + kBlockItems + n, next + kBlockItems + n + 1});
    }
    for (Seq n = 0; n < kBlockItems; ++n) {
      progress.Settle({next + n, next + n + 1});
    }
    next += 2 * kBlockItems;
  }
  benchmark::DoNotOptimize(progress.low_watermark);
}
BENCHMARK(BM_SettleItems);

}  // namespace
}  // namespace heapsync
