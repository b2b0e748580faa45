#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "heap_adapter/spool/store.h"
#include "tests/spool/store_place.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::Pair;

using Entry = std::pair<std::string, std::string>;

class StoreContractTest : public ::testing::TestWithParam<StoreKind> {
 protected:
  void Put(const std::string& key, const std::string& value,
           Durability durability = Durability::kProcess) {
    StoreBatch batch;
    batch.Put(key, value);
    ASSERT_TRUE(store_->Write(batch, durability).ok());
  }
  void Delete(const std::string& key) {
    StoreBatch batch;
    batch.Delete(key);
    ASSERT_TRUE(store_->Write(batch, Durability::kProcess).ok());
  }
  static std::vector<Entry> Rest(StoreCursor& cursor) {
    std::vector<Entry> entries;
    for (; cursor.Valid(); cursor.Next()) {
      entries.emplace_back(cursor.key(), cursor.value());
    }
    EXPECT_TRUE(cursor.status().ok()) << cursor.status();
    return entries;
  }
  std::vector<Entry> Scan(const std::string& begin, const std::string& end) {
    return Rest(*store_->Scan(begin, end));
  }
  std::optional<Entry> Last(const std::string& begin, const std::string& end) {
    return *store_->Last(begin, end);
  }
  std::optional<std::string> Get(const std::string& key) {
    return *store_->Get(key);
  }

  std::unique_ptr<StorePlace> place_ = GetParam().make();
  Store* store_ = &place_->Open();
};

TEST_P(StoreContractTest, GivesWhatWasPutAndNothingElse) {
  Put("a", "1");
  EXPECT_THAT(Get("a"), Optional(std::string("1")));
  EXPECT_EQ(Get("b"), std::nullopt);
  EXPECT_EQ(Get(""), std::nullopt);
}

TEST_P(StoreContractTest, KeepsEveryByteOfKeysAndValues) {
  const std::string key("\0\xff\n key", 7);
  const std::string value("\xff\0\0\x80", 4);
  Put(key, value);
  Put("empty", "");
  EXPECT_THAT(Get(key), Optional(value));
  EXPECT_THAT(Get("empty"), Optional(std::string()));
}

TEST_P(StoreContractTest, AppliesTheChangesOfABatchInTheirOrder) {
  Put("a", "old");
  StoreBatch batch;
  batch.Put("a", "1");
  batch.Delete("a");
  batch.Put("b", "2");
  batch.Put("b", "3");
  batch.Delete("c");
  ASSERT_TRUE(store_->Write(batch, Durability::kDisk).ok());
  EXPECT_THAT(Scan("", "z"), ElementsAre(Pair("b", "3")));
}

TEST_P(StoreContractTest, AnUpdateIsMadeFromThePresentValues) {
  Put("a", "1");
  const absl::Status updated = store_->Update(
      {"a", "b"},
      [](const std::vector<std::optional<std::string>>& values) {
        EXPECT_THAT(values,
                    ElementsAre(Optional(std::string("1")), std::nullopt));
        StoreBatch batch;
        batch.Put("b", *values[0] + "2");
        batch.Delete("a");
        return batch;
      },
      Durability::kDisk);
  EXPECT_TRUE(updated.ok()) << updated;
  EXPECT_THAT(Scan("", "z"), ElementsAre(Pair("b", "12")));
}

