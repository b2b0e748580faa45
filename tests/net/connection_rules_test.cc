#include "server/net/connection_rules.h"

#include <gmock/gmock.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace heapsync {

bool operator==(const ConnectionRules::Closing& a,
                const ConnectionRules::Closing& b) {
  return a.id == b.id && a.reason == b.reason;
}
void PrintTo(const ConnectionRules::Closing& closing, std::ostream* out) {
  *out << closing.id << " " << NameOf(closing.reason);
}

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

using Admission = ConnectionRules::Admission;
using CallEnd = ConnectionRules::CallEnd;
using Closing = ConnectionRules::Closing;
using Newcomer = ConnectionRules::Newcomer;

constexpr uint64_t kMaxBytes = 2'000;
constexpr MonotonicTime kStart{std::chrono::hours(1)};

class ConnectionRulesTest : public testing::Test {
 protected:
  // Opens a connection from an address; returns its peer.
  std::string Open(int id, const std::string& address = "192.0.2.1") {
    const std::string peer = Peer(id, address);
    rules_.Opened(id, peer, Newcomer::kGreeted, now_);
    return peer;
  }
  static std::string Peer(int id, const std::string& address = "192.0.2.1") {
    return absl::StrCat(address, ":", 10'000 + id);
  }

  ConnectionRules rules_{{.max_connections = 6,
                          .max_unproven = 4,
                          .unproven_time = seconds(10),
                          .all_unproven_bytes = kMaxBytes,
                          .max_streams_per_connection = 100}};
  MonotonicTime now_ = kStart;
};

TEST_F(ConnectionRulesTest, AStrangerIsEndedAfterItsTime) {
  Open(1);
  EXPECT_THAT(rules_.Due(kStart + seconds(9)), IsEmpty());
  EXPECT_THAT(rules_.Due(kStart + seconds(10)),
              ElementsAre(Closing{1, ClosingReason::kUnproven}));
  EXPECT_THAT(rules_.Due(kStart + seconds(11)), IsEmpty());
  rules_.Closed(1);
  EXPECT_EQ(rules_.Count(Trust::kStranger), 0u);
}

TEST_F(ConnectionRulesTest, KnownOnesThatWithholdTheEndsOfMessagesAreEnded) {
  constexpr uint64_t kMib = 1 << 20;
  ConnectionRules rules({.all_unfinished_bytes = 10 * kMib});
  rules.SetGrowth(10 * kMib);
  for (const int id : {1, 2, 3}) {
    const std::string peer = absl::StrCat("192.0.2.1:", id);
    rules.Opened(id, peer, Newcomer::kGreeted, now_);
    rules.Admitted(peer);
  }
  // Whole messages are none of it, however many come.
  for (int i = 1; i <= 100; ++i) {
    rules.MessageArrived(*rules.Find("192.0.2.1:1"), kMib);
    rules.Progressed(1, {.received = i * kMib}, now_);
  }
  rules.Progressed(2, {.received = 3 * kMib}, now_);
  rules.Progressed(3, {.received = 6 * kMib}, now_);
  EXPECT_THAT(rules.Due(now_), IsEmpty());
  rules.Progressed(3, {.received = 9 * kMib}, now_);
  EXPECT_THAT(rules.Due(now_), ElementsAre(Closing{3, ClosingReason::kBytes}));
  EXPECT_THAT(rules.Due(now_), IsEmpty());
  rules.MessageArrived(*rules.Find("192.0.2.1:2"), 3 * kMib);
  rules.Progressed(2, {.received = 12 * kMib}, now_);
  EXPECT_THAT(rules.Due(now_), IsEmpty());
}

TEST_F(ConnectionRulesTest, WhatTheServerThrewAwayIsNotUnfinished) {
  constexpr uint64_t kMib = 1 << 20;
  ConnectionRules rules({.all_unfinished_bytes = 10 * kMib});
  rules.Opened(1, "192.0.2.1:1", Newcomer::kGreeted, now_);
  rules.Admitted("192.0.2.1:1");
  rules.SetGrowth(kMib);
  for (int i = 1; i <= 100; ++i) {
    rules.Progressed(1, {.received = i * kMib}, now_);
    EXPECT_THAT(rules.Due(now_), IsEmpty());
  }
  rules.SetGrowth(10 * kMib);
  EXPECT_THAT(rules.Due(now_), IsEmpty());
}

TEST_F(ConnectionRulesTest, KnownOnesAreLookedAtNowAndThen) {
  rules_.Admitted(Open(1));
  Open(2);
  EXPECT_THAT(rules_.ToLookAt(now_), UnorderedElementsAre(1, 2));
  EXPECT_THAT(rules_.ToLookAt(now_ + milliseconds(20)), ElementsAre(2));
  EXPECT_THAT(rules_.ToLookAt(now_ + seconds(1)), UnorderedElementsAre(1, 2));
}

TEST_F(ConnectionRulesTest, OnesThatAreKnownOrCheckHealthStay) {
  rules_.Admitted(Open(1));
  rules_.Probed(Open(2));
  EXPECT_THAT(rules_.Due(kStart + std::chrono::hours(1)), IsEmpty());
  EXPECT_EQ(rules_.Count(Trust::kKnown), 1u);
  EXPECT_EQ(rules_.Count(Trust::kProbe), 1u);
}

TEST_F(ConnectionRulesTest, NothingProvedIsLost) {
  const std::string peer = Open(1);
  rules_.Admitted(peer);
  rules_.Probed(peer);
  EXPECT_EQ(rules_.Count(Trust::kKnown), 1u);
}

TEST_F(ConnectionRulesTest, ABytesBoundHoldsForTheUnprovenOnly) {
  Open(1);
  const std::string known = Open(2);
  rules_.Progressed(1, {.received = kMaxBytes / 2}, now_);
  rules_.Progressed(2, {.received = kMaxBytes / 2}, now_);
  EXPECT_THAT(rules_.Due(now_), IsEmpty());
  rules_.Admitted(known);
  rules_.Progressed(1, {.received = kMaxBytes}, now_);
  EXPECT_THAT(rules_.Due(now_), IsEmpty());
  rules_.Progressed(1, {.received = kMaxBytes + 1}, now_);
  rules_.Progressed(2, {.received = 1'000'000}, now_);
  EXPECT_THAT(rules_.Due(now_), ElementsAre(Closing{1, ClosingReason::kBytes}));
}

TEST_F(ConnectionRulesTest, AHealthCheckerMayGoOnSlowly) {
  const std::string peer = Open(1);
  rules_.Probed(peer);
  uint64_t bytes = 0;
  for (int second = 0; second < 1'000; ++second) {
    now_ += seconds(1);
    bytes += 500;
    rules_.Progressed(1, {.received = bytes}, now_);
    ASSERT_THAT(rules_.Due(now_), IsEmpty());
  }
  // What it did not send earlier gives it nothing more.
  rules_.Progressed(1, {.received = bytes + kMaxBytes + 501}, now_);
  EXPECT_THAT(rules_.Due(now_), ElementsAre(Closing{1, ClosingReason::kBytes}));
}

TEST_F(ConnectionRulesTest, TheUnprovenTogetherHaveABound) {
  for (int id = 1; id <= 3; ++id) Open(id);
  rules_.Progressed(1, {.received = 700}, now_);
  rules_.Progressed(2, {.received = 900}, now_);
  rules_.Progressed(3, {.received = 400}, now_);
  EXPECT_THAT(rules_.Due(now_), IsEmpty());
  rules_.Progressed(3, {.received = 401}, now_);
  EXPECT_THAT(rules_.Due(now_), ElementsAre(Closing{2, ClosingReason::kBytes}));
}

TEST_F(ConnectionRulesTest, TheOldestStrangerGivesWayBeforeProbes) {
  const std::string probe = Open(1);
  rules_.Probed(probe);
  for (int id = 2; id <= 4; ++id) {
    EXPECT_TRUE(rules_.HasPlace(Newcomer::kAsked));
    now_ += milliseconds(10);
    Open(id);
  }
  EXPECT_FALSE(rules_.HasPlace(Newcomer::kAsked));
  now_ += seconds(1);
  EXPECT_EQ(rules_.MakePlace("192.0.2.1", Newcomer::kAsked, now_), 2);
  EXPECT_TRUE(rules_.HasPlace(Newcomer::kAsked));
}

TEST_F(ConnectionRulesTest, TheAddressWithTheMostGivesWay) {
  Open(1, "192.0.2.1");
  for (int id = 2; id <= 4; ++id) {
    now_ += milliseconds(10);
    Open(id, "192.0.2.2");
  }
  EXPECT_EQ(rules_.MakePlace("192.0.2.2", Newcomer::kAsked, now_ + seconds(1)),
            2);
}

TEST_F(ConnectionRulesTest, TheAddressWithTheMostGivesWayHoweverYoungAndBusy) {
  Open(1, "192.0.2.1");
  for (int id = 2; id <= 4; ++id) Open(id, "192.0.2.2");
  EXPECT_EQ(rules_.MakePlace("192.0.2.2", Newcomer::kAsked, now_),
            std::nullopt);
  EXPECT_EQ(rules_.MakePlace("192.0.2.1", Newcomer::kAsked, now_), 2);
  // One more of the newcomer's address would have as many.
  rules_.Closed(2);
  EXPECT_EQ(rules_.MakePlace("192.0.2.1", Newcomer::kAsked, now_),
            std::nullopt);
}

TEST_F(ConnectionRulesTest, AnIpv6NetworkCountsAsOneClient) {
  Open(1, "2001:db8:1:2::1");
  Open(2, "2001:db8:1:2:3:4:5:6");
  Open(3, "2001:db8:1:2::2");
  Open(4, "2001:db8:1:3::1");
  EXPECT_EQ(rules_.CountUnproven("2001:db8:1:2::/64"), 3u);
  EXPECT_EQ(rules_.MakePlace("2001:db8:1:3::/64", Newcomer::kAsked, now_), 1);
}

TEST_F(ConnectionRulesTest, NobodyGivesWayToAnAddressWithMore) {
  Open(1, "192.0.2.1");
  for (int id = 2; id <= 4; ++id) Open(id, "192.0.2.2");
  rules_.Progressed(1, {.received = 24, .silence = seconds(1)}, now_);
  EXPECT_EQ(rules_.MakePlace("192.0.2.2", Newcomer::kAsked, now_),
            std::nullopt);
  EXPECT_EQ(rules_.MakePlace("192.0.2.2", Newcomer::kAsked, now_ + seconds(1)),
            2);
}

TEST_F(ConnectionRulesTest, AYoungConnectionGivesWayOnlyIfItIsSilent) {
  for (int id = 1; id <= 4; ++id) Open(id);
  EXPECT_EQ(
      rules_.MakePlace("192.0.2.1", Newcomer::kAsked, now_ + milliseconds(999)),
      std::nullopt);
  rules_.Progressed(3, {.received = 24, .silence = milliseconds(49)}, now_);
  EXPECT_EQ(rules_.MakePlace("192.0.2.1", Newcomer::kAsked, now_),
            std::nullopt);
  rules_.Progressed(3, {.received = 24, .silence = milliseconds(50)}, now_);
  EXPECT_EQ(rules_.MakePlace("192.0.2.1", Newcomer::kAsked, now_), 3);
  EXPECT_NE(rules_.MakePlace("192.0.2.1", Newcomer::kAsked, now_ + seconds(1)),
            std::nullopt);
}

TEST_F(ConnectionRulesTest, OnesThatOnlyGreetedHaveAPartOfThePlaces) {
  ConnectionRules rules({.max_unproven = 4, .max_greeted = 2});
  const auto open = [&](int id, Newcomer newcomer) {
    rules.Opened(id, absl::StrCat("192.0.2.1:", id), newcomer, now_);
  };
  open(1, Newcomer::kAsked);
  open(2, Newcomer::kGreeted);
  EXPECT_TRUE(rules.HasPlace(Newcomer::kGreeted));
  open(3, Newcomer::kGreeted);
  EXPECT_FALSE(rules.HasPlace(Newcomer::kGreeted));
  EXPECT_TRUE(rules.HasPlace(Newcomer::kAsked));
  EXPECT_EQ(rules.MakePlace("192.0.2.1", Newcomer::kGreeted, now_ + seconds(1)),
            2);
  open(4, Newcomer::kGreeted);
  EXPECT_FALSE(rules.HasPlace(Newcomer::kGreeted));
  rules.CallBegan(*rules.Find("192.0.2.1:4"), now_);
  EXPECT_TRUE(rules.HasPlace(Newcomer::kGreeted));
}

TEST_F(ConnectionRulesTest, OneWithACallWaitsForThisServerUntilItIsAnswered) {
  rules_.Opened(1, Peer(1), Newcomer::kAsked, now_);
  Open(2);
  rules_.CallBegan(*rules_.Find(Peer(2)), now_);
  for (const int id : {1, 2}) {
    rules_.Progressed(id, {.received = 99, .silence = seconds(1)}, now_);
  }
  now_ += milliseconds(999);
  EXPECT_EQ(rules_.MakePlace("192.0.2.1", Newcomer::kAsked, now_),
            std::nullopt);
  rules_.CallEnded(*rules_.Find(Peer(2)), CallEnd::kAnswered, now_);
  EXPECT_EQ(rules_.MakePlace("192.0.2.1", Newcomer::kAsked, now_), 2);
  EXPECT_EQ(rules_.MakePlace("192.0.2.1", Newcomer::kAsked, now_),
            std::nullopt);
  EXPECT_EQ(
      rules_.MakePlace("192.0.2.1", Newcomer::kAsked, now_ + milliseconds(1)),
      1);
}

TEST_F(ConnectionRulesTest, OneIsYoungForLessWhereOthersWereQuick) {
  const auto prove_after = [&](int id, Duration time) {
    const std::string peer = Open(id);
    now_ += time;
    rules_.CallBegan(*rules_.Find(peer), now_);
    rules_.Admitted(peer);
  };
  const auto gives_way_after = [&](int id, Duration time) {
    Open(id);
    const bool early = rules_
                           .MakePlace("192.0.2.1", Newcomer::kAsked,
                                      now_ + time - milliseconds(1))
                           .has_value();
    return !early &&
           rules_.MakePlace("192.0.2.1", Newcomer::kAsked, now_ + time) == id;
  };
  EXPECT_TRUE(gives_way_after(1, seconds(1)));
  prove_after(2, milliseconds(10));
  EXPECT_TRUE(gives_way_after(3, milliseconds(200)));
  prove_after(4, milliseconds(100));
  EXPECT_TRUE(gives_way_after(5, milliseconds(400)));
  prove_after(6, milliseconds(300));
  EXPECT_TRUE(gives_way_after(7, seconds(1)));
  // What was long ago does not matter.
  now_ += seconds(6);
  prove_after(8, milliseconds(10));
  EXPECT_TRUE(gives_way_after(9, seconds(1)));
  now_ += seconds(6);
  prove_after(10, milliseconds(10));
  EXPECT_TRUE(gives_way_after(11, milliseconds(200)));
  now_ += seconds(20);
  EXPECT_TRUE(gives_way_after(12, seconds(1)));
  // Health checks need no credentials, so attackers may make slow ones.
  const std::string probe = Open(13);
  rules_.CallBegan(*rules_.Find(probe), now_);
  rules_.Probed(probe);
  rules_.Left(13);
  EXPECT_TRUE(gives_way_after(14, seconds(1)));
}

TEST_F(ConnectionRulesTest, OneThatAskedIsYoungForTwiceAsLong) {
  const std::string quick = Open(1);
  rules_.CallBegan(*rules_.Find(quick), now_);
  rules_.Admitted(quick);
  rules_.Opened(2, Peer(2), Newcomer::kAsked, now_);
  EXPECT_EQ(
      rules_.MakePlace("192.0.2.1", Newcomer::kAsked, now_ + milliseconds(399)),
      std::nullopt);
  EXPECT_EQ(
      rules_.MakePlace("192.0.2.1", Newcomer::kAsked, now_ + milliseconds(400)),
      2);
}

TEST_F(ConnectionRulesTest, SlowClientsMayBeSilentAsLongAsTheirLikeTook) {
  Open(1);
  rules_.Progressed(1, {.received = 24, .silence = milliseconds(80)}, now_);
  const std::string slow = Open(2);
  now_ += milliseconds(81);
  rules_.CallBegan(*rules_.Find(slow), now_);
  rules_.Admitted(slow);
  EXPECT_EQ(rules_.MakePlace("192.0.2.1", Newcomer::kAsked, now_),
            std::nullopt);
  rules_.Progressed(1, {.received = 24, .silence = milliseconds(81)}, now_);
  EXPECT_EQ(rules_.MakePlace("192.0.2.1", Newcomer::kAsked, now_), 1);
}

TEST_F(ConnectionRulesTest, KnownConnectionsTakeNoPlaceOfOthers) {
  for (int id = 1; id <= 6; ++id) {
    EXPECT_TRUE(rules_.HasPlace(Newcomer::kAsked));
    EXPECT_EQ(rules_.Admitted(Open(id)), Admission::kAdmitted);
  }
  EXPECT_TRUE(rules_.HasPlace(Newcomer::kAsked));
  // The one that has been idle for longest.
  rules_.CallBegan(*rules_.Find(Peer(1)), now_);
  rules_.CallBegan(*rules_.Find(Peer(2)), now_);
  rules_.CallEnded(*rules_.Find(Peer(2)), CallEnd::kAnswered, now_);
  EXPECT_EQ(rules_.Admitted(Open(7)), Admission::kAdmitted);
  EXPECT_EQ(rules_.Count(Trust::kKnown), 6u);
  EXPECT_THAT(rules_.Due(now_),
              ElementsAre(Closing{3, ClosingReason::kGaveWay}));
  EXPECT_THAT(rules_.Due(now_), IsEmpty());
}

TEST_F(ConnectionRulesTest, ConnectionsWithOpenCallsDoNotGiveWay) {
  for (int id = 1; id <= 6; ++id) {
    rules_.Admitted(Open(id));
    rules_.CallBegan(*rules_.Find(Peer(id)), now_);
  }
  EXPECT_EQ(rules_.Admitted(Open(7)), Admission::kAllTaken);
  EXPECT_EQ(rules_.Count(Trust::kStranger), 1u);
  EXPECT_THAT(rules_.Due(now_), IsEmpty());
  rules_.CallEnded(*rules_.Find(Peer(4)), CallEnd::kAnswered, now_);
  EXPECT_EQ(rules_.Admitted(Peer(7)), Admission::kAdmitted);
  EXPECT_THAT(rules_.Due(now_),
              ElementsAre(Closing{4, ClosingReason::kGaveWay}));
}

TEST_F(ConnectionRulesTest, BeyondItsShareACallersOwnConnectionGivesWay) {
  ConnectionRules rules({.max_connections = 6, .max_of_caller = 2});
  const auto admit = [&](int id, const std::string& caller) {
    const std::string peer = absl::StrCat("192.0.2.1:", id);
    rules.Opened(id, peer, Newcomer::kGreeted, now_);
    rules.CallBegan(*rules.Find(peer), now_);
    const Admission admission = rules.Admitted(peer, caller);
    rules.CallEnded(*rules.Find(peer), CallEnd::kAnswered, now_);
    return admission;
  };
  admit(1, "good");
  for (const int id : {2, 3}) EXPECT_EQ(admit(id, "bad"), Admission::kAdmitted);
  EXPECT_THAT(rules.Due(now_), IsEmpty());
  EXPECT_EQ(admit(4, "bad"), Admission::kAdmitted);
  EXPECT_THAT(rules.Due(now_),
              ElementsAre(Closing{2, ClosingReason::kGaveWay}));
  // With calls on all of them the newest is refused.
  rules.CallBegan(*rules.Find("192.0.2.1:3"), now_);
  rules.CallBegan(*rules.Find("192.0.2.1:4"), now_);
  EXPECT_EQ(admit(5, "bad"), Admission::kShareTaken);
  EXPECT_THAT(rules.Due(now_), IsEmpty());
  // One that cannot be told from others has no share.
  for (const int id : {6, 7, 8}) EXPECT_EQ(admit(id, ""), Admission::kAdmitted);
  EXPECT_THAT(rules.Due(now_), IsEmpty());
  EXPECT_EQ(rules.Count(Trust::kKnown), 6u);
}

TEST_F(ConnectionRulesTest, TheCallerWithTheMostGivesWayAndNeverOneWithFewer) {
  for (const int id : {1, 2, 3}) rules_.Admitted(Open(id), "most");
  for (const int id : {4, 5}) rules_.Admitted(Open(id), "some");
  rules_.Admitted(Open(6), "few");
  EXPECT_EQ(rules_.Admitted(Open(7), "new"), Admission::kAdmitted);
  EXPECT_THAT(rules_.Due(now_),
              ElementsAre(Closing{1, ClosingReason::kGaveWay}));
  for (const int id : {2, 3, 4, 5})
    rules_.CallBegan(*rules_.Find(Peer(id)), now_);
  EXPECT_EQ(rules_.Admitted(Open(8), "some"), Admission::kAllTaken);
  EXPECT_EQ(rules_.Admitted(Peer(8), "few"), Admission::kAdmitted);
  EXPECT_THAT(rules_.Due(now_),
              ElementsAre(Closing{6, ClosingReason::kGaveWay}));
}

TEST_F(ConnectionRulesTest, ASharedConnectionCountsForItsFirstCaller) {
  ConnectionRules rules({.max_of_caller = 1});
  rules.Opened(1, "192.0.2.1:1", Newcomer::kGreeted, now_);
  rules.Opened(2, "192.0.2.1:2", Newcomer::kGreeted, now_);
  for (const char* caller : {"first", "second", "third"}) {
    EXPECT_EQ(rules.Admitted("192.0.2.1:1", caller), Admission::kAdmitted);
  }
  EXPECT_EQ(rules.Admitted("192.0.2.1:2", "second"), Admission::kAdmitted);
  EXPECT_THAT(rules.Due(now_), IsEmpty());
  EXPECT_EQ(rules.Count(Trust::kKnown), 2u);
}

TEST_F(ConnectionRulesTest, NobodyGivesWayInPlaceOfOneThatWasClosed) {
  ConnectionRules rules({.max_of_caller = 1});
  rules.Opened(1, "192.0.2.1:1", Newcomer::kGreeted, now_);
  rules.Admitted("192.0.2.1:1", "caller");
  rules.Opened(2, "192.0.2.1:2", Newcomer::kGreeted, now_);
  rules.Admitted("192.0.2.1:2", "caller");
  rules.Closed(1);
  rules.Opened(1, "192.0.2.1:3", Newcomer::kGreeted, now_);
  EXPECT_THAT(rules.Due(now_), IsEmpty());
}

TEST_F(ConnectionRulesTest, AConnectionThatGivesUpItsCallsIsEnded) {
  const std::string peer = Open(1);
  rules_.Admitted(peer);
  for (int i = 0; i < 500; ++i) {
    rules_.CallBegan(*rules_.Find(peer), now_);
    rules_.CallEnded(*rules_.Find(peer), CallEnd::kGivenUp, now_);
  }
  EXPECT_THAT(rules_.Due(now_), IsEmpty());
  rules_.CallBegan(*rules_.Find(peer), now_);
  rules_.CallEnded(*rules_.Find(peer), CallEnd::kGivenUp, now_);
  EXPECT_THAT(rules_.Due(now_), ElementsAre(Closing{1, ClosingReason::kCalls}));
}

TEST_F(ConnectionRulesTest, AnUnprovenConnectionGetsFewCalls) {
  const std::string stranger = Open(1);
  const std::string probe = Open(2);
  rules_.Probed(probe);
  for (const std::string& peer : {stranger, probe}) {
    for (int i = 0; i < 500; ++i) {
      rules_.CallBegan(*rules_.Find(peer), now_);
      rules_.CallEnded(*rules_.Find(peer), CallEnd::kAnswered, now_);
    }
  }
  EXPECT_THAT(rules_.Due(now_), IsEmpty());
  rules_.CallBegan(*rules_.Find(stranger), now_);
  EXPECT_THAT(rules_.Due(now_), ElementsAre(Closing{1, ClosingReason::kCalls}));
  now_ += seconds(2);
  for (int i = 0; i < 50; ++i) rules_.CallBegan(*rules_.Find(probe), now_);
  EXPECT_THAT(rules_.Due(now_), IsEmpty());
  rules_.CallBegan(*rules_.Find(probe), now_);
  EXPECT_THAT(rules_.Due(now_), ElementsAre(Closing{2, ClosingReason::kCalls}));
}

TEST_F(ConnectionRulesTest, NobodyEntersWhileTheCallsOfStrangersAreTooMany) {
  const auto stranger = rules_.Find(Open(1));
  for (int i = 0; i < 2'000; ++i) {
    EXPECT_TRUE(rules_.HasPlace(Newcomer::kAsked)) << i;
    rules_.CallBegan(*stranger, now_);
  }
  EXPECT_FALSE(rules_.HasPlace(Newcomer::kAsked));
  EXPECT_EQ(rules_.MakePlace("192.0.2.1", Newcomer::kAsked, now_ + seconds(5)),
            std::nullopt);
  // Neither their end nor that of the connection frees their memory.
  for (int i = 0; i < 2'000; ++i) {
    rules_.CallEnded(*stranger, CallEnd::kAnswered, now_);
  }
  EXPECT_THAT(rules_.Due(now_), ElementsAre(Closing{1, ClosingReason::kCalls}));
  rules_.Closed(1);
  EXPECT_FALSE(rules_.HasPlace(Newcomer::kAsked));
  EXPECT_FALSE(ConnectionRules::IsProven(*stranger));
  rules_.CallFreed(*stranger);
  EXPECT_TRUE(rules_.HasPlace(Newcomer::kAsked));
}

TEST_F(ConnectionRulesTest, AStrangerThatSentMuchKeepsItsPlaceUntilItIsFreed) {
  for (int id = 1; id <= 4; ++id) Open(id);
  rules_.Progressed(1, {.received = 4'096, .silence = seconds(1)}, now_);
  rules_.Progressed(2, {.received = 4'097, .silence = seconds(1)}, now_);
  EXPECT_FALSE(rules_.HasPlace(Newcomer::kAsked));
  // Its peer went away.
  EXPECT_TRUE(rules_.Left(2));
  EXPECT_FALSE(rules_.HasPlace(Newcomer::kAsked));
  EXPECT_FALSE(rules_.Left(1));
  EXPECT_TRUE(rules_.HasPlace(Newcomer::kAsked));
  rules_.Closed(1);
  Open(5);
  EXPECT_FALSE(rules_.HasPlace(Newcomer::kAsked));
  rules_.Closed(2);
  EXPECT_TRUE(rules_.HasPlace(Newcomer::kAsked));
  rules_.Admitted(Open(6));
  rules_.Progressed(6, {.received = 1 << 20, .silence = seconds(1)}, now_);
  EXPECT_FALSE(rules_.Left(6));
}

class ConnectionPlacesTest : public testing::Test {
 protected:
  // Opens connections that have sent enough for many calls.
  void OpenLoud(int first, int last) {
    for (int id = first; id <= last; ++id) {
      rules_.Opened(id, absl::StrCat("192.0.2.1:", id), Newcomer::kLoud,
                    kStart + milliseconds(id));
      rules_.Progressed(id, {.received = 5'000, .silence = seconds(1)}, kStart);
    }
  }

  ConnectionRules rules_{{.max_unproven = 64}};
};

TEST_F(ConnectionPlacesTest, ThoseThatSendMuchGiveWayToEachOther) {
  rules_.Opened(1, "192.0.2.1:1", Newcomer::kGreeted, kStart);
  OpenLoud(2, 16);
  EXPECT_TRUE(rules_.HasPlace(Newcomer::kLoud));
  OpenLoud(17, 17);
  EXPECT_FALSE(rules_.HasPlace(Newcomer::kLoud));
  EXPECT_TRUE(rules_.HasPlace(Newcomer::kAsked));
  for (int id = 18; id <= 24; ++id) {
    EXPECT_TRUE(rules_.HasPlace(Newcomer::kAsked)) << id;
    rules_.Opened(id, absl::StrCat("192.0.2.1:", id), Newcomer::kGreeted,
                  kStart);
  }
  EXPECT_FALSE(rules_.HasPlace(Newcomer::kAsked));
  EXPECT_EQ(rules_.MakePlace("192.0.2.1", Newcomer::kLoud, kStart + seconds(2)),
            2);
  EXPECT_TRUE(rules_.Left(2));
  EXPECT_FALSE(rules_.HasPlace(Newcomer::kLoud));
  rules_.Closed(2);
  EXPECT_TRUE(rules_.HasPlace(Newcomer::kLoud));
}

TEST_F(ConnectionPlacesTest, ThoseThatSendMuchAreEndedBeyondTheirPlaces) {
  rules_.Opened(1, "192.0.2.1:1", Newcomer::kGreeted, kStart);
  OpenLoud(2, 17);
  EXPECT_THAT(rules_.Due(kStart + seconds(1)), IsEmpty());
  OpenLoud(18, 19);
  EXPECT_THAT(rules_.Due(kStart + seconds(1)),
              ElementsAre(Closing{2, ClosingReason::kGaveWay},
                          Closing{3, ClosingReason::kGaveWay}));
}

TEST_F(ConnectionRulesTest, TheCallsOfKnownConnectionsKeepNobodyOut) {
  const std::string peer = Open(1);
  const auto connection = rules_.Find(peer);
  rules_.CallBegan(*connection, now_);
  rules_.Admitted(peer);
  EXPECT_EQ(rules_.unproven_calls(), 0u);
  EXPECT_TRUE(ConnectionRules::IsProven(*connection));
  for (int i = 0; i < 3'000; ++i) rules_.CallBegan(*connection, now_);
  EXPECT_TRUE(rules_.HasPlace(Newcomer::kAsked));
  rules_.CallFreed(*connection);
  EXPECT_EQ(rules_.unproven_calls(), 0u);
}

TEST_F(ConnectionRulesTest, OneThatGivesUpCallsNowAndThenStays) {
  const std::string peer = Open(1);
  rules_.Admitted(peer);
  for (int i = 0; i < 10'000; ++i) {
    now_ += milliseconds(1);
    rules_.CallBegan(*rules_.Find(peer), now_);
    rules_.CallEnded(*rules_.Find(peer),
                     i % 3 == 0 ? CallEnd::kGivenUp : CallEnd::kAnswered, now_);
  }
  // All of a moment's calls, when a deadline passes.
  now_ += seconds(2);
  for (int i = 0; i < 300; ++i) rules_.CallBegan(*rules_.Find(peer), now_);
  for (int i = 0; i < 300; ++i) {
    rules_.CallEnded(*rules_.Find(peer), CallEnd::kGivenUp, now_);
  }
  EXPECT_THAT(rules_.Due(now_), IsEmpty());
}

TEST_F(ConnectionRulesTest, CallsThatEscapeTheLimitOfStreamsEndAConnection) {
  const std::string peer = Open(1);
  rules_.Admitted(peer);
  for (int i = 0; i < 400; ++i) rules_.CallBegan(*rules_.Find(peer), now_);
  EXPECT_THAT(rules_.Due(now_), IsEmpty());
  rules_.CallBegan(*rules_.Find(peer), now_);
  EXPECT_THAT(rules_.Due(now_), ElementsAre(Closing{1, ClosingReason::kCalls}));
}

TEST_F(ConnectionRulesTest, AFloodIsNotBlamedOnTheNextWithItsDescriptor) {
  const std::string peer = Open(1);
  for (int i = 0; i < 401; ++i) rules_.CallBegan(*rules_.Find(peer), now_);
  rules_.Closed(1);
  Open(1, "192.0.2.9");
  EXPECT_THAT(rules_.Due(now_), IsEmpty());
}

TEST_F(ConnectionRulesTest, APeerThatComesBackIsANewConnection) {
  const std::string peer = Open(1);
  rules_.Admitted(peer);
  const auto first = rules_.Find(peer);
  rules_.CallBegan(*first, now_);
  rules_.Opened(2, peer, Newcomer::kGreeted, now_);
  EXPECT_NE(rules_.Find(peer), first);
  rules_.Closed(1);
  rules_.Admitted(peer);
  EXPECT_EQ(rules_.Count(Trust::kKnown), 1u);
  rules_.Closed(2);
  EXPECT_EQ(rules_.Find(peer), nullptr);
  // Calls may outlive their connection.
  rules_.CallEnded(*first, CallEnd::kAnswered, now_);
  rules_.CallFreed(*first);
  EXPECT_EQ(rules_.Count(Trust::kKnown), 0u);
}

}  // namespace
}  // namespace heapsync
