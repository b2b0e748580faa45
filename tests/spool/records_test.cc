#include "heap_adapter/spool/records.h"

#include <random>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

constexpr WallTime kTime{std::chrono::seconds(1'705'314'600)};

SeqSet Seqs(std::initializer_list<SeqRange> ranges) {
  SeqSet set;
  for (const SeqRange range : ranges) set.Add(range);
  return set;
}

template <typename Record>
Record Sample();

template <>
LaneKey Sample() {
  return {.destination = "prod",
          .type = ObjectType::kUserProperties,
          .caller = "checkout"};
}
template <>
LaneProgress Sample() {
  return {.low_watermark = 1000, .settled = Seqs({{1001, 1005}, {9000, 9001}})};
}
template <>
DeferredItem Sample() {
  return {.accepted_at = kTime, .replays = 200, .text = R"({"a":"b"})"};
}
template <>
IsolatedItem Sample() {
  return {.identity_hash = 0xfedcba9876543210, .failures = 300};
}
template <>
DeadLetter Sample() {
  return {.reason = DeadLetterReason::kTooLarge,
          .accepted_at = kTime,
          .dead_lettered_at = kTime + Duration(5),
          .identity_hash = 0xfedcba9876543210,
          .replays = 2,
          .http_status = 413,
          .heap_response = "too large",
          .text = std::string("{\0}", 3)};
}
template <>
AttemptRecord Sample() {
  return {.lane = 5,
          .batch_id = 1ull << 50,
          .started_at = kTime,
          .ended_at = kTime + Duration(7),
          .ended = MonotonicTime(Duration(123'456'789)),
          .epoch = 0xfedcba9876543210,
          .response_class = ResponseClass::kThrottled,
          .http_status = 429,
          .summary = "HTTP 429",
          .items = 999,
          .seqs = Seqs({{5, 9}, {100, 1095}}),
          .coalesced = {{6, 5}, {7, 5}}};
}
template <>
UsageRecord Sample() {
  return {.lane = 3,
          .identities = {{1, 1}, {~uint64_t{0}, UINT32_MAX}},
          .ended = MonotonicTime(Duration(123'456'789)),
          .epoch = 0xfedcba9876543210};
}
template <>
Forwarding Sample() {
  return {.kind = Forwarding::Kind::kReplayed,
          .from = {100, 300},
          .into = 7000,
          .at = kTime,
          .by = 0xfedcba9876543210};
}
template <>
CommandRecord Sample() {
  return {.kind = CommandRecord::Kind::kDiscard,
          .beat = 300,
          .destination = "prod",
          .server = "host/1/2",
          .caller = "ops",
          .body = std::string("\0b", 2)};
}
template <>
CommandAnswer Sample() {
  return {.status = absl::NotFoundError("no such destination"),
          .body = std::string("\0b", 2)};
}

template <typename Record>
class RecordTest : public ::testing::Test {};

using Records =
    ::testing::Types<LaneKey, LaneProgress, DeferredItem, IsolatedItem,
                     DeadLetter, AttemptRecord, UsageRecord, Forwarding,
                     CommandRecord, CommandAnswer>;
TYPED_TEST_SUITE(RecordTest, Records);

TYPED_TEST(RecordTest, DecodesWhatItEncoded) {
  const std::string bytes = Sample<TypeParam>().Encode();
  const auto decoded = TypeParam::Decode(bytes);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->Encode(), bytes);
}

TYPED_TEST(RecordTest, RefusesEveryTruncationAndEveryByteTooMany) {
  const std::string bytes = Sample<TypeParam>().Encode();
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(TypeParam::Decode(bytes.substr(0, size)).status().code(),
              absl::StatusCode::kDataLoss)
        << size;
  }
  EXPECT_EQ(TypeParam::Decode(bytes + '\0').status().code(),
            absl::StatusCode::kDataLoss);
}

TYPED_TEST(RecordTest, TakesOnlyBytesThatItWouldWrite) {
  std::mt19937 random(1);
  const std::string bytes = Sample<TypeParam>().Encode();
  for (int i = 0; i < 20'000; ++i) {
    std::string changed = bytes;
    const auto changes = 1 + random() % 3;
    for (size_t c = 0; c < changes; ++c) {
      const size_t at = random() % changed.size();
      switch (random() % 3) {
        case 0:
          changed[at] = static_cast<char>(random());
          break;
        case 1:
          changed.insert(at, 1, static_cast<char>(random() % 2 ? 0x80 : 0));
          break;
        default:
          changed.erase(at, 1);
          if (changed.empty()) changed = bytes;
      }
    }
    const auto decoded = TypeParam::Decode(changed);
    if (decoded.ok()) {
      ASSERT_EQ(decoded->Encode(), changed);
    } else {
      ASSERT_EQ(decoded.status().code(), absl::StatusCode::kDataLoss);
    }
  }
}

