#include "tests/fake_heap/heap_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace heapsync::fake_heap {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

struct TestEvent {
  std::string identity;
  std::string key;
  std::string text = "{}";
};

class HeapStateTest : public ::testing::Test {
 protected:
  void Track(const std::vector<TestEvent>& events,
             Region region = Region::kUs) {
    PostBody body;
    body.app_id = "1";
    for (const TestEvent& event : events) {
      body.items.push_back({event.text, event.identity, event.key, {}});
    }
    state_.Apply(ObjectType::kTrackEvent, body, {region, ++request_, {}});
  }

  void Set(const std::string& identity, std::vector<Property> properties) {
    PostBody body;
    body.app_id = "1";
    body.items.push_back({"{}", identity, "", std::move(properties)});
    state_.Apply(ObjectType::kUserProperties, body,
                 {Region::kUs, ++request_, {}});
  }

  const AppStore& app() { return *state_.Find("1"); }

  HeapState state_{HeapState::Options{true, 1000, false}};
  uint64_t request_ = 0;
};

TEST_F(HeapStateTest, KeepsTheFirstOfTwoEventsWithOneKey) {
  Track({{"a", "k", "first"}});
  Track({{"b", "k", "second"}});
  EXPECT_EQ(app().events(), 1u);
  EXPECT_EQ(app().FindEvent("k")->event.text, "first");
  EXPECT_EQ(app().FindEvent("k")->event.identity, "a");
  EXPECT_EQ(app().FindEvent("k")->count, 2u);
  EXPECT_EQ(app().duplicates(), 1u);
}

TEST_F(HeapStateTest, KnowsKeysOfTheSameRequest) {
  Track({{"a", "k"}, {"a", "k"}});
  EXPECT_EQ(app().events(), 1u);
  EXPECT_EQ(app().unique_keys(), 1u);
}

TEST_F(HeapStateTest, AlwaysAppendsEventsWithoutKey) {
  Track({{"a", ""}, {"a", ""}});
  EXPECT_EQ(app().events(), 2u);
  EXPECT_EQ(app().unique_keys(), 0u);
}

TEST_F(HeapStateTest, SeesTheSameKeyInBothRegionsAsADuplicate) {
  Track({{"a", "k"}}, Region::kUs);
  Track({{"a", "k"}}, Region::kEu);
  EXPECT_EQ(app().duplicates(), 1u);
  EXPECT_EQ(app().items(ObjectType::kTrackEvent, Region::kUs), 1u);
  EXPECT_EQ(app().items(ObjectType::kTrackEvent, Region::kEu), 1u);
}

TEST_F(HeapStateTest, PagesThroughTheEventsOfOneIdentityInOrder) {
  for (int i = 0; i < 5; ++i) {
    Track({{"a", "", absl::StrCat("a", i)}, {"b", "", absl::StrCat("b", i)}});
  }
  std::vector<std::string> texts;
  for (const Event& event : app().Events("a", 1, 3)) {
    texts.emplace_back(event.text);
  }
  EXPECT_THAT(texts, ElementsAre("a1", "a2", "a3"));
  EXPECT_EQ(app().CountEvents("a"), 5u);
  EXPECT_EQ(app().Events("a", 9, 3).size(), 0u);
  EXPECT_EQ(app().Events("nobody", 0, 3).size(), 0u);
  EXPECT_EQ(app().Events(std::nullopt, 0, 100).size(), 10u);
}

TEST_F(HeapStateTest, OverwritesPropertiesKeyByKey) {
  Set("a", {{"x", "1"}, {"y", "1"}});
  Set("a", {{"y", "2"}, {"z", "2"}});
  const Profile& profile = *app().FindProfile(ObjectType::kUserProperties, "a");
  EXPECT_THAT(profile.properties,
              ElementsAre(Pair("x", "1"), Pair("y", "2"), Pair("z", "2")));
  EXPECT_EQ(profile.writes, 2u);
  EXPECT_EQ(profile.first_request, 1u);
  EXPECT_EQ(profile.last_request, 2u);
}

TEST_F(HeapStateTest, KeepsUsersApartFromAccounts) {
  Set("a", {});
  EXPECT_EQ(app().FindProfile(ObjectType::kAccountProperties, "a"), nullptr);
}

TEST_F(HeapStateTest, DropsTextsButNoKeysOverTheCap) {
  Track({{"a", "k1", std::string(900, 'x')}});
  Track({{"a", "k2", std::string(900, 'x')}});
  EXPECT_EQ(state_.event_bytes(), 900u);
  EXPECT_EQ(state_.dropped_texts(), 1u);
  EXPECT_EQ(app().FindEvent("k2")->event.text, "");
  EXPECT_EQ(app().unique_keys(), 2u);
}

TEST_F(HeapStateTest, ForgetsEverythingWhenCleared) {
  Track({{"a", "k"}});
  state_.Clear();
  EXPECT_EQ(state_.Find("1"), nullptr);
  Track({{"a", "k"}});
  EXPECT_EQ(app().duplicates(), 0u);
}

TEST(HeapState, OnlyCountsIfConfigured) {
  HeapState state(HeapState::Options{true, 1000, true});
  PostBody body;
  body.app_id = "1";
  body.items.resize(7);
  state.Apply(ObjectType::kTrackEvent, body, {Region::kEu, 1, {}});
  EXPECT_EQ(state.Find("1")->items(ObjectType::kTrackEvent, Region::kEu), 7u);
  EXPECT_EQ(state.Find("1")->events(), 0u);
}

}  // namespace
}  // namespace heapsync::fake_heap
