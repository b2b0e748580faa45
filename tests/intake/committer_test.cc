#include "heap_adapter/intake/committer.h"

#include <atomic>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "heap_adapter/spool/block.h"
#include "heap_adapter/spool/failed_cursor.h"
#include "tests/intake/commit_pending.h"
#include "tests/spool/forwarding_store.h"
#include "tests/spool/memory_store.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr WallTime kTime{std::chrono::seconds(1'705'314'600)};
constexpr LaneId kLane = 1;
constexpr LaneId kOther = 2;

EncodedChunk Chunk(const std::vector<std::string>& texts) {
  EncodedChunk chunk{.accepted_at = kTime, .items = {}, .text = {}};
  for (const std::string& text : texts) {
    chunk.items.push_back({static_cast<uint32_t>(text.size()), text.size()});
    chunk.text += text;
  }
  return chunk;
}

class CommitterTest : public ::testing::Test {
 protected:
  CommitterTest() { Restart({}); }

  void Restart(Committer::Options options) {
    SpoolChange change;
    change.PutLane(kLane, {.destination = "a"});
    change.PutLane(kOther, {.destination = "b"});
    ASSERT_TRUE(spool_->Commit(change).ok());
    committer_ = std::make_unique<Committer>(
        *spool_, options, *spool_->Lanes(), [this](Committer::Notices notices) {
          log_.emplace_back("sink");
          for (const Appended& each : notices.appended) {
            notified_.emplace_back(each.lane, each.items.begin);
          }
          for (auto& done : notices.applied) done();
        });
  }
  Committer::AppendDone Done(const std::string& name) {
    return [this, name](const absl::StatusOr<SeqRange>& range) {
      log_.push_back(
          range.ok() ? absl::StrCat(name, " ", range->begin, "-", range->end)
                     : absl::StrCat(name, " failed"));
    };
  }
  absl::Status Append(const std::string& name,
                      const std::vector<std::string>& texts,
                      LaneId lane = kLane) {
    return committer_->Append(lane, Chunk(texts), Done(name));
  }
  void Apply(SpoolChange change, int name) {
    committer_->Apply(std::move(change),
                      [this, name] { applied_.push_back(name); });
  }
  static SpoolChange Letter(Seq seq) {
    SpoolChange change;
    change.PutDeadLetter(kLane, {.seq = seq, .heap_response = {}, .text = {}});
    return change;
  }
  // The lane's blocks: last sequence and number of items.
  std::vector<std::pair<Seq, size_t>> Blocks(LaneId lane = kLane) {
    std::vector<std::pair<Seq, size_t>> blocks;
    for (Seq from = 0;;) {
      const auto block = *spool_->ReadBlock(lane, from);
      if (!block.has_value()) return blocks;
      const BlockReader reader(block->value, block->last);
      EXPECT_TRUE(reader.status().ok());
      blocks.emplace_back(block->last, reader.items().size());
      from = block->last + 1;
    }
  }

  MemoryStore store_;
  std::unique_ptr<Spool> spool_ = *Spool::Open(store_, 42);
  std::unique_ptr<Committer> committer_;
  std::vector<std::string> log_;
  std::vector<std::pair<LaneId, Seq>> notified_;
  std::vector<int> applied_;
};

TEST_F(CommitterTest, ABarrierComesBehindTheNoticesOfItsCommit) {
  ASSERT_TRUE(committer_
                  ->Barrier([this](const absl::Status& status) {
                    log_.emplace_back(status.ok() ? "barrier" : "failed");
                  })
                  .ok());
  ASSERT_TRUE(Append("a", {"{}"}).ok());
  CommitPending(*committer_);
  EXPECT_THAT(log_, ElementsAre("sink", "a 0-1", "barrier"));
}