TEST(LaneKeyTest, KeepsDestinationAndType) {
  EXPECT_EQ(*LaneKey::Decode(Sample<LaneKey>().Encode()), Sample<LaneKey>());
}

TEST(DeadLetterTest, KeepsEveryField) {
  const DeadLetter letter = *DeadLetter::Decode(Sample<DeadLetter>().Encode());
  EXPECT_EQ(letter.reason, DeadLetterReason::kTooLarge);
  EXPECT_EQ(letter.accepted_at, kTime);
  EXPECT_EQ(letter.dead_lettered_at, kTime + Duration(5));
  EXPECT_EQ(letter.identity_hash, 0xfedcba9876543210);
  EXPECT_EQ(letter.replays, 2);
  EXPECT_EQ(letter.http_status, 413);
  EXPECT_EQ(letter.heap_response, "too large");
  EXPECT_EQ(letter.text, std::string("{\0}", 3));
}

TEST(AttemptRecordTest, KeepsEveryField) {
  const AttemptRecord expected = Sample<AttemptRecord>();
  const AttemptRecord record = *AttemptRecord::Decode(expected.Encode());
  EXPECT_EQ(record.lane, expected.lane);
  EXPECT_EQ(record.batch_id, expected.batch_id);
  EXPECT_EQ(record.started_at, expected.started_at);
  EXPECT_EQ(record.ended_at, expected.ended_at);
  EXPECT_EQ(record.response_class, expected.response_class);
  EXPECT_EQ(record.http_status, expected.http_status);
  EXPECT_EQ(record.summary, expected.summary);
  EXPECT_EQ(record.items, expected.items);
  EXPECT_EQ(record.seqs, expected.seqs);
  EXPECT_EQ(record.coalesced, expected.coalesced);
}

TEST(ForwardingTest, KeepsEveryField) {
  const Forwarding forwarding =
      *Forwarding::Decode(Sample<Forwarding>().Encode());
  EXPECT_EQ(forwarding.kind, Forwarding::Kind::kReplayed);
  EXPECT_EQ(forwarding.from, (SeqRange{100, 300}));
  EXPECT_EQ(forwarding.into, 7000);
  EXPECT_EQ(forwarding.at, kTime);
  EXPECT_EQ(forwarding.by, 0xfedcba9876543210);
}

TEST(CommandTest, KeepsEveryField) {
  const CommandRecord command =
      *CommandRecord::Decode(Sample<CommandRecord>().Encode());
  EXPECT_EQ(command.kind, CommandRecord::Kind::kDiscard);
  EXPECT_EQ(command.beat, 300);
  EXPECT_EQ(command.destination, "prod");
  EXPECT_EQ(command.server, "host/1/2");
  EXPECT_EQ(command.caller, "ops");
  EXPECT_EQ(command.body, std::string("\0b", 2));
  const CommandAnswer answer =
      *CommandAnswer::Decode(Sample<CommandAnswer>().Encode());
  EXPECT_EQ(answer.status, absl::NotFoundError("no such destination"));
  EXPECT_EQ(answer.body, std::string("\0b", 2));
}

TEST(LaneProgressTest, RaisesTheWatermarkOverWhatTouchesIt) {
  LaneProgress progress;
  progress.Settle({3, 5});
  progress.Settle({6, 7});
  EXPECT_EQ(progress.low_watermark, 0);
  progress.Settle({0, 3});
  EXPECT_EQ(progress.low_watermark, 5);
  EXPECT_EQ(progress.settled, Seqs({{6, 7}}));
  progress.Settle({2, 6});
  EXPECT_EQ(progress.low_watermark, 7);
  EXPECT_TRUE(progress.settled.empty());
}

TEST(LaneProgressTest, KnowsTheSettledItems) {
  const LaneProgress progress = Sample<LaneProgress>();
  EXPECT_TRUE(progress.IsSettled(0));
  EXPECT_TRUE(progress.IsSettled(999));
  EXPECT_FALSE(progress.IsSettled(1000));
  EXPECT_TRUE(progress.IsSettled(1004));
  EXPECT_FALSE(progress.IsSettled(1005));
}

TEST(DeadLetterReasonTest, HasStableNames) {
  EXPECT_EQ(Name(DeadLetterReason::kRefused), "REFUSED");
  EXPECT_EQ(Name(DeadLetterReason::kTooLarge), "TOO_LARGE");
  EXPECT_EQ(Name(DeadLetterReason::kExpired), "EXPIRED");
  EXPECT_EQ(Name(DeadLetterReason::kDamaged), "DAMAGED");
}

}  // namespace
}  // namespace heapsync
