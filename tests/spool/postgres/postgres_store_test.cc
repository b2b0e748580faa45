// PostgresStore over a real PostgreSQL. Without one the program says that it
// was skipped; where nothing may be skipped it fails.

#include "heap_adapter/spool/postgres/postgres_store.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "heap_adapter/spool/postgres/other_writers.h"
#include "heap_adapter/spool/postgres/schema.h"
#include "heap_adapter/spool/postgres/server_lease.h"
#include "heap_adapter/spool/postgres/sessions.h"
#include "heap_adapter/spool/postgres/shard_table.h"
#include "tests/spool/postgres/connection_cutter.h"
#include "tests/spool/postgres/postgres_server.h"
#include "tests/spool/postgres/test_server.h"
#include "tests/spool/store_place.h"

namespace heapsync {

PostgresServer* server = nullptr;

namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

using std::chrono::milliseconds;
using std::chrono::seconds;

SqlDeadline Soon() { return std::chrono::steady_clock::now() + seconds(20); }

// A failing test ends; a passing one does not wait.
template <typename Condition>
bool Eventually(Condition condition) {
  const SqlDeadline deadline = Soon();
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

std::unique_ptr<PostgresConnection> Connect(const std::string& uri) {
  auto connection = PostgresConnection::Open(uri);
  HEAPSYNC_CHECK(connection.ok()) << connection.status();
  return *std::move(connection);
}

constexpr int32_t kShards = 3;

// A server that has a lease. It claims with its own connection.
class Member {
 public:
  explicit Member(const ServerLeaseOptions& options,
                  const std::string& name = "test")
      : connection_(Connect(options.uri)) {
    const absl::Status prepared =
        PrepareSchema(*connection_, {.shards = kShards}, Soon()).status();
    HEAPSYNC_CHECK(prepared.ok()) << prepared;
    auto lease = ServerLease::Take(*connection_, options, name);
    HEAPSYNC_CHECK(lease.ok()) << lease.status();
    lease_ = *std::move(lease);
  }

  ServerLease& lease() { return *lease_; }
  std::optional<ShardClaim> Claim(int32_t shard) {
    const auto claim = ShardTable::Claim(
        *connection_, shard, ShardAt(shard).epoch, lease_->id(), Soon());
    HEAPSYNC_CHECK(claim.ok()) << claim.status();
    return *claim;
  }
  void GiveBack(int32_t shard) {
    const absl::Status given =
        ShardTable::GiveBack(*connection_, shard, lease_->id(), Soon());
    HEAPSYNC_CHECK(given.ok()) << given;
  }
  void RemoveExpired() {
    const absl::Status removed =
        ShardTable::RemoveExpired(*connection_, lease_->id(), Soon());
    HEAPSYNC_CHECK(removed.ok()) << removed;
  }
  ShardTable::View View() {
    auto view = ShardTable::Read(*connection_, Soon());
    HEAPSYNC_CHECK(view.ok()) << view.status();
    return *std::move(view);
  }
  ShardTable::Shard ShardAt(int32_t shard) {
    return View().shards[static_cast<size_t>(shard)];
  }
  PostgresConnection& connection() { return *connection_; }

 private:
  const std::unique_ptr<PostgresConnection> connection_;
  std::unique_ptr<ServerLease> lease_;
};

// A shard in the middle of others that have the same keys.
class PostgresPlace final : public StorePlace {
 public:
  Store& Open() override {
    const std::string uri = server->Uri(database_);
    member_.emplace(ServerLeaseOptions{.uri = uri});
    sessions_.emplace(uri);
    if (!neighbours_written_) {
      for (const int32_t neighbour : {0, 2}) {
        PostgresStore store(*sessions_, {.shard = neighbour});
        StoreBatch batch;
        for (const char* key : {"", "a", "b", "zz"}) batch.Put(key, "foreign");
        HEAPSYNC_CHECK(store.Write(batch, Durability::kDisk).ok());
      }
      neighbours_written_ = true;
    }
    const auto claim = member_->Claim(1);
    HEAPSYNC_CHECK(claim.has_value()) << "taken";
    store_ = std::make_unique<PostgresStore>(*sessions_,
                                             PostgresStoreOptions{.shard = 1});
    store_->Own(*claim);
    return *store_;
  }
  void Close() override {
    store_.reset();
    member_->GiveBack(1);
    sessions_.reset();
    member_.reset();
  }

 private:
  const std::string database_ = server->NewDatabase();
  bool neighbours_written_ = false;
  std::optional<Member> member_;
  std::optional<PostgresSessions> sessions_;
  std::unique_ptr<PostgresStore> store_;
};

// A store whose connections go through a proxy, and whose lease does not.
class PostgresStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { store_.Own(claim_); }
  absl::Status Put(const std::string& key, const std::string& value) {
    StoreBatch batch;
    batch.Put(key, value);
    return store_.Write(batch, Durability::kDisk);
  }
  std::optional<std::string> Get(const std::string& key) {
    const auto value = store_.Get(key);
    HEAPSYNC_CHECK(value.ok()) << value.status();
    return *value;
  }
  std::string Sql(const std::string& text) {
    return server->Sql(database_, text);
  }

  const std::string database_ = server->NewDatabase();
  const std::string uri_ = server->Uri(database_);
  ConnectionCutter cutter_{server->port()};
  const std::string proxied_ = PostgresServer::UriAt(cutter_.port(), database_);
  Member member_{{.uri = uri_}, "first"};
  ShardClaim claim_ = *member_.Claim(0);
  PostgresSessions sessions_{proxied_};
  std::vector<std::string> troubles_;
  PostgresStore store_{
      sessions_,
      {.write_patience = seconds(20),
       .attempt_patience = milliseconds(500),
       .on_trouble =
           [this](const std::string& line) { troubles_.push_back(line); },
       .on_fenced = [this] { member_.lease().Lose(); }}};
};

TEST_F(PostgresStoreTest, ACommitWhoseAnswerWasLostIsLookedUp) {
  ASSERT_TRUE(Put("a", "1").ok());
  cutter_.Arm("commit", ConnectionCutter::Fate::kCutAfter);
  EXPECT_TRUE(Put("a", "2").ok());
  EXPECT_EQ(cutter_.met(), 1);
  EXPECT_THAT(Get("a"), Optional(std::string("2")));
  EXPECT_TRUE(Put("a", "3").ok());
  EXPECT_THAT(Get("a"), Optional(std::string("3")));
  EXPECT_EQ(troubles_.size(), 2u);
}

TEST_F(PostgresStoreTest, AWriteThatNeverArrivedIsRepeated) {
  ASSERT_TRUE(Put("a", "1").ok());
  cutter_.Arm("commit", ConnectionCutter::Fate::kCutBefore);
  EXPECT_TRUE(Put("a", "2").ok());
  EXPECT_EQ(cutter_.met(), 1);
  EXPECT_THAT(Get("a"), Optional(std::string("2")));
}

TEST_F(PostgresStoreTest, AnAttemptThatComesLateChangesNothing) {
  ASSERT_TRUE(Put("a", "1").ok());
  cutter_.Arm("commit", ConnectionCutter::Fate::kHold);
  ASSERT_TRUE(Put("a", "2").ok());
  ASSERT_TRUE(Put("a", "3").ok());
  StoreBatch batch;
  batch.Delete("a");
  ASSERT_TRUE(store_.Write(batch, Durability::kDisk).ok());
  cutter_.Release();
  EXPECT_EQ(Get("a"), std::nullopt);
  EXPECT_TRUE(Put("a", "4").ok());
}

TEST_F(PostgresStoreTest, ACrashOfTheDatabaseIsAWriteThatTakesLonger) {
  ASSERT_TRUE(Put("a", "1").ok());
  server->Crash();
  EXPECT_TRUE(Put("b", "2").ok());
  EXPECT_THAT(Get("a"), Optional(std::string("1")));
  EXPECT_THAT(Get("b"), Optional(std::string("2")));
}

TEST_F(PostgresStoreTest, AWriterWithAnOldEpochWritesNothing) {
  ASSERT_TRUE(Put("a", "1").ok());
  Sql("UPDATE heapsync_shard SET epoch = epoch + 1, owner = 17");
  const absl::Status fenced = Put("a", "2");
  EXPECT_EQ(fenced.code(), absl::StatusCode::kAborted) << fenced;
  EXPECT_THAT(Get("a"), Optional(std::string("1")));
  EXPECT_TRUE(member_.lease().lost());
  EXPECT_FALSE(member_.lease().Held());
  // And never again.
  Sql("UPDATE heapsync_shard SET epoch = epoch - 1");
  EXPECT_EQ(Put("a", "3").code(), absl::StatusCode::kAborted);
}

TEST_F(PostgresStoreTest, AWriterWithAnOldEpochDeletesNothing) {
  ASSERT_TRUE(Put("a", "1").ok());
  Sql("UPDATE heapsync_shard SET epoch = epoch + 1");
  StoreBatch batch;
  batch.Delete("a");
  EXPECT_EQ(store_.Write(batch, Durability::kDisk).code(),
            absl::StatusCode::kAborted);
  EXPECT_THAT(Get("a"), Optional(std::string("1")));
}

TEST_F(PostgresStoreTest, ADatabaseThatLostConfirmedWritesIsNotWrittenTo) {
  ASSERT_TRUE(Put("a", "1").ok());
  Sql("UPDATE heapsync_shard SET last_write = 17");
  EXPECT_EQ(Put("a", "2").code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Get("a"), Optional(std::string("1")));
  EXPECT_EQ(Put("a", "3").code(), absl::StatusCode::kDataLoss);
}

TEST_F(PostgresStoreTest, AFullDatabaseRefusesAndTakesWritesAgain) {
  ASSERT_TRUE(Put("a", "1").ok());
  Sql("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$");
  Sql("CREATE TRIGGER full_disk BEFORE INSERT ON heapsync_entry "
      "EXECUTE FUNCTION fail()");
  EXPECT_EQ(Put("a", "2").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Get("a"), Optional(std::string("1")));
  Sql("DROP TRIGGER full_disk ON heapsync_entry");
  EXPECT_TRUE(store_.Resume().ok());
  EXPECT_TRUE(Put("a", "3").ok());
  EXPECT_THAT(Get("a"), Optional(std::string("3")));
}

// As all those of a primary that is demoted: it would refuse writes for as long
// as it lives.
TEST_F(PostgresStoreTest, ASessionThatTurnedReadOnlyIsOfNoUse) {
  const auto session = Connect(uri_);
  ASSERT_TRUE(
      session->RunText("SET default_transaction_read_only = on", Soon()).ok());
  EXPECT_TRUE(session->usable());
  EXPECT_TRUE(
      absl::IsUnavailable(ShardTable::GiveBack(*session, 0, 1, Soon())));
  EXPECT_FALSE(session->usable());
}

TEST_F(PostgresStoreTest, AWriteGivesUpAfterItsPatienceAndForGood) {
  PostgresStore store(sessions_, {.write_patience = milliseconds(100)});
  store.Own(claim_);
  cutter_.Refuse(true);
  StoreBatch batch;
  batch.Put("a", "1");
  EXPECT_EQ(store.Write(batch, Durability::kDisk).code(),
            absl::StatusCode::kUnavailable);
  cutter_.Refuse(false);
  EXPECT_EQ(store.Write(batch, Durability::kDisk).code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(PostgresStoreTest, AReadOverALostConnectionIsRepeated) {
  ASSERT_TRUE(Put("a", "1").ok());
  EXPECT_THAT(Get("a"), Optional(std::string("1")));
  Sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
      "WHERE datname = current_database() AND pid <> pg_backend_pid()");
  EXPECT_THAT(Get("a"), Optional(std::string("1")));
  const auto cursor = store_.Scan("", "z");
  ASSERT_TRUE(cursor->Valid()) << cursor->status();
  EXPECT_EQ(cursor->key(), "a");
}

TEST_F(PostgresStoreTest, WhileTheDatabaseIsAwayReadsOfAllShardsDoNotEachWait) {
  ASSERT_TRUE(Put("a", "1").ok());
  constexpr int kReads = 50;
  PostgresStore other(sessions_,
                      {.shard = 1, .read_patience = milliseconds(20)});
  cutter_.Refuse(true);
  EXPECT_TRUE(absl::IsUnavailable(store_.Get("a").status()));
  const int before = cutter_.refused();
  for (int i = 0; i < kReads; ++i) {
    EXPECT_TRUE(absl::IsUnavailable(other.Get("a").status()));
    EXPECT_TRUE(absl::IsUnavailable(other.Scan("", "z")->status()));
  }
  EXPECT_LT(cutter_.refused() - before, kReads);
  cutter_.Refuse(false);
  EXPECT_TRUE(Eventually([&] { return store_.Get("a").ok(); }));
  EXPECT_THAT(Get("a"), Optional(std::string("1")));
}

TEST_F(PostgresStoreTest, ALongScanSeesEveryEntryOnce) {
  constexpr int kEntries = 10'000;
  StoreBatch batch;
  for (int i = 0; i < kEntries; ++i) {
    batch.Put(std::to_string(kEntries + i), std::string(100, 'x'));
  }
  ASSERT_TRUE(store_.Write(batch, Durability::kDisk).ok());
  int seen = 0;
  const auto cursor = store_.Scan("", "z");
  for (; cursor->Valid(); cursor->Next()) {
    ASSERT_EQ(cursor->key(), std::to_string(kEntries + seen));
    ++seen;
  }
  EXPECT_TRUE(cursor->status().ok()) << cursor->status();
  EXPECT_EQ(seen, kEntries);
}

TEST_F(PostgresStoreTest, ABatchOfManyMegabytesIsOneWrite) {
  StoreBatch batch;
  for (int i = 0; i < 40; ++i) {
    batch.Put("k" + std::to_string(i), std::string(1 << 20, 'x'));
  }
  ASSERT_TRUE(store_.Write(batch, Durability::kDisk).ok());
  EXPECT_EQ(Sql("SELECT count(DISTINCT xmin::text) FROM heapsync_entry"), "1");
}

TEST_F(PostgresStoreTest, WhereverConnectionsAreCutEveryWriteHappensOnce) {
  std::mt19937 random(1);
  const auto pick = [&random](int below) {
    return static_cast<int>(random() % static_cast<unsigned>(below));
  };
  using Fate = ConnectionCutter::Fate;
  std::map<std::string, std::string> expected;
  for (int i = 0; i < 30; ++i) {
    StoreBatch batch;
    for (int change = pick(6); change >= 0; --change) {
      const std::string key = std::to_string(pick(10));
      if (pick(3) == 0) {
        batch.Delete(key);
        expected.erase(key);
      } else {
        batch.Put(key, std::to_string(i));
        expected[key] = std::to_string(i);
      }
    }
    const char* const places[] = {"begin", "prove", "delete", "put", "commit"};
    const Fate fates[] = {Fate::kCutBefore, Fate::kCutWithin, Fate::kCutAfter};
    cutter_.Arm(places[pick(5)], fates[pick(3)]);
    ASSERT_TRUE(store_.Write(batch, Durability::kDisk).ok());
    cutter_.Arm("", Fate::kCutBefore);
    std::map<std::string, std::string> seen;
    const auto cursor = store_.Scan("", "z");
    for (; cursor->Valid(); cursor->Next()) {
      seen.emplace(cursor->key(), cursor->value());
    }
    ASSERT_EQ(seen, expected) << "after write " << i;
  }
  EXPECT_GT(cutter_.met(), 10);
}

// Stores of servers that own nothing; the first one's connections are cut.
class OtherWriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(
        PrepareSchema(*Connect(uri_), {.shards = kShards}, Soon()).ok());
  }
  // Adds one to the numbers at `keys`, and returns those that it found.
  static std::vector<int> AddOne(Store& store,
                                 const std::vector<std::string>& keys) {
    std::vector<int> found;
    const absl::Status written = store.Update(
        keys,
        [&](const std::vector<std::optional<std::string>>& values) {
          StoreBatch batch;
          found.clear();
          for (size_t i = 0; i < keys.size(); ++i) {
            found.push_back(std::stoi(values[i].value_or("0")));
            batch.Put(keys[i], std::to_string(found.back() + 1));
          }
          return batch;
        },
        Durability::kDisk);
    EXPECT_TRUE(written.ok()) << written;
    return found;
  }

