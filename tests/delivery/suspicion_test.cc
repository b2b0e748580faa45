#include "heap_adapter/delivery/suspicion.h"

#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace heapsync {
namespace {

using Failure = Suspicion::Failure;
using Step = Suspicion::Step;

Suspicion::FailedPlan Trusted(int failures) {
  return {.standing = Standing::kTrusted, .items = 100, .failures = failures};
}

Suspicion::FailedPlan Suspected(size_t items, uint64_t deliveries = 0) {
  return {.standing = Standing::kSuspected,
          .items = items,
          .failures = 1,
          .deliveries = deliveries};
}

TEST(SuspicionTest, ABatchIsTriedInPartsAfterThreeFailuresOrTwoTimeouts) {
  Suspicion suspicion;
  EXPECT_EQ(suspicion.OnFailure(Failure::kOther, Trusted(2)).step,
            Step::kRetry);
  EXPECT_EQ(suspicion.OnFailure(Failure::kOther, Trusted(3)).step,
            Step::kDivide);
  EXPECT_EQ(suspicion.OnFailure(Failure::kTimeout, Trusted(1)).step,
            Step::kRetry);
  EXPECT_EQ(suspicion.OnFailure(Failure::kTimeout, Trusted(2)).step,
            Step::kDivide);
}

TEST(SuspicionTest, WhatWasNeverSentIsNotToBlame) {
  Suspicion suspicion;
  EXPECT_EQ(suspicion.OnFailure(Failure::kNotSent, Trusted(9)).step,
            Step::kRetry);
  suspicion.OnDelivered();
  const auto judgement = suspicion.OnFailure(Failure::kNotSent, Suspected(1));
  EXPECT_EQ(judgement.step, Step::kTryLater);
  EXPECT_FALSE(judgement.content);
}

TEST(SuspicionTest, WithoutProofASecondBatchOfALaneIsSuspectedLater) {
  Suspicion suspicion;
  Suspicion::FailedPlan second = Trusted(14);
  second.suspected = 32;
  EXPECT_EQ(suspicion.OnFailure(Failure::kOther, second).step, Step::kRetry);
  second.failures = 15;
  EXPECT_EQ(suspicion.OnFailure(Failure::kOther, second).step, Step::kDivide);
  second.failures = 3;
  suspicion.OnDelivered();
  EXPECT_EQ(suspicion.OnFailure(Failure::kOther, second).step, Step::kDivide);
}

TEST(SuspicionTest, AnItemThatFailsAloneIsIsolatedOnlyOnceAnotherGotThrough) {
  Suspicion suspicion;
  for (int i = 0; i < 100; ++i) {
    const auto outage = suspicion.OnFailure(Failure::kOther, Suspected(1));
    EXPECT_EQ(outage.step, Step::kTryLater);
    EXPECT_FALSE(outage.content);
  }
  suspicion.OnDelivered();
  const auto alone = suspicion.OnFailure(Failure::kOther, Suspected(1));
  EXPECT_EQ(alone.step, Step::kIsolate);
  EXPECT_TRUE(alone.content);
}

TEST(SuspicionTest, ADeliveryBeforeTheLastFailureProvesNothing) {
  Suspicion suspicion;
  suspicion.OnDelivered();
  EXPECT_EQ(
      suspicion.OnFailure(Failure::kOther, Suspected(1, suspicion.deliveries()))
          .step,
      Step::kTryLater);
}

TEST(SuspicionTest, EachProofConvictsOnce) {
  Suspicion suspicion;
  suspicion.OnDelivered();
  EXPECT_EQ(suspicion.OnFailure(Failure::kOther, Suspected(8)).step,
            Step::kDivideNow);
  EXPECT_EQ(suspicion.OnFailure(Failure::kOther, Suspected(1)).step,
            Step::kTryLater);
  suspicion.OnDelivered();
  EXPECT_EQ(suspicion.OnFailure(Failure::kOther, Suspected(1)).step,
            Step::kIsolate);
}

TEST(SuspicionTest, AnItemThatFailsAloneThreeTimesNeedsNoProofOfItsOwn) {
  Suspicion suspicion;
  suspicion.OnDelivered();
  EXPECT_EQ(suspicion.OnFailure(Failure::kOther, Suspected(8)).step,
            Step::kDivideNow);
  Suspicion::FailedPlan last = Suspected(1);
  last.failures = 2;
  EXPECT_EQ(suspicion.OnFailure(Failure::kOther, last).step, Step::kTryLater);
  last.failures = 3;
  EXPECT_EQ(suspicion.OnFailure(Failure::kOther, last).step, Step::kIsolate);
}

TEST(SuspicionTest, AnIsolatedItemWaitsAloneAgain) {
  Suspicion suspicion;
  const auto judgement = suspicion.OnFailure(
      Failure::kOther,
      {.standing = Standing::kIsolated, .items = 1, .failures = 4});
  EXPECT_EQ(judgement.step, Step::kWaitAlone);
  EXPECT_TRUE(judgement.content);
}

TEST(SuspicionTest, ARefusedItemIsDeadLetteredOnceAnotherGotThrough) {
  using Refusal = Suspicion::Refusal;
  Suspicion suspicion;
  EXPECT_EQ(suspicion.OnRefused(1, 0), Refusal::kTryLater);
  suspicion.OnDelivered();
  EXPECT_EQ(suspicion.OnRefused(2, 0), Refusal::kDeadLetter);
  // One with nothing to compare it with.
  EXPECT_EQ(suspicion.OnRefused(1, 1), Refusal::kTryLater);
  EXPECT_EQ(suspicion.OnRefused(2, 1), Refusal::kTryLater);
  EXPECT_EQ(suspicion.OnRefused(3, 1), Refusal::kDeadLetter);
}

TEST(SuspicionTest, ThreeItemsRefusedInARowHoldTheDestination) {
  using Refusal = Suspicion::Refusal;
  Suspicion suspicion;
  EXPECT_EQ(suspicion.OnRefused(1, 0), Refusal::kTryLater);
  EXPECT_EQ(suspicion.OnRefused(1, 0), Refusal::kTryLater);
  EXPECT_EQ(suspicion.OnRefused(1, 0), Refusal::kHold);
  EXPECT_EQ(suspicion.OnRefused(9, 0), Refusal::kHold);
  EXPECT_TRUE(suspicion.refuses_all());
  suspicion.OnDelivered();
  EXPECT_FALSE(suspicion.refuses_all());
  EXPECT_EQ(suspicion.OnRefused(10, 0), Refusal::kDeadLetter);
}

TEST(SuspicionTest, TwoRoundsOfPartsReachTheSingleItem) {
  for (size_t items = 1; items <= 1'000; ++items) {
    const size_t part = PartSize(items);
    EXPECT_LE((items + part - 1) / part, 32u);
    EXPECT_EQ(PartSize(part), 1u);
  }
}

TEST(SuspicionTest, AnAnswerAsOfAWrongSetUpIsTriedInPartsAtOnce) {
  Suspicion suspicion;
  EXPECT_EQ(suspicion.OnWrongSetUp(Trusted(1), false).step, Step::kDivide);
  Suspicion::FailedPlan second = Trusted(1);
  second.suspected = 2;
  EXPECT_EQ(suspicion.OnWrongSetUp(second, true).step, Step::kRetry);
  second.suspected = 64;
  EXPECT_EQ(suspicion.OnWrongSetUp(second, true).step, Step::kRetry);
  second.failures = 5;
  EXPECT_EQ(suspicion.OnWrongSetUp(second, true).step, Step::kDivide);
  const auto part = suspicion.OnWrongSetUp(Suspected(32), true);
  EXPECT_EQ(part.step, Step::kDivideNow);
  EXPECT_FALSE(part.content);
  EXPECT_EQ(suspicion.OnWrongSetUp(Suspected(1), true).step, Step::kTryLater);
  suspicion.OnDelivered();
  const auto single = suspicion.OnWrongSetUp(Suspected(1), true);
  EXPECT_EQ(single.step, Step::kIsolate);
  EXPECT_TRUE(single.content);
}

TEST(SuspicionTest, ALoneItemIsNotComparedWithItself) {
  Suspicion suspicion;
  Suspicion::FailedPlan lone = Trusted(1);
  lone.items = 1;
  EXPECT_EQ(suspicion.OnWrongSetUp(lone, false).step, Step::kRetry);
  EXPECT_EQ(suspicion.OnWrongSetUp(lone, true).step, Step::kTryLater);
}

TEST(SuspicionTest, ALongOutageLeavesFewParts) {
  // A batch of a thousand in 32 parts, each of which fails once a round.
  Suspicion suspicion;
  std::vector<Suspicion::FailedPlan> parts(32, Suspected(32));
  for (auto& part : parts) part.failures = 0;
  int requests = 0;
  while (requests < 600) {
    std::vector<Suspicion::FailedPlan> round;
    std::swap(round, parts);
    for (size_t i = 0; i < round.size(); ++i, ++requests) {
      Suspicion::FailedPlan plan = round[i];
      ++plan.failures;
      plan.suspected = round.size() - i - 1 + parts.size();
      if (suspicion.OnFailure(Failure::kOther, plan).step == Step::kDivide) {
        for (size_t n = 0; n < plan.items; ++n) {
          parts.push_back(Suspected(1));
        }
      } else {
        parts.push_back(plan);
      }
    }
  }
  EXPECT_LE(parts.size(), 250u);
}

}  // namespace
}  // namespace heapsync
