// A spool in two databases, each of a real PostgreSQL of its own. Without one
// the program says that it was skipped; where nothing may be skipped it fails.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "heap_adapter/adapter.h"
#include "tests/engine/append_event.h"
#include "tests/engine/many_destinations.h"
#include "tests/spool/postgres/connection_cutter.h"
#include "tests/spool/postgres/postgres_server.h"

namespace heapsync {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using std::chrono::milliseconds;
using std::chrono::seconds;

PostgresServer* servers[2];

constexpr uint32_t kShards = 5;
constexpr int kDestinations = 12;

template <typename Condition>
bool Eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return true;
}

AdapterEvents NoEvents() {
  return {
      .attempt = [](const AttemptEvent&) {},
      .expiry = [](const ExpiryEvent&) {},
      .step = [](Duration) {},
      .write = [](const StoreWrite&) {},
      .command = [](const ObeyedCommand&) {},
      .damage = [](const std::string&) {},
      .write_waits = [](const std::string&) {},
      .shard_taken = [](int32_t, int64_t) {},
      .shard_handed_back = [](int32_t) {},
      .database_away = [](int32_t, const std::string&, const absl::Status&) {},
      .database_back = [](int32_t, const std::string&) {},
      .database_left = [](int32_t, const std::string&, const absl::Status&) {}};
}

class SeveralDatabasesTest : public ::testing::Test {
 protected:
  SeveralDatabasesTest() {
    for (int i = 0; i < 2; ++i) {
      names_.push_back(servers[i]->NewDatabase());
      options_.shared_spool.uris.push_back(servers[i]->Uri(names_[i]));
    }
    options_.shared_spool.shards = kShards;
    options_.shared_spool.patience = seconds(1);
    options_.destinations = ManyDestinations(kDestinations);
    // Nobody is there: what is accepted waits.
    options_.delivery.region_urls = {"http://127.0.0.1:1",
                                     "http://127.0.0.1:1"};
  }
  ~SeveralDatabasesTest() override {
    adapter_.reset();
    for (PostgresServer* each : servers) {
      if (!each->runs()) each->Restart();
    }
  }

  void Open() {
    auto joined = JoinedSpool::Join(options_.shared_spool);
    ASSERT_TRUE(joined.ok()) << joined.status();
    auto adapter =
        Adapter::OpenShared(options_, NoEvents(), *std::move(joined));
    ASSERT_TRUE(adapter.ok()) << adapter.status();
    adapter_ = *std::move(adapter);
    ASSERT_TRUE(Eventually([&] { return engines().delivers(); }));
  }
  Engines& engines() { return adapter_->engines(); }

  // The first one, from `from` on, that lies in a database.
  std::string NameIn(int database, int from = 0) {
    for (int i = from;; ++i) {
      std::string name = "app-" + std::to_string(i);
      if (static_cast<int>(engines().ShardFor(name) % 2) == database) {
        return name;
      }
    }
  }
  absl::Status Append(const std::string& name) {
    const auto serving = engines().Serving(name);
    if (!serving.ok()) return serving.status();
    const Destination* to = engines().FindDestination(name);
    if (to == nullptr) return absl::NotFoundError(name);
    return AppendEvent(**serving, *to).Wait()->status();
  }
  std::string Sql(int database, const std::string& text) {
    return servers[database]->Sql(names_[database], text);
  }
  absl::Status JoinWith(std::vector<std::string> uris,
                        uint32_t shards = kShards) {
    SharedSpoolOptions options = options_.shared_spool;
    options.uris = std::move(uris);
    options.shards = shards;
    return JoinedSpool::Join(options).status();
  }

  std::vector<std::string> names_;
  AdapterOptions options_;
  std::unique_ptr<Adapter> adapter_;
};

TEST_F(SeveralDatabasesTest, AStartWaitsForADatabaseThatIsAwayForAMoment) {
  ConnectionCutter cutter(servers[1]->port());
  options_.shared_spool.uris[1] =
      PostgresServer::UriAt(cutter.port(), names_[1]);
  auto joined = JoinedSpool::Join(options_.shared_spool);
  ASSERT_TRUE(joined.ok()) << joined.status();
  cutter.Refuse(true);
  auto opening = std::async(std::launch::async, [&] {
    return Adapter::OpenShared(options_, NoEvents(), *std::move(joined));
  });
  // More than one read tries.
  constexpr int kTries = 100;
  EXPECT_TRUE(Eventually([&] { return cutter.refused() > kTries; }));
  cutter.Refuse(false);
  auto opened = opening.get();
  ASSERT_TRUE(opened.ok()) << opened.status();
  adapter_ = *std::move(opened);
  EXPECT_TRUE(Eventually([&] { return engines().delivers(); }));
  adapter_.reset();
}