  const std::string database_ = server->NewDatabase();
  const std::string uri_ = server->Uri(database_);
  ConnectionCutter cutter_{server->port()};
  PostgresSessions cut_sessions_{
      PostgresServer::UriAt(cutter_.port(), database_)};
  PostgresSessions sessions_{uri_};
  PostgresStore cut_{
      cut_sessions_,
      {.write_patience = seconds(20), .attempt_patience = milliseconds(500)}};
  PostgresStore other_{sessions_, {}};
};

TEST_F(OtherWriterTest, UpdatesOfManyWritersAreCountedOnceEach) {
  constexpr int kRounds = 100;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      PostgresStore store(sessions_, {});
      // Each has the common keys among others of its own.
      std::vector<std::string> keys = {"a", std::string("b") + char('0' + i),
                                       "c"};
      for (int round = 0; round < kRounds; ++round) AddOne(store, keys);
    });
  }
  for (std::thread& each : threads) each.join();
  for (const char* key : {"a", "c"}) {
    EXPECT_THAT(*other_.Get(key), Optional(std::to_string(3 * kRounds)));
  }
  EXPECT_THAT(*other_.Get("b1"), Optional(std::to_string(kRounds)));
}

TEST_F(OtherWriterTest, WhereverConnectionsAreCutEveryUpdateHappensOnce) {
  std::mt19937 random(1);
  const auto pick = [&random](int below) {
    return static_cast<int>(random() % static_cast<unsigned>(below));
  };
  using Fate = ConnectionCutter::Fate;
  for (int i = 0; i < 30; ++i) {
    const char* const places[] = {"begin", "prove_other", "lock", "put_other",
                                  "commit"};
    const Fate fates[] = {Fate::kCutBefore, Fate::kCutWithin, Fate::kCutAfter};
    cutter_.Arm(places[pick(5)], fates[pick(3)]);
    ASSERT_THAT(AddOne(cut_, {"a"}), ::testing::ElementsAre(2 * i));
    cutter_.Arm("", Fate::kCutBefore);
    ASSERT_THAT(AddOne(other_, {"a"}), ::testing::ElementsAre(2 * i + 1));
  }
  EXPECT_GT(cutter_.met(), 10);
}