TEST_P(StoreContractTest, ShowsABatchToOtherThreadsWholeOrNotAtAll) {
  constexpr int kRounds = 300;
  std::thread writer([&] {
    for (int i = 0; i < kRounds; ++i) {
      StoreBatch batch;
      batch.Put("a", std::to_string(i));
      batch.Put("b", std::to_string(i));
      ASSERT_TRUE(store_->Write(batch, Durability::kProcess).ok());
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    const std::vector<Entry> seen = Scan("a", "c");
    if (seen.empty()) continue;
    ASSERT_EQ(seen.size(), 2);
    ASSERT_EQ(seen[0].second, seen[1].second);
  }
  writer.join();
}

TEST_P(StoreContractTest, ScansFromTheBeginUpToButWithoutTheEnd) {
  for (const char* key : {"a", "b", "ba", "c", "d"}) Put(key, key);
  EXPECT_THAT(Scan("b", "d"),
              ElementsAre(Pair("b", "b"), Pair("ba", "ba"), Pair("c", "c")));
  EXPECT_THAT(Scan("bb", "bz"), IsEmpty());
  EXPECT_THAT(Scan("b", "b"), IsEmpty());
}

TEST_P(StoreContractTest, OrdersKeysAsUnsignedBytes) {
  Put("\x7f", "1");
  Put("\x80", "2");
  Put("\xff", "3");
  EXPECT_THAT(Scan("\x7f", "\xff"),
              ElementsAre(Pair("\x7f", "1"), Pair("\x80", "2")));
}

TEST_P(StoreContractTest, FindsTheGreatestKeyOfARange) {
  for (const char* key : {"a", "b", "c"}) Put(key, key);
  EXPECT_THAT(Last("a", "c"), Optional(Pair("b", "b")));
  EXPECT_THAT(Last("a", "z"), Optional(Pair("c", "c")));
  EXPECT_EQ(Last("bb", "c"), std::nullopt);
  EXPECT_EQ(Last("d", "z"), std::nullopt);
}

TEST_P(StoreContractTest, PassesOverDeletedKeysWhenItFindsTheGreatest) {
  for (const char* key : {"a", "b", "c"}) Put(key, key);
  Delete("c");
  Delete("b");
  EXPECT_THAT(Last("a", "z"), Optional(Pair("a", "a")));
}

TEST_P(StoreContractTest, FindsTheFirstEntryOfEachRange) {
  for (const char* key : {"a", "b", "c"}) Put(key, key);
  const std::vector<Store::KeyRange> ranges = {
      {.begin = "b", .end = "z"},
      {.begin = "bb", .end = "c"},
      {.begin = "a", .end = "b", .with_value = false},
      {.begin = "a", .end = "z"}};
  EXPECT_THAT(*store_->FirstOfEach(ranges),
              ElementsAre(Optional(Pair("b", "b")), std::nullopt,
                          Optional(Pair("a", "")), Optional(Pair("a", "a"))));
  EXPECT_THAT(*store_->FirstOfEach({}), IsEmpty());
}

TEST_P(StoreContractTest, CursorSeesTheStoreAsItWas) {
  for (const char* key : {"a", "b", "c"}) Put(key, "old");
  const auto cursor = store_->Scan("a", "z");
  Put("b", "new");
  Delete("c");
  Put("d", "new");
  EXPECT_THAT(Rest(*cursor), ElementsAre(Pair("a", "old"), Pair("b", "old"),
                                         Pair("c", "old")));
  EXPECT_THAT(Scan("a", "z"), ElementsAre(Pair("a", "old"), Pair("b", "new"),
                                          Pair("d", "new")));
}

TEST_P(StoreContractTest, TwoCursorsSeeTwoStates) {
  Put("a", "1");
  auto first = store_->Scan("a", "z");
  Put("a", "2");
  const auto second = store_->Scan("a", "z");
  Delete("a");
  EXPECT_THAT(Rest(*first), ElementsAre(Pair("a", "1")));
  first.reset();
  EXPECT_THAT(Rest(*second), ElementsAre(Pair("a", "2")));
  EXPECT_EQ(Get("a"), std::nullopt);
}

TEST_P(StoreContractTest, HasEverythingWhenItIsOpenedAgain) {
  Put("synced", "1", Durability::kDisk);
  Put("unsynced", "2");
  Put("deleted", "3", Durability::kDisk);
  Delete("deleted");
  place_->Close();
  store_ = &place_->Open();
  EXPECT_THAT(Scan("", "z"),
              ElementsAre(Pair("synced", "1"), Pair("unsynced", "2")));
}

INSTANTIATE_TEST_SUITE_P(Each, StoreContractTest,
                         ::testing::ValuesIn(StoreKinds()),
                         [](const auto& param_info) {
                           return param_info.param.name;
                         });

}  // namespace
}  // namespace heapsync