TEST_F(SeveralDatabasesTest, EachHoldsItsShardsAlone) {
  Open();
  EXPECT_EQ(Sql(0, "SELECT count(*) FROM heapsync_shard"), "3");
  EXPECT_EQ(Sql(1, "SELECT count(*) FROM heapsync_shard"), "2");
  for (const int database : {0, 1}) {
    const auto items = [&](int of) {
      return std::stoi(Sql(of, "SELECT count(*) FROM heapsync_entry"));
    };
    const int here = items(database);
    const int there = items(1 - database);
    ASSERT_TRUE(Append(NameIn(database)).ok());
    EXPECT_TRUE(Eventually([&] { return items(database) > here; }));
    // But for what owners publish of themselves.
    EXPECT_LE(items(1 - database), there + 2 * kDestinations);
  }
  const ClusterView seen = adapter_->Cluster();
  ASSERT_EQ(seen.databases.size(), 2u);
  EXPECT_TRUE(seen.databases[0].usable && seen.databases[1].usable);
  // As it was last read.
  EXPECT_TRUE(Eventually([&] {
    const auto members = adapter_->Cluster().members;
    return members.size() == 1 && members[0].shards == kShards;
  }));
}

TEST_F(SeveralDatabasesTest, AnotherSetOfDatabasesIsRefused) {
  const std::string first = options_.shared_spool.uris[0];
  const std::string second = options_.shared_spool.uris[1];
  const std::string third = servers[0]->Uri(servers[0]->NewDatabase());
  ASSERT_TRUE(JoinWith({first, second}).ok());
  const auto refused = [&](std::vector<std::string> uris) {
    const absl::Status status = JoinWith(std::move(uris));
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    return std::string(status.message());
  };
  EXPECT_THAT(refused({second, first}),
              AllOf(HasSubstr("database 1 of the spool (127.0.0.1:"),
                    HasSubstr("this is database 2 of the spool")));
  EXPECT_THAT(refused({first, first + "?application_name=again"}),
              AllOf(HasSubstr("database 2 of the spool (127.0.0.1:"),
                    HasSubstr("this is database 1 of the spool")));
  EXPECT_THAT(refused({first}), HasSubstr("made with 2 databases"));
  EXPECT_THAT(refused({first, second, third}),
              HasSubstr("made with 2 databases"));
  // Nothing of the refused sets was made anywhere.
  ASSERT_TRUE(JoinWith({first, second}).ok());

  const std::string other_first = servers[0]->Uri(servers[0]->NewDatabase());
  const std::string other_second = servers[1]->Uri(servers[1]->NewDatabase());
  ASSERT_TRUE(JoinWith({other_first, other_second}).ok());
  EXPECT_THAT(refused({first, other_second}),
              AllOf(HasSubstr("database 2 of the spool (127.0.0.1:"),
                    HasSubstr("belongs to another spool")));
  EXPECT_EQ(JoinWith({other_first, other_second}, 1).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(SeveralDatabasesTest, OneThatIsAwayStopsOnlyItsOwn) {
  Open();
  const std::string here = NameIn(0);
  const std::string there = NameIn(1);
  servers[1]->Stop();
  ASSERT_TRUE(Eventually([&] { return !engines().Serving(there).ok(); }));
  const absl::Status refused = engines().Serving(there).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("database 2"));
  EXPECT_TRUE(Append(here).ok());
  EXPECT_TRUE(adapter_->usable());
  EXPECT_FALSE(adapter_->lost());
  const ClusterView seen = adapter_->Cluster();
  EXPECT_TRUE(seen.databases[0].usable);
  EXPECT_FALSE(seen.databases[1].usable);
  // What is asked of all destinations does not wait for it.
  const auto snapshot = engines().SnapshotOf({here, there});
  ASSERT_TRUE(snapshot.ok());
  ASSERT_EQ(snapshot->destinations.size(), 2u);
  EXPECT_EQ(snapshot->destinations[0].last_error.find("away"),
            std::string::npos);
  EXPECT_THAT(snapshot->destinations[1].last_error, HasSubstr("away"));
  EXPECT_EQ(engines().Flush("", [](Settlement) {}).code(),
            absl::StatusCode::kUnavailable);

  // A new configuration reaches its destinations when it is back.
  const std::string new_here = NameIn(0, kDestinations);
  const std::string new_there = NameIn(1, kDestinations);
  ASSERT_TRUE(
      engines().SetDestinations(ManyDestinations(4 * kDestinations)).ok());
  EXPECT_TRUE(Append(new_here).ok());
  EXPECT_EQ(Append(new_there).code(), absl::StatusCode::kUnavailable);

  servers[1]->Restart();
  EXPECT_TRUE(Eventually([&] { return engines().Serving(there).ok(); }));
  EXPECT_TRUE(Append(there).ok());
  EXPECT_TRUE(Append(new_there).ok());
}

TEST_F(SeveralDatabasesTest, APlaceThatIsLostInOneIsTakenAgain) {
  Open();
  const std::string here = NameIn(0);
  const std::string there = NameIn(1);
  Engine& neighbour = engines().For(here);
  Engine& former = engines().For(there);
  Promise<Settlement> end;
  auto ended = end.future();
  ASSERT_TRUE(AppendEvent(former, *engines().FindDestination(there),
                          [end = std::move(end)](Settlement got) mutable {
                            end.Set(got);
                          })
                  .Wait()
                  ->ok());
  const int epochs = std::stoi(Sql(1, "SELECT sum(epoch) FROM heapsync_shard"));
  Sql(1, "DELETE FROM heapsync_server");
  ASSERT_TRUE(Eventually([&] { return &engines().For(there) != &former; }));
  ASSERT_TRUE(Eventually([&] { return engines().delivers(); }));
  EXPECT_GT(std::stoi(Sql(1, "SELECT sum(epoch) FROM heapsync_shard")), epochs);
  EXPECT_EQ(Sql(1, "SELECT count(*) FROM heapsync_server"), "1");
  EXPECT_TRUE(Append(there).ok());
  // Those that waited hear it.
  EXPECT_TRUE(ended.Wait()->abandoned);
  // A call that still has the former one stores nothing any more.
  EncodedChunk chunk;
  chunk.items.push_back({.size = 2, .identity_hash = 1});
  chunk.text = "{}";
  const Destination& to = *engines().FindDestination(there);
  EXPECT_FALSE(former
                   .Append(to, former.LaneFor(to, ObjectType::kTrackEvent),
                           std::move(chunk), [](absl::StatusOr<SeqRange>) {})
                   .ok());
  EXPECT_EQ(former.spool_id(), engines().For(there).spool_id());
  // The other database has noticed nothing.
  EXPECT_EQ(&engines().For(here), &neighbour);
  EXPECT_TRUE(neighbour.delivers());
  EXPECT_FALSE(adapter_->lost());
}

TEST_F(SeveralDatabasesTest, WritesThatGaveUpNeedNoRestart) {
  Open();
  const std::string there = NameIn(1);
  Engine& former = engines().For(there);
  servers[1]->Stop();
  // Longer than the patience. Another write may have given up before.
  Promise<absl::Status> end;
  auto ended = end.future();
  EncodedChunk chunk;
  chunk.items.push_back({.size = 2, .identity_hash = 1});
  chunk.text = "{}";
  const Destination& to = *engines().FindDestination(there);
  const Admission admission = former.Append(
      to, former.LaneFor(to, ObjectType::kTrackEvent), std::move(chunk),
      [end = std::move(end)](const absl::StatusOr<SeqRange>& items) mutable {
        end.Set(items.status());
      });
  if (admission.ok()) {
    EXPECT_FALSE(ended.Wait()->ok());
  }
  servers[1]->Restart();
  ASSERT_TRUE(Eventually([&] {
    return engines().Serving(there).ok() && &engines().For(there) != &former;
  }));
  EXPECT_TRUE(Append(there).ok());
  EXPECT_TRUE(Append(NameIn(0)).ok());
}

}  // namespace
}  // namespace heapsync

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  const auto first = heapsync::PostgresServer::Start();
  const auto second = heapsync::PostgresServer::Start();
  if (first == nullptr || second == nullptr) {
    const char* const ci = std::getenv("CI");
    std::fprintf(stderr,
                 "SKIPPED: there is no PostgreSQL; "
                 "scripts/install_dependencies.sh --test installs it\n");
    return ci != nullptr && std::string(ci) == "true" ? EXIT_FAILURE : 77;
  }
  heapsync::servers[0] = first.get();
  heapsync::servers[1] = second.get();
  return RUN_ALL_TESTS();
}