TEST_F(OtherWriterTest, OneThatStopsInTheMiddleHoldsUpNobodyForLong) {
  AddOne(cut_, {"a"});
  cutter_.Arm("commit", ConnectionCutter::Fate::kHold);
  std::thread held([&] { AddOne(cut_, {"a"}); });
  ASSERT_TRUE(Eventually([&] { return cutter_.met() == 1; }));
  const auto began = std::chrono::steady_clock::now();
  AddOne(other_, {"a"});
  EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(10));
  cutter_.Release();
  held.join();
  EXPECT_THAT(*other_.Get("a"), Optional(std::string("3")));
}

// The commit arrives after it was looked up, while its repetition waits for the
// row that it holds.
TEST_F(OtherWriterTest, AnUpdateThatHappensWhileItIsRepeatedHappensOnce) {
  AddOne(cut_, {"a"});
  cutter_.Arm("commit", ConnectionCutter::Fate::kHold);
  std::thread held([&] { AddOne(cut_, {"a"}); });
  const auto watcher = Connect(uri_);
  EXPECT_TRUE(Eventually([&] {
    const auto waiting = watcher->Run(
        {{"waiting",
          "SELECT count(*) FROM pg_stat_activity WHERE "
          "wait_event_type = 'Lock' AND datname = current_database()"},
         SqlParameters()},
        Soon());
    return waiting.ok() && waiting->Int8(0, 0) > 0;
  }));
  cutter_.Release();
  held.join();
  EXPECT_THAT(*other_.Get("a"), Optional(std::string("2")));
}