TEST_F(CommitterTest, ABarrierPassesWhileNothingIsAcceptedAnyLonger) {
  committer_->StopAccepting();
  bool passed = false;
  ASSERT_TRUE(
      committer_
          ->Barrier([&](const absl::Status& status) { passed = status.ok(); })
          .ok());
  CommitPending(*committer_);
  EXPECT_TRUE(passed);
  committer_->Stop();
  EXPECT_TRUE(absl::IsUnavailable(committer_->Barrier([](absl::Status) {})));
}

TEST_F(CommitterTest, HasNothingToDoWhenNothingWaits) {
  EXPECT_FALSE(CommitPending(*committer_));
  EXPECT_EQ(committer_->commits(), 0);
}

TEST_F(CommitterTest, AnswersManyCallersWithOneSync) {
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(Append("a", {"{}", "{}"}).ok());
  const uint64_t syncs = store_.syncs();
  EXPECT_TRUE(log_.empty());
  EXPECT_TRUE(CommitPending(*committer_));
  EXPECT_EQ(store_.syncs(), syncs + 1);
  EXPECT_EQ(committer_->syncs(), 1);
  EXPECT_EQ(log_.size(), 50 + 1);
  EXPECT_THAT(Blocks(), ElementsAre(Pair(99, 100)));
}

TEST_F(CommitterTest, AnswersNobodyBeforeTheSync) {
  uint64_t syncs_when_answered = 0;
  const uint64_t before = store_.syncs();
  ASSERT_TRUE(committer_
                  ->Append(kLane, Chunk({"{}"}),
                           [&](const absl::StatusOr<SeqRange>&) {
                             syncs_when_answered = store_.syncs();
                           })
                  .ok());
  CommitPending(*committer_);
  EXPECT_EQ(syncs_when_answered, before + 1);
}

TEST_F(CommitterTest, NotifiesTheDispatcherFirstAndThenCallersInTheirOrder) {
  ASSERT_TRUE(Append("first", {"{}"}).ok());
  ASSERT_TRUE(Append("other lane", {"{}"}, kOther).ok());
  ASSERT_TRUE(Append("second", {"{}", "{}"}).ok());
  CommitPending(*committer_);
  EXPECT_THAT(log_,
              ElementsAre("sink", "first 0-1", "other lane 0-1", "second 1-3"));
  EXPECT_THAT(notified_,
              ElementsAre(Pair(kLane, 0), Pair(kOther, 0), Pair(kLane, 1)));
}

TEST_F(CommitterTest, AnswersLanesInTurns) {
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_TRUE(Append(name, {"{}"}).ok());
  }
  ASSERT_TRUE(Append("x", {"{}"}, kOther).ok());
  CommitPending(*committer_);
  EXPECT_THAT(log_, ElementsAre("sink", "a 0-1", "x 0-1", "b 1-2", "c 2-3"));
}

TEST_F(CommitterTest, StoresItemsAsTheyCame) {
  EncodedChunk chunk = Chunk({R"({"a":1})", R"({"long":2})"});
  chunk.replays = 3;
  ASSERT_TRUE(committer_->Append(kLane, std::move(chunk), Done("a")).ok());
  CommitPending(*committer_);
  const auto block = *spool_->ReadBlock(kLane, 0);
  const BlockReader reader(block->value, block->last);
  ASSERT_EQ(reader.items().size(), 2);
  EXPECT_EQ(reader.items()[0].text, R"({"a":1})");
  EXPECT_EQ(reader.items()[1].text, R"({"long":2})");
  EXPECT_EQ(reader.items()[1].identity_hash, 10);
  EXPECT_EQ(reader.items()[1].accepted_at, kTime);
  EXPECT_EQ(reader.items()[1].replays, 3);
  EXPECT_EQ(reader.lane_bytes(), 17);
}

TEST_F(CommitterTest, SplitsBlocksAtTheirMostItems) {
  Restart({.max_block_items = 5});
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Append("a", {"{}", "{}"}).ok());
  CommitPending(*committer_);
  EXPECT_THAT(Blocks(), ElementsAre(Pair(3, 4), Pair(7, 4)));
}

