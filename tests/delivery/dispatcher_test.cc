#include "heap_adapter/delivery/dispatcher.h"

#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "nlohmann/json.hpp"
#include "tests/intake/commit_pending.h"
#include "tests/spool/memory_store.h"

namespace heapsync {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Holds the requests until the test answers them.
class HeldTransport final : public Transport {
 public:
  void Send(HeapRequest request) override {
    sent.push_back(std::move(request));
  }
  void GiveUp(uint64_t request_id) override { given_up.insert(request_id); }
  std::vector<HeapResponse> Wait(Duration) override { return {}; }
  void Wake() override {}

  std::vector<HeapRequest> sent;  // not yet answered
  std::set<uint64_t> given_up;
};

HttpResponse Http(int status, std::string body = "{}",
                  std::optional<std::string> retry_after = std::nullopt) {
  return {.status = status,
          .retry_after = std::move(retry_after),
          .body = std::move(body)};
}

// One process with destinations "us" and "eu", in simulated time.
class DispatcherTest : public ::testing::Test {
 protected:
  DispatcherTest() {
    destinations_.push_back(
        {.name = "us", .app_id = *AppId::Parse("1111"), .region = Region::kUs});
    destinations_.push_back(
        {.name = "eu", .app_id = *AppId::Parse("2222"), .region = Region::kEu});
  }

  void SetUp() override { Start(); }

  void Start() {
    dispatcher_.reset();
    committer_.reset();
    notices_.clear();
    transport_.sent.clear();
    spool_ = *Spool::Open(store_, 7);
    std::vector<StoredLane> lanes = *spool_->Lanes();
    if (lanes.empty()) {
      SpoolChange change;
      LaneId next = 1;
      for (const Destination& destination : destinations_) {
        for (const ObjectType type : kObjectTypes) {
          const LaneKey key{.destination = destination.name, .type = type};
          change.PutLane(next, key);
          lanes.push_back({.id = next++, .key = key, .progress = {}});
        }
      }
      ASSERT_TRUE(spool_->Commit(change).ok());
    }
    for (const StoredLane& lane : lanes) lane_ids_[lane.key] = lane.id;
    committer_ = std::make_unique<Committer>(
        *spool_, Committer::Options{}, lanes,
        [this](Committer::Notices n) { notices_.push_back(std::move(n)); });
    dispatcher_ = std::make_unique<Dispatcher>(
        *spool_, *committer_, transport_, rules_, [this] { return random_; },
        [this](const AttemptEvent& event) {
          if (event.next_try_in.has_value())
            waits_.push_back(*event.next_try_in);
        },
        [this](const ExpiryEvent& event) { expired_ += event.items; });
    ASSERT_TRUE(dispatcher_->Start(destinations_, lanes, now_, epoch_).ok());
  }

  // Lets everything happen that happens without time going on.
  void Settle() {
    bool more = true;
    while (more) {
      std::vector<Committer::Notices> notices = std::exchange(notices_, {});
      for (auto& each : notices) {
        dispatcher_->OnNotices(std::move(each), now_);
      }
      more = dispatcher_->Step(now_) == Dispatcher::kMoreToDo;
      more = CommitPending(*committer_) || !notices_.empty() || more;
    }
  }

  void Pass(Duration time) {
    now_.wall += time;
    now_.monotonic += time;
    Settle();
  }

