#include "heap_adapter/scheduling/recent_peak.h"

#include "gtest/gtest.h"

namespace heapsync {
namespace {

Now At(int64_t second) {
  return {.wall = {}, .monotonic = MonotonicTime(std::chrono::seconds(second))};
}

TEST(RecentPeakTest, IsRememberedForAMinuteAndForgottenAfterTwo) {
  RecentPeak peak;
  EXPECT_EQ(peak.Greatest(7, At(1'000)), 7u);
  EXPECT_EQ(peak.Greatest(3, At(1'059)), 7u);
  EXPECT_EQ(peak.Greatest(3, At(1'119)), 7u);
  EXPECT_EQ(peak.Greatest(2, At(1'120)), 3u);
}

TEST(RecentPeakTest, ALongSilenceForgetsAll) {
  RecentPeak peak;
  peak.Greatest(7, At(1'000));
  EXPECT_EQ(peak.Greatest(1, At(5'000)), 1u);
}

}  // namespace
}  // namespace heapsync