TEST_F(CommitterTest, SplitsBlocksAtTheirMostBytes) {
  Restart({.max_block_bytes = 10});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Append("a", {"12345"}).ok());
  CommitPending(*committer_);
  EXPECT_THAT(Blocks(), ElementsAre(Pair(1, 2), Pair(2, 1)));
}

TEST_F(CommitterTest, KeepsAChunkWholeHoweverLarge) {
  Restart({.max_block_items = 2, .max_block_bytes = 3});
  ASSERT_TRUE(Append("a", {"{}", "{}", "{}"}).ok());
  CommitPending(*committer_);
  EXPECT_THAT(Blocks(), ElementsAre(Pair(2, 3)));
}

TEST_F(CommitterTest, BlocksOfSeveralLanesDoNotMix) {
  for (const LaneId lane : {kLane, kOther, kLane, kOther, kOther}) {
    ASSERT_TRUE(Append("a", {"{}"}, lane).ok());
  }
  CommitPending(*committer_);
  EXPECT_THAT(Blocks(kLane), ElementsAre(Pair(1, 2)));
  EXPECT_THAT(Blocks(kOther), ElementsAre(Pair(2, 3)));
}

TEST_F(CommitterTest, GoesOnBehindWhatWasStoredBeforeARestart) {
  ASSERT_TRUE(Append("a", {"12345", "12345"}).ok());
  CommitPending(*committer_);
  store_.CrashMachine(0);
  Restart({});
  ASSERT_TRUE(Append("b", {"12345"}).ok());
  CommitPending(*committer_);
  EXPECT_THAT(Blocks(), ElementsAre(Pair(1, 2), Pair(2, 1)));
  EXPECT_EQ(spool_->Lanes()->front().lane_bytes, 15);
}

TEST_F(CommitterTest, RefusesChunksBeyondWhatMayWait) {
  Restart({.max_pending_chunks = 2});
  EXPECT_TRUE(Append("a", {"{}"}).ok());
  EXPECT_TRUE(Append("b", {"{}"}).ok());
  EXPECT_EQ(Append("c", {"{}"}).code(), absl::StatusCode::kResourceExhausted);
  CommitPending(*committer_);
  EXPECT_TRUE(Append("d", {"{}"}).ok());
}

