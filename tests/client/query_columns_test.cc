#include "client/cli/query_columns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::string ErrorOf(const MappingOptions& mapping,
                    const std::vector<std::string>& names) {
  return std::string(ResolveColumns(mapping, names).status().message());
}

TEST(QueryColumnsTest, NamesAreFoundInAnyCase) {
  MappingOptions mapping;
  mapping.type = ObjectType::kUserProperties;
  mapping.columns = {{"identity", "user_email"}};
  mapping.properties = {"Plan"};
  const auto resolved = ResolveColumns(mapping, {"USER_EMAIL", "PLAN"});
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_THAT(resolved->mapping.columns,
              ElementsAre(Pair("identity", "USER_EMAIL")));
  EXPECT_THAT(*resolved->mapping.properties, ElementsAre("PLAN"));
  EXPECT_THAT(resolved->keys, ElementsAre("USER_EMAIL", "PLAN"));
}

TEST(QueryColumnsTest, TheSameLettersComeFirst) {
  MappingOptions mapping;
  mapping.type = ObjectType::kUserProperties;
  mapping.columns = {{"identity", "Id"}};
  const auto resolved = ResolveColumns(mapping, {"ID", "Id"});
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_THAT(resolved->mapping.columns, ElementsAre(Pair("identity", "Id")));
}

TEST(QueryColumnsTest, SeveralColumnsThatDifferInCaseAreNotGuessedAt) {
  MappingOptions mapping;
  mapping.type = ObjectType::kUserProperties;
  mapping.columns = {{"identity", "id"}};
  EXPECT_THAT(ErrorOf(mapping, {"ID", "Id"}),
              HasSubstr("several columns may be meant by \"id\": ID, Id"));
}

TEST(QueryColumnsTest, ColumnsNamedLikeAFieldFillIt) {
  MappingOptions mapping;
  mapping.type = ObjectType::kTrackEvent;
  const auto resolved = ResolveColumns(mapping, {"IDENTITY", "EVENT", "PLAN"});
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_THAT(resolved->keys, ElementsAre("identity", "event", "PLAN"));
}

TEST(QueryColumnsTest, APathLeadsIntoAColumn) {
  MappingOptions mapping;
  mapping.type = ObjectType::kUserProperties;
  mapping.columns = {{"identity", "payload.user.id"}};
  const auto resolved = ResolveColumns(mapping, {"PAYLOAD"});
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_THAT(resolved->mapping.columns,
              ElementsAre(Pair("identity", "PAYLOAD.user.id")));
}

TEST(QueryColumnsTest, EverythingThatIsWrongIsSaidBeforeARowIsRead) {
  MappingOptions mapping;
  mapping.type = ObjectType::kTrackEvent;
  mapping.properties = {"plan"};
  EXPECT_EQ(ErrorOf(mapping, {"a", "b"}),
            "no column is named \"plan\"; nothing fills identity and event "
            "(see --map and --set); the columns of the query are: \"a\", "
            "\"b\"");
  mapping.properties.reset();
  EXPECT_THAT(ErrorOf(mapping, {"USER_ID", "event"}),
              HasSubstr("\"user_id\" is not mapped"));
}

}  // namespace
}  // namespace heapsync
