#include "heap_adapter/delivery/lane.h"

#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "heap_adapter/intake/committer.h"
#include "nlohmann/json.hpp"
#include "tests/intake/commit_pending.h"
#include "tests/spool/memory_store.h"

namespace heapsync {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAreArray;
using Json = nlohmann::json;

constexpr LaneId kLane = 1;
constexpr WallTime kStart{seconds(1'705'314'600)};

// A lane over a real committer and spool, stepped by hand. The test is the
// dispatcher, and Heap.
class LaneTest : public ::testing::TestWithParam<unsigned> {
 protected:
  explicit LaneTest(ObjectType type = ObjectType::kTrackEvent) : type_(type) {
    destination_.batch = {
        .max_items = 4, .max_bytes = 100'000, .max_wait = milliseconds(500)};
    Restart();
  }

  // As after the end of the process; what was stored is all there is.
  void Restart() {
    spool_ = *Spool::Open(store_, 42);
    SpoolChange change;
    change.PutLane(kLane, {.destination = "prod", .type = type_});
    ASSERT_TRUE(spool_->Commit(change).ok());
    const std::vector<StoredLane> lanes = *spool_->Lanes();
    lane_ = std::make_unique<Lane>(
        *spool_, lanes[0], *spool_->deferred().DeferredIdentities(kLane));
    ASSERT_TRUE(spool_->attempts()
                    .VisitPlans([&](AttemptId id, const PlanRecord& record) {
                      ASSERT_TRUE(lane_->Restore(id, record).ok());
                    })
                    .ok());
    committer_ = std::make_unique<Committer>(
        *spool_, Committer::Options{.max_block_items = 5}, lanes,
        [this](Committer::Notices notices) {
          for (Appended& each : notices.appended) {
            lane_->OnAppended(std::move(each), now_.monotonic, overtaking_,
                              overtaking_memory_);
          }
        });
    ledger_ = std::make_unique<UsageLedger>(rules_);
  }
  void LimitIdentitiesTo(uint32_t units) {
    rules_ = {.window = seconds(60), .per_identity = units};
    ledger_ = std::make_unique<UsageLedger>(rules_);
  }

  void AppendText(uint64_t identity, const std::string& text,
                  SettledCallback on_settled = nullptr, uint64_t caller = 0) {
    EncodedChunk chunk{
        .accepted_at = now_.wall,
        .caller = caller,
        .items = {{static_cast<uint32_t>(text.size()), identity}},
        .text = text};
    ASSERT_TRUE(committer_
                    ->Append(
                        kLane, std::move(chunk),
                        [](const absl::StatusOr<SeqRange>&) {},
                        std::move(on_settled))
                    .ok());
  }
  // Items get the texts {"n":0}, {"n":1}, … in the order of their acceptance.
  void AppendEvents(const std::vector<uint64_t>& identities) {
    for (const uint64_t identity : identities) {
      AppendText(identity, absl::StrCat("{\"n\":", appended_++, "}"));
    }
    CommitPending(*committer_);
  }
  void AppendUpdate(uint64_t identity, absl::string_view key, int value) {
    AppendText(identity,
               absl::StrCat(R"({"identity":"u)", identity,
                            R"(","properties":{")", key, "\":", value, "}}"));
    CommitPending(*committer_);
  }
  // The batch has failed; its items accepted before `time` have expired.
  void ReturnExpired(const Batch& batch, WallTime time) {
    BatchPlan plan = batch.PlanOf(0, batch.items.size());
    plan.expires_before = time;
    lane_->Return(std::move(plan));
  }
  void Damage(Seq last) {
    SpoolChange change;
    change.PutBlock(kLane, last, "damaged");
    ASSERT_TRUE(spool_->Commit(change).ok());
  }

  Lane::PullRules Rules() {
    return {.now = now_,
            .destination = destination_,
            .ledger = ledger_.get(),
            .next_id = next_id_,
            .may_defer = may_defer_,
            .max_work = max_work_};
  }
  absl::StatusOr<std::optional<Batch>> TryPull() {
    for (const uint64_t hash : ledger_->Advance(now_.monotonic)) {
      lane_->OnFreed(hash);
    }
    SpoolChange change;
    absl::StatusOr<Lane::Pull> pull = lane_->Next(Rules(), change);
    if (!pull.ok()) return pull.status();
    if (pull->batch.has_value()) {
      attempt_ = pull->attempt;
      ledger_->End(attempt_, now_.monotonic);
    }
    Apply(std::move(change));
    return std::move(pull->batch);
  }
  std::optional<Batch> Pull() {
    auto batch = TryPull();
    EXPECT_TRUE(batch.ok()) << batch.status();
    return batch.ok() ? *std::move(batch) : std::nullopt;
  }
  void Apply(SpoolChange change) {
    committer_->Apply(std::move(change), nullptr);
    CommitPending(*committer_);
    for (auto& [callback, settlement] : lane_->waiters().TakeFinished()) {
      callback(settlement);
    }
  }
  void Deliver(const Batch& batch) {
    SpoolChange change;
    lane_->Deliver(batch, change);
    Apply(std::move(change));
  }
  void MoveToDeadLetters(const BatchItem& item) {
    SpoolChange change;
    ASSERT_TRUE(
        lane_
            ->MoveToDeadLetters(
                item, {.http_status = 400, .heap_response = "bad", .text = {}},
                change)
            .ok());
    Apply(std::move(change));
  }
  void ReturnPart(const Batch& batch, size_t begin, size_t end) {
    SpoolChange change;
    lane_->ReturnPart(batch.PlanOf(begin, end), next_id_(), Lane::Place::kFirst,
                      change);
    Apply(std::move(change));
  }
  static std::vector<Seq> SeqsOf(const std::optional<Batch>& batch) {
    std::vector<Seq> seqs;
    if (!batch.has_value()) return seqs;
    for (const BatchItem& item : batch->items) seqs.push_back(item.seq);
    return seqs;
  }
  static std::vector<int> NumbersIn(const Batch& batch) {
    std::vector<int> numbers;
    const Json body = Json::parse(batch.body);
    for (const Json& event : body["events"]) numbers.push_back(event["n"]);
    return numbers;
  }
  // Delivers until nothing comes any more, waiting for the ledger.
  std::vector<int> Drain() {
    std::vector<int> numbers;
    for (int idle = 0; idle < 3;) {
      const std::optional<Batch> batch = Pull();
      if (!batch.has_value()) {
        ++idle;
        Wait(seconds(61));
        continue;
      }
      idle = 0;
      for (const int number : NumbersIn(*batch)) numbers.push_back(number);
      Deliver(*batch);
    }
    return numbers;
  }
  void Wait(Duration duration) {
    now_.wall += duration;
    now_.monotonic += duration;
  }
  std::vector<std::string> DeadLetters() {
    std::vector<std::string> letters;
    EXPECT_TRUE(spool_
                    ->VisitDeadLetters(kLane, 0,
                                       [&](const DeadLetter& letter) {
                                         letters.push_back(
                                             absl::StrCat(letter.seq, " ",
                                                          Name(letter.reason)));
                                         return true;
                                       })
                    .ok());
    return letters;
  }

  const ObjectType type_;
  Destination destination_{.name = "prod", .app_id = *AppId::Parse("11")};
  UsageLedger::Rules rules_{.window = seconds(60)};
  Now now_{kStart, MonotonicTime(seconds(1'000))};
  bool may_defer_ = true;
  uint64_t max_work_ = kMaxStepWork;
  OvertakingBounds overtaking_;
  Overtakers::Memory overtaking_memory_;
  MemoryStore store_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<UsageLedger> ledger_;
  int appended_ = 0;
  AttemptId attempts_ = 0;
  AttemptId attempt_ = 0;
  std::function<AttemptId()> next_id_ = [this] { return ++attempts_; };
};

std::vector<int> UpTo(int end) {
  std::vector<int> numbers(static_cast<size_t>(end));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

TEST_F(LaneTest, ItemsOfOthersCountWithThoseThatCameAfterThem) {
  AppendEvents({1, 2});
  const uint64_t bytes = lane_->queued_bytes();
  // Three of another server, which nobody has told of, and one of this one.
  lane_->OnAppended({.lane = kLane,
                     .items = {5, 6},
                     .text_bytes = 10,
                     .lane_bytes = bytes + 40,
                     .on_settled = nullptr},
                    now_.monotonic, overtaking_, overtaking_memory_);
  EXPECT_EQ(lane_->head(), 6u);
  EXPECT_EQ(lane_->queued_items(), 6u);
  EXPECT_EQ(lane_->queued_bytes(), bytes + 40);
  EXPECT_EQ(lane_->counts().appended, 3u);
}

TEST_F(LaneTest, ItemsThatAreKnownCountOnce) {
  AppendEvents({1, 2});
  const uint64_t bytes = lane_->queued_bytes();
  lane_->OnAppended({.lane = kLane,
                     .items = {0, 1},
                     .text_bytes = 7,
                     .lane_bytes = 7,
                     .accepted_here = false,
                     .on_settled = nullptr},
                    now_.monotonic, overtaking_, overtaking_memory_);
  EXPECT_EQ(lane_->head(), 2u);
  EXPECT_EQ(lane_->queued_items(), 2u);
  EXPECT_EQ(lane_->queued_bytes(), bytes);
  EXPECT_EQ(lane_->counts().appended, 2u);
}

TEST_F(LaneTest, IsReadyAtOnceForAFullBatch) {
  EXPECT_EQ(lane_->ReadyAt(destination_.batch, {}), std::nullopt);
  AppendEvents({1, 2, 3});
  EXPECT_EQ(lane_->ReadyAt(destination_.batch, {}),
            now_.monotonic + milliseconds(500));
  AppendEvents({4});
  EXPECT_EQ(lane_->ReadyAt(destination_.batch, {}), MonotonicTime());
}

TEST_F(LaneTest, IsReadyAtOnceForABatchOfEnoughBytesOrWhenHurried) {
  AppendEvents({1});
  lane_->FlushPartialBatches();
  EXPECT_EQ(lane_->ReadyAt(destination_.batch, {}), MonotonicTime());
  Drain();
  destination_.batch.max_bytes = 50;
  AppendText(1, std::string(50, 'x'));
  CommitPending(*committer_);
  EXPECT_EQ(lane_->ReadyAt(destination_.batch, {}), MonotonicTime());
}

TEST_F(LaneTest, BatchesTakeTheirMostItemsInOrder) {
  AppendEvents({1, 1, 2, 3, 1, 1});
  EXPECT_THAT(SeqsOf(Pull()), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(SeqsOf(Pull()), ElementsAre(4, 5));
  EXPECT_THAT(SeqsOf(Pull()), IsEmpty());
}

TEST_F(LaneTest, AnIdentityOverItsLimitIsDeferredAndOthersPass) {
  LimitIdentitiesTo(2);
  AppendEvents({7, 7, 7, 7, 8, 7, 9});
  EXPECT_THAT(SeqsOf(Pull()), ElementsAre(0, 1, 4, 6));
  EXPECT_EQ(lane_->deferred_items(), 3);
  EXPECT_THAT(SeqsOf(Pull()), IsEmpty());
  EXPECT_TRUE(spool_->deferred().FindDeferred(kLane, 2)->has_value());
}

TEST_F(LaneTest, WithoutSpaceNothingIsDeferredAndTheOrderStays) {
  LimitIdentitiesTo(2);
  may_defer_ = false;
  AppendEvents({7, 8, 7, 7, 9});
  Deliver(*Pull());
  EXPECT_FALSE(Pull().has_value());
  EXPECT_EQ(lane_->deferred_items(), 0);
  may_defer_ = true;
  EXPECT_THAT(SeqsOf(Pull()), ElementsAre(4));
  EXPECT_EQ(lane_->deferred_items(), 1);
}

TEST_F(LaneTest, DeferredItemsComeBackInOrderWhenTheirIdentityIsFree) {
  LimitIdentitiesTo(2);
  AppendEvents({7, 7, 7, 7, 7});
  Deliver(*Pull());
  EXPECT_FALSE(Pull().has_value());
  Wait(seconds(60));
  const auto second = Pull();
  EXPECT_THAT(SeqsOf(second), ElementsAre(2, 3));
  EXPECT_THAT(NumbersIn(*second), ElementsAre(2, 3));
  Deliver(*second);
  Wait(seconds(60));
  Deliver(*Pull());
  EXPECT_EQ(lane_->deferred_items(), 0);
  EXPECT_EQ(lane_->queued_items(), 0);
  EXPECT_EQ(lane_->progress().low_watermark, 5);
}

TEST_F(LaneTest, APlanGivenBackMakesTheSameBatch) {
  AppendEvents({1, 2, 3, 4, 5});
  const Batch first = *Pull();
  lane_->Return(first);
  const Batch again = *Pull();
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(again.id, first.id);
  EXPECT_THAT(SeqsOf(Pull()), ElementsAre(4));
}

TEST_F(LaneTest, BlocksAreDeletedBehindTheLowWatermark) {
  for (int i = 0; i < 4; ++i) AppendEvents({1, 2, 3, 4});
  const Batch first = *Pull();
  Deliver(*Pull());
  EXPECT_EQ((*spool_->ReadBlock(kLane, 0))->last, 3);
  Deliver(first);
  EXPECT_EQ((*spool_->ReadBlock(kLane, 0))->last, 11);
  Drain();
  EXPECT_FALSE(spool_->ReadBlock(kLane, 0)->has_value());
  Restart();
  EXPECT_EQ(lane_->head(), 16);
}

TEST_F(LaneTest, ItemsThatExpiredInAPlanBecomeDeadLetters) {
  AppendEvents({1, 2});
  const WallTime old = now_.wall;
  Wait(seconds(1));
  AppendEvents({3});
  ReturnExpired(*Pull(), old + seconds(1));
  EXPECT_THAT(SeqsOf(Pull()), ElementsAre(2));
  EXPECT_THAT(DeadLetters(), ElementsAre("0 EXPIRED", "1 EXPIRED"));
  EXPECT_EQ(lane_->queued_items(), 1);
}

TEST_F(LaneTest, DeferredItemsThatExpiredInAPlanBecomeDeadLetters) {
  LimitIdentitiesTo(1);
  AppendEvents({7, 7, 7});
  Deliver(*Pull());
  Wait(seconds(61));
  ReturnExpired(*Pull(), now_.wall);
  EXPECT_FALSE(Pull().has_value());
  EXPECT_THAT(DeadLetters(), ElementsAre("1 EXPIRED"));
  EXPECT_FALSE(spool_->deferred().FindDeferred(kLane, 1)->has_value());
  EXPECT_EQ(lane_->deferred_items(), 1);
}

TEST_F(LaneTest, ADamagedBlockBecomesDeadLettersAndTheLaneGoesOn) {
  AppendEvents({1, 2});
  AppendEvents({3, 4});
  Damage(1);
  EXPECT_THAT(SeqsOf(Pull()), ElementsAre(2, 3));
  EXPECT_THAT(DeadLetters(), ElementsAre("0 DAMAGED", "1 DAMAGED"));
  AppendEvents({5});
  EXPECT_EQ(lane_->ReadyAt(destination_.batch, {}),
            now_.monotonic + milliseconds(500));
}

TEST_F(LaneTest, ABlockDamagedBetweenTwoAttemptsBecomesDeadLetters) {
  AppendEvents({1, 2});
  AppendEvents({3});
  const Batch first = *Pull();
  Damage(1);
  lane_->Return(first);
  const Batch rest = *Pull();
  EXPECT_THAT(SeqsOf(rest), ElementsAre(2));
  EXPECT_THAT(DeadLetters(), ElementsAre("0 DAMAGED", "1 DAMAGED"));
  Deliver(rest);
  EXPECT_EQ(lane_->queued_items(), 0);
}

TEST_F(LaneTest, ADamagedDeferredItemBecomesADeadLetterAndTheOthersGoOn) {
  LimitIdentitiesTo(1);
  AppendEvents({7, 7, 7});
  Deliver(*Pull());
  const auto cursor = store_.Scan("A", "B");
  StoreBatch damage;
  damage.Put(std::string(cursor->key()), "damaged");
  ASSERT_TRUE(store_.Write(damage, Durability::kProcess).ok());
  EXPECT_THAT(Drain(), ElementsAre(2));
  EXPECT_THAT(DeadLetters(), ElementsAre("1 DAMAGED"));
  EXPECT_EQ(lane_->queued_items(), 0);
}

TEST_F(LaneTest, ADeadLetteredItemKeepsItsTextAndHeapsAnswer) {
  AppendEvents({1, 2});
  const Batch batch = *Pull();
  MoveToDeadLetters(batch.items[0]);
  const DeadLetter letter = **spool_->FindDeadLetter(kLane, 0);
  EXPECT_EQ(letter.text, R"({"n":0})");
  EXPECT_EQ(letter.heap_response, "bad");
  EXPECT_EQ(letter.accepted_at, kStart);
  ReturnPart(batch, 1, 2);
  EXPECT_THAT(Drain(), ElementsAre(1));
}

TEST_F(LaneTest, TellsWaitersOnceTheLastItemEnded) {
  uint64_t delivered = 0;
  uint64_t dead = 0;
  for (int i = 0; i < 2; ++i) {
    AppendText(1, "{}", [&](Settlement settlement) {
      delivered += settlement.delivered;
      dead += settlement.dead_lettered;
    });
  }
  CommitPending(*committer_);
  const Batch batch = *Pull();
  MoveToDeadLetters(batch.items[1]);
  EXPECT_EQ(dead, 1);
  ReturnPart(batch, 0, 1);
  Deliver(*Pull());
  EXPECT_EQ(delivered, 1);
}

TEST_F(LaneTest, AHotIdentityKeepsTheLaneSmall) {
  constexpr int kHot = 100'000;
  LimitIdentitiesTo(10);
  destination_.batch.max_items = 1'000;
  EncodedChunk chunk{.accepted_at = kStart, .items = {}, .text = {}};
  for (int i = 0; i < kHot; ++i) {
    chunk.items.push_back({2, 7});
    chunk.text += "{}";
  }
  ASSERT_TRUE(committer_
                  ->Append(kLane, std::move(chunk),
                           [](const absl::StatusOr<SeqRange>&) {})
                  .ok());
  CommitPending(*committer_);
  Deliver(*Pull());
  while (Pull().has_value()) {
  }
  AppendEvents({8});
  for (int pulls = 0; lane_->deferred_items() < kHot - 10 && pulls < 60;
       ++pulls) {
    if (const auto batch = Pull(); batch.has_value()) Deliver(*batch);
  }
  EXPECT_EQ(lane_->deferred_items(), kHot - 10);
  EXPECT_TRUE(lane_->progress().settled.ranges().size() <= 1);
  EXPECT_EQ(lane_->SomeDeferredIdentities(10).size(), 1);
  EXPECT_LE(ledger_->entries(), 2);
}

TEST_F(LaneTest, AnErrorOfStorageLosesNothingWhereverItStrikes) {
  for (uint64_t reads = 0; reads < 12; ++reads) {
    SCOPED_TRACE(reads);
    LimitIdentitiesTo(2);
    const int before = appended_;
    AppendEvents({7, 7, 7, 8});
    AppendEvents({7, 9, 7, 7, 8});
    const std::optional<Batch> first = Pull();
    ASSERT_TRUE(first.has_value());
    lane_->Return(*first);
    std::vector<int> seen;
    store_.FailReads(absl::InternalError("EIO"), reads);
    for (int pulls = 0; pulls < 6; ++pulls) {
      auto batch = TryPull();
      if (!batch.ok() || !batch->has_value()) continue;
      for (const int number : NumbersIn(**batch)) seen.push_back(number);
      Deliver(**batch);
      Wait(seconds(61));
    }
    store_.FailReads(absl::OkStatus(), 0);
    for (const int number : Drain()) seen.push_back(number);
    std::vector<int> expected;
    for (int n = before; n < appended_; ++n) expected.push_back(n);
    ASSERT_THAT(seen, UnorderedElementsAreArray(expected));
    ASSERT_EQ(lane_->queued_items(), 0);
  }
}

TEST_P(LaneTest, ARestartAtAnyPointLosesNothing) {
  std::mt19937 random(GetParam());
  LimitIdentitiesTo(3);
  std::vector<int> delivered;
  std::vector<Batch> in_flight;
  for (int step = 0; step < 150; ++step) {
    switch (random() % 6) {
      case 0:
      case 1:
        AppendEvents({random() % 3, random() % 3, random() % 9});
        break;
      case 2:
        if (auto batch = Pull(); batch.has_value()) {
          in_flight.push_back(*std::move(batch));
        }
        break;
      case 3:
        if (in_flight.empty()) break;
        std::swap(in_flight[random() % in_flight.size()], in_flight.back());
        if (random() % 3 == 0) {
          lane_->Return(in_flight.back());
        } else {
          for (const int n : NumbersIn(in_flight.back()))
            delivered.push_back(n);
          Deliver(in_flight.back());
        }
        in_flight.pop_back();
        break;
      case 4:
        Wait(seconds(random() % 40));
        break;
      default:
        if (random() % 4 != 0) break;
        store_.CrashProcess();
        in_flight.clear();
        Restart();
    }
  }
  store_.CrashProcess();
  Restart();
  for (const int number : Drain()) delivered.push_back(number);
  EXPECT_THAT(delivered, UnorderedElementsAreArray(UpTo(appended_)));
  EXPECT_EQ(lane_->queued_items(), 0);
  EXPECT_EQ(lane_->deferred_items(), 0);
  EXPECT_FALSE(spool_->ReadBlock(kLane, 0)->has_value());
}

INSTANTIATE_TEST_SUITE_P(Seeds, LaneTest, ::testing::Range<unsigned>(1, 101));

class UserLaneTest : public LaneTest {
 protected:
  UserLaneTest() : LaneTest(ObjectType::kUserProperties) {}
  static Json Users(const Batch& batch) {
    return Json::parse(batch.body)["users"];
  }
};

TEST_F(UserLaneTest, UpdatesOfOneUserAreCoalescedKeyByKey) {
  AppendUpdate(7, "a", 1);
  AppendUpdate(8, "a", 2);
  AppendUpdate(7, "b", 3);
  AppendUpdate(7, "a", 4);
  const Batch batch = *Pull();
  EXPECT_EQ(Users(batch), Json::parse(
                              R"([{"identity":"u7","properties":{"a":4,"b":3}},
                                  {"identity":"u8","properties":{"a":2}}])"));
  Deliver(batch);
  EXPECT_EQ(lane_->queued_items(), 0);
  EXPECT_EQ(lane_->progress().low_watermark, 4);
}

TEST_F(UserLaneTest, UpdatesOfAUserInFlightWaitAndAreCoalescedThere) {
  AppendUpdate(7, "a", 1);
  const Batch first = *Pull();
  AppendUpdate(7, "a", 2);
  AppendUpdate(7, "b", 3);
  EXPECT_FALSE(Pull().has_value());
  AppendUpdate(7, "a", 4);
  AppendUpdate(8, "a", 5);
  const Batch other = *Pull();
  EXPECT_EQ(Users(other),
            Json::parse(R"([{"identity":"u8","properties":{"a":5}}])"));
  EXPECT_EQ((*spool_->FindForwarding(kLane, 3))->into, 1);
  Deliver(first);
  const Batch second = *Pull();
  EXPECT_EQ(Users(second),
            Json::parse(R"([{"identity":"u7","properties":{"a":4,"b":3}}])"));
  Deliver(second);
  Deliver(other);
  EXPECT_EQ(lane_->queued_items(), 0);
  EXPECT_EQ(lane_->deferred_items(), 0);
}

TEST_F(UserLaneTest, ADeadLetteredUpdateTakesAlongWhatWasCoalescedIntoIt) {
  AppendUpdate(7, "a", 1);
  AppendUpdate(7, "b", 2);
  const Batch batch = *Pull();
  MoveToDeadLetters(batch.items[0]);
  EXPECT_EQ((*spool_->FindForwarding(kLane, 1))->into, 0);
  EXPECT_EQ(Json::parse((*spool_->FindDeadLetter(kLane, 0))->text),
            Json::parse(R"({"identity":"u7","properties":{"a":1,"b":2}})"));
  EXPECT_EQ(lane_->queued_items(), 0);
  AppendUpdate(7, "c", 3);
  EXPECT_TRUE(Pull().has_value());
}

TEST_F(UserLaneTest, ACoalescedUpdateIsAsYoungAsItsNewestPart) {
  LimitIdentitiesTo(1);
  AppendUpdate(7, "a", 1);
  const Batch first = *Pull();
  AppendUpdate(7, "a", 2);
  EXPECT_FALSE(Pull().has_value());
  const WallTime old = now_.wall;
  Wait(seconds(10));
  AppendUpdate(7, "b", 3);
  EXPECT_FALSE(Pull().has_value());
  Deliver(first);
  Wait(seconds(61));
  ReturnExpired(*Pull(), old + seconds(1));
  Wait(seconds(61));
  const std::optional<Batch> second = Pull();
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(Users(*second),
            Json::parse(R"([{"identity":"u7","properties":{"a":2,"b":3}}])"));
  EXPECT_THAT(DeadLetters(), IsEmpty());
}

TEST_F(UserLaneTest, AfterARestartAnOlderUpdateStillGoesBeforeANewerOne) {
  AppendUpdate(7, "a", 1);
  ASSERT_TRUE(Pull().has_value());
  AppendUpdate(7, "a", 2);
  EXPECT_FALSE(Pull().has_value());
  Restart();
  const Batch older = *Pull();
  EXPECT_EQ(Users(older),
            Json::parse(R"([{"identity":"u7","properties":{"a":1}}])"));
  EXPECT_FALSE(Pull().has_value());
  Deliver(older);
  EXPECT_EQ(Users(*Pull()),
            Json::parse(R"([{"identity":"u7","properties":{"a":2}}])"));
}

class OvertakingTest : public UserLaneTest {
 protected:
  static constexpr uint64_t kMany = 1;
  static constexpr uint64_t kFew = 2;

  OvertakingTest() {
    overtaking_ = {.min_backlog = 10, .max_waiting = 10};
    destination_.batch.max_items = 10;
  }

  void AppendOf(uint64_t caller, uint64_t identity, int value) {
    AppendText(identity,
               absl::StrCat(R"({"identity":"u)", identity,
                            R"(","properties":{"a":)", value, "}}"),
               nullptr, caller);
  }
  // 100 users of a caller: more than a few requests take.
  void AppendBacklog() {
    for (uint64_t user = 1'000; user < 1'100; ++user) {
      AppendOf(kMany, user, 1);
    }
    CommitPending(*committer_);
  }
  // The next requests' users and their values; all that there are, or fewer.
  std::vector<std::string> Send(int requests = 1'000) {
    std::vector<std::string> users;
    for (; requests > 0; --requests) {
      std::optional<Batch> batch = Pull();
      if (!batch.has_value()) break;
      for (const Json& user : Users(*batch)) {
        users.push_back(user["identity"].get<std::string>() + "=" +
                        user["properties"]["a"].dump());
      }
      sent_.push_back(*std::move(batch));
    }
    return users;
  }
  void DeliverAll() {
    for (const Batch& batch : std::exchange(sent_, {})) Deliver(batch);
  }

  std::vector<Batch> sent_;
};

TEST_F(OvertakingTest, FewUpdatesOfACallerGoBeforeTheBacklogOfAnother) {
  AppendBacklog();
  AppendOf(kFew, 7, 1);
  AppendOf(kFew, 8, 1);
  CommitPending(*committer_);
  const std::vector<std::string> first = Send(5);
  EXPECT_THAT(first, ::testing::IsSupersetOf({"u7=1", "u8=1", "u1000=1"}));
  EXPECT_EQ(first.size(), 50);
  const std::vector<std::string> others = Send();
  EXPECT_EQ(others.size(), 52);
  EXPECT_EQ(lane_->deferred_items(), 0);
  EXPECT_EQ(others.back(), "u1099=1");
  DeliverAll();
  EXPECT_EQ(lane_->queued_items(), 0);
  EXPECT_EQ(lane_->progress().low_watermark, 102);
}

TEST_F(OvertakingTest, AnUpdateNeverOvertakesAnOlderOneOfItsUser) {
  AppendBacklog();
  AppendOf(kFew, 1'099, 2);
  AppendOf(kFew, 7, 1);
  AppendOf(kMany, 7, 2);
  AppendOf(kFew, 7, 3);
  CommitPending(*committer_);
  EXPECT_THAT(Send(5), ::testing::Contains("u7=1"));
  // The older and the newer one travel as one.
  EXPECT_EQ(Send().back(), "u1099=2");
  DeliverAll();
  EXPECT_EQ(Send(), std::vector<std::string>{"u7=3"});
}

TEST_F(OvertakingTest, AfterACrashWhatOvertookIsSentAgainAndOnlyOnce) {
  AppendBacklog();
  AppendOf(kFew, 7, 1);
  CommitPending(*committer_);
  EXPECT_THAT(Send(5), ::testing::Contains("u7=1"));
  Restart();
  sent_.clear();
  const std::vector<std::string> all = Send();
  EXPECT_EQ(all.size(), 101);
  EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), 101);
  DeliverAll();
  EXPECT_EQ(lane_->queued_items(), 0);
}

TEST_F(OvertakingTest, AnUpdateThatOvertookAndMustWaitIsDeferred) {
  LimitIdentitiesTo(1);
  AppendOf(kFew, 7, 0);
  CommitPending(*committer_);
  EXPECT_EQ(Send(), std::vector<std::string>{"u7=0"});
  DeliverAll();
  AppendBacklog();
  AppendOf(kFew, 7, 1);
  CommitPending(*committer_);
  EXPECT_EQ(Send(5).size(), 50);
  EXPECT_EQ(lane_->deferred_items(), 1);
  EXPECT_TRUE(lane_->progress().IsSettled(101));
}

TEST_F(OvertakingTest, OvertakersTakeHalfOfTheBytes) {
  destination_.batch = {.max_items = 100, .max_bytes = 2'000};
  AppendBacklog();
  AppendText(7,
             absl::StrCat(R"({"identity":"u7","properties":{"a":1,"b":")",
                          std::string(1'500, 'x'), R"("}})"),
             nullptr, kFew);
  AppendText(8,
             absl::StrCat(R"({"identity":"u8","properties":{"a":1,"b":")",
                          std::string(500, 'x'), R"("}})"),
             nullptr, kFew);
  CommitPending(*committer_);
  Send(1);
  const std::vector<std::string> second = Send(1);
  // One of any size goes, and some of the backlog with it.
  EXPECT_THAT(second, ::testing::Contains("u7=1"));
  EXPECT_THAT(second, ::testing::Not(::testing::Contains("u8=1")));
  EXPECT_GT(second.size(), 5);
}

TEST_F(OvertakingTest, RepeatedUpdatesOfAUserOvertakeInTheirOrder) {
  AppendBacklog();
  AppendOf(kFew, 7, 1);
  CommitPending(*committer_);
  EXPECT_THAT(Send(3), ::testing::Contains("u7=1"));
  DeliverAll();
  AppendOf(kFew, 7, 2);
  CommitPending(*committer_);
  EXPECT_THAT(Send(1), ::testing::Contains("u7=2"));
}

TEST_F(OvertakingTest, WhatOvertookIsNotLostWithItsBlock) {
  AppendBacklog();
  AppendOf(kFew, 7, 1);
  CommitPending(*committer_);
  EXPECT_THAT(Send(5), ::testing::Contains("u7=1"));
  Damage(100);
  EXPECT_EQ(Send().back(), "u1099=1");
  DeliverAll();
  EXPECT_EQ(lane_->counts().delivered, 101);
  EXPECT_EQ(lane_->counts().dead_lettered, 0);
  EXPECT_EQ(lane_->progress().low_watermark, 101);
}

TEST_F(OvertakingTest, GapsAmongSettledItemsAreBounded) {
  overtaking_.max_waiting = 2'000;
  for (uint64_t n = 0; n < 2'010; ++n) AppendOf(kMany, 200'000 + n, 1);
  // One in eleven is of a caller with less.
  for (uint64_t n = 0; n < 12'000; ++n) {
    if (n % 11 == 0) {
      AppendOf(kFew, 100'000 + n, 1);
    } else {
      AppendOf(kMany, n % 1'000, 1);
    }
  }
  CommitPending(*committer_);
  size_t gaps = 0;
  for (int requests = 0; requests < 900; ++requests) {
    Send(1);
    DeliverAll();
    gaps = std::max(gaps, lane_->progress().settled.ranges().size());
  }
  EXPECT_GT(gaps, 500);
  EXPECT_LT(gaps, 530);
}

TEST_F(UserLaneTest, APullEndsWhenItsWorkIsDone) {
  max_work_ = 1;
  AppendUpdate(7, "a", 1);
  const Batch first = *Pull();
  // Two of them in one block.
  AppendText(7, R"({"identity":"u7","properties":{"a":2}})");
  AppendText(7, R"({"identity":"u7","properties":{"a":3}})");
  CommitPending(*committer_);
  AppendUpdate(7, "a", 4);
  for (const uint64_t deferred : {1, 2, 3}) {
    EXPECT_FALSE(Pull().has_value());
    EXPECT_EQ(lane_->progress().settled.size(), deferred);
  }
  Deliver(first);
  EXPECT_EQ(Users(*Pull()),
            Json::parse(R"([{"identity":"u7","properties":{"a":4}}])"));
}

TEST_F(LaneTest, LostItemsBecomeDeadLettersAThousandAtATime) {
  EncodedChunk chunk{.accepted_at = kStart, .items = {}, .text = {}};
  for (int i = 0; i < 2'500; ++i) {
    chunk.items.push_back({2, 7});
    chunk.text += "{}";
  }
  ASSERT_TRUE(committer_
                  ->Append(kLane, std::move(chunk),
                           [](const absl::StatusOr<SeqRange>&) {})
                  .ok());
  CommitPending(*committer_);
  max_work_ = 1;
  Damage(2'499);
  for (const uint64_t lost : {1'000, 2'000, 2'500}) {
    EXPECT_FALSE(Pull().has_value());
    EXPECT_EQ(lane_->counts().dead_lettered, lost);
  }
}

}  // namespace
}  // namespace heapsync
