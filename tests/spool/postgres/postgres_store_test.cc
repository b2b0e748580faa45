// PostgresStore over a real PostgreSQL. Without one the program says that it
// was skipped; where nothing may be skipped it fails.

#include "heap_adapter/spool/postgres/postgres_store.h"

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

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "heap_adapter/base/check.h"
#include "heap_adapter/spool/postgres/other_writers.h"
#include "heap_adapter/spool/postgres/schema.h"
#include "heap_adapter/spool/postgres/shard_lease.h"
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

std::unique_ptr<ShardLease> Claim(const ShardLeaseOptions& options,
                                  const std::string& owner) {
  const auto connection = Connect(options.uri);
  const absl::Status prepared = PrepareSchema(*connection, Soon());
  HEAPSYNC_CHECK(prepared.ok()) << prepared;
  auto outcome = ShardLease::TryClaim(*connection, options, owner);
  HEAPSYNC_CHECK(outcome.ok()) << outcome.status();
  return std::move(outcome->lease);
}

class PostgresPlace final : public StorePlace {
 public:
  Store& Open() override {
    const std::string uri = server->Uri(database_);
    lease_ = Claim({.uri = uri}, "test");
    HEAPSYNC_CHECK(lease_ != nullptr) << "taken";
    store_ = std::make_unique<PostgresStore>(PostgresStoreOptions{.uri = uri},
                                             *lease_);
    return *store_;
  }
  void Close() override {
    store_.reset();
    lease_.reset();
  }

 private:
  const std::string database_ = server->NewDatabase();
  std::unique_ptr<ShardLease> lease_;
  std::unique_ptr<PostgresStore> store_;
};

// A store whose connections go through a proxy, and whose lease does not.
class PostgresStoreTest : public ::testing::Test {
 protected:
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
  std::unique_ptr<ShardLease> lease_ = Claim({.uri = uri_}, "first");
  std::vector<std::string> troubles_;
  PostgresStore store_{
      {.uri = proxied_,
       .write_patience = seconds(20),
       .attempt_patience = milliseconds(500),
       .on_trouble =
           [this](const std::string& line) { troubles_.push_back(line); }},
      *lease_};
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
  Sql("UPDATE heapsync_shard SET epoch = epoch + 1, owner = 'second'");
  const absl::Status fenced = Put("a", "2");
  EXPECT_EQ(fenced.code(), absl::StatusCode::kAborted) << fenced;
  EXPECT_THAT(Get("a"), Optional(std::string("1")));
  EXPECT_TRUE(lease_->lost());
  EXPECT_FALSE(lease_->Held());
  // And never again.
  Sql("UPDATE heapsync_shard SET epoch = epoch - 1, owner = 'first'");
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

TEST_F(PostgresStoreTest, AWriteGivesUpAfterItsPatienceAndForGood) {
  PostgresStore store({.uri = proxied_, .write_patience = milliseconds(100)},
                      *lease_);
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
    ASSERT_TRUE(PrepareSchema(*Connect(uri_), Soon()).ok());
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
  PostgresStore cut_{{.uri = PostgresServer::UriAt(cutter_.port(), database_),
                      .write_patience = seconds(20),
                      .attempt_patience = milliseconds(500)}};
  PostgresStore other_{{.uri = uri_}};
};

TEST_F(OtherWriterTest, UpdatesOfManyWritersAreCountedOnceEach) {
  constexpr int kRounds = 100;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      PostgresStore store({.uri = uri_});
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
  const auto lease = Claim({.uri = uri_}, "other");
  other_.Own(*lease);
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
  EXPECT_TRUE(lease->lost());
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

TEST_F(OtherWriterTest, TheOwnerLearnsThatOthersHaveWritten) {
  const auto connection = Connect(uri_);
  OtherWriters others;
  EXPECT_THAT(*others.HaveWritten(*connection, Soon()), true);
  EXPECT_THAT(*others.HaveWritten(*connection, Soon()), false);
  AddOne(other_, {"a"});
  EXPECT_THAT(*others.HaveWritten(*connection, Soon()), true);
  EXPECT_THAT(*others.HaveWritten(*connection, Soon()), false);
}

// Time of the lease, which a test drives.
class DrivenClock {
 public:
  LeaseClock clock() {
    return [this] { return std::chrono::nanoseconds(now_.load()); };
  }
  void Advance(std::chrono::nanoseconds by) { now_ += by.count(); }

 private:
  std::atomic<int64_t> now_{1'000'000'000};
};

class ShardLeaseTest : public ::testing::Test {
 protected:
  const std::string database_ = server->NewDatabase();
  const std::string uri_ = server->Uri(database_);
  ConnectionCutter cutter_{server->port()};
  const std::string proxied_ = PostgresServer::UriAt(cutter_.port(), database_);
  DrivenClock time_;
};

TEST_F(ShardLeaseTest, OneServerAtATimeOwnsTheShard) {
  const auto first = Claim({.uri = uri_}, "first");
  ASSERT_NE(first, nullptr);
  EXPECT_TRUE(first->Held());
  const auto connection = Connect(uri_);
  const auto second =
      ShardLease::TryClaim(*connection, {.uri = uri_}, "second");
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->lease, nullptr);
  EXPECT_EQ(second->taken.owner, "first");
  EXPECT_GT(second->taken.left, seconds(5));
  EXPECT_LE(second->taken.left, seconds(10));
}

TEST_F(ShardLeaseTest, AStopGivesTheShardBack) {
  auto first = Claim({.uri = uri_}, "first");
  ASSERT_NE(first, nullptr);
  // It gives back over the connection of its renewals.
  ASSERT_TRUE(Eventually([&] {
    return server->Sql(database_,
                       "SELECT count(*) FROM pg_stat_activity WHERE datname = "
                       "current_database() AND application_name = 'heapsync' "
                       "AND query LIKE '%lease_until%'") != "0";
  }));
  const int64_t epoch = first->claim().epoch;
  first.reset();
  const auto second = Claim({.uri = uri_}, "second");
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->claim().epoch, epoch + 1);
}

TEST_F(ShardLeaseTest, AnExpiredLeaseIsClaimedWithAGreaterEpoch) {
  const auto first = Claim({.uri = proxied_}, "first");
  ASSERT_NE(first, nullptr);
  cutter_.Refuse(true);
  server->Sql(database_,
              "UPDATE heapsync_shard SET lease_until = now() - interval '1s'");
  const auto second = Claim({.uri = uri_}, "second");
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->claim().epoch, first->claim().epoch + 1);
  cutter_.Refuse(false);
  EXPECT_TRUE(Eventually([&] { return first->lost(); }));
  EXPECT_FALSE(first->Held());
  EXPECT_TRUE(second->Held());
}

