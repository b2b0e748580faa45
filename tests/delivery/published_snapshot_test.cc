#include "heap_adapter/delivery/published_snapshot.h"

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/spool/memory_store.h"

namespace heapsync {
namespace {

using std::chrono::seconds;

DestinationSnapshot Snapshot() {
  DestinationSnapshot snapshot{};
  snapshot.state = DestinationState::kNeedsAttention;
  snapshot.last_error = "HTTP 401";
  snapshot.last_error_origin = ErrorOrigin::kWay;
  snapshot.last_error_at = WallTime(seconds(1'705'314'600));
  snapshot.refused_types = {ObjectType::kTrackEvent};
  LaneSnapshot& lane = snapshot.lanes.emplace_back();
  lane.id = 4'000'000'000;
  lane.type = ObjectType::kAccountProperties;
  lane.caller = "billing";
  lane.queued_items = 5;
  lane.queued_bytes = 500;
  lane.deferred_items = 3;
  lane.isolated_items = 1;
  lane.delivered_per_second = 0.25;
  lane.counts = {.appended = 1,
                 .appended_elsewhere = 2,
                 .delivered = 3,
                 .dead_lettered = 4,
                 .dead_lettered_for = {0, 1, 2, 3, 4},
                 .coalesced = 5,
                 .deferred = 6,
                 .isolated = 7};
  lane.unsettled = {10, 20};
  lane.some_deferred_identities = {0xfedcba9876543210};
  snapshot.in_flight_requests = 2;
  snapshot.concurrency_limit = 8;
  snapshot.allowance_used = 14'000;
  snapshot.allowance_total = 15'000;
  snapshot.limit_holds_events = true;
  snapshot.drained_in = seconds(90);
  snapshot.dead_letters = {
      .letters = 9, .bytes = 900, .by_reason = {0, 9, 0, 0, 0}};
  snapshot.max_dead_letter_bytes = 1 << 20;
  snapshot.delivered_by = "host/1/2";
  return snapshot;
}

TEST(PublishedSnapshotTest, KeepsEveryField) {
  const DestinationSnapshot expected = Snapshot();
  const std::string bytes = EncodeSnapshot(expected);
  const auto read = DecodeSnapshot(bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(EncodeSnapshot(*read), bytes);
  EXPECT_EQ(read->state, expected.state);
  EXPECT_EQ(read->last_error, expected.last_error);
  EXPECT_EQ(read->last_error_origin, expected.last_error_origin);
  EXPECT_EQ(read->last_error_at, expected.last_error_at);
  EXPECT_EQ(read->refused_types, expected.refused_types);
  ASSERT_EQ(read->lanes.size(), 1);
  const LaneSnapshot& lane = read->lanes[0];
  EXPECT_EQ(lane.id, 4'000'000'000);
  EXPECT_EQ(lane.type, ObjectType::kAccountProperties);
  EXPECT_EQ(lane.caller, "billing");
  EXPECT_EQ(lane.delivered_per_second, 0.25);
  EXPECT_EQ(lane.counts.arrived(), 3);
  EXPECT_EQ(lane.counts.dead_lettered_for,
            expected.lanes[0].counts.dead_lettered_for);
  EXPECT_EQ(lane.unsettled, (SeqRange{10, 20}));
  EXPECT_EQ(lane.some_deferred_identities,
            expected.lanes[0].some_deferred_identities);
  EXPECT_EQ(read->allowance_used, 14'000);
  EXPECT_TRUE(read->limit_holds_events);
  EXPECT_EQ(read->drained_in, expected.drained_in);
  EXPECT_EQ(read->dead_letters.by_reason, expected.dead_letters.by_reason);
  EXPECT_EQ(read->delivered_by, "host/1/2");
}

TEST(PublishedSnapshotTest, RefusesEveryTruncation) {
  const std::string bytes = EncodeSnapshot(Snapshot());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(DecodeSnapshot(bytes.substr(0, size)).ok()) << size;
  }
}

TEST(PublishedSnapshotTest, OneThatIsDamagedOrMissingShowsTheConfiguration) {
  MemoryStore store;
  const auto spool = *Spool::Open(store, 42);
  SpoolChange change;
  change.PutSnapshot("a", EncodeSnapshot(Snapshot()));
  change.PutSnapshot("b", "damaged");
  change.PutSnapshot("not configured", EncodeSnapshot(Snapshot()));
  ASSERT_TRUE(spool->Commit(change).ok());
  std::vector<Destination> destinations;
  for (const char* name : {"a", "b", "c"}) {
    destinations.push_back({.name = name,
                            .app_id = *AppId::Parse("1234567890"),
                            .region = Region::kEu});
  }
  const auto all = ReadPublished(*spool, destinations);
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), 3);
  const auto some =
      ReadPublishedOf(*spool, {&destinations[0], &destinations[1]});
  ASSERT_TRUE(some.ok()) << some.status();
  ASSERT_EQ(some->size(), 2);
  for (const auto* shown : {&*all, &*some}) {
    EXPECT_EQ((*shown)[0].name, "a");
    EXPECT_EQ((*shown)[0].region, Region::kEu);
    EXPECT_EQ((*shown)[0].masked_app_id, destinations[0].app_id.Masked());
    EXPECT_EQ((*shown)[0].state, DestinationState::kNeedsAttention);
    EXPECT_EQ((*shown)[1].name, "b");
    EXPECT_EQ((*shown)[1].state, DestinationState::kActive);
  }
  EXPECT_EQ((*all)[2].state, DestinationState::kActive);
}

}  // namespace
}  // namespace heapsync
