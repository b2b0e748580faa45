#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "heap_adapter/spool/receipt.h"
#include "server/admin/dead_letter_choice.h"
#include "tests/server/admin_world.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;
using Admin = v1::HeapSyncAdminService::Stub;

class DeadLettersTest : public ::testing::Test {
 protected:
  DeadLettersTest() { Poison(); }

  // Heap refuses the first event that holds the word, and names it.
  void Poison() {
    world_.heap().Follow([](const HeapRequest& request) {
      const size_t word = request.body.find("poison");
      if (word == std::string::npos) {
        return HttpResponse{.status = 200, .body = {}};
      }
      const std::vector<std::string> events =
          absl::StrSplit(request.body.substr(0, word), "\"identity\":");
      return HttpResponse{
          .status = 400,
          .body = absl::StrCat("postBody.events[", events.size() - 2,
                               "].event should be good")};
    });
  }
  void Heal() { world_.heap().Follow(nullptr); }

  // The id of an event that Heap refused.
  std::string MoveToDeadLetters(const std::string& identity) {
    const std::string receipt = world_.Track(identity, "poison");
    world_.Flush();
    return world_.Item(receipt).dead_letter_id();
  }

  v1::ListDeadLettersResponse List(const v1::DeadLetterFilter& filter = {}) {
    v1::ListDeadLettersRequest request;
    *request.mutable_filter() = filter;
    return world_.Call(&Admin::ListDeadLetters, request);
  }
  std::vector<std::string> Ids(const v1::DeadLetterFilter& filter = {}) {
    std::vector<std::string> ids;
    const auto list = List(filter);
    for (const auto& letter : list.dead_letters()) {
      ids.push_back(letter.id());
    }
    return ids;
  }
  static v1::ReplayDeadLettersRequest ReplayOf(const std::string& id) {
    v1::ReplayDeadLettersRequest request;
    request.mutable_filter()->add_ids(id);
    return request;
  }
  // The outcome of the one letter that a request is about.
  v1::DeadLetterResult Replay(const v1::ReplayDeadLettersRequest& request) {
    const auto response = world_.Call(&Admin::ReplayDeadLetters, request);
    EXPECT_EQ(response.results_size(), 1);
    return response.results_size() == 1 ? response.results(0)
                                        : v1::DeadLetterResult();
  }

  AdminWorld world_;
};

TEST(PageStartTest, ComesBackFromItsText) {
  const DeadLetterStart start{.from = {0xfffffffe, 0xfffffffffffffffe},
                              .end = 0xffffffffffffffff};
  EXPECT_EQ(DecodePageStart(EncodePageStart(start)), start);
}

TEST(PageStartTest, RefusesWhatItDoesNotWrite) {
  for (const char* text :
       {"", "1", "1.2", "1.2.3.4", "1.2.x", "x.2.3", " 1.2.3", "0x1.2.3",
        "01.2.3", "1.2.+3", "1.2.3 ", "100000000.2.3", "1.-2.3",
        "1.2.10000000000000000"}) {
    EXPECT_FALSE(DecodePageStart(text).has_value()) << text;
  }
}

TEST_F(DeadLettersTest, ALetterShowsTheItemAndHeapsAnswer) {
  const std::string id = MoveToDeadLetters("ann");
  const auto list = List();
  ASSERT_EQ(list.dead_letters_size(), 1);
  const v1::DeadLetter& letter = list.dead_letters(0);
  EXPECT_EQ(letter.id(), id);
  EXPECT_EQ(letter.destination(), "prod");
  EXPECT_EQ(letter.type(), v1::ITEM_TYPE_TRACK_EVENT);
  EXPECT_EQ(letter.reason(), v1::DEAD_LETTER_REASON_REFUSED);
  EXPECT_EQ(letter.http_status(), 400u);
  EXPECT_EQ(letter.heap_response(), "postBody.events[0].event should be good");
  EXPECT_THAT(letter.item_json(), HasSubstr("\"identity\":\"ann\""));
  EXPECT_EQ(letter.replays(), 0u);
}