TEST_F(OtherWriterTest, AnUpdateThatWritesNothingLeavesNothing) {
  EXPECT_TRUE(other_
                  .Update(
                      {"a"}, [](const auto&) { return StoreBatch(); },
                      Durability::kDisk)
                  .ok());
  EXPECT_EQ(*other_.Get("a"), std::nullopt);
  EXPECT_THAT(AddOne(other_, {"a"}), ::testing::ElementsAre(0));
}

TEST_F(OtherWriterTest, OneThatTookTheShardOverIsFencedLikeItsOwner) {
  AddOne(other_, {"a"});
  Member member({.uri = uri_});
  other_.Own(*member.Claim(0));
  AddOne(other_, {"a"});
  server->Sql(database_, "UPDATE heapsync_shard SET epoch = epoch + 1");
  EXPECT_EQ(other_
                .Update(
                    {"a"},
                    [](const auto&) {
                      StoreBatch batch;
                      batch.Put("a", "17");
                      return batch;
                    },
                    Durability::kDisk)
                .code(),
            absl::StatusCode::kAborted);
  EXPECT_THAT(*cut_.Get("a"), Optional(std::string("2")));
}

TEST_F(OtherWriterTest, OneThatHandedItsShardBackWritesAsOthersDo) {
  Member member({.uri = uri_});
  AddOne(other_, {"a"});
  other_.Own(*member.Claim(0));
  AddOne(other_, {"a"});
  other_.Disown();
  AddOne(other_, {"a"});
  member.GiveBack(0);
  Member next({.uri = uri_});
  cut_.Own(*next.Claim(0));
  AddOne(cut_, {"a"});
  EXPECT_THAT(AddOne(other_, {"a"}), ::testing::ElementsAre(4));
  AddOne(cut_, {"a"});
  // And back again.
  cut_.Disown();
  AddOne(cut_, {"a"});
  next.GiveBack(0);
  other_.Own(*member.Claim(0));
  EXPECT_THAT(AddOne(other_, {"a"}), ::testing::ElementsAre(7));
}

