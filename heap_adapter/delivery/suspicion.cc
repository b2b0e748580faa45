#include "heap_adapter/delivery/suspicion.h"

#include "base/check.h"

namespace heapsync {
namespace {

// Failures in a row after which a batch is suspected. More: a flaky Heap gets
// fewer small requests, but a bad item holds up its batch longer.
constexpr int kFailuresToSuspect = 3;  // of a single item: to isolate it
constexpr int kTimeoutsToSuspect = 2;
constexpr int kThrottlesToSuspect = 6;

// Refusals of a single item that make it a dead letter where no other item is
// there to compare it with.
constexpr int kRefusalsOfOne = 3;

// Without proof a batch is suspected one round later for each of this number of
// suspected plans.
constexpr size_t kPlansPerBatch = 8;

// A part answered as by a wrong set-up is divided at once while there are fewer
// suspected plans. Other parts, and batches beside suspected plans, are divided
// after more refusals: there are few plans where all is refused, and each is
// divided in the end.
constexpr size_t kPlansOfWrongSetUp = 64;

// Without proof a part is divided only if it has failed once more for each of
// this number of suspected plans: each round of failures divides about one.
constexpr size_t kPlansPerRound = 32;

// Failures that count as one if the plan hung in a silence: several plans then
// hang at once, and each is as likely to be innocent.
constexpr int kFailuresInSilence = 4;

int FailuresToSuspect(Suspicion::Failure failure) {
  switch (failure) {
    case Suspicion::Failure::kTimeout:
      return kTimeoutsToSuspect;
    case Suspicion::Failure::kAsksToWaitLong:
      return 1;
    case Suspicion::Failure::kThrottled:
      return kThrottlesToSuspect;
    default:
      return kFailuresToSuspect;
  }
}

int FailuresThatCount(const Suspicion::FailedPlan& plan) {
  return plan.in_silence ? plan.failures / kFailuresInSilence : plan.failures;
}

}  // namespace

Suspicion::Judgement Suspicion::OnFailure(Failure failure,
                                          const FailedPlan& plan) {
  const Step try_apart = plan.items > 1 ? Step::kDivide : Step::kTryLater;
  switch (plan.standing) {
    case Standing::kTrusted: {
      const int needed = FailuresToSuspect(failure);
      const bool proven = ProvenSince(plan.deliveries);
      const int rounds =
          proven ? 1 : 1 + static_cast<int>(plan.suspected / kPlansPerBatch);
      if (failure == Failure::kNotSent ||
          FailuresThatCount(plan) < needed * rounds) {
        return {.step = Step::kRetry};
      }
      return {.step = try_apart};
    }
    case Standing::kSuspected: {
      if (failure == Failure::kNotSent) return {.step = Step::kTryLater};
      if (ProvenSince(plan.deliveries)) {
        used_ = deliveries_;
        return {.step = plan.items > 1 ? Step::kDivideNow : Step::kIsolate,
                .content = true};
      }
      // Other convictions used up what was delivered, and nothing else comes.
      if (plan.items == 1 && deliveries_ > plan.deliveries &&
          plan.failures >= kFailuresToSuspect) {
        return {.step = Step::kIsolate, .content = true};
      }
      const size_t rounds = 1 + plan.suspected / kPlansPerRound;
      if (static_cast<size_t>(FailuresThatCount(plan)) <= rounds) {
        return {.step = Step::kTryLater};
      }
      return {.step = try_apart};
    }
    case Standing::kIsolated:
      return {.step = Step::kWaitAlone, .content = true};
  }
  HEAPSYNC_UNREACHABLE();
}

Suspicion::Judgement Suspicion::OnWrongSetUp(const FailedPlan& plan,
                                             bool others_wait) {
  const bool failed_often =
      static_cast<size_t>(plan.failures) > 2 + plan.suspected / kPlansPerRound;
  switch (plan.standing) {
    case Standing::kTrusted:
      if ((plan.suspected > 0 && !failed_often) ||
          (plan.items == 1 && !others_wait)) {
        return {.step = Step::kRetry};
      }
      return {.step = plan.items > 1 ? Step::kDivide : Step::kTryLater};
    case Standing::kSuspected:
      if (ProvenSince(plan.deliveries)) {
        used_ = deliveries_;
        return {.step = plan.items > 1 ? Step::kDivideNow : Step::kIsolate,
                .content = true};
      }
      if (plan.items == 1 && deliveries_ > plan.deliveries &&
          plan.failures >= kFailuresToSuspect) {
        return {.step = Step::kIsolate, .content = true};
      }
      return {.step = plan.items > 1 && (plan.suspected < kPlansOfWrongSetUp ||
                                         failed_often)
                          ? Step::kDivideNow
                          : Step::kTryLater};
    case Standing::kIsolated:
      return {.step = Step::kWaitAlone, .content = true};
  }
  HEAPSYNC_UNREACHABLE();
}

Suspicion::Refusal Suspicion::OnRefused(int refusals, uint64_t deliveries) {
  if (deliveries_ > deliveries) return Refusal::kDeadLetter;
  if (refusals == 1) ++refused_items_;
  if (refuses_all()) return Refusal::kHold;
  return refusals < kRefusalsOfOne ? Refusal::kTryLater : Refusal::kDeadLetter;
}

size_t PartSize(size_t items) {
  size_t size = 1;
  while (size * size < items) ++size;
  // Of few items each is tried alone at once.
  return items <= kPlansPerRound ? 1 : size;
}

}  // namespace heapsync
