// Thousands of small worlds in simulated time. A failure prints its seed, which
// then becomes a test of its own at the end of this file.

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/run_worlds.h"
#include "tests/engine/world.h"

namespace heapsync {
namespace {

struct Sum {
  uint64_t acknowledged = 0;
  uint64_t redelivered = 0;
  uint64_t dead_lettered = 0;
  uint64_t crashing = 0;
};

// Runs worlds of these rules until one breaks a promise.
Sum RunWorlds(WorldRules rules, uint64_t worlds) {
  Sum sum;
  RunSeeds(worlds, [&](uint64_t seed) {
    rules.seed = seed;
    World world(rules);
    std::vector<std::string> broken = world.Run();
    sum.acknowledged += world.acknowledged();
    sum.redelivered += world.redelivered();
    sum.dead_lettered += world.dead_lettered();
    sum.crashing += world.crashing();
    return broken;
  });
  return sum;
}

WorldRules EverythingGoesWrong() {
  WorldRules rules;
  rules.callers = 3;
  rules.poison = 0.01;
  rules.process_crash = 0.05;
  rules.machine_crash = 0.02;
  rules.faults = {.refused_connection = 0.05,
                  .unavailable = 0.1,
                  .reset_after_taking = 0.1,
                  .hang = 0.02,
                  .throttled = 0.03,
                  .setup = 0.01,
                  .oversized = 0.05};
  return rules;
}

TEST(SimulationTest, InAPeacefulWorldEverythingArrivesWithinTheLimits) {
  const Sum sum = RunWorlds({}, Worlds(100));
  EXPECT_GT(sum.acknowledged, 10'000u);
  EXPECT_EQ(sum.redelivered, 0u);
  EXPECT_EQ(sum.dead_lettered, 0u);
}

TEST(SimulationTest, AHeapThatFailsInEveryWayLosesAndReordersNothing) {
  WorldRules rules = EverythingGoesWrong();
  rules.poison = rules.process_crash = rules.machine_crash = 0;
  const Sum sum = RunWorlds(rules, Worlds(100));
  EXPECT_GT(sum.redelivered, 100u);
  EXPECT_EQ(sum.dead_lettered, 0u);
}

TEST(SimulationTest, CrashesLoseNothingThatWasAcknowledged) {
  WorldRules rules;
  rules.process_crash = 0.1;
  rules.machine_crash = 0.05;
  const Sum sum = RunWorlds(rules, Worlds(100));
  EXPECT_GT(sum.acknowledged, 5'000u);
}

TEST(SimulationTest, PoisonThatHeapNamesIsDeadLetteredAlone) {
  WorldRules rules;
  rules.poison = 0.05;
  rules.faults.names_poison = true;
  const Sum sum = RunWorlds(rules, Worlds(50));
  EXPECT_GT(sum.dead_lettered, 100u);
}

TEST(SimulationTest, PoisonThatHeapDoesNotNameIsFoundByHalving) {
  WorldRules rules;
  rules.poison = 0.05;
  const Sum sum = RunWorlds(rules, Worlds(50));
  EXPECT_GT(sum.dead_lettered, 100u);
}

TEST(SimulationTest, UpdatesOvertakeOthersAndNeverOlderOnesOfTheirIdentity) {
  WorldRules rules = EverythingGoesWrong();
  rules.poison = 0;
  rules.identities = 300;
  rules.max_items = 40;
  rules.max_pause = std::chrono::milliseconds(200);
  const Sum sum = RunWorlds(rules, Worlds(100));
  EXPECT_GT(sum.redelivered, 100u);
}

// Each class of answer that an item can provoke.
class CrashTest : public testing::TestWithParam<OnCrash> {};

TEST_P(CrashTest, AnItemThatMakesHeapFailHoldsUpNoOther) {
  WorldRules rules;
  rules.callers = 2;
  rules.crash = 0.01;
  rules.faults.on_crash = GetParam();
  const Sum sum = RunWorlds(rules, Worlds(40));
  EXPECT_GT(sum.crashing, 100u);
  EXPECT_EQ(sum.dead_lettered, 0u);
}

TEST_P(CrashTest, ManyItemsThatMakeHeapFailHoldUpNoOtherOverCrashesToo) {
  WorldRules rules;
  rules.crash = 0.05;
  rules.poison = 0.01;
  rules.process_crash = 0.03;
  rules.machine_crash = 0.01;
  rules.faults.on_crash = GetParam();
  const Sum sum = RunWorlds(rules, Worlds(40));
  EXPECT_GT(sum.crashing, 500u);
}

TEST_P(CrashTest, AHeapThatFailsInEveryWayAndByContentLosesNothing) {
  WorldRules rules = EverythingGoesWrong();
  rules.crash = 0.01;
  rules.faults.on_crash = GetParam();
  RunWorlds(rules, Worlds(40));
}

INSTANTIATE_TEST_SUITE_P(EachAnswer, CrashTest,
                         testing::Values(OnCrash::k403, OnCrash::k500,
                                         OnCrash::k503, OnCrash::kHang,
                                         OnCrash::kReset));

TEST(SimulationTest, WhateverEndpointIsBackAfterAnOutageIsUsedSoon) {
  WorldRules rules;
  rules.destinations = 4;
  rules.callers = 3;
  rules.limits = false;
  rules.outages = 3;
  rules.faults.max_latency = std::chrono::milliseconds(100);
  RunWorlds(rules, Worlds(60));
}

TEST(SimulationTest, AnEndpointThatHungIsUsedSoonAfterItsReturn) {
  WorldRules rules;
  rules.destinations = 4;
  rules.callers = 2;
  rules.identities = 300;
  rules.limits = false;
  rules.max_items = 40;
  rules.outages = 2;
  rules.outages_hang = true;
  rules.faults.max_latency = std::chrono::milliseconds(100);
  RunWorlds(rules, Worlds(60));
}

TEST(SimulationTest, EverythingAtOnceBreaksNoPromise) {
  const Sum sum = RunWorlds(EverythingGoesWrong(), Worlds(300));
  EXPECT_GT(sum.acknowledged, 20'000u);
  EXPECT_GT(sum.redelivered, 100u);
  EXPECT_GT(sum.dead_lettered, 50u);
}

TEST(SimulationTest, JumpsOfTheCivilClockBreakNoLimitOverRestartsToo) {
  WorldRules rules = EverythingGoesWrong();
  rules.process_crash = 0.1;
  rules.clock_jump = 0.2;
  RunWorlds(rules, Worlds(100));
}

}  // namespace
}  // namespace heapsync
