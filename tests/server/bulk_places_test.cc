#include "server/data/bulk_places.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"

namespace heapsync {
namespace {

using std::chrono::seconds;

constexpr MonotonicTime kStart = MonotonicTime(std::chrono::hours(1));

// A stream that says for how long it has been silent.
class FakeStream final : public EndableStream {
 public:
  void End() override {}
  std::optional<MonotonicTime> SilentSince() override { return since; }
  bool EndIfSilent(MonotonicTime time) override {
    if (!since.has_value() || *since > time) return false;
    since.reset();
    ended = true;
    return true;
  }
  std::optional<MonotonicTime> since;
  bool ended = false;
};

// Four places, of which one caller may have two.
class BulkPlacesTest : public testing::Test {
 protected:
  // A stream that is silent from the beginning; null if it was refused, with
  // the reason in `refused_`.
  std::shared_ptr<FakeStream> Open(const std::string& caller,
                                   MonotonicTime now) {
    auto taken = places_.Take(caller, now);
    if (const auto* error = std::get_if<CallError>(&taken)) {
      EXPECT_EQ(error->code, grpc::StatusCode::RESOURCE_EXHAUSTED);
      EXPECT_TRUE(error->retry_delay.has_value());
      refused_ = error->reason;
      return nullptr;
    }
    slots_.push_back(std::get<CallSlots::Slot>(std::move(taken)));
    auto stream = std::make_shared<FakeStream>();
    stream->since = now;
    places_.streams().Add(stream, caller);
    return stream;
  }

  BulkPlaces places_{{.all = 4, .per_caller = 2}, seconds(60)};
  std::vector<CallSlots::Slot> slots_;
  std::string refused_;
};

TEST_F(BulkPlacesTest, OneCallersSilentStreamsLeaveOthersTheirPlaces) {
  EXPECT_NE(Open("bad", kStart), nullptr);
  EXPECT_NE(Open("bad", kStart), nullptr);
  EXPECT_EQ(Open("bad", kStart), nullptr);
  EXPECT_EQ(refused_, "CALLER_SHARE");
  EXPECT_NE(Open("good", kStart), nullptr);
}

TEST_F(BulkPlacesTest, WhereAllAreTakenTheLongestSilentStreamGivesUpItsPlace) {
  const auto first = Open("a", kStart);
  const auto second = Open("a", kStart + seconds(1));
  Open("b", kStart + seconds(2));
  Open("b", kStart + seconds(3));
  EXPECT_EQ(Open("c", kStart + seconds(59)), nullptr);
  EXPECT_EQ(refused_, "TOO_MANY_CALLS");
  EXPECT_FALSE(first->ended);
  EXPECT_NE(Open("c", kStart + seconds(60)), nullptr);
  EXPECT_TRUE(first->ended);
  EXPECT_FALSE(second->ended);
  EXPECT_EQ(places_.silent_ended(), 1);
}

TEST_F(BulkPlacesTest, ACallerBeyondItsShareDisplacesItsOwnSilentStream) {
  const auto others = Open("b", kStart);
  const auto own = Open("a", kStart + seconds(1));
  Open("a", kStart + seconds(2));
  EXPECT_NE(Open("a", kStart + seconds(61)), nullptr);
  EXPECT_TRUE(own->ended);
  EXPECT_FALSE(others->ended);
}

TEST_F(BulkPlacesTest, WhileThereIsRoomSilentStreamsStay) {
  const auto silent = Open("a", kStart);
  EXPECT_NE(Open("b", kStart + std::chrono::hours(24)), nullptr);
  EXPECT_FALSE(silent->ended);
}

TEST_F(BulkPlacesTest, StreamsThatAreAtWorkStay) {
  for (const char* caller : {"a", "a", "b", "b"}) {
    Open(caller, kStart)->since.reset();
  }
  EXPECT_EQ(Open("c", kStart + std::chrono::hours(24)), nullptr);
}

}  // namespace
}  // namespace heapsync
