#include "heap_adapter/transport/named_item.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace heapsync {
namespace {

using ::testing::Eq;
using ::testing::Optional;

constexpr size_t kBatchSize = 1000;

std::optional<size_t> InEvents(absl::string_view text) {
  return NamedItem(text, "events", kBatchSize);
}

TEST(NamedItem, IsTheIndexThatHeapNames) {
  EXPECT_THAT(InEvents("postBody.events[0].properties should be object"),
              Optional(Eq(0u)));
  EXPECT_THAT(InEvents("postBody.events[999] should have required property "
                       "'event'"),
              Optional(Eq(999u)));
  EXPECT_THAT(InEvents("{\"error\":\"postBody.events[17].event is required\"}"),
              Optional(Eq(17u)));
}

TEST(NamedItem, IsFoundForEachArray) {
  EXPECT_THAT(NamedItem("postBody.users[3].identity is required", "users", 4),
              Optional(Eq(3u)));
  EXPECT_THAT(
      NamedItem("postBody.accounts[2].account_id is required", "accounts", 4),
      Optional(Eq(2u)));
}

TEST(NamedItem, MayBeNamedSeveralTimes) {
  EXPECT_THAT(InEvents("postBody.events[4].event should be string, "
                       "postBody.events[4].properties should be object"),
              Optional(Eq(4u)));
}

TEST(NamedItem, IsNoneWhenTwoItemsAreNamed) {
  EXPECT_EQ(InEvents("postBody.events[4].event should be string, "
                     "postBody.events[5].event should be string"),
            std::nullopt);
}

TEST(NamedItem, IsNoneForAnArrayThatWasNotSent) {
  EXPECT_EQ(InEvents("postBody.users[0].identity is required"), std::nullopt);
  EXPECT_EQ(InEvents("postBody.old_events[0].event is required"), std::nullopt);
  EXPECT_EQ(NamedItem("postBody.events[0] is bad", "users", 10), std::nullopt);
}

TEST(NamedItem, IsNoneBeyondTheBatch) {
  EXPECT_EQ(NamedItem("postBody.events[10] is bad", "events", 10),
            std::nullopt);
  EXPECT_THAT(NamedItem("postBody.events[9] is bad", "events", 10),
              Optional(Eq(9u)));
  EXPECT_EQ(NamedItem("postBody.events[0] is bad", "events", 0), std::nullopt);
}

TEST(NamedItem, MayHaveArraysOfItsOwn) {
  EXPECT_THAT(
      InEvents("postBody.events[3].properties.tags[7] should be string"),
      Optional(Eq(3u)));
  EXPECT_THAT(InEvents("postBody.events[3].properties.events[7] is bad"),
              Optional(Eq(3u)));
  EXPECT_THAT(
      InEvents("postBody.events[3].properties.postBody.events[7] is bad"),
      Optional(Eq(3u)));
}

TEST(NamedItem, IsNoneWhereAQuotedValueOnlyLooksLikeAPath) {
  EXPECT_EQ(InEvents("value \"events[2]\" is too long"), std::nullopt);
  EXPECT_EQ(InEvents("xpostBody.events[2] is bad"), std::nullopt);
}

TEST(NamedItem, IsNoneForHostileTexts) {
  for (const char* text :
       {"", "Bad Request", "postBody.events", "postBody.events[",
        "postBody.events[]", "postBody.events[1", "postBody.events[-1]",
        "postBody.events[+1]", "postBody.events[ 1]", "postBody.events[1.0]",
        "postBody.events[0x1]", "postBody.events[1e1]", "postBody.events[*]",
        "postBody.events[18446744073709551616]",
        "postBody.events[99999999999999999999999999]",
        "postBody.events[1] postBody.events[x]", "postbody.events[1]"}) {
    EXPECT_EQ(InEvents(text), std::nullopt) << text;
  }
}

TEST(NamedItem, IsFoundInALongText) {
  EXPECT_THAT(InEvents(std::string(60'000, '[') + " postBody.events[8].event " +
                       std::string(4'000, ']')),
              Optional(Eq(8u)));
}

}  // namespace
}  // namespace heapsync