TEST_F(CommitterTest, RefusesBytesBeyondWhatMayWait) {
  Restart({.max_pending_bytes = 1'000});
  EXPECT_TRUE(Append("a", {std::string(900, 'x')}).ok());
  EXPECT_EQ(Append("b", {std::string(200, 'x')}).code(),
            absl::StatusCode::kResourceExhausted);
  CommitPending(*committer_);
  EXPECT_TRUE(Append("c", {std::string(900, 'x')}).ok());
  EXPECT_THAT(log_, ElementsAre("sink", "a 0-1"));
}

TEST_F(CommitterTest,
       AppliesChangesInTheirOrderAndHandsOverTheirContinuations) {
  Apply(Letter(1), 10);
  SpoolChange deletion;
  deletion.DeleteDeadLetter(kLane, 1);
  Apply(std::move(deletion), 11);
  Apply(Letter(2), 12);
  Apply({}, 13);
  const uint64_t syncs = store_.syncs();
  CommitPending(*committer_);
  EXPECT_THAT(applied_, ElementsAre(10, 11, 12, 13));
  EXPECT_FALSE(spool_->FindDeadLetter(kLane, 1)->has_value());
  EXPECT_TRUE(spool_->FindDeadLetter(kLane, 2)->has_value());
  EXPECT_EQ(store_.syncs(), syncs);
}

TEST_F(CommitterTest, NotifiesTheAuthorOfAChangeOnceItIsStored) {
  bool stored = false;
  ASSERT_TRUE(committer_
                  ->Change(Letter(1),
                           [&](const absl::Status& status) {
                             stored =
                                 status.ok() &&
                                 spool_->FindDeadLetter(kLane, 1)->has_value();
                           })
                  .ok());
  EXPECT_FALSE(stored);
  CommitPending(*committer_);
  EXPECT_TRUE(stored);
  EXPECT_THAT(applied_, IsEmpty());
}

TEST_F(CommitterTest, StoresWhatGoesAlongWithAChunkInTheSameWrite) {
  ASSERT_TRUE(Append("before", {"{}"}).ok());
  ASSERT_TRUE(committer_
                  ->Append(kLane, Chunk({"{}"}), Done("a"), nullptr, nullptr,
                           [](SeqRange items, SpoolChange& change) {
                             change.Append(Letter(items.begin));
                           })
                  .ok());
  const uint64_t writes = store_.writes();
  CommitPending(*committer_);
  EXPECT_EQ(store_.writes(), writes + 1);
  EXPECT_TRUE(spool_->FindDeadLetter(kLane, 1)->has_value());
}

TEST_F(CommitterTest, NotifiesEveryCallerOfAFailedWriteAndNeverWritesAgain) {
  ASSERT_TRUE(Append("a", {"{}"}).ok());
  ASSERT_TRUE(Append("b", {"{}"}, kOther).ok());
  Apply(Letter(1), 10);
  absl::Status changed;
  ASSERT_TRUE(
      committer_->Change({}, [&](absl::Status s) { changed = std::move(s); })
          .ok());
  store_.FailWrites(absl::InternalError("EIO"), 0);
  CommitPending(*committer_);
  EXPECT_THAT(log_, ElementsAre("a failed", "b failed"));
  EXPECT_FALSE(changed.ok());
  EXPECT_THAT(applied_, IsEmpty());
  EXPECT_FALSE(committer_->healthy());

  store_.FailWrites(absl::OkStatus(), 0);
  const uint64_t writes = store_.writes();
  EXPECT_EQ(Append("c", {"{}"}).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(committer_->Change({}, [](const absl::Status&) {}).code(),
            absl::StatusCode::kDataLoss);
  Apply(Letter(2), 11);
  CommitPending(*committer_);
  EXPECT_EQ(store_.writes(), writes);
  EXPECT_THAT(applied_, IsEmpty());
}

TEST_F(CommitterTest, AFullDiskRefusesItemsAndLosesNoChange) {
  store_.FailWrites(absl::ResourceExhaustedError("full"), 0);
  ASSERT_TRUE(Append("a", {"{}", "{}"}).ok());
  Apply(Letter(7), 1);
  CommitPending(*committer_);
  EXPECT_THAT(log_, ElementsAre("a failed"));
  EXPECT_THAT(applied_, IsEmpty());
  EXPECT_TRUE(committer_->disk_full());
  EXPECT_TRUE(committer_->healthy());
  EXPECT_TRUE(absl::IsResourceExhausted(Append("b", {"{}"})));
}

TEST_F(CommitterTest, WithSpaceAgainAFullDiskNeedsNoRestartAndHasNoGap) {
  ASSERT_TRUE(Append("a", {"{}"}).ok());
  CommitPending(*committer_);
  store_.FailWrites(absl::ResourceExhaustedError("full"), 0);
  ASSERT_TRUE(Append("b", {"{}", "{}"}).ok());
  Apply(Letter(7), 1);
  CommitPending(*committer_);
  Apply(Letter(8), 2);
  CommitPending(*committer_);
  EXPECT_THAT(applied_, IsEmpty());

  store_.FailWrites(absl::OkStatus(), 0);
  EXPECT_TRUE(CommitPending(*committer_));
  EXPECT_THAT(applied_, ElementsAre(1, 2));
  EXPECT_TRUE(spool_->FindDeadLetter(kLane, 7)->has_value());
  EXPECT_TRUE(spool_->FindDeadLetter(kLane, 8)->has_value());
  EXPECT_FALSE(committer_->disk_full());
  ASSERT_TRUE(Append("c", {"{}"}).ok());
  CommitPending(*committer_);
  EXPECT_THAT(log_, testing::Contains("c 1-2"));
  EXPECT_THAT(Blocks(), ElementsAre(Pair(0, 1), Pair(1, 1)));
}

// A store that others write to as well.
class SharedMemory final : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  bool shared() const override { return true; }
};

TEST_F(CommitterTest, WhatOthersAppendedIsFoundAfterAFullDiskToo) {
  MemoryStore memory;
  SharedMemory store(memory);
  const auto spool = *Spool::Open(store, 42);
  std::vector<std::pair<Seq, Seq>> found;
  Committer owner(*spool, {}, {}, [&](Committer::Notices notices) {
    for (const Appended& each : notices.appended) {
      if (each.accepted_here) continue;
      found.emplace_back(each.items.begin, each.items.end);
    }
  });
  Committer other(*spool, {}, {}, [](Committer::Notices) {});
  for (Committer* each : {&owner, &other}) {
    each->AddLane(kLane, {.destination = "a"});
  }
  const auto append = [this](Committer& committer) {
    ASSERT_TRUE(committer.Append(kLane, Chunk({"{}"}), Done("x")).ok());
    CommitPending(committer);
  };
  append(owner);
  append(other);
  memory.FailWrites(absl::ResourceExhaustedError("full"), 0);
  append(owner);
  memory.FailWrites(absl::OkStatus(), 0);
  CommitPending(owner);
  EXPECT_THAT(found, IsEmpty());
  owner.LookForAppends(Committer::Look::kNew);
  CommitPending(owner);
  EXPECT_THAT(found, ElementsAre(Pair(1, 2)));
}

// A commit of which each attempt but the last is lost.
class LossyStore final : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  bool shared() const override { return true; }
  absl::Status Update(const std::vector<std::string>& keys, BatchMaker make,
                      Durability durability) override {
    std::vector<std::optional<std::string>> values;
    for (const std::string& key : keys) values.push_back(*Get(key));
    if (on_lost_attempt) {
      static_cast<void>(make(values));
      on_lost_attempt();
    }
    return Write(make(values), durability);
  }
  std::unique_ptr<StoreCursor> Scan(absl::string_view begin,
                                    absl::string_view end) const override {
    if (away) {
      return std::make_unique<FailedCursor>(absl::UnavailableError("away"));
    }
    return ForwardingStore::Scan(begin, end);
  }
  std::function<void()> on_lost_attempt;
  bool away = false;
};

class UnwantedAppendTest : public CommitterTest {
 protected:
  UnwantedAppendTest() {
    committer_->AddLane(kLane, {.destination = "a"});
    Append("stored", nullptr);
    CommitPending(*committer_);
    log_.clear();
    notified_.clear();
  }
  void Append(const std::string& name, Committer::StillWanted still_wanted) {
    ASSERT_TRUE(
        committer_
            ->Append(
                kLane, Chunk({"{}"}),
                [this, name](const absl::StatusOr<SeqRange>& r) {
                  log_.push_back(absl::StrCat(
                      name, " ",
                      r.ok() ? absl::StrCat(r->begin)
                             : absl::StatusCodeToString(r.status().code())));
                },
                nullptr, std::move(still_wanted))
            .ok());
  }
  std::vector<std::pair<Seq, size_t>> Stored() {
    std::vector<std::pair<Seq, size_t>> blocks;
    for (Seq from = 0;;) {
      const auto block = *shared_spool_->ReadBlock(kLane, from);
      if (!block.has_value()) return blocks;
      const BlockReader reader(block->value, block->last);
      blocks.emplace_back(block->last, reader.items().size());
      from = block->last + 1;
    }
  }

  MemoryStore memory_;
  LossyStore lossy_{memory_};
  std::unique_ptr<Spool> shared_spool_ = *Spool::Open(lossy_, 42);
  PauseWatch::Time now_ = std::chrono::hours(1);
  PauseWatch pauses_{[this] { return now_; }};
  std::unique_ptr<Committer> committer_ = std::make_unique<Committer>(
      *shared_spool_, Committer::Options{.pauses = &pauses_},
      std::vector<StoredLane>(), [this](const Committer::Notices& notices) {
        for (const Appended& each : notices.appended) {
          notified_.emplace_back(each.lane, each.items.begin);
        }
      });
};

TEST_F(UnwantedAppendTest, IsNotStoredOnceItsCallerHasGivenUp) {
  Append("gone", [] { return false; });
  Append("waits", [] { return true; });
  CommitPending(*committer_);
  EXPECT_THAT(log_, ElementsAre("gone CANCELLED", "waits 1"));
  EXPECT_THAT(notified_, ElementsAre(Pair(kLane, 1)));
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1), Pair(1, 1)));
}