TEST_F(DeadLettersTest, AnswersThatAreNoTextAreStillShown) {
  world_.heap().Follow([](const HeapRequest&) {
    return HttpResponse{.status = 400, .body = "cut \xc3"};
  });
  world_.Track("ann", "one");
  world_.Flush();
  EXPECT_EQ(List().dead_letters(0).heap_response(), "cut \xef\xbf\xbd");
}

TEST_F(DeadLettersTest, EveryPartOfAFilterNarrows) {
  const std::string ann = MoveToDeadLetters("ann");
  const std::string bob = MoveToDeadLetters("bob");
  world_.Track("eva", "poison", "europe");
  world_.SetUser("ann", "plan", "poison");
  world_.Flush();
  ASSERT_EQ(Ids().size(), 4u);

  v1::DeadLetterFilter filter;
  filter.set_destination("europe");
  EXPECT_EQ(Ids(filter).size(), 1u);
  filter.Clear();
  filter.set_type(v1::ITEM_TYPE_USER_PROPERTIES);
  EXPECT_EQ(Ids(filter).size(), 1u);
  filter.Clear();
  filter.set_reason(v1::DEAD_LETTER_REASON_EXPIRED);
  EXPECT_THAT(Ids(filter), IsEmpty());
  filter.Clear();
  filter.set_receipt(bob);
  EXPECT_THAT(Ids(filter), ElementsAre(bob));
  filter.add_ids(ann);
  EXPECT_THAT(List(filter).not_found_ids(), ElementsAre(ann));

  filter.Clear();
  filter.set_destination("prod");
  filter.set_type(v1::ITEM_TYPE_TRACK_EVENT);
  const auto second = List(filter).dead_letters(1);
  *filter.mutable_since() = second.dead_lettered_at();
  EXPECT_THAT(Ids(filter), ElementsAre(second.id()));
  filter.clear_since();
  *filter.mutable_until() = second.dead_lettered_at();
  EXPECT_THAT(Ids(filter), ElementsAre(ann));
}

TEST_F(DeadLettersTest, LongListsComeInPages) {
  std::vector<std::string> all;
  for (const char* name : {"a", "b", "c"})
    all.push_back(MoveToDeadLetters(name));
  world_.SetUser("d", "plan", "poison");
  world_.Flush();
  all = Ids();
  for (const bool by_id : {false, true}) {
    v1::ListDeadLettersRequest request;
    request.set_page_size(2);
    if (by_id) {
      for (const std::string& id : all) request.mutable_filter()->add_ids(id);
    }
    std::vector<std::string> seen;
    do {
      const auto page = world_.Call(&Admin::ListDeadLetters, request);
      EXPECT_LE(page.dead_letters_size(), 2);
      for (const auto& letter : page.dead_letters()) {
        seen.push_back(letter.id());
      }
      request.set_page_token(page.next_page_token());
    } while (!request.page_token().empty());
    EXPECT_EQ(seen, all);
  }
}

