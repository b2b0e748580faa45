#include "heap_adapter/sharing/settlement_watch.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/spool/memory_store.h"

namespace heapsync {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr LaneId kLane = 3;

// Counts the requests of the watch.
class CountingStore final : public Store {
 public:
  absl::Status Write(const StoreBatch& batch, Durability durability) override {
    return memory_.Write(batch, durability);
  }
  absl::Status Resume() override { return memory_.Resume(); }
  absl::StatusOr<std::optional<std::string>> Get(
      absl::string_view key) const override {
    return memory_.Get(key);
  }
  std::unique_ptr<StoreCursor> Scan(absl::string_view begin,
                                    absl::string_view end) const override {
    return memory_.Scan(begin, end);
  }
  absl::StatusOr<std::optional<std::pair<std::string, std::string>>> Last(
      absl::string_view begin, absl::string_view end) const override {
    return memory_.Last(begin, end);
  }
  absl::StatusOr<FirstEntries> FirstOfEach(
      absl::Span<const KeyRange> ranges) const override {
    ++requests;
    if (!failure.ok()) return failure;
    return memory_.FirstOfEach(ranges);
  }

  mutable int requests = 0;
  absl::Status failure;

 private:
  MemoryStore memory_;
};

class SettlementWatchTest : public ::testing::Test {
 protected:
  // What `items` came to; none while they are waited for.
  using End = std::shared_ptr<std::optional<Settlement>>;
  End Wait(SeqRange items, LaneId lane = kLane) {
    auto end = std::make_shared<std::optional<Settlement>>();
    watch_.Wait(lane, items,
                [end](Settlement settlement) { *end = settlement; });
    return end;
  }
  void Look() {
    now_ += seconds(2);
    watch_.Look(now_);
  }
  void Settle(SeqRange items) {
    progress_.Settle(items);
    SpoolChange change;
    change.PutProgress(kLane, progress_);
    Commit(change);
  }
  void Commit(const SpoolChange& change) {
    ASSERT_TRUE(spool_->Commit(change).ok());
  }
  void Defer(Seq seq) {
    SpoolChange change;
    change.PutDeferred(kLane, {.seq = seq, .identity_hash = 7, .text = "{}"});
    Commit(change);
  }
  void EndDeferred(Seq seq) {
    SpoolChange change;
    change.DeleteDeferred(kLane, 7, seq);
    Commit(change);
  }
  void PutLetter(Seq seq) {
    SpoolChange change;
    change.PutDeadLetter(kLane, {.seq = seq, .text = "{}"});
    Commit(change);
  }
  void Forward(Forwarding::Kind kind, SeqRange from, Seq into) {
    SpoolChange change;
    change.PutForwarding(kLane, {.kind = kind, .from = from, .into = into});
    Commit(change);
  }
  static void ExpectEnd(const End& end, uint64_t delivered,
                        uint64_t dead_lettered) {
    ASSERT_TRUE(end->has_value());
    EXPECT_EQ((*end)->delivered, delivered);
    EXPECT_EQ((*end)->dead_lettered, dead_lettered);
  }

