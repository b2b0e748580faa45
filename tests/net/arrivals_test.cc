#include "server/net/arrivals.h"

#include <gmock/gmock.h>

#include <chrono>
#include <optional>
#include <string>

namespace heapsync {
namespace {

using std::chrono::seconds;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr MonotonicTime kStart{std::chrono::hours(1)};

class ArrivalsTest : public testing::Test {
 protected:
  void Add(int id, const std::string& address,
           Arrivals::Stage stage = Arrivals::Stage::kUngreeted) {
    arrivals_.Add(id, address, kStart + seconds(id));
    if (stage != Arrivals::Stage::kUngreeted) {
      arrivals_.Reached(id, stage);
    }
  }
  std::optional<int> Next(Arrivals::Stage stage) {
    return arrivals_.Next(stage, [](absl::string_view) { return size_t{0}; });
  }

  Arrivals arrivals_{4, seconds(10)};
};

TEST_F(ArrivalsTest, OnlyThoseThatGreetedAreNextAndTheOldestFirst) {
  Add(1, "192.0.2.1", Arrivals::Stage::kGreeted);
  Add(2, "192.0.2.1", Arrivals::Stage::kGreeted);
  Add(3, "192.0.2.1", Arrivals::Stage::kLoud);
  Add(4, "192.0.2.1");
  EXPECT_EQ(Next(Arrivals::Stage::kGreeted), 1);
  EXPECT_EQ(Next(Arrivals::Stage::kLoud), 3);
  arrivals_.Remove(1);
  EXPECT_EQ(Next(Arrivals::Stage::kGreeted), 2);
  arrivals_.Remove(2);
  EXPECT_EQ(Next(Arrivals::Stage::kGreeted), std::nullopt);
}

TEST_F(ArrivalsTest, ThoseThatGreetedAreCounted) {
  Add(1, "192.0.2.1");
  Add(2, "192.0.2.1", Arrivals::Stage::kGreeted);
  Add(3, "192.0.2.2", Arrivals::Stage::kLoud);
  EXPECT_EQ(arrivals_.size(), 3u);
  EXPECT_EQ(arrivals_.greeted(), 2u);
  arrivals_.Remove(1);
  arrivals_.Remove(3);
  EXPECT_EQ(arrivals_.size(), 1u);
  EXPECT_EQ(arrivals_.greeted(), 1u);
  EXPECT_EQ(arrivals_.StageOf(2), Arrivals::Stage::kGreeted);
}

TEST_F(ArrivalsTest, TheAddressWithTheFewestIsNext) {
  Add(1, "192.0.2.1", Arrivals::Stage::kGreeted);
  Add(2, "192.0.2.2", Arrivals::Stage::kGreeted);
  Add(3, "192.0.2.2", Arrivals::Stage::kGreeted);
  EXPECT_EQ(Next(Arrivals::Stage::kGreeted), 1);
  EXPECT_EQ(arrivals_.Next(Arrivals::Stage::kGreeted,
                           [](absl::string_view address) {
                             return address == "192.0.2.1" ? size_t{2} : 0;
                           }),
            2);
}

TEST_F(ArrivalsTest, BeyondTheMaximumTheAddressWithTheMostLosesItsOldest) {
  Add(1, "192.0.2.1");
  Add(2, "192.0.2.2", Arrivals::Stage::kGreeted);
  Add(3, "192.0.2.2");
  EXPECT_FALSE(arrivals_.IsFull());
  EXPECT_EQ(arrivals_.GivesWay(kStart + seconds(9)), std::nullopt);
  Add(4, "192.0.2.2", Arrivals::Stage::kLoud);
  EXPECT_TRUE(arrivals_.IsFull());
  EXPECT_EQ(arrivals_.GivesWay(kStart + seconds(2)), std::nullopt);
  EXPECT_EQ(arrivals_.GivesWay(kStart + seconds(3)), 2);
}

TEST_F(ArrivalsTest, ThoseThatHaveNotAskedGiveWayFirst) {
  Add(1, "192.0.2.1", Arrivals::Stage::kAsked);
  Add(2, "192.0.2.1", Arrivals::Stage::kLoud);
  Add(3, "192.0.2.1", Arrivals::Stage::kGreeted);
  Add(4, "192.0.2.1");
  EXPECT_EQ(arrivals_.GivesWay(kStart + seconds(9)), 3);
  arrivals_.Reached(3, Arrivals::Stage::kAsked);
  EXPECT_EQ(arrivals_.GivesWay(kStart + seconds(9)), 4);
  arrivals_.Reached(4, Arrivals::Stage::kLoud);
  EXPECT_EQ(arrivals_.GivesWay(kStart + seconds(9)), 1);
}

TEST_F(ArrivalsTest, TheirTimeIsBounded) {
  Add(1, "192.0.2.1");
  Add(2, "192.0.2.1", Arrivals::Stage::kGreeted);
  EXPECT_THAT(arrivals_.Late(kStart + seconds(10)), IsEmpty());
  EXPECT_THAT(arrivals_.Late(kStart + seconds(11)), UnorderedElementsAre(1));
  EXPECT_THAT(arrivals_.Late(kStart + seconds(12)), UnorderedElementsAre(1, 2));
}

}  // namespace
}  // namespace heapsync
