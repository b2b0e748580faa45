// Committers of several servers over one PostgreSQL.

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "heap_adapter/intake/committer.h"
#include "heap_adapter/spool/block.h"
#include "heap_adapter/spool/postgres/postgres_store.h"
#include "heap_adapter/spool/postgres/schema.h"
#include "tests/spool/forwarding_store.h"
#include "tests/spool/postgres/test_server.h"

namespace heapsync {
namespace {

constexpr LaneId kLanes[] = {1, 2, 3};

EncodedChunk Chunk(const std::string& text, int items) {
  EncodedChunk chunk{.accepted_at = WallTime(std::chrono::seconds(1)),
                     .items = {},
                     .text = {}};
  for (int i = 0; i < items; ++i) {
    chunk.items.push_back({static_cast<uint32_t>(text.size()), 7});
    chunk.text += text;
  }
  return chunk;
}

// What one server appends with.
class Member {
 public:
  explicit Member(const std::string& uri)
      : sessions_(uri),
        store_(sessions_, {}),
        spool_(*Spool::Open(store_, 42)),
        committer_(*spool_, {}, {}, [this](Committer::Notices notices) {
          for (const Appended& each : notices.appended) {
            if (!each.accepted_here) others_ += each.items.size();
          }
        }) {
    for (const LaneId lane : kLanes) {
      committer_.AddLane(lane, {.destination = "a" + std::to_string(lane)});
    }
    thread_ = std::thread([this] { committer_.Run(); });
  }
  ~Member() {
    committer_.Stop();
    thread_.join();
  }

  // Appends and waits for the sequences.
  SeqRange Append(LaneId lane, const std::string& text, int items = 1) {
    std::promise<SeqRange> appended;
    const absl::Status queued = committer_.Append(
        lane, Chunk(text, items), [&](absl::StatusOr<SeqRange> range) {
          HEAPSYNC_CHECK(range.ok()) << range.status();
          appended.set_value(*range);
        });
    HEAPSYNC_CHECK(queued.ok()) << queued;
    return appended.get_future().get();
  }
  // Appends for a caller that may give up.
  void Append(LaneId lane, const std::string& text,
              const std::atomic<bool>& waits,
              std::promise<absl::Status>& answered) {
    const absl::Status queued = committer_.Append(
        lane, Chunk(text, 1),
        [&answered](const absl::StatusOr<SeqRange>& range) {
          answered.set_value(range.status());
        },
        nullptr, [&waits] { return waits.load(); });
    HEAPSYNC_CHECK(queued.ok()) << queued;
  }
  void Look() {
    committer_.LookForAppends(Committer::Look::kNew);
    std::promise<void> looked;
    HEAPSYNC_CHECK(
        committer_.Barrier([&](const absl::Status&) { looked.set_value(); })
            .ok());
    looked.get_future().get();
  }

  Spool& spool() { return *spool_; }
  uint64_t others() const { return others_; }

 private:
  PostgresSessions sessions_;
  PostgresStore store_;
  const std::unique_ptr<Spool> spool_;
  std::atomic<uint64_t> others_{0};
  Committer committer_;
  std::thread thread_;
};

// A shared store that nothing can be read from, but for what a write locks.
class UnreadableStore final : public ForwardingStore {
 public:
  explicit UnreadableStore(Store& store)
      : ForwardingStore(store), store_(store) {}

  void Close() { closed_ = true; }

  bool shared() const override { return true; }
  absl::Status Update(const std::vector<std::string>& keys, BatchMaker make,
                      Durability durability) override {
    return store_.Update(keys, make, durability);
  }
  absl::StatusOr<std::optional<std::string>> Get(
      absl::string_view key) const override {
    if (closed_) return absl::UnavailableError("closed");
    return ForwardingStore::Get(key);
  }

 private:
  Store& store_;
  std::atomic<bool> closed_{false};
};

class SharedAppendTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto connection = PostgresConnection::Open(uri_);
    ASSERT_TRUE(connection.ok());
    ASSERT_TRUE(PrepareSchema(
                    **connection, {.shards = 1},
                    std::chrono::steady_clock::now() + std::chrono::seconds(20))
                    .ok());
  }
  // The texts of a lane, by sequence, and the bytes that its last block counts.
  static std::vector<std::string> Texts(Spool& spool, LaneId lane,
                                        uint64_t& lane_bytes) {
    std::vector<std::string> texts;
    while (true) {
      const auto block = spool.ReadBlock(lane, texts.size());
      HEAPSYNC_CHECK(block.ok()) << block.status();
      if (!block->has_value()) return texts;
      const BlockReader reader((*block)->value, (*block)->last);
      HEAPSYNC_CHECK(reader.status().ok()) << reader.status();
      for (const StoredItem& item : reader.items()) {
        HEAPSYNC_CHECK(item.seq == texts.size()) << "a gap at " << item.seq;
        texts.emplace_back(item.text);
      }
      lane_bytes = reader.lane_bytes();
    }
  }

  const std::string uri_ = server->Uri(server->NewDatabase());
};

