#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "heap_adapter/model/object_type.h"
#include "heap_adapter/spool/receipt.h"
#include "server/admin/admin_fields.h"
#include "tests/server/admin_world.h"

namespace heapsync {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;
using Admin = v1::HeapSyncAdminService::Stub;

HttpResponse Status(int status) { return {.status = status, .body = {}}; }

// Gives the answers in turn, then 200.
ScriptedTransport::Script InTurn(std::vector<int> statuses) {
  return [statuses, next = size_t{0}](
             const HeapRequest&) mutable -> std::optional<HttpResponse> {
    return Status(next < statuses.size() ? statuses[next++] : 200);
  };
}

std::optional<HttpResponse> NoAnswer(const HeapRequest&) {
  return std::nullopt;
}

class AdminTest : public ::testing::Test {
 protected:
  // Polls: an item is in flight, or deferred, some time after it was accepted.
  v1::ItemDelivery ItemOnceIn(v1::ItemState state, const std::string& receipt) {
    v1::ItemDelivery item;
    do {
      item = world_.Item(receipt);
    } while (item.state() != state && !HasFailure());
    return item;
  }

  AdminWorld world_;
};

TEST_F(AdminTest, DestinationsAreListedInPages) {
  v1::ListDestinationsRequest request;
  request.set_page_size(1);
  auto page = world_.Call(&Admin::ListDestinations, request);
  ASSERT_EQ(page.destinations_size(), 1);
  EXPECT_EQ(page.destinations(0).name(), "prod");
  EXPECT_TRUE(page.destinations(0).is_default());
  EXPECT_EQ(page.destinations(0).region(), v1::HEAP_REGION_US);
  request.set_page_token(page.next_page_token());
  page = world_.Call(&Admin::ListDestinations, request);
  ASSERT_EQ(page.destinations_size(), 1);
  EXPECT_EQ(page.destinations(0).name(), "europe");
  EXPECT_EQ(page.destinations(0).region(), v1::HEAP_REGION_EU);
  EXPECT_EQ(page.next_page_token(), "");
}

TEST_F(AdminTest, ListDestinationsRefusesBadPagesAllAtOnce) {
  v1::ListDestinationsRequest request;
  request.set_page_size(1'001);
  request.set_page_token("nowhere");
  const ErrorSeen error = world_.Fail(&Admin::ListDestinations, request);
  EXPECT_EQ(error.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(error.violations,
              UnorderedElementsAre(Pair("page_size", "OUT_OF_RANGE"),
                                   Pair("page_token", "UNKNOWN_PAGE")));
}

TEST_F(AdminTest, ADestinationTellsWhatWaitsAndMasksItsAppId) {
  world_.Pause();
  world_.Track("a", "one");
  world_.Track("b", "two");
  world_.SetUser("a", "plan", "x");
  // The dispatcher hears of an item after its caller does.
  v1::Destination prod = world_.Destination();
  while (prod.queued_items() < 3) prod = world_.Destination();
  EXPECT_EQ(prod.name(), "prod");
  EXPECT_EQ(prod.masked_app_id(), "…7890");
  EXPECT_EQ(prod.state(), v1::DESTINATION_STATE_PAUSED);
  EXPECT_EQ(prod.queued_items(), 3u);
  EXPECT_GT(prod.queued_bytes(), 0u);
  EXPECT_TRUE(prod.has_oldest_age());
  EXPECT_FALSE(prod.has_drained_in());
  EXPECT_EQ(prod.allowance_total(), 15'000u);
  ASSERT_EQ(prod.types_size(), 3);
  EXPECT_EQ(prod.types(0).queued_items(), 2u);
  EXPECT_EQ(prod.types(1).accepted(), 1u);
  EXPECT_THAT(prod.notes(), Contains(HasSubstr("Live view")));
  EXPECT_EQ(world_.Destination("europe").queued_items(), 0u);
}

TEST_F(AdminTest, ADestinationTellsWhatWentAndWhatWentWrong) {
  world_.heap().Follow(InTurn({503}));
  world_.Track("a", "one");
  world_.Flush();
  const v1::Destination prod = world_.Destination("prod");
  EXPECT_EQ(prod.state(), v1::DESTINATION_STATE_ACTIVE);
  EXPECT_EQ(prod.last_error(), "HTTP 503");
  EXPECT_TRUE(prod.has_last_error_at());
  EXPECT_EQ(prod.types(0).delivered(), 1u);
  EXPECT_GT(prod.types(0).delivered_per_second(), 0);
  EXPECT_EQ(prod.allowance_used(), 2u);
  EXPECT_EQ(prod.drained_in().seconds(), 0);
  EXPECT_TRUE(prod.has_drained_in());
}

TEST_F(AdminTest, AnUnknownDestinationIsNamed) {
  v1::GetDestinationRequest get;
  get.set_destination("nowhere");
  v1::PauseDestinationRequest pause;
  pause.set_destination("nowhere");
  v1::ResumeDestinationRequest resume;
  resume.set_destination("nowhere");
  v1::FlushRequest flush;
  flush.set_destination("nowhere");
  for (const ErrorSeen& error : {world_.Fail(&Admin::GetDestination, get),
                                 world_.Fail(&Admin::PauseDestination, pause),
                                 world_.Fail(&Admin::ResumeDestination, resume),
                                 world_.Fail(&Admin::Flush, flush)}) {
    EXPECT_EQ(error.code, grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(error.reason, "DESTINATION_NOT_FOUND");
    EXPECT_EQ(error.resource, "destination/nowhere");
  }
}

TEST_F(AdminTest, APauseOutlivesARestartAndResumeLetsGo) {
  world_.Pause();
  const std::string receipt = world_.Track("a", "one");
  const std::string not_paused = world_.Track("b", "two", "europe");
  v1::FlushRequest europe;
  europe.set_destination("europe");
  world_.Call(&Admin::Flush, europe);
  EXPECT_EQ(world_.Item(not_paused).state(), v1::ITEM_STATE_DELIVERED);
  world_.Restart();
  EXPECT_EQ(world_.Destination().state(), v1::DESTINATION_STATE_PAUSED);
  EXPECT_EQ(world_.Item(receipt).state(), v1::ITEM_STATE_WAITING);
  world_.Resume();
  world_.Flush();
  EXPECT_EQ(world_.Item(receipt).state(), v1::ITEM_STATE_DELIVERED);
}

TEST_F(AdminTest, FlushCountsWhatItWaitedFor) {
  world_.Pause();
  world_.Track("a", "one");
  world_.Track("b", "poison");
  world_.heap().Follow([](const HeapRequest& request) {
    return Status(request.body.find("poison") == std::string::npos ? 200 : 400);
  });
  world_.Resume();
  const auto done = world_.Call(&Admin::Flush, v1::FlushRequest());
  EXPECT_LE(done.delivered(), 1u);
  EXPECT_LE(done.dead_lettered(), 1u);
  const v1::Destination prod = world_.Destination();
  EXPECT_EQ(prod.queued_items(), 0u);
  EXPECT_EQ(prod.types(0).delivered(), 1u);
  EXPECT_EQ(prod.types(0).dead_lettered(), 1u);
}

TEST_F(AdminTest, FlushesThatWereGivenUpLeaveTheirSlotsAtOnce) {
  constexpr size_t kSlots = 1'000;
  world_.Pause();
  world_.Track("somebody", "Waits");
  struct Given {
    grpc::ClientContext context;
    v1::FlushRequest request;
    v1::FlushResponse response;
  };
  std::vector<Given> flushes(kSlots);
  std::atomic<size_t> ended{0};
  for (Given& each : flushes) {
    world_.admin().async()->Flush(&each.context, &each.request, &each.response,
                                  [&](const grpc::Status&) { ++ended; });
  }
  const auto one_more = [&] {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::milliseconds(500));
    v1::FlushResponse response;
    return world_.admin()
        .Flush(&context, v1::FlushRequest(), &response)
        .error_code();
  };
  constexpr auto kBusy = grpc::StatusCode::RESOURCE_EXHAUSTED;
  while (one_more() != kBusy) {
  }
  for (Given& each : flushes) each.context.TryCancel();
  // The server hears of it soon after the client.
  while (ended < kSlots || one_more() == kBusy) {
  }
  EXPECT_EQ(one_more(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(AdminTest, TheCallersDeadlineEndsAFlushAndNotTheDelivery) {
  world_.Pause();
  const std::string receipt = world_.Track("a", "one");
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(200));
  v1::FlushResponse response;
  const ErrorSeen error =
      SeenIn(world_.admin().Flush(&context, v1::FlushRequest(), &response));
  EXPECT_EQ(error.code, grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(error.reason, "STILL_DELIVERING");
  EXPECT_TRUE(error.has_retry);
  world_.Resume();
  world_.Flush();
  EXPECT_EQ(world_.Item(receipt).state(), v1::ITEM_STATE_DELIVERED);
}

TEST_F(AdminTest, ADeliveryTellsEachAttemptAlsoAfterARestart) {
  world_.heap().Follow(InTurn({503, 429}));
  const std::string receipt = world_.Track("a", "one");
  world_.Flush();
  const v1::GetDeliveryResponse before = world_.Delivery(receipt);
  EXPECT_EQ(before.destination(), "prod");
  EXPECT_EQ(before.type(), v1::ITEM_TYPE_TRACK_EVENT);
  EXPECT_EQ(before.total_items(), 1u);
  ASSERT_EQ(before.items_size(), 1);
  const v1::ItemDelivery& item = before.items(0);
  EXPECT_EQ(item.state(), v1::ITEM_STATE_DELIVERED);
  std::vector<uint32_t> statuses;
  for (const v1::DeliveryAttempt& attempt : item.attempts()) {
    statuses.push_back(attempt.http_status());
    EXPECT_EQ(attempt.batch_id(), item.attempts(0).batch_id());
    EXPECT_EQ(attempt.items(), 1u);
    EXPECT_TRUE(attempt.has_started_at());
    EXPECT_TRUE(attempt.has_ended_at());
  }
  EXPECT_THAT(statuses, ElementsAre(503, 429, 200));
  EXPECT_EQ(item.attempts(1).attempt_class(), v1::ATTEMPT_CLASS_THROTTLED);
  world_.Restart();
  EXPECT_EQ(world_.Delivery(receipt).SerializeAsString(),
            before.SerializeAsString());
}

TEST_F(AdminTest, AnItemInFlightTellsTheAttemptThatHasNoAnswer) {
  world_.heap().Follow(NoAnswer);
  const std::string receipt = world_.Track("a", "one");
  const v1::ItemDelivery item = ItemOnceIn(v1::ITEM_STATE_IN_FLIGHT, receipt);
  ASSERT_EQ(item.attempts_size(), 1);
  EXPECT_FALSE(item.attempts(0).has_ended_at());
  EXPECT_NE(item.attempts(0).batch_id(), 0u);
  EXPECT_EQ(world_.Destination().in_flight_requests(), 1u);
}

TEST_F(AdminTest, AnItemOverItsIdentitysLimitIsDeferred) {
  std::string receipt;
  for (int i = 0; i < 11; ++i) {
    receipt = world_.Track("hot", "event " + std::to_string(i));
  }
  ItemOnceIn(v1::ITEM_STATE_DEFERRED, receipt);
  const v1::Destination prod = world_.Destination();
  EXPECT_EQ(prod.deferred_items(), 1u);
  EXPECT_TRUE(prod.has_oldest_age());
  EXPECT_THAT(prod.notes(), Contains(HasSubstr("deferred")));
  world_.Restart();
  EXPECT_EQ(world_.Item(receipt).state(), v1::ITEM_STATE_DEFERRED);
}

TEST_F(AdminTest, AnItemThatMakesHeapFailIsIsolatedOverARestartToo) {
  world_.heap().Follow(
      [](const HeapRequest& request) -> std::optional<HttpResponse> {
        const bool crashes = absl::StrContains(request.body, "crash-me");
        return HttpResponse{.status = crashes ? 500 : 200, .body = "{}"};
      });
  world_.Pause();
  const std::string crashing = world_.Track("a", "crash-me");
  const std::string fine = world_.Track("b", "fine");
  world_.Resume();
  ItemOnceIn(v1::ITEM_STATE_ISOLATED, crashing);
  EXPECT_EQ(world_.Item(fine).state(), v1::ITEM_STATE_DELIVERED);
  const v1::Destination prod = world_.Destination();
  EXPECT_EQ(prod.isolated_items(), 1u);
  EXPECT_EQ(prod.state(), v1::DESTINATION_STATE_ACTIVE);
  EXPECT_FALSE(prod.has_oldest_age());
  EXPECT_THAT(prod.notes(), Contains(HasSubstr("isolated")));
  world_.Restart();
  EXPECT_EQ(world_.Item(crashing).state(), v1::ITEM_STATE_ISOLATED);
}

TEST_F(AdminTest, ACoalescedUpdateNamesTheOneThatCarriedIt) {
  world_.Pause();
  const std::string first = world_.SetUser("u", "plan", "one");
  const std::string second = world_.SetUser("u", "plan", "two");
  world_.Resume();
  world_.Flush();
  world_.Restart();
  EXPECT_EQ(world_.Item(first).state(), v1::ITEM_STATE_DELIVERED);
  const v1::ItemDelivery coalesced = world_.Item(second);
  EXPECT_EQ(coalesced.state(), v1::ITEM_STATE_COALESCED);
  EXPECT_EQ(coalesced.into_sequence(), world_.Item(first).sequence());
  EXPECT_EQ(coalesced.into_receipt(), first);
  EXPECT_EQ(coalesced.into_state(), v1::ITEM_STATE_DELIVERED);
  EXPECT_EQ(coalesced.attempts_size(), 1);
}

TEST_F(AdminTest, ALongReceiptComesInPages) {
  world_.Pause();
  const heapsync::Destination& prod = *world_.engine().FindDestination("prod");
  const LaneId lane = world_.engine().LaneFor(prod, ObjectType::kTrackEvent);
  for (int i = 0; i < 5; ++i) world_.Track("i" + std::to_string(i), "e");
  v1::GetDeliveryRequest request;
  request.set_receipt(Receipt{
      .spool_id = world_.engine().spool_id(),
      .lane = lane,
      .items = {{0, 2},
                {3, 5}}}.Encode());
  request.set_page_size(3);
  std::vector<uint64_t> sequences;
  do {
    const auto page = world_.Call(&Admin::GetDelivery, request);
    EXPECT_EQ(page.total_items(), 4u);
    EXPECT_LE(page.items_size(), 3);
    for (const auto& item : page.items()) sequences.push_back(item.sequence());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(sequences, ElementsAre(0, 1, 3, 4));
}

TEST_F(AdminTest, ReceiptsThatMeanNothingHereAreRefused) {
  const auto fail = [this](const std::string& receipt) {
    v1::GetDeliveryRequest request;
    request.set_receipt(receipt);
    return world_.Fail(&Admin::GetDelivery, request);
  };
  EXPECT_THAT(fail("").violations, ElementsAre(Pair("receipt", "REQUIRED")));
  EXPECT_THAT(fail("r1.nonsense").violations,
              ElementsAre(Pair("receipt", "MALFORMED_RECEIPT")));

  auto known = Receipt::Decode(world_.Track("a", "one"));
  ASSERT_TRUE(known.ok());
  Receipt foreign = *known;
  ++foreign.spool_id;
  const ErrorSeen error = fail(foreign.Encode());
  EXPECT_EQ(error.code, grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(error.reason, "FOREIGN_RECEIPT");
  EXPECT_EQ(error.resource, "receipt/" + foreign.Encode());

  Receipt future = *known;
  ++future.items[0].end;
  Receipt no_lane = *known;
  no_lane.lane = 99;
  for (const Receipt& unknown : {future, no_lane}) {
    const ErrorSeen seen = fail(unknown.Encode());
    EXPECT_EQ(seen.code, grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(seen.reason, "UNKNOWN_RECEIPT");
  }
}

TEST_F(AdminTest, GetDeliveryRefusesBadPages) {
  v1::GetDeliveryRequest request;
  request.set_receipt(world_.Track("a", "one"));
  request.set_page_token("1");
  request.set_page_size(5'000);
  EXPECT_THAT(world_.Fail(&Admin::GetDelivery, request).violations,
              UnorderedElementsAre(Pair("page_size", "OUT_OF_RANGE"),
                                   Pair("page_token", "UNKNOWN_PAGE")));
}

TEST_F(AdminTest, ASpoolThatCannotWriteIsToldToWhoeverChangesSomething) {
  world_.store().FailWrites(absl::InternalError("disk"), 0);
  const ErrorSeen error =
      world_.Fail(&Admin::PauseDestination, v1::PauseDestinationRequest());
  EXPECT_EQ(error.code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(error.reason, "SPOOL_FAILED");
  EXPECT_TRUE(error.has_retry);
  EXPECT_EQ(world_.Fail(&Admin::Flush, v1::FlushRequest()).code,
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(world_.Destination().name(), "prod");
}

// A worker that is busy until Release(), and what it did after that.
class AdminWorkerTest : public ::testing::Test {
 protected:
  AdminWorkerTest() {
    busy_.lock();
    std::atomic<bool> started{false};
    EXPECT_TRUE(worker_.Submit("nobody", [this, &started] {
      started = true;
      const std::lock_guard<std::mutex> wait(busy_);
      return AfterTurn(TaskDone());
    }));
    while (!started) std::this_thread::yield();
  }
  // A task of several turns, each of which is noted.
  bool Submit(const std::string& caller, const std::string& note,
              int turns = 1) {
    return worker_.Submit(caller,
                          [this, note, left = turns]() mutable -> AfterTurn {
                            done_.push_back(note);
                            if (--left > 0) return TaskGoesOn();
                            return TaskDone();
                          });
  }
  // A task of two turns, the second once `resume` says so.
  bool SubmitWait(const std::string& caller, std::optional<Resume>& resume) {
    return worker_.Submit(
        caller, [this, caller, &resume, first = true]() mutable -> AfterTurn {
          done_.push_back(caller);
          if (!std::exchange(first, false)) return TaskDone();
          return TaskWaits{
              [&resume](Resume when) { resume.emplace(std::move(when)); }};
        });
  }
  std::vector<std::string> Release() {
    busy_.unlock();
    worker_.Stop();
    return done_;
  }

  std::mutex busy_;
  std::vector<std::string> done_;
  AdminWorker worker_{{.per_caller = 3, .all = 5}};
};

TEST_F(AdminWorkerTest, CallersTakeTurns) {
  Submit("a", "a1");
  Submit("a", "a2");
  Submit("a", "a3");
  Submit("b", "b1");
  EXPECT_THAT(Release(), ElementsAre("a1", "b1", "a2", "a3"));
}

TEST_F(AdminWorkerTest, ALongTaskGoesOnWhenTheOthersHadTheirTurn) {
  Submit("a", "a", 3);
  Submit("b", "b");
  EXPECT_THAT(Release(), ElementsAre("a", "b", "a", "a"));
}

TEST_F(AdminWorkerTest, ATaskThatWaitsHoldsUpNobody) {
  std::optional<Resume> resume;
  SubmitWait("waits", resume);
  worker_.Submit("b", [this, &resume]() -> AfterTurn {
    done_.emplace_back("b");
    (*resume)();
    return TaskDone();
  });
  EXPECT_THAT(Release(), ElementsAre("waits", "b", "waits"));
}

TEST_F(AdminWorkerTest, AWaitThatIsDroppedIsOver) {
  worker_.Submit("drops", [this, first = true]() mutable -> AfterTurn {
    done_.emplace_back("drops");
    if (!std::exchange(first, false)) return TaskDone();
    return TaskWaits{[](const Resume&) {}};
  });
  EXPECT_THAT(Release(), ElementsAre("drops", "drops"));
}

TEST_F(AdminWorkerTest, AStopEndsWaitsAndALaterEndOfThemIsNone) {
  std::optional<Resume> resume;
  SubmitWait("waits", resume);
  EXPECT_THAT(Release(), ElementsAre("waits", "waits"));
  (*resume)();
}

TEST_F(AdminWorkerTest, RefusesWhatItsQueueCannotTakeAndEndsWhatItTook) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Submit("a", "a"));
  EXPECT_FALSE(Submit("a", "too many of one"));
  EXPECT_TRUE(Submit("b", "b"));
  EXPECT_FALSE(Submit("c", "too many of all"));
  EXPECT_THAT(Release(), ElementsAre("a", "b", "a", "a"));
  EXPECT_FALSE(Submit("a", "too late"));
}

TEST_F(AdminTest, EachCallerHasItsQueueAndItsNumbers) {
  world_.Pause();
  const std::string receipt = world_.Track("a", "e", "", "shop");
  world_.Track("b", "e", "", "shop");
  world_.Track("c", "e", "", "blog");
  world_.Track("d", "e");

  const v1::Destination destination = world_.Destination();
  EXPECT_EQ(destination.types(0).queued_items(), 4u);
  ASSERT_EQ(destination.callers_size(), 2);
  EXPECT_EQ(destination.callers(0).caller(), "shop");
  EXPECT_EQ(destination.callers(0).queued_events(), 2u);
  EXPECT_EQ(destination.callers(1).caller(), "blog");
  EXPECT_EQ(destination.callers(1).accepted_events(), 1u);
  EXPECT_TRUE(destination.callers(1).has_oldest_age());
  EXPECT_EQ(world_.Delivery(receipt).caller(), "shop");

  world_.Resume();
  world_.Restart();
  world_.Flush();
  EXPECT_EQ(world_.Item(receipt).state(), v1::ITEM_STATE_DELIVERED);
}

TEST_F(AdminTest, ADestinationThatUsedUpItsPartOfTheSpoolRefusesAlone) {
  world_.Pause("europe");
  v1::TrackEventRequest request;
  request.set_destination("europe");
  request.mutable_event()->set_identity("a");
  request.mutable_event()->set_event("e");
  auto& properties = *request.mutable_event()->mutable_properties();
  for (int i = 0; i < 60; ++i) {
    (*properties.mutable_fields())["p" + std::to_string(i)].set_string_value(
        std::string(1'000, 'x'));
  }
  grpc::Status refused;
  for (int i = 0; i < 100 && refused.ok(); ++i) {
    grpc::ClientContext context;
    v1::TrackEventResponse response;
    refused = world_.data().TrackEvent(&context, request, &response);
  }
  const ErrorSeen seen = SeenIn(refused);
  EXPECT_EQ(seen.code, grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(seen.reason, "DESTINATION_FULL");
  EXPECT_TRUE(seen.has_retry);
  world_.Track("a", "e", "prod");

  world_.Resume("europe");
  world_.Flush();
  world_.Track("b", "e", "europe");
}

TEST_F(AdminTest, QuotasHoldOverWhatManySendAtOnce) {
  world_.Pause("europe");
  v1::BulkTrackEventsRequest message;
  message.set_destination("europe");
  for (int i = 0; i < 300; ++i) {
    v1::TrackEvent& event = *message.add_events();
    event.set_identity("a" + std::to_string(i));
    event.set_event(std::string(1'000, 'e'));
  }
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] {
      for (int round = 0; round < 4; ++round) {
        grpc::ClientContext context;
        const auto stream = world_.data().BulkTrackEvents(&context);
        stream->Write(message);
        stream->WritesDone();
        v1::BulkTrackEventsResponse answer;
        while (stream->Read(&answer)) {
        }
        static_cast<void>(stream->Finish());
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  ASSERT_TRUE(world_.engine().Barrier().ok());
  const uint64_t queued = world_.Destination("europe").queued_bytes();
  EXPECT_GT(queued, 512u << 10);
  EXPECT_LE(queued, 1u << 20);
}

TEST_F(AdminTest, AMessageWithTooManyItemsIsRefusedWithTheirNumber) {
  v1::BulkTrackEventsRequest message;
  for (int i = 0; i < 10'001; ++i) message.add_events();
  grpc::ClientContext context;
  const auto stream = world_.data().BulkTrackEvents(&context);
  stream->Write(message);
  stream->WritesDone();
  v1::BulkTrackEventsResponse answer;
  while (stream->Read(&answer)) {
  }
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(),
              HasSubstr("may carry 10000 items, and this one has 10001"));
  EXPECT_THAT(SeenIn(status).violations,
              ElementsAre(Pair("events", "TOO_MANY_ITEMS")));
}

TEST(AdminFieldsTest, TypesHaveTheirNumbersOnDiskInTheApi) {
  for (const ObjectType type : kObjectTypes) {
    EXPECT_EQ(v1::ItemType_Name(ToProto(type)),
              absl::StrCat("ITEM_TYPE_", absl::AsciiStrToUpper(Name(type))));
  }
}

}  // namespace
}  // namespace heapsync
