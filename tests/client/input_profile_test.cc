#include "client/cli/input_profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "heapsync/v1/items.pb.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

MappedRow Event(const std::string& identity) {
  v1::TrackEvent event;
  event.set_identity(identity);
  event.set_event("Signed Up");
  MappedRow row;
  row.item = std::make_unique<v1::TrackEvent>(event);
  return row;
}

google::protobuf::Value& AmountOf(MappedRow& row) {
  auto& event = static_cast<v1::TrackEvent&>(*row.item);
  return (*event.mutable_properties()->mutable_fields())["amount"];
}

TEST(MaskedTest, ShowsTheShapeAndTheFirstCharacter) {
  EXPECT_EQ(Masked("jane@example.com"), "j***@*******.***");
  EXPECT_EQ(Masked("49.99"), "4#.##");
  EXPECT_EQ(Masked("2024-01-15"), "2###-##-##");
  EXPECT_EQ(Masked("élan"), "****");
}

TEST(MaskedTest, ShowsNothingOfAShortValue) {
  EXPECT_EQ(Masked("7"), "#");
  EXPECT_EQ(Masked("ab"), "**");
  EXPECT_EQ(Masked(""), "");
}

TEST(MaskedTest, CutsALongValue) {
  EXPECT_EQ(Masked("a" + std::string(39, 'b')),
            "a" + std::string(23, '*') + "… (40 characters)");
}

TEST(InputProfileTest, CountsFieldsByTheirTypes) {
  InputProfile profile(ObjectType::kTrackEvent);
  MappedRow row = Event("jane");
  AmountOf(row).set_number_value(49.99);
  profile.Observe(row);
  AmountOf(row).set_string_value("n/a");
  profile.Observe(row);
  ASSERT_EQ(profile.fields().size(), 3u);
  EXPECT_EQ(profile.fields()[0].name, "identity");
  EXPECT_EQ(profile.fields()[0].example, "j***");
  EXPECT_THAT(profile.fields()[0].types, ElementsAre(Pair("text", 2)));
  EXPECT_EQ(profile.fields()[2].name, "properties.amount");
  EXPECT_EQ(profile.fields()[2].example, "4#.##");
  EXPECT_THAT(profile.fields()[2].types,
              ElementsAre(Pair("number", 1), Pair("text", 1)));
}

TEST(InputProfileTest, CountsRowsOfTheSameUser) {
  InputProfile profile(ObjectType::kUserProperties);
  for (const char* identity : {"a", "b", "a", "a"}) {
    profile.Observe(Event(identity));
  }
  EXPECT_EQ(profile.rows(), 4u);
  EXPECT_EQ(profile.subjects(), 2u);
  EXPECT_EQ(profile.repeated_rows(), 2u);
  EXPECT_EQ(profile.busiest(), 3u);
}

TEST(InputProfileTest, EventsTakeAsLongAsTheTighterLimit) {
  InputProfile profile(ObjectType::kTrackEvent);
  for (int i = 0; i < 15'000; ++i) profile.Observe(Event(std::to_string(i)));
  EXPECT_EQ(profile.LeastDuration(), std::chrono::seconds(0));
  profile.Observe(Event("one more"));
  EXPECT_EQ(profile.LeastDuration(), std::chrono::seconds(60));
  for (int i = 0; i < 3'000; ++i) profile.Observe(Event("one more"));
  EXPECT_EQ(profile.LeastDuration(), std::chrono::seconds(180));
}

TEST(InputProfileTest, PropertiesHaveNoLimitForAnApp) {
  InputProfile profile(ObjectType::kUserProperties);
  for (int i = 0; i < 20'000; ++i) profile.Observe(Event("a"));
  EXPECT_EQ(profile.LeastDuration(), std::chrono::seconds(0));
}

}  // namespace
}  // namespace heapsync
