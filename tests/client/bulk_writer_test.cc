#include "heapsync/client/bulk_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/client/fake_heapsync.h"

namespace heapsync {
namespace {

using std::chrono::milliseconds;
using Writer = BulkWriter<v1::TrackEvent>;

v1::TrackEvent Event(int i) {
  v1::TrackEvent event;
  event.set_identity(absl::StrCat("u", i));
  event.set_event("e");
  return event;
}

class BulkWriterTest : public ::testing::Test {
 protected:
  BulkWriterTest() {
    client_options_.server = server_.address();
    options_.retry = {.initial_backoff = milliseconds(1),
                      .max_backoff = milliseconds(2)};
    options_.max_chunk_items = 3;
    options_.request_id = "job";
    options_.on_rejected = [this](const v1::RejectedItem& item) {
      ++rejected_[item.index()];
    };
  }

  // Streams u0 to u19 in chunks of three.
  absl::StatusOr<BulkTotals> SendTwenty() {
    const Client client(client_options_);
    Writer writer(client, options_);
    for (int i = 0; i < kItems; ++i) {
      if (absl::Status status = writer.Add(Event(i)); !status.ok()) {
        return status;
      }
    }
    return writer.Finish();
  }

  // Whether all twenty are there, each under its own index.
  void ExpectAllStored() {
    const auto stored = server_.Stored("job");
    EXPECT_EQ(stored.size() + rejected_.size(), size_t{kItems});
    for (const auto& [index, name] : stored) {
      EXPECT_EQ(name, absl::StrCat("u", index));
    }
  }

