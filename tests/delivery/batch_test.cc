#include "heap_adapter/delivery/batch.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using Added = BatchBuilder::Added;

const AppId kAppId = *AppId::Parse("11");

BatchBuilder Events(uint32_t max_items = 100, size_t max_bytes = 10'000) {
  return BatchBuilder(kAppId, ObjectType::kTrackEvent, max_items, max_bytes);
}
BatchBuilder Users(uint32_t max_items = 100, size_t max_bytes = 10'000) {
  return BatchBuilder(kAppId, ObjectType::kUserProperties, max_items,
                      max_bytes);
}

std::string Update(absl::string_view identity, absl::string_view key,
                   absl::string_view value) {
  return absl::StrCat(R"({"identity":")", identity, R"(","properties":{")", key,
                      R"(":")", value, R"("}})");
}

TEST(BatchBuilderTest, GivesNothingIfNothingWasAdded) {
  EXPECT_FALSE(Events().Finish().has_value());
  EXPECT_FALSE(Users().Finish().has_value());
}

TEST(BatchBuilderTest, PutsEventsIntoOneBodyInTheirOrder) {
  BatchBuilder builder = Events();
  EXPECT_EQ(builder.Add({.seq = 5, .text = R"({"a":1})"}, false), Added::kYes);
  EXPECT_EQ(builder.Add({.seq = 6, .text = R"({"a":2})"}, false), Added::kYes);
  const Batch batch = *std::move(builder).Finish();
  EXPECT_EQ(batch.body, R"({"app_id":"11","events":[{"a":1},{"a":2}]})");
  ASSERT_EQ(batch.items.size(), 2);
  EXPECT_EQ(batch.items[1].seq, 6);
  EXPECT_EQ(batch.items[1].bytes, 7);
}

TEST(BatchBuilderTest, IsFullAtItsCount) {
  BatchBuilder builder = Events(2);
  builder.Add({.seq = 1, .text = "{}"}, false);
  EXPECT_FALSE(builder.full());
  builder.Add({.seq = 2, .text = "{}"}, false);
  EXPECT_TRUE(builder.full());
  EXPECT_EQ(builder.Add({.seq = 3, .text = "{}"}, false), Added::kFull);
  EXPECT_EQ(builder.size(), 2);
}

