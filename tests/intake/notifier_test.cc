#include "heap_adapter/intake/notifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace heapsync {
namespace {

using testing::ElementsAre;

// Logs what the notifier does, in order.
class NotifierTest : public testing::Test {
 protected:
  Notifier::Committed WithAppends(size_t count) {
    Notifier::Committed committed;
    committed.notices.appended.resize(count);
    for (size_t i = 0; i < count; ++i) {
      committed.appends.push_back(
          {.lane = 1,
           .done = [this](const absl::StatusOr<SeqRange>&) { ++answers_; },
           .items = {}});
    }
    return committed;
  }

  std::vector<std::string> log_;
  size_t answers_ = 0;
  Notifier notifier_{[this](CommitNotices) { log_.emplace_back("noticed"); },
                     [this] { log_.emplace_back("woken"); }};
};

TEST_F(NotifierTest, TheDispatcherHasItsNoticesBeforeAnyAnswer) {
  notifier_.Notify(WithAppends(1));
  EXPECT_THAT(log_, ElementsAre("noticed"));
  EXPECT_EQ(answers_, 0);
}

TEST_F(NotifierTest, TheDispatcherIsWokenAfterTheAnswersOfASmallCommit) {
  notifier_.Notify(WithAppends(3));
  notifier_.AnswerSome(2);
  EXPECT_THAT(log_, ElementsAre("noticed"));
  notifier_.AnswerSome(2);
  EXPECT_THAT(log_, ElementsAre("noticed", "woken"));
  EXPECT_EQ(answers_, 3);
}

TEST_F(NotifierTest, TheDispatcherDoesNotWaitForAllAnswersOfALargeCommit) {
  constexpr size_t kAtOnce = Notifier::kAnswersFirst / 4;
  notifier_.Notify(WithAppends(10 * Notifier::kAnswersFirst));
  for (int i = 0; i < 3; ++i) notifier_.AnswerSome(kAtOnce);
  EXPECT_THAT(log_, ElementsAre("noticed"));
  notifier_.AnswerSome(kAtOnce);
  EXPECT_THAT(log_, ElementsAre("noticed", "woken"));
  EXPECT_EQ(answers_, Notifier::kAnswersFirst);
}

TEST_F(NotifierTest, TheDispatcherIsWokenForACommitThatComesBetweenAnswers) {
  notifier_.Notify(WithAppends(Notifier::kAnswersFirst + 2));
  notifier_.AnswerSome(Notifier::kAnswersFirst + 1);
  notifier_.Notify(WithAppends(1));
  notifier_.AnswerSome(2);
  EXPECT_THAT(log_, ElementsAre("noticed", "woken", "noticed", "woken"));
}

TEST_F(NotifierTest, TheDispatcherIsWokenAtOnceIfNobodyWaitsForAnAnswer) {
  notifier_.Notify(WithAppends(0));
  EXPECT_THAT(log_, ElementsAre("noticed", "woken"));
  EXPECT_FALSE(notifier_.AnswerSome(1));
}

TEST_F(NotifierTest, AChangeIsAnsweredAfterTheAppendsOfItsCommit) {
  Notifier::Committed committed = WithAppends(3);
  committed.changes.emplace_back(
      [this](const absl::Status&) { log_.emplace_back("changed"); });
  notifier_.Notify(std::move(committed));
  notifier_.AnswerSome(2);
  EXPECT_THAT(log_, ElementsAre("noticed"));
  notifier_.AnswerSome(2);
  EXPECT_THAT(log_, ElementsAre("noticed", "woken", "changed"));
}

TEST_F(NotifierTest, ARefusedAppendIsAnsweredWithItsErrorAndNotNoticed) {
  std::vector<Seq> noticed;
  Notifier notifier(
      [&](const CommitNotices& notices) {
        for (const Appended& each : notices.appended) {
          noticed.push_back(each.items.begin);
        }
      },
      nullptr);
  Notifier::Committed committed;
  std::vector<std::string> answers;
  for (Seq seq = 0; seq < 4; ++seq) {
    committed.notices.appended.push_back({.items = {seq, seq + 1}});
    committed.appends.push_back(
        {.lane = 1,
         .done =
             [&](const absl::StatusOr<SeqRange>& items) {
               answers.push_back(items.ok() ? std::to_string(items->begin)
                                            : "refused");
             },
         .items = {seq, seq + 1}});
  }
  for (const size_t i : {size_t{0}, size_t{2}}) {
    committed.appends[i].refused = absl::CancelledError("gone");
  }
  notifier.Notify(std::move(committed));
  notifier.AnswerSome(10);
  EXPECT_THAT(noticed, ElementsAre(1, 3));
  EXPECT_THAT(answers, ElementsAre("refused", "1", "refused", "3"));
}

TEST_F(NotifierTest, NothingIsNoticedOfACommitThatFailed) {
  Notifier::Committed failed = WithAppends(2);
  failed.status = absl::DataLossError("the disk");
  notifier_.Notify(std::move(failed));
  notifier_.AnswerSome(2);
  EXPECT_THAT(log_, testing::Not(testing::Contains("noticed")));
  EXPECT_EQ(answers_, 2);
}

}  // namespace
}  // namespace heapsync
