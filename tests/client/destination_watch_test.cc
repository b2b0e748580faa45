#include "client/cli/destination_watch.h"

#include <atomic>
#include <chrono>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/client/fake_heapsync.h"

namespace heapsync {
namespace {

using std::chrono::seconds;

v1::Destination Active() {
  v1::Destination destination;
  destination.set_state(v1::DESTINATION_STATE_ACTIVE);
  v1::ItemTypeStatus& users = *destination.add_types();
  users.set_type(v1::ITEM_TYPE_USER_PROPERTIES);
  users.set_queued_items(2);
  return destination;
}

TEST(HoldUpTest, NamesTheStateOfADestinationThatIsHeld) {
  v1::Destination destination = Active();
  EXPECT_EQ(HoldUpOf(destination, ObjectType::kUserProperties), "");
  destination.set_last_error("HTTP 403");
  destination.set_state(v1::DESTINATION_STATE_NEEDS_ATTENTION);
  EXPECT_EQ(HoldUpOf(destination, ObjectType::kUserProperties),
            "Heap refuses everything (HTTP 403)");
  destination.set_state(v1::DESTINATION_STATE_BACKING_OFF);
  EXPECT_EQ(HoldUpOf(destination, ObjectType::kUserProperties),
            "Heap is failing (HTTP 403)");
  destination.set_state(v1::DESTINATION_STATE_PAUSED);
  EXPECT_EQ(HoldUpOf(destination, ObjectType::kUserProperties),
            "the destination is paused");
}

TEST(HoldUpTest, NamesWhatHoldsUpAllItemsOfTheType) {
  v1::Destination destination = Active();
  v1::ItemTypeStatus& users = *destination.mutable_types(0);
  users.set_deferred_items(2);
  EXPECT_EQ(HoldUpOf(destination, ObjectType::kUserProperties),
            "2 items wait for the limit of their identity");
  users.set_isolated_items(2);
  destination.set_last_error("HTTP 500");
  EXPECT_EQ(HoldUpOf(destination, ObjectType::kUserProperties),
            "Heap fails at 2 items, which wait alone (HTTP 500)");
  EXPECT_EQ(HoldUpOf(destination, ObjectType::kTrackEvent), "");
}

TEST(DestinationWatchTest, AsksFromTimeToTimeAndNeverAgainWhereItMayNot) {
  FakeHeapSync server;
  std::atomic<int> questions = 0;
  server.OnGetDestination([&](v1::GetDestinationResponse& response) {
    if (++questions > 1) {
      return grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "no");
    }
    response.mutable_destination()->set_state(v1::DESTINATION_STATE_PAUSED);
    return grpc::Status::OK;
  });
  const Client client({.server = server.address()});
  DestinationWatch watch(client, "main", ObjectType::kTrackEvent);
  DestinationWatch::Time now{};
  const auto wait_for = [&](const std::string& text) {
    for (int i = 0; i < 3'000 && watch.HoldUp(now) != text; ++i) {
      absl::SleepFor(absl::Milliseconds(10));
    }
    EXPECT_EQ(watch.HoldUp(now), text);
  };
  wait_for("the destination is paused");
  EXPECT_EQ(questions, 1);
  now += seconds(3);
  wait_for("");
  for (int i = 0; i < 10; ++i, now += seconds(3)) watch.HoldUp(now);
  EXPECT_EQ(questions, 2);
}

}  // namespace
}  // namespace heapsync