TEST_F(ShardLeaseTest, ALeaseThatIsNotRenewedEndsBeforeTheDatabasesDoes) {
  const auto lease =
      Claim({.uri = proxied_, .length = seconds(10), .clock = time_.clock()},
            "first");
  ASSERT_NE(lease, nullptr);
  cutter_.Refuse(true);
  ASSERT_TRUE(Eventually([&] { return !lease->last_renewal().ok(); }));
  time_.Advance(milliseconds(7'999));
  EXPECT_TRUE(lease->Held());
  time_.Advance(milliseconds(1));
  EXPECT_FALSE(lease->Held());
  EXPECT_FALSE(lease->lost());
  // Nobody else has claimed it meanwhile.
  cutter_.Refuse(false);
  EXPECT_TRUE(Eventually([&] { return lease->Held(); }));
}

TEST_F(ShardLeaseTest, ALeaseCountsFromWhenItsRenewalWasSent) {
  LeaseTerm term(seconds(10));
  term.Renewed(seconds(100));
  EXPECT_EQ(term.Left(seconds(103)), seconds(5));
  EXPECT_EQ(term.Left(seconds(108)), seconds(0));
  term.End();
  EXPECT_EQ(term.Left(seconds(103)), seconds(0));
}

class SchemaTest : public ::testing::Test {
 protected:
  absl::Status Prepare(const std::string& uri) {
    const auto connection = PostgresConnection::Open(uri);
    if (!connection.ok()) return connection.status();
    return PrepareSchema(**connection, Soon());
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
  server->Sql(database_,
              "GRANT SELECT, INSERT, UPDATE, DELETE ON heapsync_spool, "
              "heapsync_shard, heapsync_writer, heapsync_entry TO worker");
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