TEST_F(DeadLettersTest, EverythingWrongWithAFilterIsToldAtOnce) {
  v1::ListDeadLettersRequest request;
  v1::DeadLetterFilter& filter = *request.mutable_filter();
  filter.set_type(static_cast<v1::ItemType>(77));
  filter.set_reason(static_cast<v1::DeadLetterReason>(77));
  filter.mutable_since()->set_nanos(-1);
  filter.set_receipt("nonsense");
  filter.add_ids("nonsense");
  request.set_page_token("nonsense");
  request.set_page_size(1'001);
  EXPECT_THAT(
      world_.Fail(&Admin::ListDeadLetters, request).violations,
      UnorderedElementsAre(Pair("filter.type", "UNKNOWN_VALUE"),
                           Pair("filter.reason", "UNKNOWN_VALUE"),
                           Pair("filter.since", "TIMESTAMP_OUT_OF_RANGE"),
                           Pair("filter.receipt", "MALFORMED_RECEIPT"),
                           Pair("filter.ids[0]", "MALFORMED_RECEIPT"),
                           Pair("page_token", "UNKNOWN_PAGE"),
                           Pair("page_size", "OUT_OF_RANGE")));

  filter.Clear();
  request.clear_page_token();
  request.clear_page_size();
  filter.mutable_since()->set_seconds(20);
  filter.mutable_until()->set_seconds(10);
  EXPECT_THAT(world_.Fail(&Admin::ListDeadLetters, request).violations,
              ElementsAre(Pair("filter.until", "OUT_OF_RANGE")));
  filter.Clear();
  filter.set_destination("nowhere");
  EXPECT_EQ(world_.Fail(&Admin::ListDeadLetters, request).resource,
            "destination/nowhere");
}

TEST_F(DeadLettersTest, ALetterOfAnotherSpoolIsForeign) {
  auto id = Receipt::Decode(MoveToDeadLetters("ann"));
  ASSERT_TRUE(id.ok());
  ++id->spool_id;
  const ErrorSeen error =
      world_.Fail(&Admin::ReplayDeadLetters, ReplayOf(id->Encode()));
  EXPECT_EQ(error.code, grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(error.reason, "FOREIGN_RECEIPT");
}

TEST_F(DeadLettersTest, AnEmptyFilterChangesNothingUnlessAllIsMeant) {
  MoveToDeadLetters("ann");
  EXPECT_THAT(
      world_.Fail(&Admin::ReplayDeadLetters, v1::ReplayDeadLettersRequest())
          .violations,
      ElementsAre(Pair("filter", "REQUIRED")));
  EXPECT_THAT(
      world_.Fail(&Admin::DiscardDeadLetters, v1::DiscardDeadLettersRequest())
          .violations,
      ElementsAre(Pair("filter", "REQUIRED")));
  v1::DiscardDeadLettersRequest all;
  all.set_all(true);
  EXPECT_EQ(world_.Call(&Admin::DiscardDeadLetters, all).discarded(), 1u);
  EXPECT_THAT(Ids(), IsEmpty());
}

TEST_F(DeadLettersTest, ADryRunTellsAndChangesNothing) {
  const std::string id = MoveToDeadLetters("ann");
  v1::ReplayDeadLettersRequest replay = ReplayOf(id);
  replay.set_dry_run(true);
  const v1::DeadLetterResult result = Replay(replay);
  EXPECT_EQ(result.outcome(), v1::DEAD_LETTER_OUTCOME_REPLAYED);
  EXPECT_EQ(result.receipt(), "");
  v1::DiscardDeadLettersRequest discard;
  discard.set_all(true);
  discard.set_dry_run(true);
  EXPECT_EQ(world_.Call(&Admin::DiscardDeadLetters, discard).discarded(), 1u);
  EXPECT_THAT(Ids(), ElementsAre(id));
  EXPECT_EQ(world_.heap().CountBodies("poison"), 1u);
}

TEST_F(DeadLettersTest, AReplayKeepsTheKeyAndItsReceiptTellsAlsoAfterARestart) {
  const std::string receipt = world_.Track("ann", "poison");
  world_.Flush();
  world_.Restart();
  Heal();
  const v1::DeadLetterResult result =
      Replay(ReplayOf(world_.Item(receipt).dead_letter_id()));
  EXPECT_EQ(result.outcome(), v1::DEAD_LETTER_OUTCOME_REPLAYED);
  world_.Flush();
  EXPECT_EQ(world_.heap().CountBodies("key-of-annpoison"), 1u);
  EXPECT_THAT(Ids(), IsEmpty());
  world_.Restart();
  const v1::ItemDelivery old = world_.Item(receipt);
  EXPECT_EQ(old.state(), v1::ITEM_STATE_REPLAYED);
  EXPECT_EQ(old.into_receipt(), result.receipt());
  EXPECT_EQ(old.into_state(), v1::ITEM_STATE_DELIVERED);
  EXPECT_EQ(old.attempts_size(), 1);
  EXPECT_EQ(world_.Item(result.receipt()).state(), v1::ITEM_STATE_DELIVERED);
  EXPECT_EQ(Replay(ReplayOf(result.id())).outcome(),
            v1::DEAD_LETTER_OUTCOME_NOT_FOUND);
}

TEST_F(DeadLettersTest, WhatComesBackThreeTimesNeedsForce) {
  std::string id = MoveToDeadLetters("ann");
  const std::string first = id;
  for (int i = 0; i < 3; ++i) {
    const auto result = Replay(ReplayOf(id));
    EXPECT_EQ(result.outcome(), v1::DEAD_LETTER_OUTCOME_REPLAYED);
    world_.Flush();
    id = world_.Item(result.receipt()).dead_letter_id();
  }
  EXPECT_EQ(List().dead_letters(0).replays(), 3u);
  v1::ReplayDeadLettersRequest again = ReplayOf(id);
  EXPECT_EQ(Replay(again).outcome(),
            v1::DEAD_LETTER_OUTCOME_REPLAYED_TOO_OFTEN);
  EXPECT_THAT(Ids(), ElementsAre(id));
  EXPECT_EQ(world_.Item(first).into_state(), v1::ITEM_STATE_DEAD_LETTERED);
  Heal();
  again.set_force(true);
  EXPECT_EQ(Replay(again).outcome(), v1::DEAD_LETTER_OUTCOME_REPLAYED);
  world_.Flush();
  EXPECT_EQ(world_.Item(first).into_state(), v1::ITEM_STATE_DELIVERED);
}

TEST_F(DeadLettersTest, PagesOfAReplayDoNotMeetWhatCameBack) {
  for (const char* name : {"a", "b", "c"}) MoveToDeadLetters(name);
  v1::ReplayDeadLettersRequest request;
  request.set_all(true);
  request.set_force(true);
  request.set_page_size(1);
  uint32_t replayed = 0;
  do {
    const auto page = world_.Call(&Admin::ReplayDeadLetters, request);
    world_.Flush();
    replayed += page.replayed();
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(replayed, 3u);
  EXPECT_EQ(Ids().size(), 3u);
}

TEST_F(DeadLettersTest, AReplayOfAllTakesLettersFromAClockThatWasAhead) {
  for (const char* name : {"a", "b"}) MoveToDeadLetters(name);
  const auto spool = *Spool::Open(world_.store(), 0);
  SpoolChange change;
  const auto lanes = spool->Lanes();
  for (const StoredLane& lane : *lanes) {
    ASSERT_TRUE(spool
                    ->VisitDeadLetters(lane.id, 0,
                                       [&](const DeadLetter& found) {
                                         DeadLetter letter = found;
                                         letter.dead_lettered_at +=
                                             std::chrono::hours(8 * 24);
                                         change.PutDeadLetter(lane.id, letter);
                                         return true;
                                       })
                    .ok());
  }
  ASSERT_TRUE(spool->Commit(change).ok());
  Heal();
  v1::ReplayDeadLettersRequest request;
  request.set_all(true);
  EXPECT_EQ(world_.Call(&Admin::ReplayDeadLetters, request).replayed(), 2u);
}

TEST_F(DeadLettersTest, ReplaysAtOnceSendALetterOnce) {
  for (const char* name : {"a", "b", "c"}) MoveToDeadLetters(name);
  Heal();
  const size_t before = world_.heap().CountBodies("poison");
  std::atomic<uint32_t> replayed{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] {
      v1::ReplayDeadLettersRequest request;
      request.set_all(true);
      replayed += world_.Call(&Admin::ReplayDeadLetters, request).replayed();
    });
  }
  for (std::thread& caller : callers) caller.join();
  world_.Flush();
  EXPECT_EQ(replayed, 3u);
  EXPECT_LE(world_.heap().CountBodies("poison") - before, 3u);
  EXPECT_EQ(world_.Destination().types(0).delivered(), 3u);
}

TEST_F(DeadLettersTest, AnEditedItemKeepsKeyAndTimestamp) {
  const std::string id = MoveToDeadLetters("ann");
  const std::string json = List().dead_letters(0).item_json();
  const size_t at = json.find("\"timestamp\"");
  const std::string timestamp = json.substr(at, json.find(',', at) - at);
  v1::ReplayDeadLettersRequest request = ReplayOf(id);
  request.set_edited_item_json(
      R"({"identity": "ann", "event": "good", "properties": {"n": 1}})");
  EXPECT_EQ(Replay(request).outcome(), v1::DEAD_LETTER_OUTCOME_REPLAYED);
  world_.Flush();
  EXPECT_EQ(
      world_.heap().CountBodies(
          R"({"identity":"ann","event":"good",)" + timestamp +
          R"(,"properties":{"n":1},"idempotency_key":"key-of-annpoison"})"),
      1u);
}

TEST_F(DeadLettersTest, WhatIsWrongWithAnEditedItemIsLocated) {
  const std::string id = MoveToDeadLetters("ann");
  const auto violations = [&](const std::string& json) {
    v1::ReplayDeadLettersRequest request = ReplayOf(id);
    request.set_edited_item_json(json);
    request.set_dry_run(true);
    return world_.Fail(&Admin::ReplayDeadLetters, request).violations;
  };
  EXPECT_THAT(violations("{"),
              ElementsAre(Pair("edited_item_json", "MALFORMED_JSON")));
  EXPECT_THAT(violations(R"({"identity": "a", "event": "e", "evnet": 1})"),
              ElementsAre(Pair("edited_item_json.evnet", "UNKNOWN_FIELD")));
  EXPECT_THAT(violations(R"({"identity": {}, "event": "e"})"),
              ElementsAre(Pair("edited_item_json", "WRONG_TYPE")));
  EXPECT_THAT(violations(R"({"event": "e", "idempotency_key": "another-one"})"),
              UnorderedElementsAre(
                  Pair("edited_item_json.identity", "REQUIRED"),
                  Pair("edited_item_json.idempotency_key", "KEY_CHANGED")));
  v1::ReplayDeadLettersRequest of_all;
  of_all.set_all(true);
  of_all.set_edited_item_json("{}");
  EXPECT_THAT(world_.Fail(&Admin::ReplayDeadLetters, of_all).violations,
              ElementsAre(Pair("filter.ids", "REQUIRED")));
  EXPECT_THAT(Ids(), ElementsAre(id));
}

TEST_F(DeadLettersTest, ADiscardedLetterNeverLooksDelivered) {
  const std::string receipt = world_.Track("ann", "poison");
  const std::string kept = world_.Track("bob", "poison");
  world_.Flush();
  v1::DiscardDeadLettersRequest request;
  request.mutable_filter()->set_receipt(receipt);
  const auto response = world_.Call(&Admin::DiscardDeadLetters, request);
  EXPECT_EQ(response.discarded(), 1u);
  EXPECT_EQ(response.results(0).outcome(), v1::DEAD_LETTER_OUTCOME_DISCARDED);
  world_.Restart();
  EXPECT_EQ(world_.Item(receipt).state(), v1::ITEM_STATE_DISCARDED);
  EXPECT_EQ(world_.Item(kept).state(), v1::ITEM_STATE_DEAD_LETTERED);
}

TEST_F(DeadLettersTest, AReplayThatCannotBeStoredLeavesTheLetter) {
  const std::string id = MoveToDeadLetters("ann");
  world_.store().FailWrites(absl::InternalError("disk"), 0);
  EXPECT_EQ(Replay(ReplayOf(id)).outcome(), v1::DEAD_LETTER_OUTCOME_NOT_STORED);
  EXPECT_THAT(Ids(), ElementsAre(id));
  world_.store().FailWrites(absl::OkStatus(), 0);
  world_.Restart();
  Heal();
  EXPECT_EQ(Replay(ReplayOf(id)).outcome(), v1::DEAD_LETTER_OUTCOME_REPLAYED);
}

// Destination "europe" may have 1 MiB of dead letters.
class FullOfDeadLettersTest : public DeadLettersTest {
 protected:
  grpc::Status Send(const std::string& caller, const std::string& event) {
    v1::TrackEventRequest request;
    request.set_destination("europe");
    request.mutable_event()->set_identity("a" + std::to_string(sent_++));
    request.mutable_event()->set_event(event);
    auto& properties = *request.mutable_event()->mutable_properties();
    for (int i = 0; i < 60; ++i) {
      (*properties.mutable_fields())["p" + std::to_string(i)].set_string_value(
          std::string(1'000, 'x'));
    }
    grpc::ClientContext context;
    context.AddMetadata("heapsync-caller", caller);
    v1::TrackEventResponse response;
    return world_.data().TrackEvent(&context, request, &response);
  }
  // Sends until the caller is refused. Gives what was accepted.
  int Fill(const std::string& caller) {
    for (int accepted = 0; accepted < 100; ++accepted) {
      const grpc::Status status = Send(caller, "poison");
      if (!status.ok()) {
        const ErrorSeen error = SeenIn(status);
        EXPECT_EQ(error.code, grpc::StatusCode::RESOURCE_EXHAUSTED);
        EXPECT_EQ(error.reason, "DEAD_LETTERS_FULL");
        EXPECT_TRUE(error.has_retry);
        EXPECT_THAT(status.error_message(), HasSubstr("replay or discard"));
        return accepted;
      }
      // The poison may be a dead letter by now, and fill the quota.
      const grpc::Status good = Send("other", "Good");
      if (!good.ok()) {
        EXPECT_EQ(SeenIn(good).reason, "DEAD_LETTERS_FULL");
      }
      world_.Flush();
    }
    return -1;
  }

  int sent_ = 0;
};

TEST_F(FullOfDeadLettersTest, ACallerWithHalfOfThemIsRefusedAlone) {
  EXPECT_GT(Fill("bad"), 5);
  ExpectOk(Send("good", "Good"));
  ExpectOk(Send("good", "poison"));
}

TEST_F(FullOfDeadLettersTest, EverybodyIsRefusedUntilSomeAreDiscarded) {
  const int accepted = Fill("one") + Fill("two") + Fill("three");
  EXPECT_GT(accepted, 15);
  EXPECT_EQ(SeenIn(Send("other", "Good")).reason, "DEAD_LETTERS_FULL");
  world_.Track("a", "Good", "prod");
  EXPECT_EQ(world_.Destination("europe").dead_letters(), accepted);
  EXPECT_GT(world_.Destination("europe").dead_letter_bytes(), 1u << 20);
  world_.Restart();
  EXPECT_EQ(world_.Destination("europe").dead_letters(), accepted);
  EXPECT_EQ(SeenIn(Send("other", "Good")).reason, "DEAD_LETTERS_FULL");

  v1::DiscardDeadLettersRequest discard;
  discard.mutable_filter()->set_destination("europe");
  EXPECT_EQ(world_.Call(&Admin::DiscardDeadLetters, discard).discarded(),
            accepted);
  EXPECT_EQ(world_.Destination("europe").dead_letters(), 0u);
  EXPECT_EQ(world_.Destination("europe").dead_letter_bytes(), 0u);
  ExpectOk(Send("one", "Good"));
}

TEST_F(FullOfDeadLettersTest, TheyCanBeReplayed) {
  Fill("one");
  Fill("two");
  const int kept =
      static_cast<int>(world_.Destination("europe").dead_letters());
  Heal();
  v1::ReplayDeadLettersRequest replay;
  replay.mutable_filter()->set_destination("europe");
  replay.set_page_size(5);
  EXPECT_EQ(world_.Call(&Admin::ReplayDeadLetters, replay).replayed(), 5u);
  EXPECT_EQ(world_.Destination("europe").dead_letters(), kept - 5);
  ExpectOk(Send("other", "Good"));
}

}  // namespace
}  // namespace heapsync
