#include "heap_adapter/stream/bulk_session.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/stream/refusal_list.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using Reason = BulkEnd::Reason;

constexpr MonotonicTime kNow = MonotonicTime(std::chrono::hours(1));

// A call on which the test plays the client, one step at a time.
class FakeCall final : public BulkSession::Call {
 public:
  void Read() override { ++reads; }
  void Write(BulkAnswer answer) override {
    answers.push_back(std::move(answer));
  }
  void Pause(Duration duration) override { pauses.push_back(duration); }
  void TakeHeld() override { ++retries; }
  void Abort() override { ++aborts; }
  void Finish(const BulkEnd& end) override { ends.push_back(end); }

  int reads = 0;    // since the start
  int retries = 0;  // of held messages
  int aborts = 0;
  std::vector<BulkAnswer> answers;
  std::vector<Duration> pauses;
  std::vector<BulkEnd> ends;
};

class BulkSessionTest : public testing::Test {
 protected:
  void Start() {
    session_ = std::make_shared<BulkSession>(call_, limits_, all_unsent_);
    session_->Start(BulkVerdict::kAccepted, kNow);
  }
  // Begins to take in a message; the first one has settings.
  void Receive(BulkLevel level = BulkLevel::kDurable, size_t bytes = 100) {
    ASSERT_TRUE(session_->MessageReceived(bytes, kNow));
    if (!std::exchange(configured_, true)) session_->Configure(level, 0);
  }
  void Taken() { session_->MessageTaken(BulkVerdict::kAccepted); }
  // A whole message of valid items.
  void Message(uint64_t items, BulkLevel level = BulkLevel::kDurable,
               size_t bytes = 100) {
    Receive(level, bytes);
    Append(items);
    Taken();
  }
  void Append(uint64_t items, ChunkPart part = ChunkPart::kEndOfMessage) {
    index_ += items;
    session_->AddAppend(items, index_, part);
  }
  void Reject(size_t bytes = 0) {
    session_->Reject(index_, RefusalOf(index_, bytes));
    ++index_;
  }
  void Durable(uint64_t items) {
    session_->Durable(SeqRange{seq_, seq_ + items});
    seq_ += items;
  }
  void Written() { session_->Written(WriteResult::kWritten, kNow); }
  const BulkAnswer& Last() const { return call_.answers.back(); }
  std::optional<Reason> End() const {
    if (call_.ends.size() != 1) return std::nullopt;
    return call_.ends[0].reason;
  }

  BulkLimits limits_;
  std::shared_ptr<UnsentBytes> all_unsent_;
  FakeCall call_;
  std::shared_ptr<BulkSession> session_;
  bool configured_ = false;
  uint64_t index_ = 0;
  Seq seq_ = 1'000;
};

TEST_F(BulkSessionTest, ReadsWhileTheWindowHasSpace) {
  limits_.max_in_flight_messages = 2;
  Start();
  EXPECT_EQ(call_.reads, 1);
  Message(1);
  EXPECT_EQ(call_.reads, 2);
  Message(1);
  EXPECT_EQ(call_.reads, 2);
  Durable(1);
  EXPECT_EQ(call_.reads, 3);
}

TEST_F(BulkSessionTest, ReadsWhileTheBytesInFlightHaveSpace) {
  limits_.max_in_flight_bytes = 1'000;
  Start();
  Message(1, BulkLevel::kDurable, 999);
  EXPECT_EQ(call_.reads, 2);
  Message(1, BulkLevel::kDurable, 1);
  EXPECT_EQ(call_.reads, 2);
  Durable(1);
  EXPECT_EQ(call_.reads, 3);
}

TEST_F(BulkSessionTest, AMessageOfManyChunksIsInFlightUntilItsLastIsDurable) {
  limits_.max_in_flight_messages = 1;
  Start();
  Receive();
  Append(5, ChunkPart::kMiddle);
  Append(2);
  Taken();
  Durable(5);
  EXPECT_EQ(Last().totals.durable_position, 5);
  EXPECT_EQ(call_.reads, 1);
  Durable(2);
  EXPECT_EQ(call_.reads, 2);
}

TEST_F(BulkSessionTest, ReadsNothingWhileTheClientDoesNotReadRefusals) {
  limits_.max_unsent_bytes = 100;
  Start();
  Receive();
  Reject();
  session_->AddWithoutAppend("", index_, ChunkPart::kEndOfMessage);
  Taken();
  ASSERT_EQ(call_.answers.size(), 1);
  Receive();
  Reject(200);
  session_->AddWithoutAppend("", index_, ChunkPart::kEndOfMessage);
  Taken();
  EXPECT_EQ(call_.reads, 2);
  Written();
  EXPECT_EQ(call_.reads, 3);
}

