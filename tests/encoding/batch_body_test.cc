#include "heap_adapter/encoding/batch_body.h"

#include <utility>

#include "gtest/gtest.h"

namespace heapsync {
namespace {

const AppId kAppId = AppId::Parse("1234567890").value();

TEST(BatchBodyTest, NamesTheAppIdAndTheArrayOfTheObjectType) {
  EXPECT_EQ(BatchBody(kAppId, ObjectType::kTrackEvent).Finish(),
            R"({"app_id":"1234567890","events":[]})");
  EXPECT_EQ(BatchBody(kAppId, ObjectType::kUserProperties).Finish(),
            R"({"app_id":"1234567890","users":[]})");
  EXPECT_EQ(BatchBody(kAppId, ObjectType::kAccountProperties).Finish(),
            R"({"app_id":"1234567890","accounts":[]})");
}

TEST(BatchBodyTest, SeparatesItemsByCommas) {
  BatchBody body(kAppId, ObjectType::kUserProperties);
  body.AppendItem(R"({"identity":"a"})");
  body.AppendItem(R"({"identity":"b"})");
  EXPECT_EQ(
      std::move(body).Finish(),
      R"({"app_id":"1234567890","users":[{"identity":"a"},{"identity":"b"}]})");
}

TEST(BatchBodyTest, SizeIsThatOfTheFinishedBody) {
  BatchBody body(kAppId, ObjectType::kTrackEvent);
  EXPECT_TRUE(body.empty());
  body.AppendItem("{}");
  const size_t with_one = body.size();
  body.AppendItem("{}");
  EXPECT_FALSE(body.empty());
  EXPECT_EQ(body.size(), with_one + 3);
  const size_t size = body.size();
  EXPECT_EQ(std::move(body).Finish().size(), size);
}

}  // namespace
}  // namespace heapsync
