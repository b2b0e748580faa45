#include "tests/fake_heap/post_body.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace heapsync::fake_heap {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

// Single quotes stand for double ones.
std::string Json(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"'", "\""}});
}

std::optional<std::string> FaultOf(ObjectType type, absl::string_view body) {
  return ReadPostBody(type, Json(body), ReadDepth::kFull).fault;
}

// The fault of an event with these members beside a name.
std::optional<std::string> EventFault(absl::string_view members) {
  return FaultOf(
      ObjectType::kTrackEvent,
      absl::StrCat("{'app_id':'1','events':[{'event':'e',", members, "}]}"));
}

std::optional<std::string> UserFault(absl::string_view members) {
  return FaultOf(ObjectType::kUserProperties,
                 absl::StrCat("{'app_id':'1','users':[{", members, "}]}"));
}

std::string Repeat(absl::string_view text, size_t times) {
  std::string repeated;
  for (size_t i = 0; i < times; ++i) repeated.append(text.data(), text.size());
  return repeated;
}

TEST(PostBody, ReadsWhatHeapsReferenceShows) {
  const std::string text = Json(
      "{'app_id':'1','events':[{'identity':'a','event':'e',"
      "'timestamp':'2024-01-15T10:30:00Z','idempotency_key':'12345678',"
      "'session_id':'5','properties':{'n':1,'t':'x','l':['a',2]}}]}");
  const PostBody body =
      ReadPostBody(ObjectType::kTrackEvent, text, ReadDepth::kFull);
  EXPECT_EQ(body.fault, std::nullopt);
  EXPECT_EQ(body.app_id, "1");
  ASSERT_EQ(body.items.size(), 1u);
  EXPECT_EQ(body.items[0].identity, "a");
  EXPECT_EQ(body.items[0].idempotency_key, "12345678");
}

TEST(PostBody, TakesTheSingleFormOfEachType) {
  EXPECT_EQ(FaultOf(ObjectType::kTrackEvent,
                    "{'app_id':'1','identity':'a','event':'e'}"),
            std::nullopt);
  EXPECT_EQ(FaultOf(ObjectType::kUserProperties,
                    "{'app_id':'1','identity':'a','properties':{'p':1}}"),
            std::nullopt);
  EXPECT_EQ(FaultOf(ObjectType::kAccountProperties,
                    "{'app_id':'1','account_id':'a','properties':{'p':1}}"),
            std::nullopt);
}

TEST(PostBody, SaysPropertiesShouldBeObjectForAnArray) {
  EXPECT_EQ(EventFault("'identity':'a','properties':[]"),
            "postBody.events[0].properties should be object");
  EXPECT_EQ(FaultOf(ObjectType::kTrackEvent,
                    "{'app_id':'1','identity':'a','event':'e',"
                    "'properties':[]}"),
            "postBody.events[0].properties should be object");
}

TEST(PostBody, NamesTheFirstBadItem) {
  EXPECT_EQ(
      FaultOf(ObjectType::kAccountProperties,
              "{'app_id':'1','accounts':[{'account_id':'a'},{},{'x':1}]}"),
      "postBody.accounts[1] should have required property 'account_id'");
}

TEST(PostBody, SaysWhatIsMissing) {
  EXPECT_EQ(FaultOf(ObjectType::kTrackEvent, "{'events':[]}"),
            "postBody should have required property 'app_id'");
  EXPECT_EQ(FaultOf(ObjectType::kTrackEvent, "{'app_id':'1'}"),
            "postBody should have required property 'events'");
  EXPECT_EQ(FaultOf(ObjectType::kTrackEvent,
                    "{'app_id':'1','events':[{'identity':'a'}]}"),
            "postBody.events[0] should have required property 'event'");
  EXPECT_EQ(EventFault("'properties':{}"),
            "postBody.events[0] should have required property 'identity', "
            "postBody.events[0] should have required property 'user_id', "
            "postBody.events[0] should match exactly one schema in oneOf");
}

TEST(PostBody, RefusesIdentityTogetherWithUserId) {
  EXPECT_EQ(EventFault("'identity':'a','user_id':'1'"),
            "postBody.events[0] should match exactly one schema in oneOf");
}

TEST(PostBody, TakesAnyAppIdOfDigitsAndNoOther) {
  EXPECT_EQ(
      FaultOf(ObjectType::kTrackEvent,
              "{'app_id':'99999','events':[{'event':'e','identity':'a'}]}"),
      std::nullopt);
  EXPECT_EQ(FaultOf(ObjectType::kTrackEvent, "{'app_id':'YOUR','events':[]}"),
            "postBody.app_id should match pattern \"^[0-9]+$\"");
  EXPECT_EQ(FaultOf(ObjectType::kTrackEvent, "{'app_id':1,'events':[]}"),
            "postBody.app_id should be string");
}

TEST(PostBody, HoldsIdentitiesTo255CodePoints) {
  EXPECT_EQ(EventFault(absl::StrCat("'identity':'", Repeat("ü", 255), "'")),
            std::nullopt);
  EXPECT_EQ(EventFault(absl::StrCat("'identity':'", Repeat("ü", 256), "'")),
            "postBody.events[0].identity should NOT be longer than 255 "
            "characters");
  EXPECT_EQ(EventFault("'identity':''"),
            "postBody.events[0].identity should NOT be shorter than 1 "
            "characters");
  EXPECT_EQ(EventFault("'identity':7"),
            "postBody.events[0].identity should be string");
}