TEST_F(OtherWriterTest, AShardThatIsLostStopsNoWritesToAnother) {
  Member member({.uri = uri_});
  PostgresStore neighbour(sessions_, {.shard = 1});
  other_.Own(*member.Claim(0));
  neighbour.Own(*member.Claim(1));
  AddOne(other_, {"a"});
  AddOne(neighbour, {"a"});
  server->Sql(database_,
              "UPDATE heapsync_shard SET epoch = epoch + 1 WHERE id = 0");
  StoreBatch batch;
  batch.Put("a", "17");
  EXPECT_EQ(other_.Write(batch, Durability::kDisk).code(),
            absl::StatusCode::kAborted);
  EXPECT_THAT(AddOne(neighbour, {"a"}), ::testing::ElementsAre(1));
}

TEST_F(OtherWriterTest, ManyStoresWriteOverFewConnections) {
  constexpr int kRounds = 20;
  PostgresSessions two(uri_, 2);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      PostgresStore store(two, {.shard = i % kShards});
      for (int round = 0; round < kRounds; ++round) AddOne(store, {"a", "b"});
    });
  }
  int most = 0;
  for (int i = 0; i < 20; ++i) {
    most = std::max(most, std::stoi(server->Sql(
                              database_,
                              "SELECT count(*) FROM pg_stat_activity WHERE "
                              "datname = current_database() AND "
                              "application_name = 'heapsync-writer'")));
  }
  for (std::thread& each : threads) each.join();
  EXPECT_LE(most, 2);
  EXPECT_THAT(*other_.Get("a"), Optional(std::to_string(3 * kRounds)));
}