TEST_F(SharedAppendTest, SequencesOfManyServersHaveNoGapsAndNoTwins) {
  constexpr int kServers = 3;
  constexpr int kAppends = 60;
  std::vector<std::thread> threads;
  std::vector<std::map<LaneId, std::vector<std::pair<SeqRange, std::string>>>>
      appended(kServers);
  for (int i = 0; i < kServers; ++i) {
    threads.emplace_back([&, i] {
      Member member(uri_);
      for (int k = 0; k < kAppends; ++k) {
        const LaneId lane = kLanes[(k + i) % 3];
        const std::string text =
            "{\"s\":" + std::to_string(i) + ",\"k\":" + std::to_string(k) + "}";
        appended[i][lane].emplace_back(member.Append(lane, text, 1 + k % 3),
                                       text);
      }
    });
  }
  for (std::thread& each : threads) each.join();
  Member reader(uri_);
  for (const LaneId lane : kLanes) {
    uint64_t lane_bytes = 0;
    const std::vector<std::string> texts =
        Texts(reader.spool(), lane, lane_bytes);
    uint64_t items = 0;
    uint64_t bytes = 0;
    for (auto& of_server : appended) {
      for (const auto& [range, text] : of_server[lane]) {
        for (Seq seq = range.begin; seq < range.end; ++seq) {
          ASSERT_LT(seq, texts.size());
          EXPECT_EQ(texts[seq], text) << "the receipt names another item";
        }
        items += range.size();
        bytes += range.size() * text.size();
      }
    }
    EXPECT_EQ(texts.size(), items);
    EXPECT_EQ(lane_bytes, bytes);
  }
}

TEST_F(SharedAppendTest, AnUpdateThatIsSentLaterComesLaterWhicheverTakesIt) {
  Member first(uri_);
  Member second(uri_);
  Seq next = 0;
  for (int i = 0; i < 40; ++i) {
    const SeqRange range = (i % 3 == 0 ? first : second)
                               .Append(1, "{\"v\":" + std::to_string(i) + "}");
    EXPECT_EQ(range.begin, next);
    next = range.end;
  }
}

TEST_F(SharedAppendTest, WhatACallerGaveUpDoesNotComeBehindWhatItSentLater) {
  Member first(uri_);
  Member second(uri_);
  first.Append(1, "{\"v\":0}");
  auto blocker = *PostgresConnection::Open(uri_);
  const auto deadline = [] {
    return std::chrono::steady_clock::now() + std::chrono::seconds(20);
  };
  ASSERT_TRUE(blocker->RunText("BEGIN", deadline()).ok());
  ASSERT_TRUE(
      blocker->RunText("SELECT FROM heapsync_entry FOR UPDATE", deadline())
          .ok());
  std::atomic<bool> waits{true};
  std::promise<absl::Status> given_up;
  first.Append(1, "{\"v\":1}", waits, given_up);
  const SqlStatement waiting{
      "waiting",
      "SELECT FROM pg_stat_activity WHERE application_name = "
      "'heapsync-writer' AND wait_event_type = 'Lock'"};
  auto watcher = *PostgresConnection::Open(uri_);
  for (auto until = deadline(); watcher->Run({waiting}, until)->rows() == 0;) {
    ASSERT_LT(std::chrono::steady_clock::now(), until);
  }
  waits = false;
  ASSERT_TRUE(blocker->RunText("COMMIT", deadline()).ok());
  EXPECT_TRUE(absl::IsCancelled(given_up.get_future().get()));
  EXPECT_EQ(second.Append(1, "{\"v\":2}").begin, 1u);
  uint64_t lane_bytes = 0;
  EXPECT_THAT(Texts(second.spool(), 1, lane_bytes),
              testing::ElementsAre("{\"v\":0}", "{\"v\":2}"));
}

TEST_F(SharedAppendTest, OneThatLooksFindsWhatOthersHaveAppended) {
  Member owner(uri_);
  Member other(uri_);
  owner.Append(1, "{}");
  other.Append(1, "{}", 5);
  other.Append(2, "{}", 7);
  owner.Look();
  EXPECT_EQ(owner.others(), 12u);
  owner.Look();
  EXPECT_EQ(owner.others(), 12u);
  EXPECT_EQ(owner.Append(2, "{}").begin, 7u);
}

TEST_F(SharedAppendTest, ANewLaneThatAnotherOneMadeIsKnownByTheCommitAlone) {
  Member other(uri_);
  other.Append(1, "{}");
  PostgresSessions sessions(uri_);
  PostgresStore store(sessions, {});
  UnreadableStore unreadable(store);
  const auto spool = *Spool::Open(unreadable, 42);
  unreadable.Close();
  Committer committer(*spool, {}, {}, [](Committer::Notices) {});
  committer.AddLane(1, {.destination = "a1"});
  std::thread thread([&] { committer.Run(); });
  std::promise<absl::StatusOr<SeqRange>> appended;
  ASSERT_TRUE(committer
                  .Append(1, Chunk("{}", 1),
                          [&](const absl::StatusOr<SeqRange>& range) {
                            appended.set_value(range);
                          })
                  .ok());
  const absl::StatusOr<SeqRange> range = appended.get_future().get();
  EXPECT_TRUE(committer.healthy());
  committer.Stop();
  thread.join();
  ASSERT_TRUE(range.ok()) << range.status();
  EXPECT_EQ(range->begin, 1u);
}

TEST_F(SharedAppendTest, ALaneWhoseNumberAnotherOneHasIsNotUsed) {
  Member owner(uri_);
  owner.Append(1, "{}");
  PostgresSessions sessions(uri_);
  PostgresStore store(sessions, {});
  const auto spool = *Spool::Open(store, 42);
  Committer committer(*spool, {}, {}, [](Committer::Notices) {});
  committer.AddLane(1, {.destination = "another"});
  std::thread thread([&] { committer.Run(); });
  std::promise<absl::Status> refused;
  ASSERT_TRUE(committer
                  .Append(1, Chunk("{}", 1),
                          [&](const absl::StatusOr<SeqRange>& range) {
                            refused.set_value(range.status());
                          })
                  .ok());
  EXPECT_FALSE(refused.get_future().get().ok());
  EXPECT_FALSE(committer.healthy());
  committer.Stop();
  thread.join();
  uint64_t lane_bytes = 0;
  EXPECT_EQ(Texts(owner.spool(), 1, lane_bytes).size(), 1u);
}

}  // namespace
}  // namespace heapsync
