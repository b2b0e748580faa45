#include "heap_adapter/spool/spool.h"

#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "heap_adapter/spool/block.h"
#include "tests/spool/memory_store.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr WallTime kTime{std::chrono::seconds(1'705'314'600)};
constexpr LaneId kLane = 1;
constexpr LaneId kLastLane = std::numeric_limits<LaneId>::max();
constexpr uint64_t kLastHash = std::numeric_limits<uint64_t>::max();
constexpr Seq kLastSeq = std::numeric_limits<Seq>::max();

std::vector<Seq> SeqsOf(const std::vector<DeferredItem>& items) {
  std::vector<Seq> seqs;
  for (const DeferredItem& item : items) seqs.push_back(item.seq);
  return seqs;
}

class SpoolTest : public ::testing::Test {
 protected:
  void Commit(const SpoolChange& change) {
    ASSERT_TRUE(spool_->Commit(change).ok());
  }
  // A block of items with `size` bytes each.
  void PutBlock(LaneId lane, SeqRange items, size_t size, uint64_t lane_bytes) {
    BlockBuilder builder;
    const std::string text(size, 'x');
    for (uint64_t i = 0; i < items.size(); ++i) builder.Add({.text = text});
    SpoolChange change;
    change.PutBlock(lane, items.end - 1, builder.Take(lane_bytes));
    Commit(change);
  }
  void PutDamagedBlock(LaneId lane, Seq last) {
    SpoolChange change;
    change.PutBlock(lane, last, "damaged");
    Commit(change);
  }
  void PutLane(LaneId lane, SeqRange settled = {}) {
    SpoolChange change;
    change.PutLane(lane, {.destination = "prod"});
    LaneProgress progress;
    progress.Settle(settled);
    change.PutProgress(lane, progress);
    Commit(change);
  }
  void PutDeferred(LaneId lane, uint64_t hash, Seq seq) {
    SpoolChange change;
    change.PutDeferred(lane, {.seq = seq,
                              .accepted_at = kTime,
                              .identity_hash = hash,
                              .replays = 1,
                              .text = "{}"});
    Commit(change);
  }
  void PutAttempt(AttemptId id, SeqSet seqs, LaneId lane = kLane) {
    SpoolChange change;
    change.PutAttempt(id, {.lane = lane,
                           .summary = {},
                           .seqs = std::move(seqs),
                           .coalesced = {}});
    Commit(change);
  }
  std::vector<AttemptId> AttemptsOf(Seq seq, LaneId lane = kLane) {
    std::vector<AttemptId> ids;
    const auto attempts = spool_->attempts().FindAttempts(lane, seq);
    EXPECT_TRUE(attempts.ok()) << attempts.status();
    for (const auto& [id, record] : *attempts) ids.push_back(id);
    return ids;
  }
  std::vector<Seq> DeadLettersFrom(LaneId lane, Seq from, size_t limit = 100) {
    std::vector<Seq> seqs;
    EXPECT_TRUE(spool_
                    ->VisitDeadLetters(lane, from,
                                       [&](const DeadLetter& letter) {
                                         seqs.push_back(letter.seq);
                                         return seqs.size() < limit;
                                       })
                    .ok());
    return seqs;
  }
  StoredLane OnlyLane() {
    auto lanes = spool_->Lanes();
    EXPECT_TRUE(lanes.ok()) << lanes.status();
    EXPECT_EQ(lanes->size(), 1);
    return lanes->front();
  }

  MemoryStore store_;
  std::unique_ptr<Spool> spool_ = *Spool::Open(store_, 42);
};

SeqSet Seqs(SeqRange range) {
  SeqSet set;
  set.Add(range);
  return set;
}

TEST_F(SpoolTest, KeepsItsIdOverRestartsAndCrashes) {
  store_.CrashMachine(0);
  EXPECT_EQ((*Spool::Open(store_, 43))->id(), 42);
}