TEST_F(OtherWriterTest, OneWhoseRowIsGoneWritesNothing) {
  AddOne(other_, {"a"});
  server->Sql(database_, "DELETE FROM heapsync_writer");
  StoreBatch batch;
  batch.Put("a", "17");
  EXPECT_EQ(other_.Write(batch, Durability::kDisk).code(),
            absl::StatusCode::kAborted);
  EXPECT_THAT(*other_.Get("a"), Optional(std::string("1")));
}

TEST_F(OtherWriterTest, TheRowsOfServersThatAreGoneAreForgotten) {
  Member member({.uri = uri_});
  PostgresStore live(sessions_, {.server = member.lease().id()});
  AddOne(live, {"a"});
  AddOne(other_, {"a"});
  const auto rows = [&] {
    return server->Sql(database_, "SELECT count(*) FROM heapsync_writer");
  };
  ASSERT_TRUE(OtherWriters::ForgetOld(member.connection(), Soon()).ok());
  EXPECT_EQ(rows(), "2");
  server->Sql(database_,
              "UPDATE heapsync_writer SET seen_at = now() - interval '11 min'");
  ASSERT_TRUE(OtherWriters::ForgetOld(member.connection(), Soon()).ok());
  EXPECT_EQ(rows(), "1");
  AddOne(live, {"a"});
  server->Sql(database_,
              "UPDATE heapsync_writer SET seen_at = now() - interval '2 days'");
  ASSERT_TRUE(
      OtherWriters::Seen(member.connection(), member.lease().id(), Soon())
          .ok());
  ASSERT_TRUE(OtherWriters::ForgetOld(member.connection(), Soon()).ok());
  EXPECT_EQ(rows(), "1");
}

TEST_F(OtherWriterTest, AServerThatLostItsPlaceWritesNothingToAnyShard) {
  Member member({.uri = uri_});
  Member keeper({.uri = uri_});
  PostgresStore known(sessions_, {.server = member.lease().id()});
  PostgresStore unused(sessions_, {.shard = 1, .server = member.lease().id()});
  PostgresStore live(sessions_, {.server = keeper.lease().id()});
  AddOne(known, {"a"});
  AddOne(live, {"a"});
  server->Sql(database_, "DELETE FROM heapsync_server WHERE id = " +
                             std::to_string(member.lease().id()));
  ASSERT_TRUE(OtherWriters::ForgetLost(keeper.connection(), Soon()).ok());
  StoreBatch batch;
  batch.Put("a", "17");
  for (PostgresStore* store : {&known, &unused}) {
    EXPECT_EQ(store->Write(batch, Durability::kDisk).code(),
              absl::StatusCode::kAborted);
  }
  AddOne(live, {"a"});
  EXPECT_THAT(*live.Get("a"), Optional(std::string("3")));
}

TEST_F(OtherWriterTest, OwnersLearnToWhichShardsOthersHaveWritten) {
  using ::testing::ElementsAre;
  using ::testing::IsEmpty;
  const auto connection = Connect(uri_);
  PostgresStore third(sessions_, {.shard = 2});
  AddOne(third, {"a"});
  OtherWriters others;
  EXPECT_THAT(*others.ShardsWritten(*connection, Soon()), ElementsAre(2));
  EXPECT_THAT(*others.ShardsWritten(*connection, Soon()), IsEmpty());
  AddOne(other_, {"a"});
  AddOne(cut_, {"a"});
  EXPECT_THAT(*others.ShardsWritten(*connection, Soon()), ElementsAre(0));
  AddOne(third, {"a"});
  AddOne(other_, {"a"});
  EXPECT_THAT(*others.ShardsWritten(*connection, Soon()), ElementsAre(0, 2));
  EXPECT_THAT(*others.ShardsWritten(*connection, Soon()), IsEmpty());
}

// Time of the lease, which a test drives.
class DrivenClock {
 public:
  BootClock clock() {
    return [this] { return std::chrono::nanoseconds(now_.load()); };
  }
  void Advance(std::chrono::nanoseconds by) { now_ += by.count(); }