  static constexpr int kItems = 20;
  FakeHeapSync server_;
  ClientOptions client_options_;
  BulkWriterOptions options_;
  std::map<uint64_t, int> rejected_;  // reports by index
};

TEST_F(BulkWriterTest, HasItemsJudgedWithoutStoringThem) {
  server_.Reject([](const std::string& name) { return name == "u7"; });
  options_.validate_only = true;
  const auto totals = SendTwenty();
  ASSERT_TRUE(totals.ok()) << totals.status();
  EXPECT_EQ(rejected_, (std::map<uint64_t, int>{{7, 1}}));
  EXPECT_TRUE(server_.StoredNames().empty());
}

TEST_F(BulkWriterTest, SendsEverythingInChunksAndCountsIt) {
  const auto totals = SendTwenty();
  ASSERT_TRUE(totals.ok()) << totals.status();
  EXPECT_EQ(totals->added, 20u);
  EXPECT_EQ(totals->accepted, 20u);
  EXPECT_EQ(totals->delivered, 20u);
  EXPECT_EQ(totals->rejected, 0u);
  EXPECT_EQ(totals->reconnects, 0u);
  ExpectAllStored();
  for (const size_t size : server_.message_sizes()) EXPECT_LE(size, 3u);
}

TEST_F(BulkWriterTest, AJobWithoutItemsOpensNoStream) {
  const Client client(client_options_);
  Writer writer(client, options_);
  EXPECT_TRUE(writer.Finish().ok());
  EXPECT_TRUE(writer.Finish().ok());
  EXPECT_TRUE(server_.start_indices().empty());
}

TEST_F(BulkWriterTest, ABreakAtAnyPointLosesAndDoublesNothing) {
  using Last = StreamFault::Last;
  for (int messages = 0; messages <= 8; ++messages) {
    for (const Last last : {Last::kAnswered, Last::kStored, Last::kLost}) {
      for (const bool reset : {false, true}) {
        options_.request_id = absl::StrCat("job-", messages, "-",
                                           static_cast<int>(last), "-", reset);
        server_.AddStreamFault({.refuse = {},
                                .break_after_messages = messages,
                                .reset = reset,
                                .last = last});
        const auto totals = SendTwenty();
        ASSERT_TRUE(totals.ok()) << options_.request_id << totals.status();
        EXPECT_EQ(totals->accepted, 20u);
        const auto stored = server_.Stored(options_.request_id);
        ASSERT_EQ(stored.size(), 20u) << options_.request_id;
        for (const auto& [index, name] : stored) {
          ASSERT_EQ(name, absl::StrCat("u", index)) << options_.request_id;
        }
      }
    }
  }
}

TEST_F(BulkWriterTest, ABreakLeavesDeliveriesUnknownAndSaysSo) {
  options_.ack_level = v1::ACK_LEVEL_DELIVERED;
  EXPECT_EQ(SendTwenty()->ack_level, v1::ACK_LEVEL_DELIVERED);
  options_.request_id = "broken";
  server_.AddStreamFault({.refuse = {},
                          .break_after_messages = 3,
                          .last = StreamFault::Last::kAnswered});
  const auto totals = SendTwenty();
  ASSERT_TRUE(totals.ok()) << totals.status();
  EXPECT_EQ(totals->accepted, 20u);
  EXPECT_LT(totals->delivered, 20u);
  EXPECT_EQ(totals->ack_level, v1::ACK_LEVEL_DURABLE);
}

TEST_F(BulkWriterTest, BreaksInARowAreAllOvercome) {
  for (int i = 0; i < 10; ++i) {
    server_.AddStreamFault({.refuse = {}, .break_after_messages = 1 + i % 2});
  }
  const auto totals = SendTwenty();
  ASSERT_TRUE(totals.ok()) << totals.status();
  ExpectAllStored();
}

TEST_F(BulkWriterTest, GoesOnFromTheMiddleOfAChunk) {
  server_.LagBehind(1);
  server_.AddStreamFault({.refuse = {},
                          .break_after_messages = 2,
                          .last = StreamFault::Last::kAnswered});
  const Client client(client_options_);
  Writer writer(client, options_);
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(writer.Add(Event(i)).ok());
  ASSERT_TRUE(writer.Finish().ok());
  EXPECT_EQ(server_.start_indices(), (std::vector<uint64_t>{0, 5}));
  EXPECT_EQ(server_.Stored("job").size(), 6u);
}

TEST_F(BulkWriterTest, RejectedItemsAreReportedOnceEachOverBreaks) {
  server_.Reject(
      [](const std::string& name) { return absl::EndsWith(name, "5"); });
  server_.LagBehind(4);
  for (int i = 1; i <= 4; ++i) {
    server_.AddStreamFault({.refuse = {},
                            .break_after_messages = 2 * i,
                            .last = StreamFault::Last::kAnswered});
  }
  const auto totals = SendTwenty();
  ASSERT_TRUE(totals.ok()) << totals.status();
  EXPECT_EQ(totals->rejected, 2u);
  EXPECT_EQ(totals->accepted, 18u);
  EXPECT_EQ(rejected_, (std::map<uint64_t, int>{{5, 1}, {15, 1}}));
  ExpectAllStored();
}

TEST_F(BulkWriterTest, WarningsAreReportedOnceEachOverBreaks) {
  server_.Warn([](const std::string& name) { return name != "u0"; });
  server_.LagBehind(4);
  for (int i = 1; i <= 4; ++i) {
    server_.AddStreamFault({.refuse = {},
                            .break_after_messages = 2 * i,
                            .last = StreamFault::Last::kAnswered});
  }
  std::map<uint64_t, int> warned;
  options_.on_warned = [&](const v1::WarnedItem& item) {
    ++warned[item.index()];
    EXPECT_EQ(item.warnings_size(), 1);
  };
  const auto totals = SendTwenty();
  ASSERT_TRUE(totals.ok()) << totals.status();
  EXPECT_GT(totals->reconnects, 0u);
  EXPECT_FALSE(totals->warnings_are_partial);
  EXPECT_EQ(warned.size(), 19u);
  EXPECT_EQ(warned.count(0), 0u);
  for (const auto& [index, reports] : warned) EXPECT_EQ(reports, 1) << index;
}

TEST_F(BulkWriterTest, WarningsThatTheServerCountsAreNeverCountedTwice) {
  server_.Warn([](const std::string&) { return true; }, /*listed=*/1);
  uint64_t listed = 0, unlisted = 0;
  options_.on_warned = [&](const v1::WarnedItem&) { ++listed; };
  options_.on_unlisted_warnings = [&](const v1::UnlistedWarnings& each) {
    unlisted += each.count();
    EXPECT_EQ(each.reason(), "TIMESTAMP_IMPLAUSIBLE");
  };
  auto totals = SendTwenty();
  ASSERT_TRUE(totals.ok()) << totals.status();
  EXPECT_EQ(listed + unlisted, 20u);
  EXPECT_EQ(listed, 7u);
  EXPECT_FALSE(totals->warnings_are_partial);
  // The position is within a chunk that was answered, so that the next stream
  // begins with items that were counted.
  server_.ForgetStored();
  server_.LagBehind(2);
  server_.AddStreamFault({.refuse = {},
                          .break_after_messages = 2,
                          .last = StreamFault::Last::kAnswered});
  listed = unlisted = 0;
  totals = SendTwenty();
  ASSERT_TRUE(totals.ok()) << totals.status();
  EXPECT_LE(listed + unlisted, 20u);
}

TEST_F(BulkWriterTest, AFullServerIsAskedAgainAfterItsDelay) {
  server_.AddStreamFault(
      {.refuse = RichStatus(grpc::StatusCode::RESOURCE_EXHAUSTED, "SPOOL_FULL",
                            milliseconds(1))});
  const auto totals = SendTwenty();
  ASSERT_TRUE(totals.ok()) << totals.status();
  EXPECT_EQ(totals->reconnects, 1u);
  ExpectAllStored();
}

TEST_F(BulkWriterTest, OtherErrorsAreFinal) {
  server_.AddStreamFault({.refuse = RichStatus(grpc::StatusCode::NOT_FOUND,
                                               "DESTINATION_NOT_FOUND")});
  const auto totals = SendTwenty();
  EXPECT_EQ(totals.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(DetailsOf(totals.status()).reason, "DESTINATION_NOT_FOUND");
}

TEST_F(BulkWriterTest, AfterTheFinalErrorAddSaysIt) {
  server_.AddStreamFault(
      {.refuse = RichStatus(grpc::StatusCode::INVALID_ARGUMENT, "BAD")});
  const Client client(client_options_);
  Writer writer(client, options_);
  ASSERT_TRUE(writer.Add(Event(0)).ok());
  EXPECT_FALSE(writer.Finish().ok());
  EXPECT_EQ(writer.Add(Event(1)).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(BulkWriterTest, GivesUpWhenTheServerStaysAway) {
  server_.Stop();
  options_.give_up_after = milliseconds(30);
  EXPECT_EQ(SendTwenty().status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(BulkWriterTest, OutlivesARestartOfTheServer) {
  const Client client(client_options_);
  Writer writer(client, options_);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(writer.Add(Event(i)).ok());
  ASSERT_TRUE(*writer.WaitDurableFor(10, milliseconds(60'000)));
  server_.Stop();
  for (int i = 10; i < kItems; ++i) ASSERT_TRUE(writer.Add(Event(i)).ok());
  while (!writer.totals().outage) {
    ASSERT_TRUE(writer.WaitDurableFor(kItems, milliseconds(1)).ok());
  }
  server_.Start();
  ASSERT_TRUE(writer.Finish().ok());
  ExpectAllStored();
}

TEST_F(BulkWriterTest, AFullWindowHoldsTheCallerBack) {
  server_.Stop();
  options_.max_unacknowledged_items = 5;
  const Client client(client_options_);
  Writer writer(client, options_);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(writer.Add(Event(i)).ok());
  v1::TrackEvent sixth = Event(5);
  EXPECT_FALSE(*writer.AddFor(sixth, milliseconds(0)));
  EXPECT_EQ(sixth.identity(), "u5");
  server_.Start();
  EXPECT_TRUE(*writer.AddFor(sixth, milliseconds(60'000)));
  ASSERT_TRUE(writer.Finish().ok());
  EXPECT_EQ(server_.Stored("job").size(), 6u);
}

TEST_F(BulkWriterTest, AnItemLargerThanTheWindowTravelsAlone) {
  options_.max_unacknowledged_bytes = 10;
  options_.max_chunk_bytes = 5;
  ASSERT_TRUE(SendTwenty().ok());
  ExpectAllStored();
  for (const size_t size : server_.message_sizes()) EXPECT_EQ(size, 1u);
}

TEST_F(BulkWriterTest, AWaitingItemIsSentAfterAWhile) {
  options_.linger = milliseconds(1);
  const Client client(client_options_);
  Writer writer(client, options_);
  ASSERT_TRUE(writer.Add(Event(0)).ok());
  v1::TrackEvent second = Event(1);
  while (server_.message_sizes().empty()) {
  }
  ASSERT_TRUE(*writer.AddFor(second, milliseconds(0)));
  ASSERT_TRUE(writer.Finish().ok());
}

TEST_F(BulkWriterTest, AJobGoesOnInAnotherWriterUnderTheSameIndices) {
  const Client client(client_options_);
  {
    Writer writer(client, options_);
    for (int i = 0; i < 7; ++i) ASSERT_TRUE(writer.Add(Event(i)).ok());
    ASSERT_TRUE(*writer.WaitDurableFor(7, milliseconds(60'000)));
    options_.start_index = writer.durable_position();
  }
  EXPECT_EQ(options_.start_index, 7u);
  Writer writer(client, options_);
  for (int i = 7; i < kItems; ++i) ASSERT_TRUE(writer.Add(Event(i)).ok());
  const auto totals = writer.Finish();
  ASSERT_TRUE(totals.ok());
  EXPECT_EQ(totals->accepted, 13u);
  ExpectAllStored();
}

TEST_F(BulkWriterTest, DestroyingAnUnfinishedWriterDoesNotHang) {
  server_.Stop();
  const Client client(client_options_);
  Writer writer(client, options_);
  ASSERT_TRUE(writer.Add(Event(0)).ok());
}

TEST_F(BulkWriterTest, UsersAndAccountsTravelTheSameWay) {
  const Client client(client_options_);
  BulkWriter<v1::UserProperties> users(client, {});
  BulkWriter<v1::AccountProperties> accounts(client, {});
  v1::UserProperties user;
  user.set_identity("u");
  v1::AccountProperties account;
  account.set_account_id("a");
  ASSERT_TRUE(users.Add(user).ok());
  ASSERT_TRUE(accounts.Add(account).ok());
  ASSERT_TRUE(users.Finish().ok());
  ASSERT_TRUE(accounts.Finish().ok());
  EXPECT_EQ(server_.Stored(users.request_id()).at(0), "u");
  EXPECT_EQ(server_.Stored(accounts.request_id()).at(0), "a");
}

}  // namespace
}  // namespace heapsync
