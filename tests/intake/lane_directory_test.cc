#include "heap_adapter/intake/lane_directory.h"

#include "gtest/gtest.h"

namespace heapsync {
namespace {

constexpr ObjectType kEvents = ObjectType::kTrackEvent;
constexpr ObjectType kUsers = ObjectType::kUserProperties;

class LaneDirectoryTest : public ::testing::Test {
 protected:
  LaneDirectoryTest() {
    for (const char* name : {"a", "b"}) {
      for (const ObjectType type : kObjectTypes) {
        shared_[{name, type, ""}] = lanes_.FindOrAdd(name, type, "").id;
      }
    }
  }
  LaneId SharedBy(const char* destination, ObjectType type) {
    return shared_.at({destination, type, ""});
  }
  // Asks as a caller that makes a new lane known.
  LaneId Lane(const char* destination, ObjectType type, const char* caller) {
    const auto found = lanes_.FindOrAdd(destination, type, caller);
    if (found.is_new) lanes_.Publish(found.id);
    return found.id;
  }

  LaneDirectory lanes_{{.callers_per_destination = 2, .caller_lanes = 3}};
  absl::flat_hash_map<LaneKey, LaneId> shared_;
};

TEST_F(LaneDirectoryTest, EventsOfANamedCallerHaveALaneOfTheirOwn) {
  const LaneId lane = Lane("a", kEvents, "shop");
  EXPECT_NE(lane, SharedBy("a", kEvents));
  EXPECT_EQ(Lane("a", kEvents, "shop"), lane);
  EXPECT_EQ(lanes_.KeyOf(lane), (LaneKey{"a", kEvents, "shop"}));
}

TEST_F(LaneDirectoryTest,
       PropertiesOfAllCallersShareOneSinceTheyKeepTheirOrder) {
  EXPECT_EQ(Lane("a", kUsers, "shop"), SharedBy("a", kUsers));
}

TEST_F(LaneDirectoryTest, CallersBeyondTheBoundOfADestinationShareOne) {
  Lane("a", kEvents, "one");
  Lane("a", kEvents, "two");
  EXPECT_EQ(Lane("a", kEvents, "three"), SharedBy("a", kEvents));
  EXPECT_NE(Lane("b", kEvents, "three"), SharedBy("b", kEvents));
}

TEST_F(LaneDirectoryTest, CallersBeyondTheBoundOfAllDestinationsShareOne) {
  Lane("a", kEvents, "one");
  Lane("a", kEvents, "two");
  Lane("b", kEvents, "one");
  EXPECT_EQ(Lane("b", kEvents, "two"), SharedBy("b", kEvents));
}

TEST_F(LaneDirectoryTest, LanesOfTheSpoolCountAgainstTheBounds) {
  lanes_.Add(70, {"a", kEvents, "one"});
  lanes_.Add(71, {"a", kEvents, "two"});
  EXPECT_EQ(Lane("a", kEvents, "one"), 70u);
  EXPECT_EQ(Lane("a", kEvents, "three"), SharedBy("a", kEvents));
  EXPECT_EQ(Lane("b", kEvents, "three"), 72u);
}

TEST_F(LaneDirectoryTest, ALaneThatIsNotPublishedIsGivenToNobodyElse) {
  const auto first = lanes_.FindOrAdd("a", kEvents, "shop");
  EXPECT_TRUE(first.is_new);
  EXPECT_EQ(lanes_.FindOrAdd("a", kEvents, "shop").id, SharedBy("a", kEvents));
  lanes_.Publish(first.id);
  EXPECT_EQ(lanes_.FindOrAdd("a", kEvents, "shop").id, first.id);
}

TEST(SharedLaneDirectoryTest, AllServersGiveALaneTheSameNumber) {
  LaneDirectory first({.shared = true});
  LaneDirectory second({.shared = true});
  first.FindOrAdd("other", ObjectType::kTrackEvent, "");
  const LaneId id = first.FindOrAdd("a", ObjectType::kTrackEvent, "").id;
  EXPECT_EQ(second.FindOrAdd("a", ObjectType::kTrackEvent, "").id, id);
}

TEST(SharedLaneDirectoryTest, ANumberThatIsTakenIsPassedOver) {
  LaneDirectory first({.shared = true});
  const LaneId id = first.FindOrAdd("a", ObjectType::kTrackEvent, "").id;
  LaneDirectory second({.shared = true});
  second.Add(id, {.destination = "b", .type = ObjectType::kTrackEvent});
  EXPECT_EQ(second.FindOrAdd("a", ObjectType::kTrackEvent, "").id, id + 1);
  EXPECT_EQ(second.FindOrAdd("b", ObjectType::kTrackEvent, "").id, id);
}

}  // namespace
}  // namespace heapsync