TEST_F(UnwantedAppendTest, IsNotStoredByALaterAttempt) {
  bool waits = true;
  Append("gives up", [&] { return waits; });
  Append("waits", [] { return true; });
  lossy_.on_lost_attempt = [&] { waits = false; };
  CommitPending(*committer_);
  EXPECT_THAT(log_, ElementsAre("gives up CANCELLED", "waits 1"));
  EXPECT_THAT(notified_, ElementsAre(Pair(kLane, 1)));
}

TEST_F(UnwantedAppendTest, IsThatOfBeforeAPauseThoughItsCallerSeemsToWait) {
  Append("before", [] { return true; });
  Append("of nobody", nullptr);
  now_ += std::chrono::seconds(3);
  pauses_.Tick();
  now_ += PauseWatch::kSettling;
  Append("after", [] { return true; });
  CommitPending(*committer_);
  EXPECT_THAT(log_, ElementsAre("before ABORTED", "of nobody 1", "after 2"));
}

TEST_F(UnwantedAppendTest, LeavesNothingToWriteIfItIsAlone) {
  Append("gone", [] { return false; });
  CommitPending(*committer_);
  EXPECT_THAT(log_, ElementsAre("gone CANCELLED"));
  EXPECT_THAT(notified_, IsEmpty());
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1)));
  Append("waits", [] { return true; });
  CommitPending(*committer_);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1), Pair(1, 1)));
}

