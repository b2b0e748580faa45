// Commands from one server to another, through nothing but a store.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "heap_adapter/sharing/command_runner.h"
#include "heap_adapter/sharing/command_sender.h"
#include "tests/intake/commit_pending.h"
#include "tests/spool/memory_store.h"

namespace heapsync {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A server with its own way to the store, and without threads.
class Server {
 public:
  explicit Server(Store& store)
      : spool_(*Spool::Open(store, 42)),
        committer_(*spool_, {}, {}, [](Committer::Notices) {}) {}

  Spool& spool() { return *spool_; }
  Committer& committer() { return committer_; }
  void Commit() { CommitPending(committer_); }

 private:
  std::unique_ptr<Spool> spool_;
  Committer committer_;
};

struct Obeyed {
  StoredCommand command;
  std::weak_ptr<const void> wanted;
  CommandRunner::Answer answer;
};

class Owner : public Server {
 public:
  explicit Owner(Store& store)
      : Server(store),
        runner_(
            spool(), committer(),
            [this](absl::string_view destination) {
              return destination != not_owned;
            },
            [this](const StoredCommand& command,
                   std::weak_ptr<const void> wanted,
                   CommandRunner::Answer answer) {
              obeyed.push_back({command, std::move(wanted), std::move(answer)});
            }) {}

  void Look(MonotonicTime now) {
    ASSERT_TRUE(runner_.Look(now).ok());
    Commit();
  }
  void Answer(size_t number, std::string body) {
    obeyed[number].answer({.status = {}, .body = std::move(body)}, {});
    Commit();
  }
  size_t size() const { return runner_.size(); }

  std::string not_owned = "nowhere";
  std::vector<Obeyed> obeyed;

 private:
  CommandRunner runner_;
};

class CommandsTest : public ::testing::Test {
 protected:
  using Result = std::shared_ptr<std::optional<absl::StatusOr<std::string>>>;

  Result Send(const std::string& body,
              const std::string& destination = "prod") {
    return SendAndWait(body,
                       {.until = now_ + seconds(30), .listener = std::nullopt},
                       destination);
  }
  Result SendAndWait(const std::string& body, CommandSender::Wait wait,
                     const std::string& destination = "prod") {
    auto result =
        std::make_shared<std::optional<absl::StatusOr<std::string>>>();
    sender_.Send({.kind = CommandRecord::Kind::kReplay,
                  .destination = destination,
                  .server = "asked",
                  .caller = "someone",
                  .body = body},
                 std::move(wait), [result](absl::StatusOr<std::string> answer) {
                   *result = std::move(answer);
                 });
    asking_.Commit();
    return result;
  }
  void LookForAnswers() {
    sender_.Look(now_);
    asking_.Commit();
  }
  static void ExpectAnswer(const Result& result, const std::string& body) {
    ASSERT_TRUE(result->has_value());
    ASSERT_TRUE((*result)->ok()) << (*result)->status();
    EXPECT_EQ(***result, body);
  }
  size_t Stored() {
    const auto commands = asking_.spool().published().Commands();
    EXPECT_TRUE(commands.ok()) << commands.status();
    return commands->size();
  }

