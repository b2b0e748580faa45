#include "heap_adapter/spool/postgres/read_outage.h"

#include <chrono>

#include "gtest/gtest.h"

namespace heapsync {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPatience{2000};
constexpr ReadOutage::Time kStart{std::chrono::hours(1)};

TEST(ReadOutageTest, AReadHasAllOfItsPatienceWhileNoOutageIsKnown) {
  ReadOutage outage;
  EXPECT_EQ(*outage.GiveUpAt(kStart, kPatience), kStart + kPatience);
  outage.Ended();
  EXPECT_EQ(*outage.GiveUpAt(kStart, kPatience), kStart + kPatience);
}

TEST(ReadOutageTest, AfterOneThatWaitedInVainTheNextFailAtOnceWithItsError) {
  ReadOutage outage;
  outage.Failed(absl::UnavailableError("refused"), kStart);
  for (const int after : {0, 1, 500, 999}) {
    const auto give_up =
        outage.GiveUpAt(kStart + milliseconds(after), kPatience);
    EXPECT_EQ(give_up.status(), absl::UnavailableError("refused")) << after;
  }
}

TEST(ReadOutageTest, OneReadASecondAsksOnce) {
  ReadOutage outage;
  outage.Failed(absl::UnavailableError("refused"), kStart);
  const ReadOutage::Time later = kStart + milliseconds(1000);
  EXPECT_EQ(*outage.GiveUpAt(later, kPatience), later);
  // It has not failed yet.
  EXPECT_FALSE(outage.GiveUpAt(later + milliseconds(999), kPatience).ok());
  // Nor does it ever say how it ended.
  EXPECT_TRUE(outage.GiveUpAt(later + milliseconds(1000), kPatience).ok());
}

TEST(ReadOutageTest, AnAnswerEndsTheOutage) {
  ReadOutage outage;
  outage.Failed(absl::UnavailableError("refused"), kStart);
  outage.Ended();
  EXPECT_EQ(*outage.GiveUpAt(kStart, kPatience), kStart + kPatience);
}

}  // namespace
}  // namespace heapsync