TEST(BatchBuilderTest, FillsTheBodyToItsLastByteAndNotFurther) {
  for (const bool coalesces : {false, true}) {
    const auto fill = [coalesces](size_t max_bytes) {
      BatchBuilder builder =
          coalesces ? Users(100, max_bytes) : Events(100, max_bytes);
      for (uint64_t i = 0; i < 3; ++i) {
        builder.Add({.seq = i, .identity_hash = i, .text = "{12345}"}, false);
      }
      return *std::move(builder).Finish();
    };
    const size_t whole = fill(10'000).body.size();
    EXPECT_EQ(fill(whole).items.size(), 3);
    EXPECT_EQ(fill(whole - 1).items.size(), 2);
  }
}

TEST(BatchBuilderTest, TakesOneItemHoweverLarge) {
  for (const bool coalesces : {false, true}) {
    BatchBuilder builder = coalesces ? Users(100, 5) : Events(100, 5);
    EXPECT_EQ(
        builder.Add({.seq = 1, .identity_hash = 1, .text = "{123456}"}, false),
        Added::kYes);
    EXPECT_EQ(builder.Add({.seq = 2, .identity_hash = 2, .text = "{}"}, false),
              Added::kFull);
  }
}

TEST(BatchBuilderTest, NeverCoalescesEvents) {
  BatchBuilder builder = Events();
  const std::string text = Update("a", "k", "v");
  builder.Add({.seq = 1, .identity_hash = 1, .text = text}, false);
  builder.Add({.seq = 2, .identity_hash = 1, .text = text}, false);
  EXPECT_EQ(std::move(builder).Finish()->items.size(), 2);
}

TEST(BatchBuilderTest, LastUpdateOfAnIdentityWinsKeyByKey) {
  BatchBuilder builder = Users();
  builder.Add({.seq = 1, .identity_hash = 1, .text = Update("a", "x", "old")},
              true);
  builder.Add({.seq = 2, .identity_hash = 2, .text = Update("b", "x", "b")},
              false);
  builder.Add({.seq = 3, .identity_hash = 1, .text = Update("a", "y", "new")},
              false);
  builder.Add({.seq = 4, .identity_hash = 1, .text = Update("a", "x", "new")},
              false);
  const Batch batch = *std::move(builder).Finish();
  ASSERT_EQ(batch.items.size(), 2);
  EXPECT_THAT(batch.items[0].coalesced, ElementsAre(3, 4));
  EXPECT_EQ(batch.items[0].bytes, Update("a", "x", "old").size() +
                                      2 * Update("a", "x", "new").size());
  EXPECT_EQ(nlohmann::json::parse(batch.body)["users"],
            nlohmann::json::parse(
                R"([{"identity":"a","properties":{"x":"new","y":"new"}},
                    {"identity":"b","properties":{"x":"b"}}])"));
}

TEST(BatchBuilderTest, CoalescesAnUpdateIntoABatchThatIsFull) {
  BatchBuilder builder = Users(1);
  builder.Add({.seq = 1, .identity_hash = 1, .text = Update("a", "x", "1")},
              false);
  EXPECT_EQ(
      builder.Add({.seq = 2, .identity_hash = 1, .text = Update("a", "x", "2")},
                  false),
      Added::kYes);
}

TEST(BatchBuilderTest, RefusesWhatCannotBeCoalesced) {
  BatchBuilder builder = Users();
  builder.Add({.seq = 1, .identity_hash = 1, .text = Update("a", "x", "1")},
              false);
  EXPECT_EQ(
      builder.Add(
          {.seq = 2, .identity_hash = 1, .text = Update("same hash", "x", "2")},
          false),
      Added::kConflict);
  EXPECT_THAT(std::move(builder).Finish()->items[0].coalesced, IsEmpty());
}

TEST(BatchBuilderTest, CoalescingNeverMakesTheBodyTooLarge) {
  BatchBuilder builder = Users(100, 400);
  uint64_t seq = 0;
  for (int round = 0; round < 30; ++round) {
    builder.Add({.seq = seq++,
                 .identity_hash = 1,
                 .text = Update("a", absl::StrCat("key", round), "value")},
                false);
  }
  const Batch batch = *std::move(builder).Finish();
  EXPECT_LE(batch.body.size(), 400);
  EXPECT_GT(batch.body.size(), 380);
}

TEST(BatchTest, PlansAreMadeOfTheItemsAndWhatIsCoalescedIntoThem) {
  Batch batch{.id = 9, .tries = 2, .items = {}, .body = {}};
  batch.items.push_back(
      {.seq = 30, .identity_hash = 7, .deferred = true, .coalesced = {41}});
  batch.items.push_back({.seq = 40, .identity_hash = 8, .coalesced = {42, 50}});
  batch.items.push_back({.seq = 43, .identity_hash = 9, .coalesced = {}});
  const BatchPlan plan = batch.PlanOf(0, 2);
  EXPECT_EQ(plan.id, 9);
  EXPECT_EQ(plan.tries, 2);
  EXPECT_THAT(plan.deferred, ElementsAre(Pair(7, 30)));
  EXPECT_THAT(plan.main.ranges(), ElementsAre(Pair(40, 43), Pair(50, 51)));
  EXPECT_THAT(batch.Seqs().ranges(),
              ElementsAre(Pair(30, 31), Pair(40, 44), Pair(50, 51)));
  EXPECT_TRUE(batch.PlanOf(1, 1).empty());
}

}  // namespace
}  // namespace heapsync