  CountingStore store_;
  std::unique_ptr<Spool> spool_ = *Spool::Open(store_, 42);
  SettlementWatch watch_{*spool_};
  LaneProgress progress_;
  MonotonicTime now_{seconds(1'000)};
};

TEST_F(SettlementWatchTest, EndsOnceTheLastItemIsSettled) {
  const End end = Wait({10, 12});
  Settle({0, 11});
  Look();
  EXPECT_FALSE(end->has_value());
  EXPECT_FALSE(watch_.empty());
  Settle({11, 12});
  Look();
  ExpectEnd(end, 2, 0);
  EXPECT_TRUE(watch_.empty());
}

TEST_F(SettlementWatchTest, ItemsSettledBeforeTheirPredecessorsHaveEnded) {
  const End end = Wait({10, 12});
  Settle({8, 13});
  Look();
  ExpectEnd(end, 2, 0);
}

TEST_F(SettlementWatchTest, DeadLettersCountAsSuch) {
  const End end = Wait({0, 3});
  PutLetter(1);
  Settle({0, 3});
  Look();
  ExpectEnd(end, 2, 1);
}

TEST_F(SettlementWatchTest, ADeferredItemIsWaitedFor) {
  const End end = Wait({0, 1});
  Defer(0);
  Settle({0, 1});
  Look();
  EXPECT_FALSE(end->has_value());
  EndDeferred(0);
  Look();
  ExpectEnd(end, 1, 0);
}

TEST_F(SettlementWatchTest, ACoalescedItemEndsWithItsCarrier) {
  const End end = Wait({0, 1});
  Settle({0, 1});
  Forward(Forwarding::Kind::kCoalesced, {0, 1}, 5);
  Look();
  EXPECT_FALSE(end->has_value());
  Defer(5);
  Settle({5, 6});
  Look();
  EXPECT_FALSE(end->has_value());
  PutLetter(5);
  EndDeferred(5);
  Look();
  ExpectEnd(end, 0, 1);
}

TEST_F(SettlementWatchTest, ACarrierMayTravelInsideAnother) {
  const End end = Wait({0, 1});
  Settle({0, 6});
  Forward(Forwarding::Kind::kCoalesced, {0, 1}, 4);
  Forward(Forwarding::Kind::kCoalesced, {4, 5}, 5);
  Look();
  ExpectEnd(end, 1, 0);
}

TEST_F(SettlementWatchTest, ALetterThatWasReplayedSinceWasADeadLetter) {
  const End replayed = Wait({0, 1});
  const End discarded = Wait({1, 2});
  Settle({0, 10});
  Forward(Forwarding::Kind::kReplayed, {0, 1}, 20);
  Forward(Forwarding::Kind::kDiscarded, {1, 8}, 0);
  Look();
  ExpectEnd(replayed, 0, 1);
  ExpectEnd(discarded, 0, 1);
}

TEST_F(SettlementWatchTest, ForwardingsOfItemsBehindAreNoneOfItsOwn) {
  const End end = Wait({0, 1});
  Settle({0, 4});
  Forward(Forwarding::Kind::kDiscarded, {1, 4}, 0);
  Look();
  ExpectEnd(end, 1, 0);
}

TEST_F(SettlementWatchTest, OneRequestAsksForAllThatIsWaitedFor) {
  for (Seq seq = 0; seq < 1'000; ++seq) {
    Wait({seq, seq + 1}, static_cast<LaneId>(seq % 10));
  }
  store_.requests = 0;
  Look();
  EXPECT_EQ(store_.requests, 1);
}

TEST_F(SettlementWatchTest, WithoutWaitsNothingIsAsked) {
  store_.requests = 0;
  Look();
  EXPECT_EQ(store_.requests, 0);
}

TEST_F(SettlementWatchTest, ADeferredItemIsAskedForEverLessOften) {
  Wait({0, 1});
  Defer(0);
  Settle({0, 1});
  store_.requests = 0;
  for (int i = 0; i < 100; ++i) {
    now_ += milliseconds(50);
    watch_.Look(now_);
  }
  // Five seconds: one request for the progress each time, and for the item
  // after 0, 50, 100, 200, 400, 800 ms and then every second.
  EXPECT_EQ(store_.requests, 100 + 9);
}

TEST_F(SettlementWatchTest, OnceNobodyListensItIsForgotten) {
  auto listener = std::make_shared<int>();
  bool called = false;
  watch_.Wait(kLane, {0, 1},
              {std::weak_ptr<const void>(listener),
               [&called](Settlement) { called = true; }});
  listener.reset();
  Settle({0, 1});
  Look();
  EXPECT_FALSE(called);
  EXPECT_TRUE(watch_.empty());
}

TEST_F(SettlementWatchTest, WhatCannotBeReadWaits) {
  const End end = Wait({0, 1});
  Settle({0, 1});
  store_.failure = absl::UnavailableError("away");
  Look();
  EXPECT_FALSE(end->has_value());
  store_.failure = absl::OkStatus();
  Look();
  ExpectEnd(end, 1, 0);
}

TEST_F(SettlementWatchTest, WaitsAreBounded) {
  EXPECT_TRUE(watch_.HasRoom());
  for (size_t i = 0; i < SettlementWatch::kMaxWaits; ++i) Wait({i, i + 1});
  EXPECT_FALSE(watch_.HasRoom());
}

}  // namespace
}  // namespace heapsync