TEST_F(UnwantedAppendTest, HidesNothingThatOthersHaveAppended) {
  std::vector<std::pair<Seq, Seq>> found;
  Committer owner(*shared_spool_, {}, {}, [&](Committer::Notices notices) {
    for (const Appended& each : notices.appended) {
      if (each.accepted_here) continue;
      found.emplace_back(each.items.begin, each.items.end);
    }
  });
  owner.AddLane(kLane, {.destination = "a"});
  const auto append_in_vain_and_look = [&] {
    ASSERT_TRUE(owner
                    .Append(kLane, Chunk({"{}"}), Done("gone"), nullptr,
                            [] { return false; })
                    .ok());
    CommitPending(owner);
    owner.LookForAppends(Committer::Look::kNew);
    CommitPending(owner);
  };
  append_in_vain_and_look();
  EXPECT_THAT(found, ElementsAre(Pair(0, 1)));
  Append("of another server", nullptr);
  CommitPending(*committer_);
  append_in_vain_and_look();
  EXPECT_THAT(found, ElementsAre(Pair(0, 1), Pair(1, 2)));
}

TEST_F(CommitterTest, ALookForAllThatFailedIsMadeUpFor) {
  MemoryStore memory;
  LossyStore store(memory);
  const auto spool = *Spool::Open(store, 42);
  std::vector<LaneId> known;
  Committer owner(*spool, {}, {}, [&](const Committer::Notices& notices) {
    for (const Appended& each : notices.appended) known.push_back(each.lane);
  });
  owner.AddLane(kLane, {.destination = "a"});
  ASSERT_TRUE(owner.Append(kLane, Chunk({"{}"}), Done("x")).ok());
  CommitPending(owner);
  known.clear();
  store.away = true;
  owner.LookForAppends(Committer::Look::kAll);
  CommitPending(owner);
  EXPECT_THAT(known, IsEmpty());
  store.away = false;
  owner.LookForAppends(Committer::Look::kNew);
  CommitPending(owner);
  EXPECT_THAT(known, ElementsAre(kLane));
}

