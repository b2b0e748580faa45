#include "tests/fake_heap/limit_meter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace heapsync::fake_heap {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Now At(Duration time) { return {WallTime(time), MonotonicTime(time)}; }

Load Events(std::vector<absl::string_view> identities) {
  const size_t items = identities.size();
  return {ObjectType::kTrackEvent, true, "1", items, std::move(identities)};
}

Load Users(std::vector<absl::string_view> identities) {
  const size_t items = identities.size();
  return {ObjectType::kUserProperties, true, "1", items, std::move(identities)};
}

PublishedLimits SmallLimits() {
  return {
      {5, seconds(60)}, {3, seconds(60)}, {2, seconds(30)}, {2, seconds(30)}};
}

TEST(LimitMeter, CountsTheWindowsStartButNotItsEnd) {
  LimitMeter meter(SmallLimits());
  meter.Record(Events({"a", "b", "c", "d", "e"}), At(seconds(0)));
  meter.Record(Events({"f"}), At(seconds(60)));
  EXPECT_EQ(meter.CountViolations(), 0u);
  meter.Record(Events({"a", "b", "c", "d", "g"}), At(seconds(119)));
  EXPECT_EQ(meter.CountViolations(), 1u);
}

TEST(LimitMeter, ReportsWhichLimitWasBrokenByHowMuchAndWhen) {
  LimitMeter meter(SmallLimits());
  meter.Record(Events({"a", "a", "a"}), At(seconds(1)));
  meter.Record(Events({"a"}), At(seconds(2)));
  const auto violations = meter.Violations();
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].kind, LimitKind::kIdentityEvents);
  EXPECT_EQ(violations[0].app_id, "1");
  EXPECT_EQ(violations[0].identity, "a");
  EXPECT_EQ(violations[0].requests, 1u);
  EXPECT_EQ(violations[0].worst_use, 4u);
  EXPECT_EQ(violations[0].first, WallTime(seconds(2)));
}

TEST(LimitMeter, CountsAUserOncePerRequest) {
  LimitMeter meter(SmallLimits());
  meter.Record(Users({"a", "a", "a", "a"}), At(seconds(0)));
  EXPECT_EQ(meter.Highest("1", LimitKind::kIdentityUserRequests).used, 1u);
  EXPECT_EQ(meter.CountViolations(), 0u);
}

TEST(LimitMeter, HoldsSingleTrackRequestsToTheirOwnLimit) {
  LimitMeter meter(SmallLimits());
  Load single = Events({"a"});
  single.bulk = false;
  for (int i = 0; i < 3; ++i) meter.Record(single, At(seconds(i)));
  EXPECT_EQ(meter.Highest("1", LimitKind::kAppEvents).used, 0u);
  EXPECT_EQ(meter.Highest("1", LimitKind::kIdentityTrackRequests).used, 3u);
  EXPECT_EQ(meter.CountViolations(), 1u);
}

TEST(LimitMeter, KeepsAppIdsApart) {
  LimitMeter meter(SmallLimits());
  Load other = Events({"a", "a", "a"});
  other.app_id = "2";
  meter.Record(Events({"a", "a", "a"}), At(seconds(0)));
  meter.Record(other, At(seconds(0)));
  EXPECT_EQ(meter.CountViolations(), 0u);
}

TEST(LimitMeter, MeasuresWithoutALimit) {
  PublishedLimits limits;
  limits.app_events.most = 0;
  limits.identity_events.most = 0;
  LimitMeter meter(limits);
  for (int i = 0; i < 20; ++i) {
    meter.Record({ObjectType::kTrackEvent, true, "1", 1000, {}},
                 At(seconds(i)));
  }
  EXPECT_EQ(meter.Highest("1", LimitKind::kAppEvents).used, 20'000u);
  EXPECT_EQ(meter.CountViolations(), 0u);
}

TEST(LimitMeter, ForeseesABrokenLimitWithoutRecordingIt) {
  LimitMeter meter(SmallLimits());
  meter.Record(Events({"a", "a"}), At(seconds(0)));
  const MonotonicTime later(seconds(1));
  EXPECT_EQ(meter.WouldBreak(Events({"a"}), later), std::nullopt);
  EXPECT_EQ(meter.WouldBreak(Events({"a", "a"}), later),
            LimitKind::kIdentityEvents);
  EXPECT_EQ(meter.WouldBreak(Events({"b", "c", "d", "e"}), later),
            LimitKind::kAppEvents);
  EXPECT_EQ(meter.Highest("1", LimitKind::kAppEvents).used, 2u);
}

// Every arrival of a request, by what it counted against.
struct Arrival {
  Duration time;
  uint32_t amount;
};

// The fullest window that starts at any arrival, added up item by item.
uint32_t FullestWindow(const std::vector<Arrival>& arrivals, Duration window) {
  uint32_t fullest = 0;
  for (const Arrival& start : arrivals) {
    uint32_t sum = 0;
    for (const Arrival& other : arrivals) {
      if (other.time >= start.time && other.time < start.time + window) {
        sum += other.amount;
      }
    }
    fullest = std::max(fullest, sum);
  }
  return fullest;
}

TEST(LimitMeter, FindsTheSameFullestWindowsAsAddingUpAllOfThem) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    LimitMeter meter(SmallLimits());
    std::vector<Arrival> app;
    std::map<std::string, std::vector<Arrival>> identities;
    Duration time{0};
    const int gap = 1 << (random() % 15);
    for (int request = 0; request < 100; ++request) {
      time += milliseconds(random() % gap);
      std::vector<std::string> names(1 + random() % 3);
      for (std::string& name : names) {
        name = std::string(1, static_cast<char>('a' + random() % 4));
        identities[name].push_back({time, 1});
      }
      app.push_back({time, static_cast<uint32_t>(names.size())});
      meter.Record(Events({names.begin(), names.end()}), At(time));
    }
    uint32_t worst_identity = 0;
    size_t broken = FullestWindow(app, seconds(60)) > 5 ? 1 : 0;
    for (const auto& [name, arrivals] : identities) {
      const uint32_t fullest = FullestWindow(arrivals, seconds(60));
      worst_identity = std::max(worst_identity, fullest);
      if (fullest > 3) ++broken;
    }
    EXPECT_EQ(meter.Highest("1", LimitKind::kAppEvents).used,
              FullestWindow(app, seconds(60)))
        << "seed " << seed;
    EXPECT_EQ(meter.Highest("1", LimitKind::kIdentityEvents).used,
              worst_identity)
        << "seed " << seed;
    EXPECT_EQ(meter.Violations().size(), broken) << "seed " << seed;
  }
}

TEST(LimitMeter, LosesNothingWhenItForgetsIdleIdentities) {
  LimitMeter meter(SmallLimits());
  for (int i = 0; i < 5000; ++i) {
    const std::string name = absl::StrCat(i);
    meter.Record(Users({name, "busy"}), At(seconds(i * 10)));
  }
  EXPECT_EQ(meter.Highest("1", LimitKind::kIdentityUserRequests).used, 3u);
  EXPECT_EQ(meter.Violations().size(), 1u);
  EXPECT_EQ(meter.CountViolations(), 4998u);
}

}  // namespace
}  // namespace heapsync::fake_heap
