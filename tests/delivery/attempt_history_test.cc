#include "heap_adapter/delivery/attempt_history.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/spool/memory_store.h"

namespace heapsync {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;

constexpr WallTime kStart{seconds(1'705'314'600)};
constexpr uint64_t kMaxKept = 20;

MonotonicTime At(int64_t second) { return MonotonicTime(seconds(second)); }

class AttemptHistoryTest : public ::testing::Test {
 protected:
  AttemptHistoryTest() { Restart(); }

  // What was committed is all there is.
  void Restart() {
    spool_ = *Spool::Open(store_, 42);
    history_ = std::make_unique<AttemptHistory>(*spool_, kMaxKept);
    ASSERT_TRUE(history_->Recover().ok());
  }
  AttemptId Add() {
    const AttemptId id = history_->NextId(kStart);
    SpoolChange change;
    history_->Add(id, {.lane = 1, .started_at = kStart, .ended_at = kStart},
                  change);
    history_->Prune(At(0), change);
    EXPECT_TRUE(spool_->Commit(change).ok());
    return id;
  }
  std::vector<AttemptId> Attempts() const {
    std::vector<AttemptId> ids;
    EXPECT_TRUE(spool_->attempts()
                    .VisitAttempts(0,
                                   [&](AttemptId id, const AttemptRecord&) {
                                     ids.push_back(id);
                                     return true;
                                   })
                    .ok());
    return ids;
  }
  AttemptId BeginUsage() {
    const AttemptId id = history_->NextId(kStart);
    SpoolChange change;
    change.PutUsage(id, {.lane = 1, .identities = {{7, 1}}});
    EXPECT_TRUE(spool_->Commit(change).ok());
    return id;
  }
  std::vector<AttemptId> UsageAfterPruneAt(MonotonicTime now) {
    SpoolChange change;
    history_->Prune(now, change);
    EXPECT_TRUE(spool_->Commit(change).ok());
    std::vector<AttemptId> ids;
    EXPECT_TRUE(spool_->attempts()
                    .VisitUsage([&](AttemptId id, const UsageRecord&) {
                      ids.push_back(id);
                    })
                    .ok());
    return ids;
  }

  MemoryStore store_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<AttemptHistory> history_;
};

TEST_F(AttemptHistoryTest, IdsGrowEvenIfTheClockGoesBackOverARestart) {
  const AttemptId first = Add();
  EXPECT_EQ(history_->NextId(kStart - seconds(10)), first + 1);
  Restart();
  EXPECT_EQ(history_->NextId(kStart - seconds(10)), first + 1);
  EXPECT_EQ(history_->NextId(kStart + seconds(10)),
            static_cast<AttemptId>(
                (kStart + seconds(10)).time_since_epoch().count()));
}

TEST_F(AttemptHistoryTest, TheNewestAreKeptAndOfTheRestNoMoreThanAFew) {
  std::vector<AttemptId> added;
  for (int i = 0; i < 200; ++i) {
    added.push_back(Add());
    const std::vector<AttemptId> kept = Attempts();
    ASSERT_EQ(std::vector<AttemptId>(added.end() - kept.size(), added.end()),
              kept);
    ASSERT_GE(kept.size(), std::min<uint64_t>(added.size(), kMaxKept));
    ASSERT_LT(kept.size(), kMaxKept + 8);
  }
}

TEST_F(AttemptHistoryTest, ThoseOfEarlierProcessesAreForgottenToo) {
  for (uint64_t i = 0; i < kMaxKept; ++i) Add();
  const AttemptId oldest = Attempts().front();
  Restart();
  for (int i = 0; i < 8; ++i) Add();
  EXPECT_GT(Attempts().front(), oldest);
  EXPECT_EQ(Attempts().size(), kMaxKept);
}

TEST_F(AttemptHistoryTest, WhatWasUsedIsKeptForAMinuteAfterTheEnd) {
  const AttemptId first = BeginUsage();
  const AttemptId second = BeginUsage();
  const AttemptId in_flight = BeginUsage();
  history_->EndUsage(first, At(10));
  history_->EndUsage(second, At(20));
  EXPECT_THAT(UsageAfterPruneAt(At(70) - Duration(1)),
              ElementsAre(first, second, in_flight));
  EXPECT_THAT(UsageAfterPruneAt(At(70)), ElementsAre(second, in_flight));
  EXPECT_THAT(UsageAfterPruneAt(At(1'000)), ElementsAre(in_flight));
}

}  // namespace
}  // namespace heapsync