TEST_F(UnwantedAppendTest, IsStoredAllTheSameInASpoolOfOneServer) {
  ASSERT_TRUE(CommitterTest::committer_
                  ->Append(kLane, Chunk({"{}"}), Done("x"), nullptr,
                           [] { return false; })
                  .ok());
  CommitPending(*CommitterTest::committer_);
  EXPECT_THAT(Blocks(), ElementsAre(Pair(0, 1)));
}

TEST_F(CommitterTest, AFullDiskIsAskedAgainByItself) {
  std::thread runner([this] { committer_->Run(); });
  store_.FailWrites(absl::ResourceExhaustedError("full"), 0);
  std::promise<bool> refused;
  ASSERT_TRUE(committer_
                  ->Append(kLane, Chunk({"{}"}),
                           [&](const absl::StatusOr<SeqRange>& range) {
                             refused.set_value(
                                 absl::IsResourceExhausted(range.status()));
                           })
                  .ok());
  EXPECT_TRUE(refused.get_future().get());
  store_.FailWrites(absl::OkStatus(), 0);
  while (committer_->disk_full()) std::this_thread::yield();
  committer_->Stop();
  runner.join();
  EXPECT_TRUE(committer_->healthy());
}

TEST_F(CommitterTest, WritesWhatIsQueuedAfterItStopsAccepting) {
  ASSERT_TRUE(Append("a", {"{}"}).ok());
  committer_->StopAccepting();
  EXPECT_EQ(Append("b", {"{}"}).code(), absl::StatusCode::kUnavailable);
  Apply(Letter(1), 10);
  CommitPending(*committer_);
  EXPECT_THAT(log_, ElementsAre("sink", "a 0-1"));
  EXPECT_THAT(applied_, ElementsAre(10));
}

TEST_F(CommitterTest, RunCommitsWhatStillWaitsWhenItIsStopped) {
  ASSERT_TRUE(Append("a", {"{}"}).ok());
  committer_->Stop();
  committer_->Run();
  EXPECT_THAT(log_, ElementsAre("sink", "a 0-1"));
}

TEST_F(CommitterTest, CommitsTheNextWhileItAnswersTheLast) {
  std::promise<void> next_is_placed;
  std::promise<std::future_status> seen;
  std::vector<std::string> answers;
  const auto place = [&](SeqRange, SpoolChange&) {
    next_is_placed.set_value();
  };
  const auto done = [&](const absl::StatusOr<SeqRange>&) {
    EXPECT_TRUE(committer_
                    ->Append(
                        kLane, Chunk({"{}"}),
                        [&](const absl::StatusOr<SeqRange>&) {
                          answers.emplace_back("next");
                        },
                        nullptr, nullptr, place)
                    .ok());
    const auto placed =
        next_is_placed.get_future().wait_for(std::chrono::seconds(30));
    answers.emplace_back("first");
    seen.set_value(placed);
  };
  std::thread committing([this] { committer_->Run(); });
  ASSERT_TRUE(committer_->Append(kLane, Chunk({"{}"}), done).ok());
  EXPECT_EQ(seen.get_future().get(), std::future_status::ready);
  committer_->Stop();
  committing.join();
  EXPECT_THAT(answers, ElementsAre("first", "next"));
}

// A caller whose answer takes long does not delay delivery.
TEST_F(CommitterTest, NotifiesTheDispatcherWhileACallerIsBeingAnswered) {
  std::promise<void> second_is_notified;
  std::atomic<int> notified{0};
  committer_ = std::make_unique<Committer>(*spool_, Committer::Options{},
                                           *spool_->Lanes(),
                                           [&](Committer::Notices notices) {
                                             if (notices.appended.empty())
                                               return;
                                             if (++notified == 2)
                                               second_is_notified.set_value();
                                           });
  std::future_status seen = std::future_status::timeout;
  std::thread committing([this] { committer_->Run(); });
  std::promise<void> answered;
  ASSERT_TRUE(committer_
                  ->Append(kLane, Chunk({"{}"}),
                           [&](const absl::StatusOr<SeqRange>&) {
                             EXPECT_GE(notified, 1);
                             EXPECT_TRUE(Append("next", {"{}"}).ok());
                             seen = second_is_notified.get_future().wait_for(
                                 std::chrono::seconds(30));
                             answered.set_value();
                           })
                  .ok());
  answered.get_future().get();
  committer_->Stop();
  committing.join();
  EXPECT_EQ(seen, std::future_status::ready);
}