 private:
  std::atomic<int64_t> now_{1'000'000'000};
};

class ServerLeaseTest : public ::testing::Test {
 protected:
  void Expire(ServerId id) {
    server->Sql(database_,
                "UPDATE heapsync_server SET lease_until = now() - "
                "interval '1s' WHERE id = " +
                    std::to_string(id));
  }
  const std::string database_ = server->NewDatabase();
  const std::string uri_ = server->Uri(database_);
  ConnectionCutter cutter_{server->port()};
  const std::string proxied_ = PostgresServer::UriAt(cutter_.port(), database_);
  DrivenClock time_;
};

TEST_F(ServerLeaseTest, AShardHasOneOwnerAtATime) {
  Member first({.uri = uri_}, "first");
  Member second({.uri = uri_}, "second");
  const auto claim = first.Claim(1);
  ASSERT_TRUE(claim.has_value());
  EXPECT_EQ(second.Claim(1), std::nullopt);
  EXPECT_EQ(second.View().OwnerOf(1), "first");
  EXPECT_EQ(second.View().OwnerOf(2), "");
  ASSERT_TRUE(second.Claim(2).has_value());
  first.GiveBack(2);
  EXPECT_EQ(first.View().OwnerOf(2), "second");
}

TEST_F(ServerLeaseTest, AShardThatIsGivenBackIsClaimedWithAGreaterEpoch) {
  Member first({.uri = uri_}, "first");
  Member second({.uri = uri_}, "second");
  const auto claim = first.Claim(1);
  ASSERT_TRUE(claim.has_value());
  first.GiveBack(1);
  const auto next = second.Claim(1);
  ASSERT_TRUE(next.has_value());
  EXPECT_EQ(next->epoch, claim->epoch + 1);
}

TEST_F(ServerLeaseTest, AClaimOfWhatHasChangedMeanwhileIsNone) {
  Member first({.uri = uri_}, "first");
  Member second({.uri = uri_}, "second");
  const int64_t seen = second.ShardAt(1).epoch;
  ASSERT_TRUE(first.Claim(1).has_value());
  first.GiveBack(1);
  const auto claim = ShardTable::Claim(second.connection(), 1, seen,
                                       second.lease().id(), Soon());
  ASSERT_TRUE(claim.ok());
  EXPECT_EQ(*claim, std::nullopt);
}

TEST_F(ServerLeaseTest, AStopGivesEverythingBack) {
  auto first = std::make_unique<Member>(ServerLeaseOptions{.uri = uri_});
  ASSERT_TRUE(first->Claim(0).has_value());
  ASSERT_TRUE(first->Claim(1).has_value());
  // It gives back over the connection of its renewals.
  ASSERT_TRUE(Eventually([&] {
    return server->Sql(database_,
                       "SELECT count(*) FROM pg_stat_activity WHERE datname = "
                       "current_database() AND application_name = 'heapsync' "
                       "AND query LIKE 'UPDATE heapsync_server%'") != "0";
  }));
  first.reset();
  Member second({.uri = uri_});
  EXPECT_TRUE(second.Claim(0).has_value());
  EXPECT_TRUE(second.Claim(1).has_value());
}

TEST_F(ServerLeaseTest, WhatAnExpiredServerHadIsFreeOnceItIsRemovedForGood) {
  Member first({.uri = proxied_}, "first");
  const auto claim = first.Claim(1);
  ASSERT_TRUE(claim.has_value());
  cutter_.Refuse(true);
  Member second({.uri = uri_}, "second");
  EXPECT_EQ(second.Claim(1), std::nullopt);
  second.RemoveExpired();
  EXPECT_EQ(second.Claim(1), std::nullopt);
  Expire(first.lease().id());
  EXPECT_EQ(second.Claim(1), std::nullopt);
  second.RemoveExpired();
  const auto next = second.Claim(1);
  ASSERT_TRUE(next.has_value());
  EXPECT_EQ(next->epoch, claim->epoch + 1);
  cutter_.Refuse(false);
  EXPECT_TRUE(Eventually([&] { return first.lease().lost(); }));
  EXPECT_FALSE(first.lease().Held());
  EXPECT_TRUE(second.lease().Held());
}

// As after an outage: its own lease is renewed a moment later than the others
// are looked at.
TEST_F(ServerLeaseTest, AServerDoesNotRemoveItself) {
  Member first({.uri = proxied_}, "first");
  ASSERT_TRUE(first.Claim(1).has_value());
  cutter_.Refuse(true);
  Expire(first.lease().id());
  const auto connection = Connect(uri_);
  ASSERT_TRUE(
      ShardTable::RemoveExpired(*connection, first.lease().id(), Soon()).ok());
  cutter_.Refuse(false);
  EXPECT_TRUE(Eventually([&] { return first.lease().last_renewal().ok(); }));
  EXPECT_FALSE(first.lease().lost());
}

TEST_F(ServerLeaseTest, AServerThatWasRemovedClaimsNothing) {
  Member first({.uri = uri_}, "first");
  Member second({.uri = proxied_}, "second");
  cutter_.Refuse(true);
  Expire(second.lease().id());
  first.RemoveExpired();
  const auto claim =
      ShardTable::Claim(first.connection(), 0, 0, second.lease().id(), Soon());
  ASSERT_TRUE(claim.ok());
  EXPECT_EQ(*claim, std::nullopt);
}

TEST_F(ServerLeaseTest, ALeaseThatIsNotRenewedEndsBeforeTheDatabasesDoes) {
  Member member(
      {.uri = proxied_, .length = seconds(10), .clock = time_.clock()});
  ServerLease& lease = member.lease();
  cutter_.Refuse(true);
  ASSERT_TRUE(Eventually([&] { return !lease.last_renewal().ok(); }));
  time_.Advance(milliseconds(7'999));
  EXPECT_TRUE(lease.Held());
  time_.Advance(milliseconds(1));
  EXPECT_FALSE(lease.Held());
  EXPECT_FALSE(lease.lost());
  // Nobody has removed it meanwhile.
  cutter_.Refuse(false);
  EXPECT_TRUE(Eventually([&] { return lease.Held(); }));
}

TEST_F(ServerLeaseTest, ALeaseCountsFromWhenItsRenewalWasSent) {
  LeaseTerm term(seconds(10));
  term.Renewed(seconds(100));
  EXPECT_EQ(term.Left(seconds(103)), seconds(5));
  EXPECT_EQ(term.Left(seconds(108)), seconds(0));
  term.End();
  EXPECT_EQ(term.Left(seconds(103)), seconds(0));
}

class SchemaTest : public ::testing::Test {
 protected:
  absl::Status Prepare(const std::string& uri, int32_t shards = kShards) {
    const auto connection = PostgresConnection::Open(uri);
    if (!connection.ok()) return connection.status();
    return PrepareSchema(**connection, {.shards = shards}, Soon()).status();
  }
  const std::string database_ = server->NewDatabase();
  const std::string uri_ = server->Uri(database_);
};

TEST_F(SchemaTest, ServersThatStartTogetherMakeItOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> failed{0};
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      const absl::Status prepared = Prepare(uri_);
      if (prepared.ok()) return;
      ++failed;
      std::printf("%s\n", prepared.ToString().c_str());
    });
  }
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(failed, 0);
}