  MemoryStore store_;
  Server asking_{store_};
  CommandSender sender_{asking_.spool(), asking_.committer(), nullptr};
  Owner owner_{store_};
  MonotonicTime now_{seconds(1'000)};
};

TEST_F(CommandsTest, IsObeyedOnceAndAnswered) {
  const Result result = Send("this");
  owner_.Look(now_);
  owner_.Look(now_);
  ASSERT_EQ(owner_.obeyed.size(), 1);
  const CommandRecord& command = *owner_.obeyed[0].command.command;
  EXPECT_EQ(command.body, "this");
  EXPECT_EQ(command.server, "asked");
  EXPECT_EQ(command.caller, "someone");
  LookForAnswers();
  EXPECT_FALSE(result->has_value());
  owner_.Answer(0, "done");
  owner_.Look(now_);
  LookForAnswers();
  ExpectAnswer(result, "done");
  EXPECT_EQ(owner_.obeyed.size(), 1);
}

TEST_F(CommandsTest, LeavesNothingInTheStore) {
  Send("this");
  owner_.Look(now_);
  owner_.Answer(0, "done");
  LookForAnswers();
  EXPECT_EQ(Stored(), 0);
  EXPECT_TRUE(sender_.empty());
  owner_.Look(now_);
  EXPECT_EQ(owner_.size(), 0);
}

TEST_F(CommandsTest, AnErrorIsAnAnswer) {
  const Result result = Send("this");
  owner_.Look(now_);
  owner_.obeyed[0].answer(
      {.status = absl::NotFoundError("no such destination"), .body = {}}, {});
  owner_.Commit();
  LookForAnswers();
  ASSERT_TRUE(result->has_value());
  EXPECT_EQ((*result)->status(), absl::NotFoundError("no such destination"));
}

TEST_F(CommandsTest, WhatComesWithTheAnswerIsStoredWithIt) {
  Send("this");
  owner_.Look(now_);
  SpoolChange along;
  along.PutPaused("prod", true);
  store_.FailWrites(absl::ResourceExhaustedError("full"), 0);
  owner_.obeyed[0].answer({}, std::move(along));
  owner_.Commit();
  EXPECT_FALSE(*owner_.spool().IsPaused("prod"));
  store_.FailWrites(absl::OkStatus(), 0);
  owner_.Commit();
  EXPECT_TRUE(*owner_.spool().IsPaused("prod"));
}

TEST_F(CommandsTest, TheNextOwnerObeysWhatTheLastDidNotAnswer) {
  const Result result = Send("this");
  owner_.Look(now_);
  Owner next(store_);
  next.Look(now_);
  ASSERT_EQ(next.obeyed.size(), 1);
  EXPECT_EQ(next.obeyed[0].command.id, owner_.obeyed[0].command.id);
  next.Answer(0, "by the next");
  LookForAnswers();
  ExpectAnswer(result, "by the next");
}

TEST_F(CommandsTest, TheNextOwnerDoesNotRepeatWhatWasAnswered) {
  const Result result = Send("this");
  owner_.Look(now_);
  owner_.Answer(0, "by the last");
  Owner next(store_);
  next.Look(now_);
  EXPECT_THAT(next.obeyed, IsEmpty());
  LookForAnswers();
  ExpectAnswer(result, "by the last");
}

TEST_F(CommandsTest, AnOwnerThatStopsLeavesItToTheNextOne) {
  const Result result = Send("this");
  owner_.Look(now_);
  owner_.committer().StopAccepting();
  owner_.Answer(0, "refused since it stops");
  Owner next(store_);
  next.Look(now_);
  ASSERT_EQ(next.obeyed.size(), 1);
}

TEST_F(CommandsTest, WithoutAnAnswerItIsTakenBack) {
  const Result result = Send("this");
  LookForAnswers();
  now_ += seconds(29);
  LookForAnswers();
  EXPECT_FALSE(result->has_value());
  now_ += seconds(1);
  LookForAnswers();
  ASSERT_TRUE(result->has_value());
  EXPECT_TRUE(absl::IsDeadlineExceeded((*result)->status()));
  owner_.Look(now_);
  EXPECT_THAT(owner_.obeyed, IsEmpty());
}

TEST_F(CommandsTest, AnAnswerThatComesTooLateIsDeleted) {
  Send("this");
  owner_.Look(now_);
  LookForAnswers();
  now_ += seconds(30);
  LookForAnswers();
  owner_.Answer(0, "late");
  EXPECT_EQ(Stored(), 1);
  owner_.Look(now_);
  EXPECT_EQ(Stored(), 0);
}

TEST_F(CommandsTest, OnceNobodyListensItIsTakenBackAndTheOwnerLearnsOfIt) {
  auto listener = std::make_shared<int>();
  const Result result = SendAndWait(
      "this",
      {.until = std::nullopt, .listener = std::weak_ptr<const void>(listener)});
  owner_.Look(now_);
  EXPECT_FALSE(owner_.obeyed[0].wanted.expired());
  listener.reset();
  LookForAnswers();
  EXPECT_EQ(Stored(), 0);
  owner_.Look(now_);
  EXPECT_TRUE(owner_.obeyed[0].wanted.expired());
  EXPECT_FALSE(result->has_value());
}

TEST_F(CommandsTest, AServerThatIsGoneIsForgottenAndOneThatWaitsIsNot) {
  const auto listener = std::make_shared<int>();
  SendAndWait("this", {.until = std::nullopt,
                       .listener = std::weak_ptr<const void>(listener)});
  for (int i = 0; i < 30; ++i) {
    now_ += seconds(10);
    LookForAnswers();
    owner_.Look(now_);
  }
  EXPECT_FALSE(owner_.obeyed[0].wanted.expired());
  EXPECT_EQ(owner_.obeyed.size(), 1);
  now_ += CommandRunner::kForget;
  owner_.Look(now_);
  EXPECT_EQ(Stored(), 0);
  EXPECT_TRUE(owner_.obeyed[0].wanted.expired());
}

TEST_F(CommandsTest, WhatAnotherOwnsIsLeftToIt) {
  Send("here");
  Send("elsewhere", "nowhere");
  owner_.Look(now_);
  ASSERT_EQ(owner_.obeyed.size(), 1);
  EXPECT_EQ(owner_.obeyed[0].command.command->body, "here");
  owner_.not_owned = "";
  owner_.Look(now_);
  EXPECT_EQ(owner_.obeyed.size(), 2);
}

TEST_F(CommandsTest, OpenCommandsAreBounded) {
  for (size_t i = 0; i < CommandSender::kMaxCommands; ++i) Send("this");
  const Result result = Send("one more");
  ASSERT_TRUE(result->has_value());
  EXPECT_TRUE(absl::IsResourceExhausted((*result)->status()));
  owner_.Look(now_);
  EXPECT_EQ(owner_.obeyed.size(), CommandRunner::kMaxRunning);
}

TEST_F(CommandsTest, AServerThatStopsTakesItsCommandsBack) {
  const Result result = Send("this");
  sender_.Stop();
  asking_.Commit();
  ASSERT_TRUE(result->has_value());
  EXPECT_TRUE(absl::IsUnavailable((*result)->status()));
  EXPECT_EQ(Stored(), 0);
  const Result later = Send("later");
  ASSERT_TRUE(later->has_value());
  EXPECT_TRUE(absl::IsUnavailable((*later)->status()));
}

TEST_F(CommandsTest, ACommandThatCannotBeStoredFails) {
  store_.FailWrites(absl::DataLossError("broken"), 0);
  const Result result = Send("this");
  ASSERT_TRUE(result->has_value());
  EXPECT_TRUE(absl::IsDataLoss((*result)->status()));
}

}  // namespace
}  // namespace heapsync