TEST(PostBody, HoldsPropertyValuesTo1023Characters) {
  EXPECT_EQ(UserFault(absl::StrCat("'identity':'a','properties':{'p':'",
                                   Repeat("x", 1023), "'}")),
            std::nullopt);
  EXPECT_EQ(UserFault(absl::StrCat("'identity':'a','properties':{'a b':'",
                                   Repeat("x", 1024), "'}")),
            "postBody.users[0].properties['a b'] should NOT be longer than "
            "1023 characters");
}

TEST(PostBody, RefusesValuesThatAreNeitherTextNorNumber) {
  for (const char* value : {"true", "null", "{'a':1}"}) {
    EXPECT_EQ(EventFault(absl::StrCat(
                  "'identity':'a','properties':{'p':", value, "}")),
              "postBody.events[0].properties.p should be string,number");
  }
}

TEST(PostBody, TakesArraysOnlyInEvents) {
  EXPECT_EQ(EventFault("'identity':'a','properties':{'p':['x',1]}"),
            std::nullopt);
  EXPECT_EQ(UserFault("'identity':'a','properties':{'p':['x']}"),
            "postBody.users[0].properties.p should be string,number");
}

TEST(PostBody, RefusesTheUserPropertyIdInAnyCasing) {
  EXPECT_EQ(UserFault("'identity':'a','properties':{'Id':'1'}"),
            "postBody.users[0].properties property name 'Id' is invalid");
}

TEST(PostBody, HoldsUserIdsBelowTwoToThe53) {
  EXPECT_EQ(EventFault("'user_id':'9007199254740991'"), std::nullopt);
  EXPECT_EQ(EventFault("'user_id':'9007199254740992'"),
            "postBody.events[0].user_id should be <= 9007199254740991");
  EXPECT_EQ(EventFault("'user_id':'-1'"),
            "postBody.events[0].user_id should match pattern \"^[0-9]+$\"");
}

TEST(PostBody, TakesIso8601Only) {
  for (const char* time :
       {"2024-01-15T10:30:00Z", "2024-01-15T10:30:00.123456Z",
        "2024-01-15T10:30:00+02:00", "2024-01-15"}) {
    EXPECT_EQ(
        EventFault(absl::StrCat("'identity':'a','timestamp':'", time, "'")),
        std::nullopt);
  }
  for (const char* time : {"yesterday", "15.01.2024 10:30", "2024-13-01",
                           "infinite-future", "1705314600"}) {
    EXPECT_EQ(
        EventFault(absl::StrCat("'identity':'a','timestamp':'", time, "'")),
        "postBody.events[0].timestamp should match format "
        "\"date-time\"");
  }
}

TEST(PostBody, RefusesShortIdempotencyKeys) {
  EXPECT_EQ(EventFault("'identity':'a','idempotency_key':'1234567'"),
            "postBody.events[0].idempotency_key should NOT be shorter than 8 "
            "characters");
}

TEST(PostBody, RefusesMoreThan1000ItemsAndNone) {
  const auto with_items = [](size_t count) {
    std::string items = Repeat("{'account_id':'a'},", count);
    if (!items.empty()) items.pop_back();
    return FaultOf(ObjectType::kAccountProperties,
                   absl::StrCat("{'app_id':'1','accounts':[", items, "]}"));
  };
  EXPECT_EQ(with_items(1000), std::nullopt);
  EXPECT_EQ(with_items(1001),
            "postBody.accounts should NOT have more than 1000 items");
  EXPECT_EQ(with_items(0),
            "postBody.accounts should NOT have fewer than 1 items");
}

TEST(PostBody, RefusesWhatIsNoJson) {
  for (const char* body :
       {"", "x", "{", "[]", "{'app_id':'1','events':[{]}",
        "{'app_id':'1','events':[{'event':'e','identity':nope}]}",
        "{'app_id':'1','events':[{'event':'\xff','identity':'a'}]}",
        "{'app_id':'1','events':[{'event':'e','identity':'a'}]} x"}) {
    EXPECT_EQ(FaultOf(ObjectType::kTrackEvent, body),
              "Unexpected token in JSON")
        << body;
  }
}

TEST(PostBody, FindsTheIdentitiesOfABadBodyToo) {
  const std::string text = Json(
      "{'app_id':'1','users':[{'identity':'a','properties':[]},"
      "{'identity':'b'}]}");
  const PostBody body =
      ReadPostBody(ObjectType::kUserProperties, text, ReadDepth::kFull);
  EXPECT_NE(body.fault, std::nullopt);
  ASSERT_EQ(body.items.size(), 2u);
  EXPECT_EQ(body.items[0].identity, "a");
  EXPECT_EQ(body.items[1].identity, "b");
}

TEST(PostBody, KeepsPropertiesAsJsonText) {
  const std::string text = Json(
      "{'app_id':'1','users':[{'identity':'a','properties':{'n':1.5,"
      "'t':'\\u00fc'}}]}");
  const PostBody body =
      ReadPostBody(ObjectType::kUserProperties, text, ReadDepth::kFull);
  ASSERT_EQ(body.items.size(), 1u);
  EXPECT_THAT(body.items[0].properties,
              ElementsAre(Pair("n", "1.5"), Pair("t", "\"ü\"")));
}

TEST(PostBody, CountsWithoutLookingIntoItems) {
  const std::string text =
      Json("{'events':[{'a':'}]'},{'b':'\\\\'},7],'app_id':'1'}");
  const PostBody body =
      ReadPostBody(ObjectType::kTrackEvent, text, ReadDepth::kCount);
  EXPECT_EQ(body.fault, std::nullopt);
  EXPECT_EQ(body.app_id, "1");
  ASSERT_EQ(body.items.size(), 3u);
  EXPECT_EQ(body.items[1].text, Json("{'b':'\\\\'}"));
  EXPECT_THAT(body.items[0].identity, IsEmpty());
}

}  // namespace
}  // namespace heapsync::fake_heap
