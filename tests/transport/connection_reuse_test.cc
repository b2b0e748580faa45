#include "heap_adapter/transport/connection_reuse.h"

#include <gtest/gtest.h>

#include <chrono>

namespace heapsync {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kTrack[] = "https://heap.example/api/track";
constexpr char kUsers[] = "https://heap.example/api/add_user_properties";
constexpr MonotonicTime kNow{std::chrono::hours(1)};

TEST(ConnectionReuse, LimitsTheAge) {
  const ConnectionReuse reuse(seconds(300));
  EXPECT_EQ(reuse.MaxAge(kTrack, kNow), seconds(300));
}

TEST(ConnectionReuse, NeedsANewConnectionRightAfterATimeout) {
  ConnectionReuse reuse(seconds(300));
  reuse.OnTimeout(kTrack, kNow);
  EXPECT_EQ(reuse.MaxAge(kUsers, kNow), seconds(0));
  EXPECT_EQ(reuse.MaxAge(kUsers, kNow + milliseconds(1'999)), seconds(0));
}

TEST(ConnectionReuse, AllowsNoneThatIsOlderThanTheTimeout) {
  ConnectionReuse reuse(seconds(300));
  reuse.OnTimeout(kTrack, kNow);
  EXPECT_EQ(reuse.MaxAge(kTrack, kNow + milliseconds(2'000)), seconds(1));
  EXPECT_EQ(reuse.MaxAge(kTrack, kNow + milliseconds(9'999)), seconds(8));
  EXPECT_EQ(reuse.MaxAge(kTrack, kNow + seconds(1'000)), seconds(300));
}

TEST(ConnectionReuse, KeepsTheConnectionsToOtherHosts) {
  ConnectionReuse reuse(seconds(300));
  reuse.OnTimeout(kTrack, kNow);
  for (const char* other :
       {"https://heap.example:8443/api/track", "http://heap.example/api/track",
        "https://eu.heap.example/api/track"}) {
    EXPECT_EQ(reuse.MaxAge(other, kNow), seconds(300)) << other;
  }
}

}  // namespace
}  // namespace heapsync