TEST_F(SpoolTest, RefusesAStoreOfANewerVersion) {
  StoreBatch batch;
  batch.Put("Mformat", "2");
  ASSERT_TRUE(store_.Write(batch, Durability::kDisk).ok());
  EXPECT_EQ(Spool::Open(store_, 1).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(SpoolTest, ReportsThatItsIdIsMissing) {
  StoreBatch batch;
  batch.Delete("Mid");
  ASSERT_TRUE(store_.Write(batch, Durability::kDisk).ok());
  EXPECT_EQ(Spool::Open(store_, 1).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(SpoolTest, ChangeIsStoredAtOnceAndSyncedOnlyOnDemand) {
  SpoolChange change;
  change.PutPaused("a", true);
  SpoolChange synced;
  synced.PutPaused("b", true);
  synced.RequireDisk();
  const uint64_t syncs = store_.syncs();
  Commit(change);
  EXPECT_EQ(store_.syncs(), syncs);
  change.Append(std::move(synced));
  EXPECT_EQ(change.durability(), Durability::kDisk);
  const uint64_t writes = store_.writes();
  Commit(change);
  EXPECT_EQ(store_.syncs(), syncs + 1);
  EXPECT_EQ(store_.writes(), writes + 1);
}

TEST_F(SpoolTest, ListsLanesWithTheirKeys) {
  SpoolChange change;
  change.PutLane(2, {.destination = "b", .type = ObjectType::kUserProperties});
  change.PutLane(kLastLane, {.destination = "a"});
  change.PutLane(0, {.destination = ""});
  Commit(change);
  const auto lanes = *spool_->Lanes();
  ASSERT_EQ(lanes.size(), 3);
  EXPECT_EQ(lanes[0].id, 0);
  EXPECT_EQ(lanes[1].key, (LaneKey{"b", ObjectType::kUserProperties}));
  EXPECT_EQ(lanes[2].id, kLastLane);
  EXPECT_EQ(lanes[2].head, 0);
}

TEST_F(SpoolTest, LaneGoesOnBehindItsLastBlock) {
  PutLane(kLane);
  PutBlock(kLane, {0, 10}, 5, 50);
  PutBlock(kLane, {10, 12}, 5, 60);
  PutBlock(kLane + 1, {0, 99}, 5, 495);
  EXPECT_EQ(OnlyLane().head, 12);
}

TEST_F(SpoolTest, NeverReusesSequencesOnceAllBlocksAreDeleted) {
  PutLane(kLane, {0, 12});
  EXPECT_EQ(OnlyLane().head, 12);
  LaneProgress progress{.low_watermark = 3, .settled = Seqs({5, 40})};
  SpoolChange change;
  change.PutProgress(kLane, progress);
  Commit(change);
  EXPECT_EQ(OnlyLane().head, 40);
}

TEST_F(SpoolTest, KnowsTheTextSizeOfALaneWithoutReadingIt) {
  PutLane(kLane, {0, 10});
  PutBlock(kLane, {10, 14}, 5, 70);
  PutBlock(kLane, {14, 16}, 5, 80);
  EXPECT_EQ(OnlyLane().lane_bytes, 80);
  EXPECT_EQ(OnlyLane().settled_bytes, 50);
}

TEST_F(SpoolTest, KnowsTheTextSizeOfALaneWhoseNewestBlocksAreDamaged) {
  PutLane(kLane);
  PutBlock(kLane, {0, 4}, 5, 70);
  PutDamagedBlock(kLane, 5);
  PutDamagedBlock(kLane, 7);
  EXPECT_EQ(OnlyLane().head, 8);
  EXPECT_EQ(OnlyLane().lane_bytes, 70);
  EXPECT_EQ(OnlyLane().settled_bytes, 50);
}

TEST_F(SpoolTest, KnowsTheTextSizeOfALaneWhoseOldestBlocksAreDamaged) {
  PutLane(kLane);
  PutDamagedBlock(kLane, 3);
  PutBlock(kLane, {4, 6}, 5, 80);
  EXPECT_EQ(OnlyLane().lane_bytes, 80);
  EXPECT_EQ(OnlyLane().settled_bytes, 70);
}

TEST_F(SpoolTest, KnowsNoTextSizeOfALaneThatIsAllDamaged) {
  PutLane(kLane);
  PutDamagedBlock(kLane, 3);
  EXPECT_EQ(OnlyLane().lane_bytes, OnlyLane().settled_bytes);
}

TEST_F(SpoolTest, NamesTheLaneThatIsDamaged) {
  StoreBatch batch;
  batch.Put(std::string("L\0\0\0\7", 5), "damaged");
  ASSERT_TRUE(store_.Write(batch, Durability::kDisk).ok());
  EXPECT_EQ(spool_->Lanes().status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(spool_->Lanes().status().message(), HasSubstr("lane 7"));
}

TEST_F(SpoolTest, ReadsTheBlockThatHoldsAnItemOrElseTheNext) {
  PutBlock(kLastLane, {0, 10}, 1, 10);
  PutBlock(kLastLane, {15, 20}, 1, 20);
  EXPECT_EQ((*spool_->ReadBlock(kLastLane, 0))->last, 9);
  EXPECT_EQ((*spool_->ReadBlock(kLastLane, 9))->last, 9);
  EXPECT_EQ((*spool_->ReadBlock(kLastLane, 10))->last, 19);
  EXPECT_EQ(*spool_->ReadBlock(kLastLane, 20), std::nullopt);
  EXPECT_EQ(*spool_->ReadBlock(kLastLane - 1, 0), std::nullopt);
}

TEST_F(SpoolTest, ReadsABlockWithTheLastSequenceOfAll) {
  SpoolChange change;
  change.PutBlock(kLastLane, kLastSeq, "x");
  change.PutBlock(kLastLane - 1, kLastSeq, "y");
  Commit(change);
  EXPECT_EQ((*spool_->ReadBlock(kLastLane, 5))->value, "x");
  EXPECT_EQ((*spool_->ReadBlock(kLastLane - 1, kLastSeq))->value, "y");
}

TEST_F(SpoolTest, DeletesBlocks) {
  PutBlock(kLane, {0, 10}, 1, 10);
  SpoolChange change;
  change.DeleteBlock(kLane, 9);
  Commit(change);
  EXPECT_EQ(*spool_->ReadBlock(kLane, 0), std::nullopt);
}

TEST_F(SpoolTest, RemembersWhoIsPaused) {
  SpoolChange change;
  change.PutPaused("prod", true);
  change.PutPaused("", true);
  Commit(change);
  EXPECT_TRUE(*spool_->IsPaused("prod"));
  EXPECT_TRUE(*spool_->IsPaused(""));
  EXPECT_FALSE(*spool_->IsPaused("pro"));
  SpoolChange resumed;
  resumed.PutPaused("prod", false);
  Commit(resumed);
  EXPECT_FALSE(*spool_->IsPaused("prod"));
}

TEST_F(SpoolTest, ReadsDeferredItemsByIdentityAndInOrder) {
  for (const uint64_t hash : {kLastHash, kLastHash - 1, uint64_t{0}}) {
    for (const Seq seq : {Seq{300}, Seq{2}, kLastSeq}) {
      PutDeferred(kLastLane, hash, seq - hash % 2);
    }
  }
  EXPECT_THAT(
      SeqsOf(*spool_->deferred().ReadDeferred(kLastLane, kLastHash, 0, 9)),
      ElementsAre(1, 299, kLastSeq - 1));
  EXPECT_THAT(SeqsOf(*spool_->deferred().ReadDeferred(kLastLane, 0, 3, 9)),
              ElementsAre(300, kLastSeq));
  EXPECT_THAT(SeqsOf(*spool_->deferred().ReadDeferred(kLastLane, 0, 0, 2)),
              ElementsAre(2, 300));
  EXPECT_THAT(*spool_->deferred().ReadDeferred(kLastLane, 5, 0, 9), IsEmpty());
  EXPECT_THAT(*spool_->deferred().ReadDeferred(kLastLane - 1, 0, 0, 9),
              IsEmpty());
}

TEST_F(SpoolTest, FindsAndDeletesAnDeferredItem) {
  PutDeferred(kLane, 7, 5);
  const auto item = *spool_->deferred().FindDeferred(kLane, 5);
  ASSERT_TRUE(item.has_value());
  EXPECT_EQ(item->seq, 5);
  EXPECT_EQ(item->identity_hash, 7);
  EXPECT_EQ(item->accepted_at, kTime);
  EXPECT_EQ(item->replays, 1);
  EXPECT_EQ(item->text, "{}");
  EXPECT_FALSE(spool_->deferred().FindDeferred(kLane, 4)->has_value());
  SpoolChange change;
  change.DeleteDeferred(kLane, 7, 5);
  Commit(change);
  EXPECT_FALSE(spool_->deferred().FindDeferred(kLane, 5)->has_value());
  EXPECT_THAT(*spool_->deferred().ReadDeferred(kLane, 7, 0, 9), IsEmpty());
}

TEST_F(SpoolTest, ListsTheIdentitiesThatHaveDeferredItems) {
  PutDeferred(kLane, kLastHash, 9);
  PutDeferred(kLane, 3, 4);
  PutDeferred(kLane, 3, 8);
  PutDeferred(kLane, 3, 6);
  PutDeferred(kLane + 1, 3, 1);
  const auto identities = *spool_->deferred().DeferredIdentities(kLane);
  ASSERT_EQ(identities.size(), 2);
  EXPECT_EQ(identities[0].hash, 3);
  EXPECT_EQ(identities[0].items, 3);
  EXPECT_EQ(identities[0].first, 4);
  EXPECT_EQ(identities[0].last, 8);
  EXPECT_EQ(identities[1].hash, kLastHash);
  EXPECT_EQ(identities[1].items, 1);
}

TEST_F(SpoolTest, KeepsVisitsAndDeletesDeadLetters) {
  SpoolChange change;
  for (const Seq seq : {Seq{9}, Seq{3}, kLastSeq}) {
    change.PutDeadLetter(kLastLane,
                         {.seq = seq, .heap_response = "no", .text = "{}"});
  }
  change.PutDeadLetter(kLastLane - 1,
                       {.seq = 5, .heap_response = {}, .text = {}});
  Commit(change);
  EXPECT_THAT(DeadLettersFrom(kLastLane, 0), ElementsAre(3, 9, kLastSeq));
  EXPECT_THAT(DeadLettersFrom(kLastLane, 4, 1), ElementsAre(9));
  EXPECT_EQ((*spool_->FindDeadLetter(kLastLane, 3))->heap_response, "no");
  EXPECT_EQ((*spool_->FindDeadLetter(kLastLane, 3))->seq, 3);
  SpoolChange deletion;
  deletion.DeleteDeadLetter(kLastLane, 3);
  Commit(deletion);
  EXPECT_FALSE(spool_->FindDeadLetter(kLastLane, 3)->has_value());
  EXPECT_THAT(DeadLettersFrom(kLastLane, 0), ElementsAre(9, kLastSeq));
}

TEST_F(SpoolTest, CountsDeadLettersByLaneOverAStartToo) {
  const auto deltas = [this] {
    std::map<LaneId, std::pair<int64_t, int64_t>> by_lane;
    for (const DeadLetterDelta& each : spool_->TakeDeadLetterDeltas()) {
      by_lane[each.lane] = {each.letters, each.bytes};
    }
    return by_lane;
  };
  SpoolChange change;
  const DeadLetter letter{.seq = 9, .heap_response = "no", .text = "{}"};
  const auto bytes = static_cast<int64_t>(13 + letter.Encode().size());
  for (const LaneId lane : {kLane, kLastLane}) {
    change.PutDeadLetter(lane, letter);
  }
  SpoolChange more;
  more.Append(std::move(change));
  Commit(more);
  EXPECT_THAT(deltas(), ElementsAre(Pair(kLane, Pair(1, bytes)),
                                    Pair(kLastLane, Pair(1, bytes))));
  SpoolChange deletion;
  deletion.DeleteDeadLetter(kLane, 9);
  deletion.DeleteDeadLetter(kLane, 10);  // there is none
  Commit(deletion);
  EXPECT_THAT(deltas(), ElementsAre(Pair(kLane, Pair(-1, -bytes))));
  EXPECT_THAT(deltas(), IsEmpty());
  spool_ = *Spool::Open(store_, 1);
  EXPECT_THAT(deltas(), ElementsAre(Pair(kLastLane, Pair(1, bytes))));
}

TEST_F(SpoolTest, CountsDeadLettersByReasonOverAStartToo) {
  const auto counts = [this] {
    CountsByReason<int64_t> sum{};
    for (const DeadLetterDelta& each : spool_->TakeDeadLetterDeltas()) {
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += each.by_reason[i];
    }
    return sum;
  };
  SpoolChange change;
  for (Seq seq = 1; seq <= 3; ++seq) {
    change.PutDeadLetter(kLane,
                         {.seq = seq, .reason = DeadLetterReason::kRefused});
  }
  change.PutDeadLetter(kLane, {.seq = 9, .reason = DeadLetterReason::kDamaged});
  Commit(change);
  EXPECT_THAT(counts(), ElementsAre(0, 3, 0, 0, 1));
  SpoolChange deletion;
  deletion.DeleteDeadLetter(kLane, 2);
  Commit(deletion);
  EXPECT_THAT(counts(), ElementsAre(0, -1, 0, 0, 0));
  spool_ = *Spool::Open(store_, 1);
  EXPECT_THAT(counts(), ElementsAre(0, 2, 0, 0, 1));
}

TEST_F(SpoolTest, FindsForwardingsByAnyOfTheirItems) {
  SpoolChange change;
  change.PutForwarding(kLane, {.from = {10, 20}, .into = 99, .at = kTime});
  change.PutForwarding(kLane, {.from = {30, 31}, .into = 5, .at = kTime});
  Commit(change);
  EXPECT_EQ((*spool_->FindForwarding(kLane, 10))->into, 99);
  EXPECT_EQ((*spool_->FindForwarding(kLane, 19))->into, 99);
  EXPECT_EQ((*spool_->FindForwarding(kLane, 30))->into, 5);
  for (const Seq seq : {9, 20, 29, 31}) {
    EXPECT_FALSE(spool_->FindForwarding(kLane, seq)->has_value()) << seq;
  }
  EXPECT_FALSE(spool_->FindForwarding(kLane + 1, 10)->has_value());
}

TEST_F(SpoolTest, VisitsAndDeletesForwardings) {
  SpoolChange change;
  change.PutForwarding(kLastLane, {.from = {30, 31}, .into = 5, .at = kTime});
  change.PutForwarding(kLastLane, {.from = {10, 20}, .into = 99, .at = kTime});
  Commit(change);
  std::vector<Seq> into;
  const auto visit = [&](const Forwarding& forwarding) {
    into.push_back(forwarding.into);
    return true;
  };
  ASSERT_TRUE(spool_->VisitForwardings(kLastLane, 0, visit).ok());
  EXPECT_THAT(into, ElementsAre(99, 5));
  SpoolChange deletion;
  deletion.DeleteForwarding(kLastLane, {10, 20});
  Commit(deletion);
  into.clear();
  ASSERT_TRUE(spool_->VisitForwardings(kLastLane, 0, visit).ok());
  EXPECT_THAT(into, ElementsAre(5));
}

TEST_F(SpoolTest, FindsTheAttemptsOfAnItemOldestFirst) {
  PutAttempt(7, Seqs({0, 10}));
  PutAttempt(9, Seqs({5, 6}));
  PutAttempt(8, Seqs({4, 900}));
  PutAttempt(3, Seqs({5, 6}), kLane + 1);
  EXPECT_THAT(AttemptsOf(5), ElementsAre(7, 8, 9));
  EXPECT_THAT(AttemptsOf(0), ElementsAre(7));
  EXPECT_THAT(AttemptsOf(899), ElementsAre(8));
  EXPECT_THAT(AttemptsOf(900), IsEmpty());
}

TEST_F(SpoolTest, FindsAttemptsWithRangesOfMoreThanAThousandItems) {
  PutAttempt(1, Seqs({100, 3'601}));
  SeqSet pieces = Seqs({0, 1'001});
  pieces.Add(SeqRange{2'000, 4'000});
  PutAttempt(2, pieces);
  EXPECT_THAT(AttemptsOf(99), ElementsAre(2));
  EXPECT_THAT(AttemptsOf(100), ElementsAre(1, 2));
  EXPECT_THAT(AttemptsOf(1'000), ElementsAre(1, 2));
  EXPECT_THAT(AttemptsOf(1'001), ElementsAre(1));
  EXPECT_THAT(AttemptsOf(2'000), ElementsAre(1, 2));
  EXPECT_THAT(AttemptsOf(3'600), ElementsAre(1, 2));
  EXPECT_THAT(AttemptsOf(3'601), ElementsAre(2));
  EXPECT_THAT(AttemptsOf(4'000), IsEmpty());
}

TEST_F(SpoolTest, FindsTheAttemptOfTheLastSequences) {
  PutAttempt(1, Seqs({kLastSeq - 1'500, kLastSeq}), kLastLane);
  EXPECT_THAT(AttemptsOf(kLastSeq - 1'500, kLastLane), ElementsAre(1));
  EXPECT_THAT(AttemptsOf(kLastSeq - 1, kLastLane), ElementsAre(1));
}

TEST_F(SpoolTest, ForgetsAnAttemptWithAllOfItsHistory) {
  const size_t before = store_.entries();
  PutAttempt(1, Seqs({100, 3'601}));
  SpoolChange change;
  change.DeleteAttempt(1, **spool_->attempts().FindAttempt(1));
  Commit(change);
  EXPECT_EQ(store_.entries(), before);
}

TEST_F(SpoolTest, VisitsAttemptsFromAnIdOn) {
  for (const AttemptId id : {5u, 1u, 3u}) PutAttempt(id, Seqs({id, id + 1}));
  std::vector<std::pair<AttemptId, Seq>> seen;
  ASSERT_TRUE(
      spool_->attempts()
          .VisitAttempts(2,
                         [&](AttemptId id, const AttemptRecord& record) {
                           seen.emplace_back(id, record.seqs.front());
                           return true;
                         })
          .ok());
  EXPECT_THAT(seen, ElementsAre(Pair(3, 3), Pair(5, 5)));
}

TEST_F(SpoolTest, LastAttemptCountsThoseThatNeverEnded) {
  EXPECT_EQ(*spool_->attempts().LastAttempt(), 0);
  PutAttempt(5, Seqs({1, 2}));
  EXPECT_EQ(*spool_->attempts().LastAttempt(), 5);
  SpoolChange change;
  change.PutUsage(9, {.lane = kLane, .identities = {}});
  Commit(change);
  EXPECT_EQ(*spool_->attempts().LastAttempt(), 9);
}

TEST_F(SpoolTest, KeepsAndForgetsUsage) {
  SpoolChange change;
  change.PutUsage(9, {.lane = kLane, .identities = {{7, 2}}});
  change.PutUsage(kLastSeq, {.lane = kLane, .identities = {{8, 1}}});
  Commit(change);
  std::vector<AttemptId> seen;
  const auto visit = [&](AttemptId id, const UsageRecord& record) {
    EXPECT_EQ(record.identities.size(), 1);
    seen.push_back(id);
  };
  ASSERT_TRUE(spool_->attempts().VisitUsage(visit).ok());
  EXPECT_THAT(seen, ElementsAre(9, kLastSeq));
  SpoolChange deletion;
  deletion.DeleteUsage(9);
  Commit(deletion);
  seen.clear();
  ASSERT_TRUE(spool_->attempts().VisitUsage(visit).ok());
  EXPECT_THAT(seen, ElementsAre(kLastSeq));
}

TEST_F(SpoolTest, PassesOnWhatStorageSays) {
  PutLane(kLane);
  store_.FailReads(absl::InternalError("EIO"), 0);
  EXPECT_EQ(spool_->Lanes().status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(spool_->ReadBlock(kLane, 0).status().code(),
            absl::StatusCode::kInternal);
  EXPECT_FALSE(spool_->deferred().ReadDeferred(kLane, 1, 0, 1).ok());
  EXPECT_FALSE(spool_->deferred().FindDeferred(kLane, 1).ok());
  EXPECT_FALSE(spool_->deferred().DeferredIdentities(kLane).ok());
  EXPECT_FALSE(spool_->FindDeadLetter(kLane, 1).ok());
  EXPECT_FALSE(spool_->FindForwarding(kLane, 1).ok());
  EXPECT_FALSE(spool_->attempts().FindAttempts(kLane, 1).ok());
  EXPECT_FALSE(spool_->attempts().LastAttempt().ok());
  EXPECT_FALSE(spool_->IsPaused("a").ok());
}

}  // namespace
}  // namespace heapsync
