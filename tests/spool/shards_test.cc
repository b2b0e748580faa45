#include "heap_adapter/spool/shards.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// What is stored goes by these: they must never change.
TEST(ShardTest, TheShardOfANameIsForEver) {
  EXPECT_EQ(ShardOf("", 1'000), 138);
  EXPECT_EQ(ShardOf("prod", 1'000), 834);
  EXPECT_EQ(ShardOf("prod", 16), 2);
  EXPECT_EQ(ShardOf("staging", 1'000), 581);
  EXPECT_EQ(ShardOf("prod-eu", 1'000), 815);
  EXPECT_EQ(ShardOf("größe", 1'000), 244);
  EXPECT_EQ(ShardOf(std::string(300, 'x'), 1'000), 492);
  EXPECT_EQ(ShardOf("anything", 1), 0);
}

TEST(ShardTest, NamesAreSpreadEvenly) {
  std::map<int32_t, int> names;
  for (int i = 0; i < 16'000; ++i)
    ++names[ShardOf("app-" + std::to_string(i), 16)];
  ASSERT_EQ(names.size(), 16u);
  for (const auto& [shard, count] : names) {
    EXPECT_GT(count, 880) << shard;
    EXPECT_LT(count, 1'120) << shard;
  }
}

TEST(SharesTest, AServerThatIsAloneClaimsEverything) {
  const ShareMoves moves = MovesOf(7, {.servers = {7}, .owners = {0, 0, 0}});
  EXPECT_THAT(moves.claim, ElementsAre(0, 1, 2));
  EXPECT_THAT(moves.give_back, IsEmpty());
}

TEST(SharesTest, ShardsOfAServerThatIsGoneAreFree) {
  const ShareMoves moves = MovesOf(7, {.servers = {7}, .owners = {7, 9, 7, 9}});
  EXPECT_THAT(moves.claim, ElementsAre(1, 3));
}

TEST(SharesTest, SurplusIsGivenBackWhenAnotherServerComes) {
  const ShareView view{.servers = {7, 9}, .owners = {7, 7, 7, 7, 7}};
  EXPECT_THAT(MovesOf(7, view).give_back, ElementsAre(3, 4));
  EXPECT_THAT(MovesOf(7, view).claim, IsEmpty());
  EXPECT_THAT(MovesOf(9, view).claim, IsEmpty());
}

TEST(SharesTest, WhoHasOneMoreKeepsIt) {
  const ShareView view{.servers = {7, 9}, .owners = {9, 7, 9, 7, 9}};
  for (const ServerId server : {7, 9}) {
    EXPECT_THAT(MovesOf(server, view).give_back, IsEmpty());
    EXPECT_THAT(MovesOf(server, view).claim, IsEmpty());
  }
}

TEST(SharesTest, OneThatDoesNotCountClaimsAndKeepsNothing) {
  const ShareMoves moves = MovesOf(3, {.servers = {7}, .owners = {3, 0}});
  EXPECT_THAT(moves.claim, IsEmpty());
  EXPECT_THAT(moves.give_back, IsEmpty());
}

TEST(SharesTest, MoreServersThanShardsAreAtPeace) {
  const ShareView view{.servers = {1, 2, 3}, .owners = {2, 3}};
  for (const ServerId server : view.servers) {
    EXPECT_THAT(MovesOf(server, view).give_back, IsEmpty());
    EXPECT_THAT(MovesOf(server, view).claim, IsEmpty());
  }
}

// Servers come and go, and each does what it should do at some moments, by what
// it sees then. Between two changes the shares become fair, and once they are,
// nothing moves any more.
TEST(SharesTest, SharesBecomeFairAndStayWhereTheyAre) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    std::mt19937_64 random(seed);
    const auto pick = [&random](size_t below) {
      return static_cast<size_t>(random() % below);
    };
    ShareView view;
    view.owners.resize(1 + pick(20));
    ServerId next = 1;
    view.servers.push_back(next++);
    for (int change = 0; change < 8; ++change) {
      if (view.servers.size() > 1 && pick(2) == 0) {
        view.servers.erase(
            view.servers.begin() +
            static_cast<std::ptrdiff_t>(pick(view.servers.size())));
      } else {
        view.servers.push_back(next++);
      }
      size_t moved = 0;
      int quiet = 0;
      while (quiet < 100) {
        const ServerId self = view.servers[pick(view.servers.size())];
        const ShareMoves moves = MovesOf(self, view);
        ++quiet;
        for (const int32_t shard : moves.claim) {
          ServerId& owner = view.owners[static_cast<size_t>(shard)];
          ASSERT_TRUE(std::find(view.servers.begin(), view.servers.end(),
                                owner) == view.servers.end())
              << "it has an owner";
          owner = self;
          quiet = 0;
        }
        // They are given back one by one.
        if (!moves.give_back.empty()) {
          ServerId& owner =
              view.owners[static_cast<size_t>(moves.give_back.front())];
          ASSERT_EQ(owner, self);
          owner = kNoServer;
          ++moved;
          quiet = 0;
        }
        ASSERT_LE(moved, view.owners.size()) << "seed " << seed;
      }
      for (const ServerId server : view.servers) {
        const auto shards = static_cast<size_t>(
            std::count(view.owners.begin(), view.owners.end(), server));
        const size_t least = view.owners.size() / view.servers.size();
        EXPECT_GE(shards, least) << "seed " << seed;
        EXPECT_LE(shards, least + 1) << "seed " << seed;
      }
      EXPECT_EQ(std::count(view.owners.begin(), view.owners.end(), kNoServer),
                0);
    }
  }
}

TEST(SharesTest, ServersThatClaimAtOnceBeginAtDifferentShards) {
  const ShareView view{.servers = {1, 2, 3, 4},
                       .owners = std::vector<ServerId>(16, kNoServer)};
  std::set<int32_t> first;
  for (const ServerId server : view.servers) {
    first.insert(MovesOf(server, view).claim.front());
  }
  EXPECT_EQ(first.size(), 4u);
}

}  // namespace
}  // namespace heapsync