TEST_F(BulkSessionTest, UnreadRefusalsOfAllStreamsAreBounded) {
  limits_.answer_bytes = 100;
  all_unsent_ = std::make_shared<UnsentBytes>(1'000);
  Start();
  Receive();
  Reject();
  session_->AddWithoutAppend("", index_, ChunkPart::kEndOfMessage);
  Taken();
  ASSERT_EQ(call_.answers.size(), 1);  // which the client does not read
  Receive();
  Reject(500);
  EXPECT_TRUE(session_->HasRoom());
  all_unsent_->Add(600);  // another stream's
  EXPECT_FALSE(session_->HasRoom());
  session_->DropUnsent();
  session_->MessageTaken(BulkVerdict::kRefused);
  all_unsent_->Add(400);
  EXPECT_FALSE(all_unsent_->full());  // nothing of this stream is counted
  Written();
  EXPECT_EQ(call_.answers.size(), 1);
  EXPECT_EQ(End(), Reason::kRefused);
}

TEST_F(BulkSessionTest, IsWaitedForUntilItsClientIsGone) {
  Start();
  Message(1);
  EXPECT_TRUE(session_->IsWaitedFor());
  session_->DropUnsent();
  EXPECT_TRUE(session_->IsWaitedFor());
  session_->Cancelled();
  EXPECT_FALSE(session_->IsWaitedFor());
}

TEST_F(BulkSessionTest, WhatComesBehindALostChunkIsNotWaitedFor) {
  Start();
  Message(1);
  Message(1);
  session_->Durable(absl::AbortedError("paused"));
  EXPECT_FALSE(session_->IsWaitedFor());
}

TEST_F(BulkSessionTest, AStreamWithFewUnreadRefusalsGoesOnWhateverOthersDo) {
  limits_.answer_bytes = 100;
  all_unsent_ = std::make_shared<UnsentBytes>(0);
  all_unsent_->Add(1);
  Start();
  Receive();
  Reject();
  EXPECT_TRUE(session_->HasRoom());
}

TEST_F(BulkSessionTest, ReadsNothingWhilePreviewsAreUnsent) {
  limits_.max_unsent_bytes = 100;
  Start();
  Receive(BulkLevel::kPreview);
  session_->AddWithoutAppend(std::string(10, 'p'), 1, ChunkPart::kMiddle);
  session_->AddWithoutAppend(std::string(200, 'p'), 2,
                             ChunkPart::kEndOfMessage);
  Taken();
  EXPECT_EQ(Last().previews.size(), 2);
  EXPECT_EQ(Last().level, BulkLevel::kPreview);
  EXPECT_EQ(call_.reads, 2);
  Receive();
  session_->AddWithoutAppend(std::string(200, 'p'), 3,
                             ChunkPart::kEndOfMessage);
  Taken();
  EXPECT_EQ(call_.reads, 2);
  Written();
  EXPECT_EQ(call_.reads, 3);
}

TEST_F(BulkSessionTest, ReadsNothingWhileReceiptsAreUnsent) {
  limits_.max_receipt_ranges = 2;
  Start();
  Message(1);
  Durable(1);  // in the answer that is being written
  for (int i = 0; i < 2; ++i) {
    Message(1);
    seq_ += 10;  // a gap: a range of its own
    Durable(1);
  }
  EXPECT_EQ(call_.reads, 4);
  ASSERT_TRUE(session_->MessageReceived(100, kNow));
  Taken();
  EXPECT_EQ(call_.reads, 4);
  Written();
  EXPECT_EQ(call_.reads, 5);
}

TEST_F(BulkSessionTest, AnAnswerCarriesAtMostTheRangesOfOneReceipt) {
  Start();
  Message(1);
  Durable(1);
  for (size_t i = 0; i < kMaxReceiptRanges + 3; ++i) {
    Message(1);
    seq_ += 10;
    Durable(1);
  }
  session_->HalfClosed();
  Written();
  EXPECT_EQ(Last().receipt.size(), kMaxReceiptRanges);
  Written();
  EXPECT_EQ(Last().receipt.size(), 3);
  EXPECT_EQ(End(), std::nullopt);
  Written();
  EXPECT_EQ(End(), Reason::kComplete);
}

TEST_F(BulkSessionTest, WhatHappensDuringAWriteGoesIntoOneAnswer) {
  Start();
  Message(1);
  Durable(1);
  Message(2);
  Durable(2);
  Message(3);
  Durable(3);
  ASSERT_EQ(call_.answers.size(), 1);
  Written();
  ASSERT_EQ(call_.answers.size(), 2);
  EXPECT_EQ(Last().totals.received, 6);
  EXPECT_EQ(Last().totals.accepted, 6);
  EXPECT_EQ(Last().totals.durable_position, 6);
  EXPECT_THAT(Last().receipt, ElementsAre(SeqRange{1'001, 1'006}));
}

TEST_F(BulkSessionTest, TheEndWaitsUntilEverythingIsDurableAndSaid) {
  Start();
  Message(2);
  session_->HalfClosed();
  EXPECT_EQ(End(), std::nullopt);
  Durable(2);
  EXPECT_EQ(Last().totals.accepted, 2);
  EXPECT_EQ(End(), std::nullopt);
  Written();
  EXPECT_EQ(End(), Reason::kComplete);
  EXPECT_EQ(call_.ends[0].accepted, 2);
}

TEST_F(BulkSessionTest, AStreamWithoutAMessageIsAnsweredWithZeros) {
  Start();
  session_->HalfClosed();
  ASSERT_EQ(call_.answers.size(), 1);
  EXPECT_EQ(Last().totals.received, 0);
  EXPECT_EQ(Last().totals.durable_position, 0);
  EXPECT_EQ(End(), std::nullopt);
  Written();
  EXPECT_EQ(End(), Reason::kComplete);
}

TEST_F(BulkSessionTest, AMessageWithoutItemsChangesNothing) {
  Start();
  Message(1);
  Durable(1);
  Receive();
  session_->AddWithoutAppend("", index_, ChunkPart::kEndOfMessage);
  Taken();
  Message(1);
  Durable(1);
  session_->HalfClosed();
  while (End() == std::nullopt) Written();
  EXPECT_EQ(End(), Reason::kComplete);
  EXPECT_EQ(Last().totals.received, 2);
  EXPECT_EQ(Last().totals.durable_position, 2);
}

TEST_F(BulkSessionTest, ARefusedCallEndsWithoutARead) {
  session_ = std::make_shared<BulkSession>(call_, limits_);
  session_->Start(BulkVerdict::kRefused, kNow);
  EXPECT_EQ(End(), Reason::kRefused);
  EXPECT_EQ(call_.reads, 0);
}

TEST_F(BulkSessionTest, AtLevelDeliveredTheEndWaitsForTheSettlement) {
  Start();
  Message(3, BulkLevel::kDelivered);
  session_->HalfClosed();
  Durable(3);
  EXPECT_EQ(Last().level, BulkLevel::kDurable);
  Written();
  EXPECT_EQ(End(), std::nullopt);
  session_->SettledListener()({.delivered = 2, .dead_lettered = 1});
  EXPECT_EQ(Last().level, BulkLevel::kDelivered);
  EXPECT_EQ(Last().totals.delivered, 2);
  EXPECT_EQ(Last().totals.dead_lettered, 1);
  Written();
  EXPECT_EQ(End(), Reason::kComplete);
}

TEST_F(BulkSessionTest, ASettlementMayOvertakeTheDurabilityOfItsAppend) {
  Start();
  Message(3, BulkLevel::kDelivered);
  session_->HalfClosed();
  session_->Settled({.delivered = 3, .dead_lettered = 0});
  EXPECT_EQ(Last().level, BulkLevel::kDurable);
  Durable(3);
  Written();
  EXPECT_EQ(Last().level, BulkLevel::kDelivered);
  Written();
  EXPECT_EQ(End(), Reason::kComplete);
}

TEST_F(BulkSessionTest, RefusalsInTheMiddleOfAMessageAreCountedAndSent) {
  Start();
  Receive();
  index_ = 2;
  Reject();
  index_ = 5;
  Reject();
  session_->AddAppend(4, 6, ChunkPart::kEndOfMessage);
  Taken();
  EXPECT_THAT(IndicesIn(Last().refusals), ElementsAre(2, 5));
  EXPECT_EQ(Last().totals.durable_position, 0);
  Written();
  Durable(4);
  EXPECT_EQ(Last().totals.received, 6);
  EXPECT_EQ(Last().totals.accepted, 4);
  EXPECT_EQ(Last().totals.rejected, 2);
  EXPECT_EQ(Last().totals.durable_position, 6);
}

TEST_F(BulkSessionTest, ThePositionNeverPassesARefusalThatIsUnsent) {
  limits_.answer_bytes = 1;  // one refusal for each answer
  Start();
  Receive();
  for (int i = 0; i < 3; ++i) Reject(50);
  session_->AddWithoutAppend("", index_, ChunkPart::kEndOfMessage);
  Taken();
  EXPECT_THAT(IndicesIn(Last().refusals), ElementsAre(0));
  EXPECT_EQ(Last().totals.durable_position, 1);
  Written();
  EXPECT_THAT(IndicesIn(Last().refusals), ElementsAre(1));
  EXPECT_EQ(Last().totals.durable_position, 2);
  Written();
  EXPECT_EQ(Last().totals.durable_position, 3);
  EXPECT_EQ(call_.answers.size(), 3);
}

TEST_F(BulkSessionTest, StartsAtTheIndexOfItsSettings) {
  Start();
  ASSERT_TRUE(session_->MessageReceived(1, kNow));
  session_->Configure(BulkLevel::kDurable, 500);
  session_->AddAppend(2, 502, ChunkPart::kEndOfMessage);
  Taken();
  Durable(2);
  EXPECT_EQ(Last().totals.received, 2);
  EXPECT_EQ(Last().totals.durable_position, 502);
}

TEST_F(BulkSessionTest, AnErrorAfterAPartWasAcceptedSaysThePositionFirst) {
  Start();
  Receive();
  Append(4, ChunkPart::kMiddle);
  Append(3);
  session_->AppendFailed();
  session_->MessageTaken(BulkVerdict::kRefused);
  EXPECT_EQ(call_.reads, 1);
  EXPECT_EQ(End(), std::nullopt);
  Durable(4);
  EXPECT_EQ(Last().totals.accepted, 4);
  EXPECT_EQ(Last().totals.durable_position, 4);
  EXPECT_EQ(End(), std::nullopt);
  Written();
  EXPECT_EQ(Last().totals.durable_position, 4);
  EXPECT_EQ(End(), Reason::kRefused);
  EXPECT_EQ(call_.ends[0].accepted, 4);
}

TEST_F(BulkSessionTest, ThePositionStaysBeforeWhatWasNotStored) {
  Start();
  Message(1);
  Message(2);
  Message(3);
  Durable(1);
  session_->Durable(absl::ResourceExhaustedError("full"));
  Durable(3);
  Written();
  EXPECT_EQ(Last().totals.accepted, 4);
  EXPECT_EQ(Last().totals.durable_position, 1);
  Written();
  EXPECT_EQ(End(), Reason::kNotStored);
  EXPECT_EQ(call_.ends[0].status, absl::ResourceExhaustedError("full"));
}

TEST_F(BulkSessionTest, TheServersEndWaitsForTheAppendsInFlight) {
  Start();
  Message(1);
  Message(2);
  session_->End();
  EXPECT_EQ(End(), std::nullopt);
  // A message that was on its way is dropped, and no other is read.
  EXPECT_FALSE(session_->MessageReceived(100, kNow));
  EXPECT_EQ(call_.reads, 3);
  Durable(1);
  Durable(2);
  EXPECT_EQ(End(), std::nullopt);
  Written();
  EXPECT_EQ(Last().totals.durable_position, 3);
  Written();
  EXPECT_EQ(End(), Reason::kShuttingDown);
}

TEST_F(BulkSessionTest, TheEndWaitsForTheMessageThatIsTakenIn) {
  Start();
  Receive();
  session_->End();
  EXPECT_EQ(End(), std::nullopt);
  Append(1);
  Taken();
  EXPECT_EQ(End(), std::nullopt);
  Durable(1);
  Written();
  EXPECT_EQ(End(), Reason::kShuttingDown);
}

TEST_F(BulkSessionTest, TheServersEndDoesNotWaitForADelivery) {
  Start();
  Message(1, BulkLevel::kDelivered);
  Durable(1);
  Written();
  session_->End();
  EXPECT_EQ(End(), Reason::kShuttingDown);
}

TEST_F(BulkSessionTest, TheFirstErrorIsTheOneThatIsSent) {
  Start();
  Message(1);
  session_->End();
  session_->Durable(absl::UnavailableError("stopped"));
  session_->Cancelled();
  Written();
  EXPECT_EQ(End(), Reason::kShuttingDown);
}

TEST_F(BulkSessionTest, AClientThatIsGoneGetsNoAnswerAndDoesNotHoldTheStream) {
  Start();
  Message(1);
  Receive();
  Reject();
  Append(1);
  session_->Cancelled();
  Taken();
  EXPECT_EQ(call_.answers.size(), 0);
  Durable(1);
  EXPECT_EQ(End(), std::nullopt);
  Durable(1);
  EXPECT_EQ(call_.answers.size(), 0);
  EXPECT_EQ(End(), Reason::kCancelled);
}

TEST_F(BulkSessionTest, NothingIsWrittenAfterAWriteFailed) {
  Start();
  Message(1);
  Durable(1);
  Message(1);
  Durable(1);
  session_->Written(WriteResult::kFailed, kNow);
  EXPECT_EQ(call_.answers.size(), 1);
  session_->HalfClosed();
  EXPECT_EQ(End(), Reason::kComplete);
}

TEST_F(BulkSessionTest, ACallbackAfterTheEndDoesNothing) {
  Start();
  Message(2, BulkLevel::kDelivered);
  SettledCallback settled = session_->SettledListener();
  Durable(2);
  Written();
  session_->Cancelled();
  ASSERT_EQ(End(), Reason::kCancelled);
  const size_t answers = call_.answers.size();
  settled({.delivered = 2, .dead_lettered = 0});
  session_->PauseOver();
  session_->End();
  session_->Cancelled();
  EXPECT_EQ(call_.answers.size(), answers);
  EXPECT_EQ(call_.reads, 2);
  EXPECT_EQ(call_.ends.size(), 1);
}

TEST_F(BulkSessionTest, TheListenerDoesNotKeepTheSession) {
  Start();
  SettledCallback settled = session_->SettledListener();
  EXPECT_TRUE(settled.wanted());
  session_.reset();
  EXPECT_FALSE(settled.wanted());
  settled({.delivered = 1, .dead_lettered = 0});
}

TEST_F(BulkSessionTest, AHeldMessageIsTriedAgainAndNothingIsReadBefore) {
  using std::chrono::seconds;
  Start();
  Receive();
  session_->MessageHeld(seconds(1));
  EXPECT_THAT(call_.pauses, ElementsAre(seconds(1)));
  EXPECT_EQ(call_.retries, 0);
  session_->PauseOver();
  EXPECT_EQ(call_.retries, 1);
  session_->MessageHeld(seconds(2));
  EXPECT_THAT(call_.pauses, ElementsAre(seconds(1), seconds(2)));
  session_->PauseOver();
  EXPECT_EQ(call_.retries, 2);
  EXPECT_EQ(call_.reads, 1);
  Append(1);
  Taken();
  EXPECT_EQ(call_.reads, 2);
}

TEST_F(BulkSessionTest, AHeldMessageDoesNotHoldUpTheEnd) {
  for (const bool by_client : {true, false}) {
    call_.ends.clear();
    configured_ = false;
    Start();
    Receive();
    session_->MessageHeld(std::chrono::hours(1));
    if (by_client) {
      session_->Cancelled();
    } else {
      session_->End();
    }
    EXPECT_EQ(End(), by_client ? Reason::kCancelled : Reason::kShuttingDown);
    session_->PauseOver();
    EXPECT_EQ(call_.retries, 0);
  }
}

TEST_F(BulkSessionTest, IsSilentWhileItWaitsForNothingButItsClient) {
  constexpr Duration kTick{1};
  Start();
  EXPECT_EQ(session_->SilentSince(), kNow);
  ASSERT_TRUE(session_->MessageReceived(100, kNow + kTick));
  EXPECT_EQ(session_->SilentSince(), std::nullopt);
  session_->MessageHeld(kTick);
  EXPECT_EQ(session_->SilentSince(), std::nullopt);
  session_->PauseOver();
  session_->Configure(BulkLevel::kDelivered, 0);
  Append(1);
  Taken();
  EXPECT_EQ(session_->SilentSince(), std::nullopt);
  Durable(1);
  session_->Written(WriteResult::kWritten, kNow + 2 * kTick);
  EXPECT_EQ(session_->SilentSince(), std::nullopt);
  session_->Settled({.delivered = 1, .dead_lettered = 0});
  session_->Written(WriteResult::kWritten, kNow + 3 * kTick);
  EXPECT_EQ(session_->SilentSince(), kNow + 3 * kTick);
}

TEST_F(BulkSessionTest, ASilentStreamGivesUpItsPlace) {
  Start();
  EXPECT_FALSE(session_->EndIfSilent(kNow - Duration(1)));
  EXPECT_TRUE(session_->EndIfSilent(kNow));
  EXPECT_EQ(End(), Reason::kSilent);
  EXPECT_FALSE(session_->EndIfSilent(kNow));
}

TEST_F(BulkSessionTest, AStreamWhoseClientReadsNoAnswerGivesUpItsPlace) {
  Start();
  Message(1);
  Durable(1);
  ASSERT_EQ(call_.answers.size(), 1);
  EXPECT_TRUE(session_->EndIfSilent(kNow));
  EXPECT_EQ(call_.aborts, 1);
  EXPECT_EQ(End(), std::nullopt);
  session_->Written(WriteResult::kFailed, kNow);
  EXPECT_EQ(End(), Reason::kSilent);
}

TEST_F(BulkSessionTest, ListsABoundedNumberOfWarningsAndCountsTheOthers) {
  Start();
  Receive();
  for (uint64_t i = 0; i < 150; ++i) {
    session_->Warn(i, {{.reason = i % 2 == 0 ? "EVEN" : "ODD"}});
  }
  session_->Warn(150, {{.reason = "EVEN"}, {.reason = "EVEN"}});
  Append(1);
  Taken();
  Durable(1);
  const BulkAnswer answer = Last();
  ASSERT_EQ(answer.warned.size(), 100);
  EXPECT_EQ(answer.warned[99].index, 99);
  EXPECT_EQ(answer.warned[99].warnings.size(), 1);
  ASSERT_EQ(answer.unlisted.size(), 2);
  const UnlistedWarnings& even = answer.unlisted.at("EVEN");
  EXPECT_EQ(even.count, 27);
  EXPECT_EQ(even.first_index, 100);
  EXPECT_EQ(even.last_index, 150);
  const UnlistedWarnings& odd = answer.unlisted.at("ODD");
  EXPECT_EQ(odd.count, 25);
  EXPECT_EQ(odd.first_index, 101);
  EXPECT_EQ(odd.last_index, 149);
}

TEST_F(BulkSessionTest, EachAnswerHasRoomForWarnings) {
  Start();
  for (uint64_t index : {0, 1}) {
    Receive();
    for (int i = 0; i < 101; ++i) session_->Warn(index, {{.reason = "R"}});
    Append(1);
    Taken();
    Durable(1);
    EXPECT_EQ(Last().warned.size(), 100);
    EXPECT_EQ(Last().warned[0].index, index);
    EXPECT_EQ(Last().unlisted.at("R").count, 1);
    session_->Written(WriteResult::kWritten, kNow);
  }
}

// A transport that brings the next event from within each operation, as gRPC
// may.
class EagerCall final : public BulkSession::Call {
 public:
  explicit EagerCall(int messages) : messages_(messages) {}
  void Read() override {
    EXPECT_TRUE(ends.empty());
    if (messages_-- == 0) return session->HalfClosed();
    ASSERT_TRUE(session->MessageReceived(10, kNow));
    if (index_ == 0) session->Configure(BulkLevel::kDurable, 0);
    session->MessageHeld(std::chrono::seconds(1));
  }
  void TakeHeld() override {
    EXPECT_TRUE(ends.empty());
    session->AddAppend(1, ++index_, ChunkPart::kEndOfMessage);
    session->Durable(SeqRange{index_, index_ + 1});
    session->MessageTaken(BulkVerdict::kAccepted);
  }
  void Write(BulkAnswer answer) override {
    EXPECT_TRUE(ends.empty());
    accepted = answer.totals.accepted;
    session->Written(WriteResult::kWritten, kNow);
  }
  void Pause(Duration) override { session->PauseOver(); }
  void Abort() override { ADD_FAILURE(); }
  void Finish(const BulkEnd& end) override { ends.push_back(end); }

  std::shared_ptr<BulkSession> session;
  std::vector<BulkEnd> ends;
  uint64_t accepted = 0;

 private:
  int messages_;
  uint64_t index_ = 0;
};

TEST(EagerCallTest, EventsMayComeFromWithinOperations) {
  EagerCall call(50);
  call.session = std::make_shared<BulkSession>(call, BulkLimits());
  call.session->Start(BulkVerdict::kAccepted, kNow);
  ASSERT_EQ(call.ends.size(), 1);
  EXPECT_EQ(call.ends[0].reason, BulkEnd::Reason::kComplete);
  EXPECT_EQ(call.ends[0].accepted, 50);
  EXPECT_EQ(call.accepted, 50);
}

}  // namespace
}  // namespace heapsync