  void Track(const std::string& destination, int count,
             SettledCallback on_settled = nullptr,
             const std::string& identity = "", const std::string& caller = "") {
    ChunkEncoder encoder(destinations_[0].encoding, now_.wall);
    for (int i = 0; i < count; ++i) {
      v1::TrackEvent event;
      event.set_identity(identity.empty() ? absl::StrCat("u", i) : identity);
      event.set_event("e");
      const std::string key = absl::StrCat("key-", 10'000 + next_key_++);
      ASSERT_TRUE(encoder.Add(event, {.field = "event"}, key).ok());
    }
    Append({.destination = destination,
            .type = ObjectType::kTrackEvent,
            .caller = caller},
           encoder.Take(), std::move(on_settled));
  }

  void User(const std::string& identity, int v) {
    ChunkEncoder encoder(destinations_[0].encoding, now_.wall);
    v1::UserProperties user;
    user.set_identity(identity);
    (*user.mutable_properties()->mutable_fields())["v"].set_number_value(v);
    ASSERT_TRUE(encoder.Add(user, {.field = "user"}).ok());
    Append({.destination = "us", .type = ObjectType::kUserProperties},
           encoder.Take(), nullptr);
  }

  void Account(const std::string& id) {
    ChunkEncoder encoder(destinations_[0].encoding, now_.wall);
    v1::AccountProperties account;
    account.set_account_id(id);
    (*account.mutable_properties()->mutable_fields())["v"].set_number_value(1);
    ASSERT_TRUE(encoder.Add(account, {.field = "account"}).ok());
    Append({.destination = "us", .type = ObjectType::kAccountProperties},
           encoder.Take(), nullptr);
  }

  void Append(const LaneKey& key, EncodedChunk chunk,
              SettledCallback callback) {
    const auto [lane, is_new] = lane_ids_.emplace(key, lane_ids_.size() + 1);
    if (is_new) committer_->AddLane(lane->second, key);
    ASSERT_TRUE(committer_
                    ->Append(
                        lane_ids_.at(key), std::move(chunk),
                        [](const absl::StatusOr<SeqRange>&) {},
                        std::move(callback))
                    .ok());
    Settle();
  }

  absl::Status Set(std::vector<Destination> destinations) {
    changed_.push_back(
        std::make_unique<std::vector<Destination>>(std::move(destinations)));
    return dispatcher_->SetDestinations(*changed_.back(), *spool_->Lanes(),
                                        now_);
  }

  // What "us" is from now on.
  void Change(const Destination& us) {
    ASSERT_TRUE(Set({us}).ok());
    Settle();
  }

  // The oldest request that is open gets no response.
  void Fail(TransportFailure::Kind kind, size_t number = 0) {
    ASSERT_LT(number, transport_.sent.size());
    const uint64_t id = transport_.sent[number].id;
    transport_.sent.erase(transport_.sent.begin() + number);
    dispatcher_->OnResponse(
        {.request_id = id, .result = TransportFailure{.kind = kind}}, now_);
    Settle();
  }

  // Answers the oldest request that is open.
  void Answer(HttpResponse answer) { AnswerNumber(0, std::move(answer)); }
  void AnswerNumber(size_t number, HttpResponse answer) {
    ASSERT_LT(number, transport_.sent.size());
    const uint64_t id = transport_.sent[number].id;
    transport_.sent.erase(transport_.sent.begin() + number);
    dispatcher_->OnResponse({.request_id = id, .result = std::move(answer)},
                            now_);
    Settle();
  }

  // Heap answers "us" well until that may have as many requests in flight as
  // ever: then a few failures still leave room for more than one.
  void LetManyBeInFlight() {
    for (int i = 0; i < 30; ++i) {
      Track("us", 1);
      Pass(seconds(1));
      Answer(Http(200));
    }
  }

  uint64_t queued() const { return dispatcher_->queued_items(); }

  // Heap refuses every request with `text` in it, naming no item, and takes the
  // rest.
  void RefuseUntilAllIsSettled(const std::string& text) {
    for (int seconds_left = 3'600; seconds_left > 0; --seconds_left) {
      while (!transport_.sent.empty()) {
        const HeapRequest& request = transport_.sent[0];
        const bool refused = absl::StrContains(request.body, text);
        if (!refused) arrived_ += ItemsOf(request);
        Answer(refused ? Http(400, "no") : Http(200));
      }
      if (queued() == 0) return;
      Pass(seconds(1));
    }
    FAIL() << queued() << " items are never settled";
  }

  // Heap fails at every request with "crash-me" in it and takes the rest, for
  // `time`. Counts both.
  void CrashFor(Duration time, int status = 500,
                std::optional<std::string> retry_after = std::nullopt) {
    for (Duration step = milliseconds(100); time > Duration(0); time -= step) {
      while (!transport_.sent.empty()) {
        ++requests_;
        const HeapRequest& request = transport_.sent[0];
        const bool crashes = absl::StrContains(request.body, "crash-me");
        if (crashes) ++crashes_;
        if (!crashes) arrived_ += ItemsOf(request);
        Answer(crashes ? Http(status, "", retry_after) : Http(200));
      }
      Pass(step);
    }
  }
  // Time from Heap's return after HangFor() until an item arrives there.
  Duration UntilNoticed() {
    MakeHeapTake();
    arrived_ = 0;
    const MonotonicTime back = now_.monotonic;
    while (arrived_ == 0) HangFor(1);
    return now_.monotonic - back;
  }

  // Heap leaves every request without a response, which times out after twenty
  // seconds, until MakeHeapTake(): it then answers new ones after `latency_`.
  void HangFor(int tenths) {
    for (int i = 0; i < tenths; ++i, Pass(milliseconds(100))) {
      for (size_t n = 0; n < transport_.sent.size();) {
        const HeapRequest& request = transport_.sent[n];
        const auto [it, is_new] = began_.emplace(
            request.id, Began{now_.monotonic, /*taken=*/heap_takes_});
        const Duration age = now_.monotonic - it->second.at;
        if (it->second.taken && age >= latency_) {
          arrived_ += ItemsOf(request);
          AnswerNumber(n, Http(200));
        } else if (age >= seconds(20) ||
                   transport_.given_up.contains(request.id)) {
          if (it->second.taken) ++requests_;
          Fail(TransportFailure::Kind::kTimeout, n);
        } else {
          ++n;
        }
      }
    }
  }
  void MakeHeapTake() {
    heap_takes_ = true;
    requests_ = 0;
  }

  // Answers every open request for `path` with `status`, and all others with
  // 200. Gives the number of the others.
  int AnswerAll(absl::string_view path, int status) {
    int others = 0;
    while (!transport_.sent.empty()) {
      const bool is_path = absl::EndsWith(transport_.sent[0].url, path);
      if (!is_path) ++others;
      requests_ += is_path ? 1 : 0;
      Answer(Http(is_path ? status : 200));
    }
    return others;
  }
  uint64_t Isolated() const {
    uint64_t isolated = 0;
    const auto us = dispatcher_->SnapshotOf("us", now_);
    for (const LaneSnapshot& lane : us->lanes) isolated += lane.isolated_items;
    return isolated;
  }

  std::vector<std::string> OpenUrls() const {
    std::vector<std::string> urls;
    for (const HeapRequest& request : transport_.sent)
      urls.push_back(request.url);
    return urls;
  }
  static size_t ItemsOf(const HeapRequest& request) {
    const auto body = nlohmann::json::parse(request.body);
    for (const char* key : {"events", "users", "accounts"}) {
      if (body.contains(key)) return body.at(key).size();
    }
    return 0;
  }
  std::vector<DeadLetter> DeadLetters(const LaneKey& key) const {
    std::vector<DeadLetter> letters;
    EXPECT_TRUE(spool_
                    ->VisitDeadLetters(lane_ids_.at(key), 0,
                                       [&](const DeadLetter& letter) {
                                         letters.push_back(letter);
                                         return true;
                                       })
                    .ok());
    return letters;
  }

  const LaneKey us_events_{.destination = "us",
                           .type = ObjectType::kTrackEvent};
  DeliveryRules rules_;
  std::vector<Destination> destinations_;
  std::vector<std::unique_ptr<std::vector<Destination>>> changed_;
  Now now_{.wall = WallTime(seconds(1'700'000'000)),
           .monotonic = MonotonicTime(seconds(5'000))};
  uint64_t epoch_ = 1;
  uint64_t arrived_ = 0;
  int requests_ = 0;  // see CrashFor()
  int crashes_ = 0;
  struct Began {
    MonotonicTime at;
    bool taken;
  };
  std::map<uint64_t, Began> began_;  // by id of the request
  bool heap_takes_ = false;          // see HangFor()
  Duration latency_ = milliseconds(100);
  double random_ = 0.5;
  int next_key_ = 0;
  MemoryStore store_;
  HeldTransport transport_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::vector<Committer::Notices> notices_;
  absl::flat_hash_map<LaneKey, LaneId> lane_ids_;
  std::vector<Duration> waits_;
  uint64_t expired_ = 0;
};

TEST_F(DispatcherTest, AThousandAndOneEventsMakeTwoRequests) {
  Track("us", 1'001);
  Pass(seconds(1));

  ASSERT_THAT(transport_.sent, SizeIs(2));
  EXPECT_EQ(ItemsOf(transport_.sent[0]), 1'000u);
  EXPECT_EQ(ItemsOf(transport_.sent[1]), 1u);
}

TEST_F(DispatcherTest, AnEventWaitsForCompanyButNotLong) {
  Track("us", 1);
  Pass(milliseconds(499));
  EXPECT_THAT(transport_.sent, SizeIs(0));
  Pass(milliseconds(1));
  EXPECT_THAT(transport_.sent, SizeIs(1));
}

TEST_F(DispatcherTest, ADestinationThatIsIdleUsesNothingOfItsLimit) {
  Track("us", 10);
  Pass(seconds(1));
  Answer(Http(200));
  EXPECT_EQ(dispatcher_->SnapshotOf("us", now_)->allowance_used, 10u);
  Pass(seconds(60));
  EXPECT_EQ(dispatcher_->SnapshotOf("us", now_)->allowance_used, 0u);
}

TEST_F(DispatcherTest, EachRegionHasItsHostAndEachTypeItsPath) {
  Track("us", 1);
  Track("eu", 1);
  User("someone", 1);
  Pass(seconds(1));

  EXPECT_THAT(OpenUrls(), ::testing::UnorderedElementsAre(
                              "https://heapanalytics.com/api/track",
                              "https://c.eu.heap-api.com/api/track",
                              "https://heapanalytics.com/api/"
                              "add_user_properties"));
}

TEST_F(DispatcherTest, AFailureIsRepeatedAfterGrowingJitteredWaits) {
  Track("us", 1);
  Pass(seconds(1));
  const std::string body = transport_.sent.at(0).body;

  Answer(Http(503));
  EXPECT_THAT(transport_.sent, SizeIs(0));
  Pass(milliseconds(250));
  ASSERT_THAT(transport_.sent, SizeIs(1));
  Answer(Http(503));
  Pass(milliseconds(499));
  EXPECT_THAT(transport_.sent, SizeIs(0));
  Pass(milliseconds(1));
  ASSERT_THAT(transport_.sent, SizeIs(1));
  EXPECT_EQ(transport_.sent[0].body, body);
  Answer(Http(200));
  Pass(minutes(10));

  // Half of 500 ms, then half of a second: the random number is 0.5.
  EXPECT_THAT(waits_, ElementsAre(milliseconds(250), milliseconds(500)));
  EXPECT_THAT(transport_.sent, SizeIs(0));
  EXPECT_EQ(dispatcher_->queued_items(), 0u);
}

TEST_F(DispatcherTest, RetryAfterOfSevenSecondsWaitsSevenSeconds) {
  Track("us", 1);
  Pass(seconds(1));
  Answer(Http(429, "slow down", "7"));

  Pass(milliseconds(6'999));
  EXPECT_THAT(transport_.sent, SizeIs(0));
  Pass(milliseconds(1));
  EXPECT_THAT(transport_.sent, SizeIs(1));
}

TEST_F(DispatcherTest, ARetryAfterShorterThanTheBackoffDoesNotShortenIt) {
  random_ = 0.9;
  rules_.backoff.initial = milliseconds(800);
  Start();
  Track("us", 1);
  Pass(seconds(1));
  for (int i = 0; i < 2; ++i) {
    Answer(Http(503, "", "1"));
    Pass(minutes(1));
  }
  // 0.72 s and 1.44 s by the backoff alone.
  EXPECT_THAT(waits_, ElementsAre(seconds(1), milliseconds(1'440)));
}

TEST_F(DispatcherTest, ARetryAfterOfAYearIsCutAndItsEndIsShown) {
  rules_.max_retry_after = minutes(30);
  Start();
  Track("us", 1);
  Pass(seconds(1));
  Answer(Http(429, "", "31536000"));
  EXPECT_THAT(waits_, ElementsAre(minutes(30)));
  EXPECT_EQ(dispatcher_->Snapshot(0, 1, now_)[0].last_error,
            "HTTP 429, Retry-After until 2023-11-14T22:43:21Z");
}

TEST_F(DispatcherTest, ARetryAfterThatFollowsOneItemHoldsUpNoOther) {
  for (const int status : {503, 500, 403, 302}) {
    Track("us", 600);
    Track("us", 1, nullptr, "crash-me");
    Track("us", 1'399);
    arrived_ = 0;
    CrashFor(minutes(1), status, "3600");
    EXPECT_EQ(arrived_, 1'999u) << status;
  }
  EXPECT_EQ(Isolated(), 4u);
  // They are not tried before the time that Heap asked for.
  crashes_ = 0;
  CrashFor(minutes(55), 503, "3600");
  EXPECT_EQ(crashes_, 0);
}

TEST_F(DispatcherTest, AnOutageWithARetryAfterIsProbedMoreAndMoreRarely) {
  Track("us", 2'000);
  for (int i = 0; i < 36'000; ++i) {
    Pass(milliseconds(100));
    for (; !transport_.sent.empty(); ++requests_) {
      Answer(Http(503, "", "7200"));
    }
  }
  EXPECT_GE(requests_, 8);
  EXPECT_LE(requests_, 12);
  EXPECT_EQ(Isolated(), 0u);
}

TEST_F(DispatcherTest, ARetryAfterThatIsOverMakesNoStorm) {
  std::mt19937 generator(7);
  std::uniform_real_distribution<double> drawn(0, 1);
  for (const int status : {503, 429}) {
    for (const char* retry_after :
         {"0", "Mon, 15 Jan 2018 10:00:00 GMT", "-1", "soon", ""}) {
      for (int i = 0; i < 10; ++i) User(absl::StrCat("account-", i), 1);
      Track("us", 1);
      int requests = 0;
      for (int passed = 0; passed < 5'000; ++passed) {
        random_ = drawn(generator);
        Pass(milliseconds(1));
        for (; !transport_.sent.empty(); ++requests) {
          Answer(Http(status, "", retry_after));
        }
      }
      EXPECT_LT(requests, 15) << status << ' ' << retry_after;
      for (int left = 20; left > 0 && queued() > 0; --left) {
        Pass(seconds(1));
        while (!transport_.sent.empty()) Answer(Http(200));
      }
      EXPECT_EQ(queued(), 0u) << status << ' ' << retry_after;
    }
  }
}

TEST_F(DispatcherTest, TheLimitOfAnAppHoldsOverARestart) {
  for (int i = 0; i < 16; ++i) Track("us", 1'000);
  for (int i = 0; i < 15; ++i) {
    Pass(milliseconds(1));
    Answer(Http(200));
  }
  Pass(seconds(30));
  EXPECT_THAT(transport_.sent, SizeIs(0));

  Start();
  Pass(seconds(29));
  EXPECT_THAT(transport_.sent, SizeIs(0));
  Pass(seconds(2));
  EXPECT_THAT(transport_.sent, SizeIs(1));
}

TEST_F(DispatcherTest, AnIdentityOverItsLimitHoldsUpNobody) {
  Track("us", 1'000, nullptr, "hot");
  Answer(Http(200));
  Track("us", 500, nullptr, "hot");
  Track("us", 10);
  Pass(seconds(1));

  ASSERT_THAT(transport_.sent, SizeIs(1));
  EXPECT_EQ(ItemsOf(transport_.sent[0]), 10u);
  Answer(Http(200));
  Pass(seconds(60));
  ASSERT_THAT(transport_.sent, SizeIs(1));
  EXPECT_EQ(ItemsOf(transport_.sent[0]), 500u);
}

TEST_F(DispatcherTest, OnADiskShortOfSpaceNothingIsDeferredAndAllArrives) {
  dispatcher_->SetDiskShort(true);
  Track("us", 1'000, nullptr, "hot");
  Answer(Http(200));
  uint64_t delivered = 0;
  Track(
      "us", 500, [&](Settlement s) { delivered += s.delivered; }, "hot");
  Track("us", 10, [&](Settlement s) { delivered += s.delivered; });
  Pass(seconds(30));
  EXPECT_THAT(transport_.sent, IsEmpty());
  EXPECT_EQ(dispatcher_->SnapshotOf("us", now_)->lanes[0].deferred_items, 0u);
  for (int i = 0; i < 32; ++i) {
    Pass(seconds(1));
    while (!transport_.sent.empty()) Answer(Http(200));
  }
  EXPECT_EQ(delivered, 510u);
}

TEST_F(DispatcherTest, WithSpaceAgainAnIdentityOverItsLimitHoldsUpNobody) {
  dispatcher_->SetDiskShort(true);
  Track("us", 1'000, nullptr, "hot");
  Answer(Http(200));
  Track("us", 500, nullptr, "hot");
  Track("us", 10);
  Pass(seconds(5));
  EXPECT_THAT(transport_.sent, IsEmpty());
  dispatcher_->SetDiskShort(false);
  Pass(seconds(1));
  ASSERT_THAT(transport_.sent, SizeIs(1));
  EXPECT_EQ(ItemsOf(transport_.sent[0]), 10u);
}

TEST_F(DispatcherTest, AHotIdentityIsDrainedAtItsLimit) {
  uint64_t delivered = 0;
  for (int i = 0; i < 20; ++i) {
    Track(
        "us", 500, [&](Settlement s) { delivered += s.delivered; }, "hot");
    Track("us", 500);
  }
  for (int i = 0; i < 95; ++i) {
    // Others come all the time.
    Track("us", 10);
    for (int step = 0; step < 10; ++step) {
      Pass(milliseconds(500));
      while (!transport_.sent.empty()) Answer(Http(200));
    }
  }
  // A thousand at once and after each of seven minutes.
  EXPECT_GE(delivered, 7'500u);
}

TEST_F(DispatcherTest,
       TheItemThatHeapNamesIsDeadLetteredAndItsNeighboursArriveOnce) {
  Track("us", 1'000);
  Answer(Http(400, "postBody.events[17].properties should be object"));

  ASSERT_THAT(transport_.sent, SizeIs(1));
  EXPECT_EQ(ItemsOf(transport_.sent[0]), 999u);
  EXPECT_FALSE(absl::StrContains(transport_.sent[0].body, "key-10017\""));
  Answer(Http(200));
  const std::vector<DeadLetter> dead = DeadLetters(us_events_);
  ASSERT_THAT(dead, SizeIs(1));
  EXPECT_EQ(dead[0].seq, 17u);
  EXPECT_EQ(dead[0].http_status, 400u);
  EXPECT_EQ(dead[0].heap_response,
            "postBody.events[17].properties should be object");
  EXPECT_EQ(dispatcher_->queued_items(), 0u);
}

TEST_F(DispatcherTest, AnUnnamedItemIsFoundWithinTwentyExtraRequests) {
  destinations_[0].limits = {};
  destinations_[0].limits.events_per_minute = 0;
  Start();
  Track("us", 1'000);
  int requests = 0;
  while (!transport_.sent.empty()) {
    ++requests;
    const bool bad = absl::StrContains(transport_.sent[0].body, "key-10637\"");
    Answer(Http(bad ? 400 : 200));
  }

  EXPECT_LE(requests, 21);
  EXPECT_THAT(DeadLetters(us_events_), SizeIs(1));
  EXPECT_EQ(dispatcher_->queued_items(), 0u);
}

TEST_F(DispatcherTest, AWrongSetUpHoldsTheDestinationAndDropsNothing) {
  Track("us", 3'000);
  Pass(seconds(1));
  const size_t in_flight = transport_.sent.size();
  for (size_t i = 0; i < in_flight; ++i) Answer(Http(403));
  EXPECT_EQ(dispatcher_->Snapshot(0, 1, now_)[0].state,
            DestinationState::kNeedsAttention);
  Pass(seconds(5));
  EXPECT_THAT(transport_.sent, SizeIs(0));
  EXPECT_EQ(dispatcher_->queued_items(), 3'000u);

  Pass(minutes(10));
  ASSERT_THAT(transport_.sent, SizeIs(1));
  while (!transport_.sent.empty()) Answer(Http(200));
  EXPECT_EQ(dispatcher_->queued_items(), 0u);
}

TEST_F(DispatcherTest, WhatRefusesEverythingDeadLettersNothing) {
  const std::pair<int, std::string> kRefusals[] = {
      {402, ""},
      {406, ""},
      {407, ""},
      {410, "gone"},
      {421, ""},
      {451, ""},
      {400, "postBody.app_id should be number"}};
  for (const auto& [status, body] : kRefusals) {
    Track("us", 3'000);
    size_t requests = 0;
    for (int passed = 0; passed < 60; ++passed) {
      Pass(seconds(1));
      for (; !transport_.sent.empty(); ++requests) Answer(Http(status, body));
    }
    EXPECT_LE(requests, 6u) << status;
    const DestinationSnapshot us = dispatcher_->Snapshot(0, 1, now_)[0];
    EXPECT_EQ(us.state, DestinationState::kNeedsAttention) << status;
    EXPECT_TRUE(absl::StartsWith(us.last_error, absl::StrCat("HTTP ", status)));
    EXPECT_EQ(queued(), 3'000u) << status;
    EXPECT_THAT(DeadLetters(us_events_), IsEmpty()) << status;
    for (int passed = 0; passed < 60 && queued() > 0; ++passed) {
      Pass(minutes(1));
      while (!transport_.sent.empty()) Answer(Http(200));
    }
    EXPECT_EQ(queued(), 0u) << status;
  }
}

// As a firewall on the way may do.
TEST_F(DispatcherTest, AnItemThatIsRefusedAsByAWrongSetUpWaitsAlone) {
  for (const int status : {302, 403, 406}) {
    arrived_ = requests_ = 0;
    Track("us", 617);
    Track("us", 1, nullptr, "crash-me");
    Track("us", 382);
    CrashFor(seconds(30), status);
    EXPECT_EQ(arrived_, 999u) << status;
    EXPECT_EQ(queued(), Isolated()) << status;
    EXPECT_EQ(dispatcher_->Snapshot(0, 1, now_)[0].state,
              DestinationState::kActive);
    // The batch, its 32 parts, and the 32 items of one of them.
    EXPECT_LE(requests_, 70) << status;
  }
  EXPECT_EQ(Isolated(), 3u);
  EXPECT_THAT(DeadLetters(us_events_), IsEmpty());
}

TEST_F(DispatcherTest, AnItemThatIsThrottledAlwaysWaitsAloneToo) {
  for (const char* retry_after : {"", "5"}) {
    arrived_ = requests_ = 0;
    Track("us", 617);
    Track("us", 1, nullptr, "crash-me");
    Track("us", 382);
    CrashFor(minutes(5), 429,
             *retry_after == 0 ? std::nullopt
                               : std::optional<std::string>(retry_after));
    EXPECT_EQ(arrived_, 999u) << retry_after;
    EXPECT_EQ(queued(), Isolated()) << retry_after;
    EXPECT_LE(requests_, 80) << retry_after;
  }
  EXPECT_EQ(Isolated(), 2u);
}

TEST_F(DispatcherTest, WhereEverythingIsThrottledThereAreFewRequests) {
  Track("us", 5'000);
  for (Duration time{0}; time < minutes(30); time += milliseconds(100)) {
    while (!transport_.sent.empty()) {
      ++requests_;
      Answer(Http(429));
    }
    Pass(milliseconds(100));
  }
  EXPECT_LE(requests_, 100);
  EXPECT_EQ(Isolated(), 0u);
  CrashFor(minutes(2));
  EXPECT_EQ(queued(), 0u);
}

TEST_F(DispatcherTest, ManyItemsThatAreRefusedAsByAWrongSetUpWaitAlone) {
  for (int i = 0; i < 50; ++i) {
    Track("us", 19);
    Track("us", 1, nullptr, "crash-me");
  }
  CrashFor(minutes(2), 403);
  EXPECT_EQ(arrived_, 950u);
  EXPECT_EQ(Isolated(), 50u);
}

TEST_F(DispatcherTest, ALoneRefusedItemDoesNotHoldUpLaterOnesForLong) {
  Track("us", 1, nullptr, "crash-me");
  CrashFor(minutes(20), 403);
  EXPECT_EQ(dispatcher_->Snapshot(0, 1, now_)[0].state,
            DestinationState::kNeedsAttention);
  Track("us", 10);
  CrashFor(minutes(11), 403);
  EXPECT_EQ(arrived_, 10u);
  EXPECT_EQ(Isolated(), 1u);
}

TEST_F(DispatcherTest, ASuccessThatIsNotHeapsDeliversNothing) {
  Track("us", 1);
  Pass(seconds(1));
  HttpResponse portal = Http(200, "<html>The requested URL was rejected");
  portal.content_type = "text/html";
  Answer(portal);
  Pass(seconds(1));
  const DestinationSnapshot us = dispatcher_->Snapshot(0, 1, now_)[0];
  EXPECT_EQ(us.state, DestinationState::kNeedsAttention);
  EXPECT_EQ(us.last_error,
            "HTTP 200 (text/html), a response that does not come from Heap");
  EXPECT_EQ(us.last_error_origin, ErrorOrigin::kWay);
  EXPECT_EQ(us.lanes[0].counts.delivered, 0u);
  EXPECT_EQ(queued(), 1u);

  Pass(minutes(10));
  Answer(Http(200));
  EXPECT_EQ(queued(), 0u);
}

TEST_F(DispatcherTest, DuringAnOutageOneProbeGoesOut) {
  LetManyBeInFlight();
  Track("us", 1);
  User("someone", 1);
  Pass(seconds(1));
  ASSERT_THAT(transport_.sent, SizeIs(2));
  while (!transport_.sent.empty()) Answer(Http(503));
  Track("us", 5'000);

  for (int i = 0; i < 1'200; ++i) {
    Pass(milliseconds(500));
    ASSERT_LE(transport_.sent.size(), 1u);
    if (transport_.sent.empty()) continue;
    ++requests_;
    Answer(Http(503));
  }
  EXPECT_GE(requests_, 500);
}

TEST_F(DispatcherTest, NoProbeGoesOutBesideWhatIsStillInFlight) {
  LetManyBeInFlight();
  Track("us", 2'000);
  ASSERT_THAT(transport_.sent, SizeIs(2));
  Answer(Http(503));
  Pass(milliseconds(500));
  EXPECT_THAT(transport_.sent, SizeIs(1));
  Answer(Http(503));
  Pass(milliseconds(500));
  EXPECT_THAT(transport_.sent, SizeIs(1));
}

TEST_F(DispatcherTest, ARegionThatHangsDoesNotDelayTheOther) {
  EXPECT_LE(2 * rules_.max_in_flight_per_region, rules_.max_in_flight);
  rules_.max_in_flight_per_region = 1;
  rules_.max_in_flight = 2;
  Start();
  Track("us", 2'000);
  Pass(seconds(1));
  ASSERT_THAT(transport_.sent, SizeIs(1));
  Track("eu", 1);
  Pass(seconds(1));

  EXPECT_THAT(OpenUrls(), ElementsAre("https://heapanalytics.com/api/track",
                                      "https://c.eu.heap-api.com/api/track"));
}

TEST_F(DispatcherTest, AStepEndsWhenItsWorkIsDoneAndTheNextGoesOn) {
  rules_.max_step_work = 1;
  Start();
  Track("us", 1);
  Track("eu", 1);
  now_.monotonic += seconds(1);
  EXPECT_EQ(dispatcher_->Step(now_), Dispatcher::kMoreToDo);
  EXPECT_EQ(dispatcher_->in_flight(), 1);
  dispatcher_->Step(now_);
  EXPECT_EQ(dispatcher_->in_flight(), 2);
}

TEST_F(DispatcherTest, UpdatesOfOneUserAreCoalescedAndNeverInFlightTwice) {
  User("ann", 1);
  User("ann", 2);
  User("bob", 3);
  Pass(seconds(1));
  ASSERT_THAT(transport_.sent, SizeIs(1));
  const auto users = nlohmann::json::parse(transport_.sent[0].body)["users"];
  ASSERT_EQ(users.size(), 2u);
  EXPECT_EQ(users[0]["properties"]["v"], 2);

  User("ann", 4);
  Pass(seconds(10));
  EXPECT_THAT(transport_.sent, SizeIs(1));
  Answer(Http(200));
  Pass(seconds(1));
  ASSERT_THAT(transport_.sent, SizeIs(1));
  EXPECT_EQ(nlohmann::json::parse(
                transport_.sent[0].body)["users"][0]["properties"]["v"],
            4);
}

TEST_F(DispatcherTest, ACoalescedRequestIsSentAgainWholeAfterACrash) {
  User("ann", 1);
  User("ann", 2);
  Pass(seconds(1));
  ASSERT_THAT(transport_.sent, SizeIs(1));
  const std::string body = transport_.sent[0].body;
  User("ann", 3);

  Start();
  Pass(seconds(1));
  ASSERT_THAT(transport_.sent, SizeIs(1));
  EXPECT_EQ(transport_.sent[0].body, body);
  Answer(Http(200));
  Pass(seconds(1));
  ASSERT_THAT(transport_.sent, SizeIs(1));
  EXPECT_EQ(nlohmann::json::parse(
                transport_.sent[0].body)["users"][0]["properties"]["v"],
            3);
}

TEST_F(DispatcherTest,
       TenBadItemsOfAThousandAreDeadLetteredAndTheOthersArriveOnce) {
  for (int i = 0; i < 10; ++i) {
    Track("us", 99);
    Track("us", 1, nullptr, "poison");
  }
  RefuseUntilAllIsSettled("poison");
  EXPECT_THAT(DeadLetters(us_events_), SizeIs(10));
  EXPECT_EQ(arrived_, 990u);
}

TEST_F(DispatcherTest, WhereEveryItemIsRefusedTheDestinationIsHeld) {
  Track("us", 3'000);
  int requests = 0;
  for (int i = 0; i < 600; ++i) {
    for (; !transport_.sent.empty(); ++requests) Answer(Http(400, "no"));
    Pass(milliseconds(100));
  }
  EXPECT_LE(requests, 40);
  EXPECT_EQ(dispatcher_->SnapshotOf("us", now_)->state,
            DestinationState::kNeedsAttention);
  EXPECT_EQ(queued(), 3'000u);
  EXPECT_THAT(DeadLetters(us_events_), IsEmpty());
  Pass(minutes(10));
  while (!transport_.sent.empty()) {
    arrived_ += ItemsOf(transport_.sent[0]);
    Answer(Http(200));
  }
  CrashFor(seconds(10));
  EXPECT_EQ(arrived_, 3'000u);
}

TEST_F(DispatcherTest, ALoneItemThatIsRefusedIsDeadLetteredSoon) {
  Track("us", 1);
  int requests = 0;
  for (int i = 0; i < 50; ++i) {
    for (; !transport_.sent.empty(); ++requests) Answer(Http(400, "no"));
    Pass(milliseconds(100));
  }
  EXPECT_EQ(requests, 3);
  EXPECT_THAT(DeadLetters(us_events_), SizeIs(1));
}

TEST_F(DispatcherTest, ManyBadItemsBesideGoodOnesAreAllDeadLettered) {
  for (int i = 0; i < 100; ++i) {
    Track("us", 4, nullptr, "poison");
    Track("us", 1);
  }
  RefuseUntilAllIsSettled("poison");
  EXPECT_THAT(DeadLetters(us_events_), SizeIs(400));
  EXPECT_EQ(arrived_, 100u);
}

TEST_F(DispatcherTest, ItemsOfAnyAgeAreSent) {
  EXPECT_TRUE(dispatcher_->Pause("us", true));
  Track("us", 2'000);
  now_.wall += 2 * rules_.max_age;
  EXPECT_TRUE(dispatcher_->Pause("us", false));
  CrashFor(seconds(1));
  EXPECT_EQ(arrived_, 2'000u);
  EXPECT_EQ(expired_, 0u);
}

TEST_F(DispatcherTest, OldItemsAmongBadOnesAreDelivered) {
  EXPECT_TRUE(dispatcher_->Pause("us", true));
  for (int i = 0; i < 50; ++i) {
    Track("us", 19);
    Track("us", 1, nullptr, "crash-me");
  }
  now_.wall += 2 * rules_.max_age;
  EXPECT_TRUE(dispatcher_->Pause("us", false));
  CrashFor(minutes(30));
  EXPECT_EQ(arrived_, 950u);
}

TEST_F(DispatcherTest, WhatFailsPastItsAgeExpiresAndIsTold) {
  Track("us", 2'500, nullptr, "crash-me");
  CrashFor(minutes(11));
  EXPECT_EQ(expired_, 0u);
  now_.wall += rules_.max_age;
  CrashFor(minutes(5));
  EXPECT_EQ(expired_, 2'500u);
  const std::vector<DeadLetter> dead = DeadLetters(us_events_);
  ASSERT_THAT(dead, SizeIs(2'500));
  EXPECT_EQ(dead[0].reason, DeadLetterReason::kExpired);
  EXPECT_EQ(queued(), 0u);
}

TEST_F(DispatcherTest, WithAShortMaximumItemsExpireAsSoon) {
  rules_.max_age = seconds(5);
  Start();
  Track("us", 1, nullptr, "crash-me");
  CrashFor(seconds(5));
  EXPECT_EQ(expired_, 0u);
  CrashFor(seconds(5));
  EXPECT_EQ(expired_, 1u);
}

TEST_F(DispatcherTest, ATimeOfPauseIsNoTimeOfFailures) {
  Track("us", 10, nullptr, "crash-me");
  CrashFor(seconds(10));
  EXPECT_TRUE(dispatcher_->Pause("us", true));
  Pass(2 * rules_.max_age);
  EXPECT_TRUE(dispatcher_->Pause("us", false));
  CrashFor(minutes(1));
  EXPECT_EQ(expired_, 0u);
}

TEST_F(DispatcherTest, AnIsolatedItemExpiresOnceItFailsPastItsAge) {
  Track("us", 10);
  Track("us", 1, nullptr, "crash-me");
  CrashFor(minutes(1));
  ASSERT_EQ(Isolated(), 1u);
  now_.wall += rules_.max_age;
  EXPECT_EQ(Isolated(), 1u);
  CrashFor(std::chrono::hours(3));
  EXPECT_EQ(expired_, 1u);
  EXPECT_EQ(Isolated(), 0u);
}

TEST_F(DispatcherTest, AnItemThatMakesHeapFailWaitsAloneAndTheRestArrives) {
  Track("us", 600);
  Track("us", 1, nullptr, "crash-me");
  Track("us", 1'399);
  CrashFor(seconds(30));
  EXPECT_EQ(arrived_, 1'999u);
  EXPECT_EQ(Isolated(), 1u);
  EXPECT_EQ(queued(), 1u);
  // Three of the batch, its 32 parts, the 32 items of one of them, and one of
  // the others.
  EXPECT_LE(requests_, 3 + 32 + 32 + 1);
  EXPECT_LE(crashes_, 6);
  EXPECT_EQ(dispatcher_->SnapshotOf("us", now_)->state,
            DestinationState::kActive);
  EXPECT_THAT(DeadLetters(us_events_), IsEmpty());

  // It is tried rarely, and others do not wait for it.
  requests_ = crashes_ = 0;
  CrashFor(std::chrono::hours(1));
  EXPECT_GE(crashes_, 3);
  EXPECT_LE(crashes_, 7);
  EXPECT_EQ(requests_, crashes_);
  Track("us", 10, nullptr, "crash");
  CrashFor(seconds(1));
  EXPECT_EQ(arrived_, 2'009u);

  // Heap is mended.
  CrashFor(std::chrono::hours(1), 200);
  EXPECT_EQ(queued(), 0u);
  EXPECT_EQ(Isolated(), 0u);
}

TEST_F(DispatcherTest, AnIsolatedItemIsIsolatedAfterARestartToo) {
  Track("us", 50);
  Track("us", 1, nullptr, "crash-me");
  CrashFor(seconds(30));
  ASSERT_EQ(Isolated(), 1u);
  crashes_ = 0;
  Start();
  EXPECT_EQ(Isolated(), 1u);
  Track("us", 50);
  CrashFor(seconds(50));
  EXPECT_EQ(arrived_, 100u);
  EXPECT_EQ(crashes_, 0);
  // The blocks before and behind it are not kept for it.
  EXPECT_EQ(
      spool_->ReadExtent(lane_ids_.at(us_events_))->progress.low_watermark,
      101u);
  CrashFor(minutes(3), 200);
  EXPECT_EQ(queued(), 0u);
}

TEST_F(DispatcherTest, TenItemsThatMakeHeapFailWaitAloneInEveryLane) {
  for (const char* caller : {"", "one", "two"}) {
    for (int i = 0; i < 10; ++i) {
      Track("us", 99, nullptr, "", caller);
      Track("us", 1, nullptr, "crash-me", caller);
    }
    Track("us", 500, nullptr, "", caller);
  }
  for (int i = 0; i < 20; ++i) User(absl::StrCat("u", i), i);
  User("crash-me", 1);
  CrashFor(minutes(2));
  EXPECT_EQ(arrived_, 3u * 1'490u + 20u);
  EXPECT_EQ(Isolated(), 31u);
  EXPECT_LE(requests_, 1'500);
}

TEST_F(DispatcherTest, LaterUpdatesWaitBehindAnIsolatedOneOfTheirIdentity) {
  for (int i = 0; i < 20; ++i) User(absl::StrCat("u", i), i);
  User("crash-me", 1);
  User("crash-me", 2);
  CrashFor(seconds(30));
  ASSERT_EQ(Isolated(), 1u);
  EXPECT_EQ(arrived_, 20u);
  User("crash-me", 3);
  User("crash-me", 4);
  Start();
  EXPECT_EQ(Isolated(), 1u);
  // Heap is mended.
  std::vector<int> values;
  for (int i = 0; i < 300; ++i) {
    Pass(seconds(1));
    while (!transport_.sent.empty()) {
      const auto body = nlohmann::json::parse(transport_.sent[0].body);
      for (const auto& user : body["users"]) {
        values.push_back(user["properties"]["v"]);
      }
      Answer(Http(200));
    }
  }
  EXPECT_THAT(values, ElementsAre(2, 4));
  EXPECT_EQ(queued(), 0u);
}

TEST_F(DispatcherTest, AnIsolatedItemCountsTowardTheLimits) {
  destinations_[0].limits.events_per_identity_per_minute = 4;
  Start();
  Track("us", 20);
  Track("us", 1, nullptr, "crash-me");
  // Three in a batch, one alone.
  CrashFor(seconds(30));
  EXPECT_EQ(Isolated(), 1u);
  Track("us", 1, nullptr, "crash-me");
  Pass(seconds(20));
  EXPECT_THAT(transport_.sent, IsEmpty());
}

TEST_F(DispatcherTest, AnItemThatHangsHoldsUpTheOthersForTwoTimeoutsOnly) {
  Track("us", 600);
  Track("us", 1, nullptr, "crash-me");
  Track("us", 1'399);
  std::map<uint64_t, MonotonicTime> hanging;
  const auto run = [&](int tenths) {
    for (int i = 0; i < tenths; ++i, Pass(milliseconds(100))) {
      for (size_t n = 0; n < transport_.sent.size();) {
        const HeapRequest& request = transport_.sent[n];
        if (!absl::StrContains(request.body, "crash-me")) {
          arrived_ += ItemsOf(request);
          AnswerNumber(n, Http(200));
          continue;
        }
        const auto [it, is_new] = hanging.emplace(request.id, now_.monotonic);
        if (now_.monotonic - it->second < seconds(30) &&
            !transport_.given_up.contains(request.id)) {
          ++n;
          continue;
        }
        Fail(TransportFailure::Kind::kTimeout, n);
      }
    }
  };
  run(1'150);
  EXPECT_EQ(arrived_, 1'999u);
  run(350);
  EXPECT_EQ(Isolated(), 1u);
}

TEST_F(DispatcherTest, ManyItemsThatHangLeaveSlotsToTheOthers) {
  LetManyBeInFlight();
  // Each in a part of its own.
  for (int i = 0; i < 20; ++i) {
    Track("us", 49);
    Track("us", 1, nullptr, "crash-me");
  }
  Track("us", 1);
  // The batch becomes suspected and others get through.
  for (int i = 0; i < 50; ++i) {
    Pass(milliseconds(100));
    for (size_t n = transport_.sent.size(); n-- > 0;) {
      if (ItemsOf(transport_.sent[n]) > 32) AnswerNumber(n, Http(500));
    }
    for (size_t n = transport_.sent.size(); n-- > 0;) {
      if (!absl::StrContains(transport_.sent[n].body, "crash-me")) {
        AnswerNumber(n, Http(200));
      }
    }
  }
  EXPECT_THAT(transport_.sent, SizeIs(4));
  Track("us", 1);
  Pass(seconds(1));
  ASSERT_THAT(transport_.sent, SizeIs(5));
  EXPECT_FALSE(absl::StrContains(transport_.sent[4].body, "crash-me"));
}

TEST_F(DispatcherTest, OneSuccessEndsTheWaitsOfItsRegion) {
  random_ = 0.999;
  destinations_[1].region = Region::kUs;
  Start();
  Track("us", 1);
  Pass(seconds(1));
  // It fails while others get through, and waits longer and longer.
  for (int i = 0; i < 8; ++i) {
    while (transport_.sent.empty()) Pass(seconds(1));
    Answer(Http(503));
    Track("eu", 1);
    Pass(milliseconds(600));
    while (!transport_.sent.empty()) {
      Answer(
          Http(absl::StrContains(transport_.sent[0].body, "1111") ? 503 : 200));
    }
  }
  Pass(seconds(1));
  ASSERT_THAT(transport_.sent, IsEmpty());
  // Heap is away.
  Track("eu", 1);
  for (int i = 0; i < 4; ++i) {
    while (transport_.sent.empty()) Pass(milliseconds(100));
    Answer(Http(503));
  }
  while (transport_.sent.empty()) Pass(milliseconds(100));
  Answer(Http(200));
  Pass(milliseconds(100));
  EXPECT_THAT(transport_.sent, SizeIs(1));
}

TEST_F(DispatcherTest, TheEndOfALongOutageIsNoticedWithinTwoSeconds) {
  random_ = 0.999;
  Track("us", 5'000);
  for (int i = 0; i < 6'000; ++i) {
    Pass(milliseconds(100));
    while (!transport_.sent.empty()) Answer(Http(503));
  }
  for (int i = 0; i < 20 && arrived_ == 0; ++i) {
    Pass(milliseconds(100));
    while (!transport_.sent.empty()) {
      arrived_ += ItemsOf(transport_.sent[0]);
      Answer(Http(200));
    }
  }
  EXPECT_GT(arrived_, 0u);
}

TEST_F(DispatcherTest, AnOutageIsolatesNothing) {
  Track("us", 1'000);
  for (int i = 0; i < 6'000; ++i) {
    Pass(milliseconds(100));
    EXPECT_LE(transport_.sent.size(), 1u);
    while (!transport_.sent.empty()) {
      ++requests_;
      Answer(Http(503));
    }
  }
  EXPECT_EQ(Isolated(), 0u);
  EXPECT_LE(requests_, 1'200);
  EXPECT_EQ(dispatcher_->SnapshotOf("us", now_)->state,
            DestinationState::kBackingOff);
  requests_ = 0;
  CrashFor(seconds(10));
  EXPECT_EQ(arrived_, 1'000u);
  EXPECT_LE(requests_, 250);
}

TEST_F(DispatcherTest, WhatNeverReachedHeapIsNotTriedInParts) {
  Track("us", 1'000);
  for (int i = 0; i < 600; ++i) {
    Pass(seconds(1));
    while (!transport_.sent.empty()) Fail(TransportFailure::Kind::kConnect);
  }
  CrashFor(seconds(3));
  // A small probe, and the rest.
  EXPECT_EQ(requests_, 2);
}

TEST_F(DispatcherTest, TheEndOfAnOutageOfHangsIsNoticedWithinTwoSeconds) {
  Track("us", 5'000);
  for (int i = 0; i < 100; ++i) User(absl::StrCat("u", i), 1);
  for (const int tenths : {250, 400, 6'000}) {
    arrived_ = 0;
    HangFor(tenths);
    MakeHeapTake();
    Track("us", 500);
    const MonotonicTime back = now_.monotonic;
    while (arrived_ == 0) HangFor(1);
    EXPECT_LE(now_.monotonic - back, seconds(2)) << tenths;
    HangFor(300);
    EXPECT_EQ(queued(), 0u);
    heap_takes_ = false;
    Track("us", 5'000);
    User("someone", 2);
  }
  EXPECT_EQ(Isolated(), 0u);
}

// No request has timed out by then.
TEST_F(DispatcherTest, TheEndOfAShortOutageOfHangsIsNoticedWithinTwoSeconds) {
  for (const int tenths : {80, 130, 190}) {
    Track("us", 5'000);
    HangFor(tenths);
    EXPECT_EQ(requests_, 0);
    const MonotonicTime back = now_.monotonic;
    EXPECT_LE(UntilNoticed(), seconds(2)) << tenths;
    while (queued() > 0) HangFor(1);
    EXPECT_LE(now_.monotonic - back, seconds(3)) << tenths;
    HangFor(700);  // until Heap's limit is free again
    heap_takes_ = false;
  }
  EXPECT_EQ(Isolated(), 0u);
}

// Nothing is left to probe with, unless a request is given up.
TEST_F(DispatcherTest, TheEndOfAHangIsNoticedWhereEverythingHangs) {
  for (const int events : {10, 300, 10'000}) {
    for (const int tenths : {100, 150, 190}) {
      Track("us", events);
      HangFor(tenths);
      EXPECT_EQ(requests_, 0);
      EXPECT_LE(transport_.given_up.size(), 5u);
      EXPECT_LE(UntilNoticed(), seconds(2)) << events << " " << tenths;
      HangFor(1'000);  // until Heap's limit is free again
      EXPECT_EQ(queued(), 0u);
      heap_takes_ = false;
      transport_.given_up.clear();
    }
  }
  EXPECT_EQ(Isolated(), 0u);
}

// The requests of one type after the other fill the slots of the destination.
TEST_F(DispatcherTest, TheEndOfAHangIsNoticedWhereEachTypeHangs) {
  for (const int tenths : {150, 190}) {
    Track("us", 5'000);
    for (int i = 0; i < 2'000; ++i) {
      User(absl::StrCat("u", i), tenths);
      if (i < 500) Account(absl::StrCat("a", i));
    }
    HangFor(tenths);
    EXPECT_EQ(requests_, 0);
    EXPECT_LE(UntilNoticed(), seconds(2)) << tenths;
    HangFor(1'000);
    EXPECT_EQ(queued(), 0u);
    heap_takes_ = false;
  }
}

TEST_F(DispatcherTest, ASingleEventThatHangsIsNotGivenUp) {
  Track("us", 1);
  HangFor(190);
  EXPECT_THAT(transport_.given_up, IsEmpty());
  EXPECT_EQ(transport_.sent.size(), 1u);
}

// It is asked once too often, and known then.
TEST_F(DispatcherTest, AHeapThatTakesTenSecondsGetsEachRequestOnce) {
  MakeHeapTake();
  latency_ = seconds(10);
  Track("us", 5);
  while (queued() > 0) HangFor(1);
  transport_.given_up.clear();
  requests_ = 0;
  for (int i = 0; i < 5; ++i) {
    HangFor(300);
    Track("us", 5);
    HangFor(120);
    EXPECT_EQ(queued(), 0u);
  }
  EXPECT_THAT(transport_.given_up, IsEmpty());
  EXPECT_EQ(requests_, 0);  // that timed out
}

TEST_F(DispatcherTest, AnUpdateThatHangsIsNotGivenUpBeforeItsTime) {
  for (int i = 0; i < 500; ++i) User(absl::StrCat("u", i), 1);
  HangFor(100);
  MakeHeapTake();
  User("someone", 2);
  HangFor(30);
  EXPECT_GT(arrived_, 0u);
  EXPECT_THAT(transport_.given_up, IsEmpty());
  HangFor(300);
  EXPECT_EQ(queued(), 0u);
}

TEST_F(DispatcherTest, AnItemThatHangsBesideFewOthersIsIsolatedAllTheSame) {
  Track("us", 50);
  Track("us", 1, nullptr, "crash-me");
  for (int tenths = 0; tenths < 6'000 && Isolated() == 0; ++tenths) {
    if (tenths % 100 == 0) Track("us", 1);
    for (size_t n = 0; n < transport_.sent.size();) {
      const HeapRequest& request = transport_.sent[n];
      const auto began =
          began_.emplace(request.id, Began{now_.monotonic, true}).first;
      if (!absl::StrContains(request.body, "crash-me")) {
        AnswerNumber(n, Http(200));
      } else if (now_.monotonic - began->second.at >= seconds(20) ||
                 transport_.given_up.contains(request.id)) {
        Fail(TransportFailure::Kind::kTimeout, n);
      } else {
        ++n;
      }
    }
    Pass(milliseconds(100));
  }
  EXPECT_EQ(Isolated(), 1u);
  EXPECT_EQ(queued(), 1u);
}

TEST_F(DispatcherTest, RequestsThatHangAreBoundedAndTakeLittleOfTheLimit) {
  for (int i = 0; i < 5; ++i) Track("us", 5'000);
  for (int i = 0; i < 100; ++i) Account(absl::StrCat("a", i));
  int most = 0;
  for (int i = 0; i < 3'000; ++i) {
    HangFor(1);
    most = std::max(most, static_cast<int>(transport_.sent.size()));
  }
  EXPECT_GE(most, 20);
  EXPECT_LE(most, 26);  // of two endpoints
  EXPECT_LE(dispatcher_->SnapshotOf("us", now_)->allowance_used, 1'500u);
}

TEST_F(DispatcherTest, AHeapThatTakesFiveSecondsIsNoHeapThatHangs) {
  Track("us", 5'000);
  HangFor(400);
  MakeHeapTake();
  latency_ = seconds(5);
  for (int i = 0; i < 600; ++i) {
    if (i % 10 == 0) Track("us", 10);
    HangFor(1);
  }
  EXPECT_EQ(requests_, 0);  // that timed out since
  HangFor(200);
  EXPECT_EQ(queued(), 0u);
}

TEST_F(DispatcherTest, ProbesOfAnOutageLeaveTheLimitToItsEnd) {
  for (int i = 0; i < 100; ++i) Track("us", 1'000);
  for (int i = 0; i < 6'000; ++i) {
    Pass(milliseconds(100));
    while (!transport_.sent.empty()) Answer(Http(503));
    // The first minute has the requests of before the outage was noticed.
    if (i >= 1'200 && i % 100 == 0) {
      ASSERT_LE(dispatcher_->SnapshotOf("us", now_)->allowance_used, 3'500u);
    }
  }
  CrashFor(seconds(5));
  EXPECT_GE(arrived_, 11'000u);
}

TEST_F(DispatcherTest, AFailingRegionGetsOneRequestAtATimeAndWakesAtOnce) {
  for (int i = 0; i < 50; ++i) {
    destinations_.push_back({.name = absl::StrCat("d", i),
                             .app_id = *AppId::Parse(absl::StrCat(5'000 + i)),
                             .region = Region::kUs});
  }
  Start();
  for (int i = 0; i < 50; ++i) Track(absl::StrCat("d", i), 10);
  Track("eu", 1);
  Pass(seconds(1));
  while (!transport_.sent.empty()) {
    const bool eu = absl::StrContains(transport_.sent[0].url, ".eu.");
    Answer(Http(eu ? 200 : 503));
  }
  for (int i = 0; i < 6'000; ++i) {
    Pass(milliseconds(100));
    ASSERT_LE(transport_.sent.size(), 1u);
    if (transport_.sent.empty()) continue;
    ++requests_;
    Answer(Http(503));
  }
  EXPECT_LE(requests_, 1'200);
  EXPECT_GE(requests_, 500);

  MonotonicTime first = MonotonicTime::max();
  const MonotonicTime back = now_.monotonic;
  for (int i = 0; i < 50; ++i) {
    Pass(milliseconds(100));
    if (!transport_.sent.empty()) first = std::min(first, now_.monotonic);
    while (!transport_.sent.empty()) Answer(Http(200));
  }
  EXPECT_LE(first - back, seconds(2));
  EXPECT_EQ(queued(), 0u);
}

TEST_F(DispatcherTest, TheLanesOfADestinationShareTheProbesOfAnOutage) {
  std::map<std::string, int> probes;
  for (const char* caller : {"one", "two", "three", "four", "five", "six"}) {
    Track("us", 5, nullptr, caller, caller);
  }
  User("someone", 1);
  for (int i = 0; i < 6'000; ++i) {
    Pass(milliseconds(100));
    while (!transport_.sent.empty()) {
      const auto body = nlohmann::json::parse(transport_.sent[0].body);
      ++requests_;
      ++probes[body.contains("users")
                   ? "users"
                   : std::string(body["events"][0]["identity"])];
      Answer(Http(503));
    }
  }
  // Two endpoints, each about once a second.
  EXPECT_LE(requests_, 1'700);
  EXPECT_THAT(probes, SizeIs(7));
  EXPECT_GE(probes["users"], 500);
  for (const auto& [lane, count] : probes) EXPECT_GE(count, 80) << lane;
}

TEST_F(DispatcherTest, AnEndpointThatIsBackIsUsedWithinTwoSeconds) {
  random_ = 0.999;
  for (int i = 0; i < 50; ++i) {
    Track("us", 5, nullptr, "", absl::StrCat("caller", i));
    User(absl::StrCat("u", i), 1);
  }
  for (int i = 0; i < 6'000; ++i) {
    Pass(milliseconds(100));
    while (!transport_.sent.empty()) Answer(Http(503));
  }
  const auto passed_until_delivered = [&](size_t lane) {
    const auto delivered = [&] {
      return dispatcher_->Snapshot(0, 1, now_)[0].lanes[lane].counts.delivered;
    };
    const uint64_t before = delivered();
    const MonotonicTime back = now_.monotonic;
    while (delivered() == before && now_.monotonic - back < minutes(1)) {
      Pass(milliseconds(100));
      AnswerAll(lane == 1 ? "track" : "none", 503);
    }
    return now_.monotonic - back;
  };
  EXPECT_LE(passed_until_delivered(1), seconds(2));
  // Events are still away, while users get through.
  requests_ = 0;
  for (int i = 0; i < 600; ++i) {
    User("someone", i);
    for (int passed = 0; passed < 10; ++passed) {
      Pass(milliseconds(100));
      AnswerAll("track", 503);
    }
  }
  EXPECT_LE(requests_, 1'200);
  Track("us", 1);
  EXPECT_LE(passed_until_delivered(0), seconds(2));
  CrashFor(seconds(5));
  EXPECT_EQ(queued(), 0u);
}

TEST_F(DispatcherTest, AnEndpointThatFailsWhileOthersWorkIsProbedSteadily) {
  random_ = 0.999;
  Track("us", 5);
  for (int i = 0; i < 600; ++i) {
    User("someone", i);
    for (int passed = 0; passed < 10; ++passed) {
      Pass(milliseconds(100));
      AnswerAll("track", 503);
    }
  }
  EXPECT_GE(requests_, 500);
  EXPECT_LE(requests_, 700);
  CrashFor(seconds(3));
  EXPECT_EQ(queued(), 0u);
}

TEST_F(DispatcherTest, AnEndpointThatHangsKeepsNoProbeFromAnother) {
  Track("us", 1);
  Pass(seconds(1));
  Fail(TransportFailure::Kind::kTimeout);
  Pass(seconds(10));
  ASSERT_THAT(transport_.sent, SizeIs(1));  // A probe that hangs.
  for (const int status : {200, 503}) {
    User("someone", status);
    Pass(seconds(1));
    AnswerNumber(1, Http(status));
  }
  Pass(seconds(2));
  EXPECT_THAT(OpenUrls(),
              ElementsAre(testing::EndsWith("track"),
                          testing::EndsWith("add_user_properties")));
}

TEST_F(DispatcherTest, OneUpdateThatFailsAloneIsNoOutageOfItsEndpoint) {
  Account("crash-me");
  for (int i = 0; i < 600; ++i) {
    Track("us", 1);
    Pass(seconds(1));
    AnswerAll("add_account_properties", 500);
  }
  EXPECT_LE(requests_, 40);
  EXPECT_EQ(queued(), 1u);
}

TEST_F(DispatcherTest, AnEndpointThatRefusesAsByAWrongSetUpHoldsItsTypeOnly) {
  for (int i = 0; i < 10; ++i) Account(absl::StrCat("a", i));
  for (int i = 0; i < 600; ++i) {
    Track("us", 1);
    Pass(seconds(1));
    EXPECT_EQ(AnswerAll("add_account_properties", 403), 1) << i;
  }
  EXPECT_LE(requests_, 20);
  EXPECT_EQ(dispatcher_->Snapshot(0, 1, now_)[0].state,
            DestinationState::kNeedsAttention);
  EXPECT_EQ(queued(), 10u);
  for (int i = 0; i < 11; ++i) {
    Pass(minutes(1));
    AnswerAll("none", 0);
  }
  EXPECT_EQ(queued(), 0u);
}

TEST_F(DispatcherTest, WhereASetUpIsMendedEveryTypeGoesOnAtOnce) {
  random_ = 0.999;
  Track("us", 3);
  User("someone", 1);
  Account("acme");
  for (int i = 0; i < 36'000; ++i) {
    Pass(milliseconds(100));
    while (!transport_.sent.empty()) Answer(Http(403));
  }
  while (transport_.sent.empty()) Pass(milliseconds(100));
  CrashFor(seconds(2));
  EXPECT_EQ(queued(), 0u);
}

TEST_F(DispatcherTest, ADestinationThatFailsAloneIsProbedMoreAndMoreRarely) {
  destinations_[1].region = Region::kUs;
  Start();
  Track("us", 1);
  for (int i = 0; i < 600; ++i) {
    Track("eu", 1);
    Pass(seconds(1));
    for (size_t n = transport_.sent.size(); n-- > 0;) {
      const bool us = absl::StrContains(transport_.sent[n].body, "1111");
      if (us) ++requests_;
      AnswerNumber(n, Http(us ? 503 : 200));
    }
  }
  EXPECT_LE(requests_, 30);
}

TEST_F(DispatcherTest, AWokenRegionStillHeedsRetryAfter) {
  destinations_[1].region = Region::kUs;
  Start();
  Track("us", 1);
  Pass(seconds(1));
  Answer(Http(429, "", "100"));
  Track("eu", 1);
  Pass(seconds(1));
  for (int i = 0; i < 10; ++i) {
    ASSERT_LE(transport_.sent.size(), 1u);
    if (!transport_.sent.empty()) Answer(Http(503));
    Pass(seconds(2));
  }
  while (!transport_.sent.empty()) Answer(Http(200));
  Pass(seconds(50));
  EXPECT_THAT(transport_.sent, IsEmpty());
  EXPECT_EQ(queued(), 1u);
  Pass(seconds(50));
  EXPECT_THAT(transport_.sent, SizeIs(1));
}

TEST_F(DispatcherTest, APauseLastsOverARestart) {
  EXPECT_TRUE(dispatcher_->Pause("us", true));
  Settle();
  Start();
  Track("us", 1);
  Pass(minutes(1));
  EXPECT_THAT(transport_.sent, SizeIs(0));
  EXPECT_TRUE(dispatcher_->Pause("us", false));
  Pass(Duration(1));
  EXPECT_THAT(transport_.sent, SizeIs(1));
  EXPECT_FALSE(dispatcher_->Pause("nowhere", true));
}

TEST_F(DispatcherTest, FlushEndsWhenAllThatWasAcceptedHasEnded) {
  Track("us", 3);
  bool flushed = false;
  EXPECT_TRUE(dispatcher_->Flush("", [&](Settlement end) {
    flushed = true;
    EXPECT_EQ(end.delivered, 3u);
  }));
  Settle();
  ASSERT_THAT(transport_.sent, SizeIs(1));
  Track("us", 5);
  EXPECT_FALSE(flushed);
  Answer(Http(200));
  EXPECT_TRUE(flushed);
}

TEST_F(DispatcherTest, WhoeverWaitsForDeliveryHearsOfItOnceItIsStored) {
  Settlement end;
  Track("us", 2, [&](Settlement settlement) { end = settlement; });
  Pass(seconds(1));
  EXPECT_EQ(end.delivered, 0u);
  Answer(Http(400, "postBody.events[0].event should be string"));
  Answer(Http(200));
  EXPECT_EQ(end.delivered, 1u);
  EXPECT_EQ(end.dead_lettered, 1u);
}

TEST_F(DispatcherTest, AnHourAtTheLimitUsesItAndNeverExceedsIt) {
  // Answers take 300 ms. Every window is checked by looking at when requests
  // were sent: Heap could see them then, or up to 300 ms later.
  std::deque<std::pair<MonotonicTime, uint64_t>> open;
  std::vector<std::pair<MonotonicTime, uint64_t>> seen;
  uint64_t delivered = 0;
  uint64_t appended = 0;
  const MonotonicTime end = now_.monotonic + minutes(60);
  while (now_.monotonic < end) {
    while (appended < delivered + 40'000) {
      Track("us", 1'000);
      appended += 1'000;
    }
    while (open.size() < transport_.sent.size()) {
      open.emplace_back(now_.monotonic, ItemsOf(transport_.sent[open.size()]));
      seen.push_back(open.back());
    }
    while (!open.empty() &&
           now_.monotonic - open.front().first >= milliseconds(300)) {
      delivered += open.front().second;
      open.pop_front();
      Answer(Http(200));
    }
    Pass(milliseconds(50));
  }
  for (size_t last = 0; last < seen.size(); ++last) {
    uint64_t sum = 0;
    for (size_t i = last + 1; i-- > 0;) {
      if (seen[last].first - seen[i].first >= seconds(60)) break;
      sum += seen[i].second;
    }
    ASSERT_LE(sum, 15'000u);
  }
  EXPECT_GE(delivered, 15'000u * 60 * 99 / 100);
}

TEST_F(DispatcherTest, ACallerWithALongBacklogDoesNotDelayAnother) {
  // The noisy caller uses up the limit, and has minutes of work waiting.
  for (int i = 0; i < 100; ++i) Track("us", 1'000, nullptr, "", "noisy");
  for (int i = 0; i < 90; ++i) {
    Pass(seconds(1));
    while (!transport_.sent.empty()) Answer(Http(200));
  }
  EXPECT_GE(queued(), 50'000u);

  // The modest one sends an event at a time, and none waits for the limit.
  for (int i = 0; i < 60; ++i) {
    bool delivered = false;
    Track(
        "us", 1, [&](Settlement) { delivered = true; }, "", "modest");
    Pass(milliseconds(500));
    while (!transport_.sent.empty()) Answer(Http(200));
    EXPECT_TRUE(delivered) << "event " << i;
    Pass(milliseconds(500));
    while (!transport_.sent.empty()) Answer(Http(200));
  }
}

TEST_F(DispatcherTest, WhatACallerUsedLatelyIsKeptForIt) {
  // Three hundred a minute, far more than the part that is kept for anybody.
  const auto modest_second = [&] {
    uint64_t delivered = 0;
    Track(
        "us", 5, [&](Settlement s) { delivered = s.delivered; }, "", "modest");
    Pass(milliseconds(500));
    while (!transport_.sent.empty()) Answer(Http(200));
    Pass(milliseconds(500));
    while (!transport_.sent.empty()) Answer(Http(200));
    return delivered;
  };
  for (int i = 0; i < 90; ++i) modest_second();
  for (int i = 0; i < 100; ++i) Track("us", 1'000, nullptr, "", "noisy");
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(modest_second(), 5u) << "second " << i;
  }
  EXPECT_GT(queued(), 30'000u);
}

TEST_F(DispatcherTest, ANewCallerBesideOneThatUsesTheLimitUpWaitsSeconds) {
  for (int i = 0; i < 100; ++i) Track("us", 1'000, nullptr, "", "noisy");
  const auto pass = [this](int tenths) {
    for (int i = 0; i < tenths; ++i) {
      Pass(milliseconds(100));
      while (!transport_.sent.empty()) Answer(Http(200));
    }
  };
  // In the midst of the first minute, when what was used at its beginning has
  // not come back. Five a second are more than what is kept for anybody.
  pass(200);
  Duration longest(0);
  for (int i = 0; i < 120; ++i) {
    for (int event = 0; event < 5; ++event) {
      const MonotonicTime begin = now_.monotonic;
      Track(
          "us", 1,
          [&, begin](Settlement) {
            longest = std::max(longest, now_.monotonic - begin);
          },
          "", "new");
    }
    pass(10);
  }
  pass(100);
  EXPECT_LE(longest, seconds(2));
  EXPECT_GT(longest, seconds(0));
}

TEST_F(DispatcherTest, OneOfSeveralCallersCanUseAlmostAllOfTheLimit) {
  uint64_t delivered = 0;
  for (int i = 0; i < 200; ++i) {
    Track(
        "us", 1'000, [&](Settlement s) { delivered += s.delivered; }, "",
        "one");
  }
  Track("us", 1, nullptr, "", "other");
  for (int i = 0; i < 6'000; ++i) {
    Pass(milliseconds(100));
    while (!transport_.sent.empty()) Answer(Http(200));
  }
  // 15,000 a minute, over ten minutes; a 128th is kept for the others.
  EXPECT_GE(delivered, 15'000u * 10 * 98 / 100);
}

TEST_F(DispatcherTest, CallersWithBacklogsGetEqualPartsOfTheLimit) {
  std::map<std::string, uint64_t> done;
  for (const char* caller : {"one", "two", "three"}) {
    for (int i = 0; i < 100; ++i) {
      Track(
          "us", 1'000,
          [&done, caller](Settlement s) { done[caller] += s.delivered; }, "",
          caller);
    }
  }
  for (int i = 0; i < 600; ++i) {
    Pass(seconds(1));
    while (!transport_.sent.empty()) Answer(Http(200));
  }
  // 15,000 a minute, over ten minutes.
  EXPECT_NEAR(static_cast<double>(done["one"]), 50'000, 2'000);
  EXPECT_NEAR(static_cast<double>(done["two"]), 50'000, 2'000);
  EXPECT_NEAR(static_cast<double>(done["three"]), 50'000, 2'000);
}

TEST_F(DispatcherTest, CallersKeepTheirQueuesOverARestart) {
  Track("us", 3, nullptr, "", "shop");
  Track("us", 2);
  Start();
  Pass(seconds(1));
  EXPECT_THAT(transport_.sent, SizeIs(2));
  EXPECT_EQ(ItemsOf(transport_.sent[0]) + ItemsOf(transport_.sent[1]), 5u);
}

TEST_F(DispatcherTest, AnIdentityOverItsLimitIsFreedForEveryCaller) {
  Track("us", 1'500, nullptr, "hot", "one");
  Track("us", 10, nullptr, "hot", "two");
  Pass(seconds(1));
  while (!transport_.sent.empty()) Answer(Http(200));
  Pass(seconds(59));
  while (!transport_.sent.empty()) Answer(Http(200));
  EXPECT_EQ(queued(), 510u);
  Pass(seconds(2));
  while (!transport_.sent.empty()) Answer(Http(200));
  EXPECT_EQ(queued(), 0u);
}

TEST_F(DispatcherTest, AJumpOfTheCivilClockFreesNoLimitOverARestart) {
  Track("us", 15'000);
  Pass(seconds(1));
  while (!transport_.sent.empty()) Answer(Http(200));
  Track("us", 5);
  now_.wall += std::chrono::hours(1);
  Start();
  Pass(seconds(58));
  EXPECT_THAT(transport_.sent, SizeIs(0));
  Pass(seconds(2));
  EXPECT_THAT(transport_.sent, SizeIs(1));
}

TEST_F(DispatcherTest, WhatWasInFlightAtAKillIsFreedAMinuteAfterTheFirstStart) {
  // One request uses all of it.
  destinations_[0].limits.events_per_minute = 1'000;
  Start();
  Track("us", 2'000);
  Pass(seconds(1));
  Start();
  for (int restarts = 0; restarts < 3; ++restarts) {
    Pass(seconds(15));
    EXPECT_THAT(transport_.sent, SizeIs(0));
    Start();
  }
  Pass(seconds(14));
  EXPECT_THAT(transport_.sent, SizeIs(0));
  Pass(seconds(1));
  EXPECT_GT(transport_.sent.size(), 0u);
}

TEST_F(DispatcherTest, AfterARestartOfTheMachineTheLimitsCountAsJustUsed) {
  Track("us", 15'000);
  Pass(seconds(1));
  while (!transport_.sent.empty()) Answer(Http(200));
  Track("us", 5);
  Pass(seconds(50));
  ++epoch_;
  Start();
  Pass(seconds(59));
  EXPECT_THAT(transport_.sent, SizeIs(0));
  Pass(seconds(1));
  EXPECT_THAT(transport_.sent, SizeIs(1));
}

TEST_F(DispatcherTest,
       WhereCoalescedUpdatesWentIsForgottenADayAfterTheirDelivery) {
  // The second waits deferred for the first, the third is coalesced into it.
  User("someone", 1);
  Pass(seconds(1));
  User("someone", 2);
  User("someone", 3);
  Pass(seconds(1));
  const LaneId lane =
      lane_ids_.at({.destination = "us", .type = ObjectType::kUserProperties});
  Answer(Http(200));
  Pass(seconds(1));
  ASSERT_TRUE(spool_->FindForwarding(lane, 2)->has_value());
  Answer(Http(200));

  Pass(std::chrono::hours(25));
  User("another", 1);
  Pass(seconds(1));
  Answer(Http(200));
  EXPECT_FALSE(spool_->FindForwarding(lane, 2)->has_value());
}

TEST_F(DispatcherTest, TheBacklogOfADestinationIsToldWithItsForecast) {
  Track("us", 30'000);
  Pass(seconds(1));
  while (!transport_.sent.empty()) Answer(Http(200));
  const Backlog& backlog = *dispatcher_->BacklogOf("us");
  EXPECT_GT(backlog.bytes(), 15'000u * 50);
  // Fifteen thousand at fifteen thousand a minute: a hundredth of that.
  EXPECT_EQ(backlog.RetryAfter(), seconds(1));
  EXPECT_EQ(dispatcher_->BacklogOf("eu")->bytes(), 0u);
  EXPECT_EQ(dispatcher_->BacklogOf("nobody"), nullptr);
}

TEST_F(DispatcherTest, AHigherLimitCountsAtOnce) {
  Destination us = destinations_[0];
  us.limits.events_per_minute = 5;
  Change(us);
  Track("us", 8);
  Pass(seconds(1));
  ASSERT_THAT(transport_.sent, SizeIs(1));
  EXPECT_EQ(ItemsOf(transport_.sent[0]), 5u);
  Answer(Http(200));
  EXPECT_THAT(transport_.sent, SizeIs(0));
  us.limits.events_per_minute = 8;
  Change(us);
  ASSERT_THAT(transport_.sent, SizeIs(1));
  EXPECT_EQ(ItemsOf(transport_.sent[0]), 3u);
}

TEST_F(DispatcherTest, ALowerLimitCountsWhatWasUsedBefore) {
  Track("us", 1'000);
  Answer(Http(200));
  Destination us = destinations_[0];
  us.limits.events_per_minute = 1'000;
  Change(us);
  Track("us", 1);
  Pass(seconds(60) - Duration(1));
  EXPECT_THAT(transport_.sent, SizeIs(0));
  Pass(Duration(1));
  EXPECT_THAT(transport_.sent, SizeIs(1));
}

TEST_F(DispatcherTest, WhereIdentitiesGetALimitNothingIsSentForOneWindow) {
  Destination us = destinations_[0];
  us.limits.events_per_identity_per_minute = 0;
  Change(us);
  Track("us", 10, nullptr, "hot");
  Pass(seconds(1));
  Answer(Http(200));
  us.limits.events_per_identity_per_minute = 10;
  Change(us);
  Track("us", 1, nullptr, "hot");
  Pass(seconds(60) - Duration(1));
  EXPECT_THAT(transport_.sent, SizeIs(0));
  Pass(Duration(1));
  EXPECT_THAT(transport_.sent, SizeIs(1));
}

TEST_F(DispatcherTest, ANewRegionAndAppIdCountForWhatIsNotInFlight) {
  rules_.max_in_flight_per_region = 1;
  Start();
  Track("us", 1);
  Pass(seconds(1));
  Destination us = destinations_[0];
  us.region = Region::kEu;
  us.app_id = *AppId::Parse("3333");
  Change(us);
  EXPECT_THAT(OpenUrls(), ElementsAre("https://heapanalytics.com/api/track"));
  Answer(Http(503));
  Pass(seconds(10));
  ASSERT_THAT(OpenUrls(), ElementsAre("https://c.eu.heap-api.com/api/track"));
  EXPECT_TRUE(absl::StrContains(transport_.sent[0].body, "3333"));
  Answer(Http(200));
  // Each region's one slot is free again.
  Change(destinations_[0]);
  Track("us", 1);
  Track("eu", 1);
  Pass(seconds(1));
  EXPECT_THAT(transport_.sent, SizeIs(2));
}

TEST_F(DispatcherTest, ANewDestinationGetsItsLanesAndSends) {
  ASSERT_TRUE(
      Set({Destination{.name = "new", .app_id = *AppId::Parse("4444")}}).ok());
  Track("new", 3);
  Pass(seconds(1));
  ASSERT_THAT(transport_.sent, SizeIs(1));
  EXPECT_EQ(ItemsOf(transport_.sent[0]), 3u);
}

TEST_F(DispatcherTest, ADestinationThatComesBackGoesOn) {
  Track("eu", 2);
  const std::vector<Destination> both = destinations_;
  destinations_.pop_back();
  Start();
  Pass(seconds(1));
  EXPECT_THAT(transport_.sent, SizeIs(0));
  ASSERT_TRUE(Set(both).ok());
  Settle();
  ASSERT_THAT(transport_.sent, SizeIs(1));
  EXPECT_EQ(ItemsOf(transport_.sent[0]), 2u);
}

TEST_F(DispatcherTest, ADestinationThatComesBackStillUsesWhatItHasUsed) {
  destinations_[1].limits.events_per_minute = 10;
  Start();
  Track("eu", 10);
  Pass(seconds(1));
  Answer(Http(200));
  Track("eu", 10);
  const std::vector<Destination> both = destinations_;
  destinations_.pop_back();
  Start();
  ASSERT_TRUE(Set(both).ok());
  Pass(seconds(60) - Duration(1));
  EXPECT_THAT(transport_.sent, SizeIs(0));
  Pass(Duration(1));
  ASSERT_THAT(transport_.sent, SizeIs(1));
  EXPECT_EQ(ItemsOf(transport_.sent[0]), 10u);
}

TEST_F(DispatcherTest, DestinationsThatCannotBeReadChangeNothing) {
  Track("eu", 2);
  const std::vector<Destination> both = destinations_;
  destinations_.pop_back();
  Start();
  std::vector<Destination> next = both;
  next[0].app_id = *AppId::Parse("9999");
  const std::vector<StoredLane> lanes = *spool_->Lanes();
  // Whichever read of the second destination fails: neither the second one is
  // known, nor has the first one changed.
  for (int reads = 0; reads < 100; ++reads) {
    store_.FailReads(absl::UnavailableError("disk"), reads);
    const absl::Status status = dispatcher_->SetDestinations(next, lanes, now_);
    store_.FailReads(absl::OkStatus(), 0);
    if (status.ok()) {
      EXPECT_GT(reads, 2);
      break;
    }
    EXPECT_EQ(dispatcher_->BacklogOf("eu"), nullptr);
    EXPECT_EQ(dispatcher_->SnapshotOf("us", now_)->masked_app_id,
              both[0].app_id.Masked());
  }
  EXPECT_EQ(dispatcher_->SnapshotOf("us", now_)->masked_app_id,
            next[0].app_id.Masked());
  Pass(seconds(1));
  EXPECT_THAT(transport_.sent, SizeIs(1));
}

}  // namespace
}  // namespace heapsync