TEST_F(SchemaTest, AnotherVersionIsNamed) {
  ASSERT_TRUE(Prepare(uri_).ok());
  server->Sql(database_, "UPDATE heapsync_spool SET version = 9");
  const absl::Status refused = Prepare(uri_);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("version 9"));
}

TEST_F(SchemaTest, ServersWithAnotherNumberOfShardsAreRefused) {
  ASSERT_TRUE(Prepare(uri_).ok());
  EXPECT_EQ(server->Sql(database_, "SELECT count(*) FROM heapsync_shard"), "3");
  for (const int32_t shards : {2, 4}) {
    const absl::Status refused = Prepare(uri_, shards);
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(refused.message()), HasSubstr("made with 3"));
  }
  EXPECT_EQ(server->Sql(database_, "SELECT count(*) FROM heapsync_shard"), "3");
}

TEST_F(SchemaTest, ADatabaseThatIsNotThereIsAWrongSetUp) {
  EXPECT_EQ(Prepare(server->Uri("nowhere")).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(SchemaTest, AUserWithoutRightsIsAWrongSetUp) {
  ASSERT_TRUE(Prepare(uri_).ok());
  server->Sql(database_, "CREATE ROLE stranger LOGIN");
  const absl::Status refused = Prepare(
      "postgresql://stranger@127.0.0.1:" + std::to_string(server->port()) +
      "/" + database_);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("42501"));
}

TEST_F(SchemaTest, AUserWhoOwnsNothingNeedsOnlyTheTables) {
  ASSERT_TRUE(Prepare(uri_).ok());
  server->Sql(database_, "CREATE ROLE worker LOGIN");
  server->Sql(
      database_,
      "GRANT SELECT, INSERT, UPDATE, DELETE ON heapsync_spool, "
      "heapsync_server, heapsync_shard, heapsync_writer, heapsync_entry "
      "TO worker");
  EXPECT_TRUE(Prepare("postgresql://worker@127.0.0.1:" +
                      std::to_string(server->port()) + "/" + database_)
                  .ok());
}

TEST_F(SchemaTest, ADatabaseThatDoesNotSyncIsRefused) {
  server->Sql(database_,
              "ALTER DATABASE " + database_ + " SET synchronous_commit = off");
  const absl::Status refused = Prepare(uri_);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("synchronous_commit"));
}

TEST_F(SchemaTest, AServerThatIsAwayIsWaitedFor) {
  EXPECT_EQ(Prepare(PostgresServer::UriAt(1, database_)).code(),
            absl::StatusCode::kUnavailable);
}

}  // namespace

std::vector<StoreKind> StoreKinds() {
  return {{"Postgres", [] { return std::make_unique<PostgresPlace>(); }}};
}

}  // namespace heapsync

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  const auto server = heapsync::PostgresServer::Start();
  if (server == nullptr) {
    const char* const ci = std::getenv("CI");
    std::fprintf(stderr,
                 "SKIPPED: there is no PostgreSQL; "
                 "scripts/install_dependencies.sh --test installs it\n");
    return ci != nullptr && std::string(ci) == "true" ? EXIT_FAILURE : 77;
  }
  heapsync::server = server.get();
  return RUN_ALL_TESTS();
}
