// Worlds of several servers over one shared store, in simulated time. A failure
// prints its seed.

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/cluster_world.h"
#include "tests/engine/run_worlds.h"

namespace heapsync {
namespace {

struct Sum {
  uint64_t acknowledged = 0;
  int take_overs = 0;
  int handed_back = 0;
  int fenced = 0;
  int repeated_commits = 0;
};

// Runs worlds of 2 to 5 servers and 1 to 7 shards until one breaks a promise.
Sum RunWorlds(ClusterRules rules, uint64_t worlds) {
  Sum sum;
  RunSeeds(worlds, [&](uint64_t seed) {
    rules.seed = seed;
    rules.servers = 2 + static_cast<int>(seed % 4);
    rules.shards = 1 + static_cast<int>(seed % 7);
    rules.destinations = 2 + static_cast<int>(seed % 3);
    ClusterWorld world(rules);
    std::vector<std::string> broken = world.Run();
    sum.acknowledged += world.acknowledged();
    sum.take_overs += world.take_overs();
    sum.handed_back += world.handed_back();
    sum.fenced += world.fenced();
    sum.repeated_commits += world.repeated_commits();
    return broken;
  });
  return sum;
}

TEST(ClusterSimulationTest, InAPeacefulClusterEachServerDeliversItsPart) {
  const Sum sum = RunWorlds({}, Worlds(40));
  EXPECT_GT(sum.acknowledged, 20'000u);
  EXPECT_EQ(sum.fenced, 0);
}

TEST(ClusterSimulationTest, ServersThatComeAndGoHandShardsOver) {
  ClusterRules rules;
  rules.stop = 0.02;
  rules.leave = 0.02;
  const Sum sum = RunWorlds(rules, Worlds(60));
  EXPECT_GT(sum.handed_back, 200);
  EXPECT_EQ(sum.fenced, 0);
}

TEST(ClusterSimulationTest, ServersThatDieOrStopLoseAndReorderNothing) {
  ClusterRules rules;
  rules.crash = 0.03;
  rules.stop = 0.03;
  const Sum sum = RunWorlds(rules, Worlds(60));
  EXPECT_GT(sum.take_overs, 200);
}

TEST(ClusterSimulationTest, AnOwnerThatFreezesOrIsCutOffIsFencedWithinLimits) {
  ClusterRules rules;
  rules.freeze = 0.02;
  rules.cut = 0.02;
  const Sum sum = RunWorlds(rules, Worlds(60));
  EXPECT_GT(sum.fenced, 50);
}

TEST(ClusterSimulationTest, CommitsThatAreRepeatedAtOtherEndsKeepTheOrder) {
  ClusterRules rules;
  rules.lost_answer = 0.3;
  rules.max_pause = std::chrono::milliseconds(20);
  const Sum sum = RunWorlds(rules, Worlds(60));
  EXPECT_GT(sum.repeated_commits, 500);
}

TEST(ClusterSimulationTest, EverythingAtOnceBreaksNoPromise) {
  ClusterRules rules;
  rules.crash = 0.02;
  rules.stop = 0.01;
  rules.leave = 0.01;
  rules.freeze = 0.01;
  rules.cut = 0.01;
  rules.lost_answer = 0.1;
  rules.faults = {.refused_connection = 0.05,
                  .unavailable = 0.1,
                  .reset_after_taking = 0.1,
                  .hang = 0.02,
                  .throttled = 0.03,
                  .setup = 0.01,
                  .oversized = 0.05};
  const Sum sum = RunWorlds(rules, Worlds(150));
  EXPECT_GT(sum.fenced, 50);
}

}  // namespace
}  // namespace heapsync
