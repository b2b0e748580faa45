#include "client/cli/progress.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace heapsync {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

ProgressSnapshot Example() {
  return {.elapsed = seconds(10),
          .bytes_read = 25,
          .bytes_total = 100,
          .rows = 1'234'567,
          .rejected = 12,
          .rows_at_start = 0,
          .bytes_at_start = 0,
          .trouble = ""};
}

TEST(ProgressTest, BarShowsShareRowsRateTimeLeftAndRejected) {
  EXPECT_EQ(ProgressBar(Example(), 200),
            "[======>                 ]  25 %  1,234,567 rows  123,457 rows/s  "
            "0:30 left  12 rejected");
}

TEST(ProgressTest, BarFitsItsTerminal) {
  EXPECT_EQ(ProgressBar(Example(), 40).size(), 40u);
}

TEST(ProgressTest, WithoutATotalThereIsNoBarAndNoTimeLeft) {
  ProgressSnapshot snapshot = Example();
  snapshot.bytes_total.reset();
  EXPECT_EQ(ProgressBar(snapshot, 200),
            "1,234,567 rows  123,457 rows/s  12 rejected");
}

TEST(ProgressTest, RateAndTimeLeftLeaveOutWhatAnEarlierProcessDid) {
  ProgressSnapshot snapshot = Example();
  snapshot.bytes_read = 60;
  snapshot.bytes_at_start = 50;
  snapshot.rows_at_start = 1'234'000;
  EXPECT_EQ(ProgressLog(snapshot),
            "import: 60 %  1,234,567 rows  57 rows/s  0:40 left  12 rejected");
}

TEST(ProgressTest, TroubleIsShown) {
  ProgressSnapshot snapshot = Example();
  snapshot.trouble = "waiting";
  EXPECT_NE(ProgressLog(snapshot).find("12 rejected  waiting"),
            std::string::npos);
  EXPECT_EQ(ProgressBar(snapshot, 80), "1,234,567 rows  waiting");
}

TEST(ProgressTest, NumbersAndDurationsAreReadable) {
  EXPECT_EQ(WithThousands(0), "0");
  EXPECT_EQ(WithThousands(999), "999");
  EXPECT_EQ(WithThousands(1'000), "1,000");
  EXPECT_EQ(ShortDuration(seconds(7)), "0:07");
  EXPECT_EQ(ShortDuration(seconds(3'723)), "1:02:03");
}

TEST(ProgressTest, BarIsRedrawnInPlaceTenTimesASecond) {
  std::ostringstream out;
  ProgressWriter writer(ProgressStyle::kBar, out, 10);
  ProgressSnapshot snapshot = Example();
  for (const int at : {0, 50, 99, 100, 150}) {
    snapshot.elapsed = milliseconds(at);
    writer.Show(snapshot);
  }
  EXPECT_EQ(out.str(), "\r[======>  \x1b[K\r[======>  \x1b[K");
  snapshot.bytes_read = 100;
  writer.Finish(snapshot);
  EXPECT_EQ(out.str().substr(out.str().size() - 15), "\r[=========\x1b[K\n");
}

TEST(ProgressTest, LogWritesALineEveryFiveSecondsAndOneAtTheEnd) {
  std::ostringstream out;
  ProgressWriter writer(ProgressStyle::kLog, out, 80);
  ProgressSnapshot snapshot;
  for (const int at : {0, 4'999, 5'000, 9'999, 10'000}) {
    snapshot.elapsed = milliseconds(at);
    writer.Show(snapshot);
  }
  writer.Finish(snapshot);
  EXPECT_EQ(out.str(),
            "import: 0 rows  0 rows/s  0 rejected\n"
            "import: 0 rows  0 rows/s  0 rejected\n"
            "import: 0 rows  0 rows/s  0 rejected\n");
}

TEST(ProgressTest, NoneWritesNothing) {
  std::ostringstream out;
  ProgressWriter writer(ProgressStyle::kNone, out, 80);
  writer.Finish(Example());
  EXPECT_EQ(out.str(), "");
}

}  // namespace
}  // namespace heapsync