// The dispatcher may deliver before the answering thread comes to the caller.
TEST_F(CommitterTest, ASettlementNeverOvertakesTheAnswerAndIsNeverLost) {
  committer_ = std::make_unique<Committer>(
      *spool_, Committer::Options{}, *spool_->Lanes(),
      [&](Committer::Notices notices) {
        for (Appended& each : notices.appended) {
          if (each.on_settled) each.on_settled({.delivered = 1});
        }
        log_.emplace_back("sink");
      });
  ASSERT_TRUE(committer_
                  ->Append(kLane, Chunk({"{}"}), Done("a"),
                           [this](Settlement settlement) {
                             log_.push_back(absl::StrCat("settled ",
                                                         settlement.delivered));
                           })
                  .ok());
  CommitPending(*committer_);
  EXPECT_THAT(log_, ElementsAre("sink", "a 0-1", "settled 1"));
}

TEST_F(CommitterTest, ALaneWithOneCallDoesNotWaitForTheManyOfAnother) {
  constexpr int kMany = 1'000;
  int told = 0;
  int told_before_other = kMany;
  std::promise<void> other_told;
  const auto done = [&](const absl::StatusOr<SeqRange>&) {
    if (++told > 1) return;
    ASSERT_TRUE(committer_
                    ->Append(kOther, Chunk({"{}"}),
                             [&](const absl::StatusOr<SeqRange>&) {
                               told_before_other = told;
                               other_told.set_value();
                             })
                    .ok());
    while (committer_->commits() < 2) std::this_thread::yield();
  };
  for (int i = 0; i < kMany; ++i) {
    ASSERT_TRUE(committer_->Append(kLane, Chunk({"{}"}), done).ok());
  }
  std::thread committing([this] { committer_->Run(); });
  other_told.get_future().wait();
  committer_->Stop();
  committing.join();
  EXPECT_LT(told_before_other, kMany / 2);
  EXPECT_EQ(told, kMany);
  EXPECT_THAT(notified_, testing::SizeIs(kMany + 1));
  EXPECT_THAT(notified_.back(), Pair(kOther, 0));
}

TEST_F(CommitterTest, ServesManyThreadsAtOnce) {
  constexpr int kThreads = 4;
  constexpr int kChunks = 200;
  std::atomic<int> answered{0};
  std::thread committing([this] { committer_->Run(); });
  std::vector<std::thread> callers;
  callers.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    callers.emplace_back([this, &answered, t] {
      for (int i = 0; i < kChunks; ++i) {
        std::promise<absl::StatusOr<SeqRange>> answer;
        ASSERT_TRUE(committer_
                        ->Append(t % 2 == 0 ? kLane : kOther,
                                 Chunk({"{}", "{}"}),
                                 [&](absl::StatusOr<SeqRange> range) {
                                   answer.set_value(std::move(range));
                                 })
                        .ok());
        Apply(Letter(static_cast<Seq>(i)), 1);
        ASSERT_TRUE(answer.get_future().get().ok());
        ++answered;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  committer_->Stop();
  committing.join();
  EXPECT_EQ(answered, kThreads * kChunks);
  EXPECT_EQ(applied_.size(), kThreads * kChunks);
  const auto lanes = *spool_->Lanes();
  EXPECT_EQ(lanes[0].head + lanes[1].head, 2 * kThreads * kChunks);
}

}  // namespace
}  // namespace heapsync
