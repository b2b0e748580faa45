#include "heap_adapter/transport/classify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

namespace heapsync {
namespace {

using ::testing::Eq;
using ::testing::Optional;
using ::testing::StartsWith;
using Kind = TransportFailure::Kind;

constexpr WallTime kNow{
    std::chrono::seconds(784'111'770)};  // 1994-11-06 08:49:30

constexpr Duration kMaxRetryAfter = std::chrono::hours(1);

Verdict Of(HttpResponse answer, ObjectType type = ObjectType::kTrackEvent,
           size_t batch_size = 10) {
  return Classify({1, std::move(answer)}, type, batch_size, kNow,
                  kMaxRetryAfter);
}

Verdict Of(Kind kind) {
  return Classify({1, TransportFailure{kind, "detail"}},
                  ObjectType::kTrackEvent, 10, kNow, kMaxRetryAfter);
}

HttpResponse Status(int status) {
  return {.status = status, .retry_after = std::nullopt, .body = ""};
}

ResponseClass Expected(int status) {
  static const std::set<int> kMisconfigured = {402, 406, 407, 410, 411,
                                               412, 414, 415, 416, 417,
                                               421, 426, 428, 431, 451};
  static const std::map<int, ResponseClass> kNamed = {
      {200, ResponseClass::kDelivered},
      {201, ResponseClass::kDelivered},
      {202, ResponseClass::kDelivered},
      {204, ResponseClass::kDelivered},
      {400, ResponseClass::kInvalid},
      {401, ResponseClass::kMisconfigured},
      {403, ResponseClass::kMisconfigured},
      {404, ResponseClass::kMisconfigured},
      {405, ResponseClass::kMisconfigured},
      {408, ResponseClass::kTransient},
      {413, ResponseClass::kOversized},
      {422, ResponseClass::kInvalid},
      {425, ResponseClass::kTransient},
      {429, ResponseClass::kThrottled}};
  if (const auto named = kNamed.find(status); named != kNamed.end()) {
    return named->second;
  }
  if (status < 400 || kMisconfigured.contains(status))
    return ResponseClass::kMisconfigured;
  if (status < 500) return ResponseClass::kInvalid;
  return ResponseClass::kTransient;
}

TEST(ResponseClass, FollowsTheTableForEveryStatus) {
  for (int status = 200; status <= 599; ++status) {
    const Verdict verdict = Of(Status(status));
    EXPECT_EQ(verdict.response_class, Expected(status)) << status;
    EXPECT_THAT(verdict.summary, StartsWith("HTTP " + std::to_string(status)));
    if (status >= 300) {
      EXPECT_EQ(verdict.summary, "HTTP " + std::to_string(status));
    }
  }
}

TEST(ResponseClass, HoldsTheDestinationIfASuccessDoesNotComeFromHeap) {
  const Verdict verdict = Of({.status = 200,
                              .retry_after = std::nullopt,
                              .content_type = "text/html; charset=utf-8",
                              .body = "<html>jo@example.com was rejected"});
  EXPECT_EQ(verdict.response_class, ResponseClass::kMisconfigured);
  EXPECT_EQ(verdict.origin, ErrorOrigin::kWay);
  EXPECT_EQ(verdict.summary,
            "HTTP 200 (text/html), a response that does not come from Heap");
}

TEST(ResponseClass, HoldsTheDestinationIfTheAppIdIsToBlame) {
  for (const int status : {400, 422}) {
    const Verdict verdict = Of({.status = status,
                                .retry_after = std::nullopt,
                                .body = "postBody.app_id should be number"});
    EXPECT_EQ(verdict.response_class, ResponseClass::kMisconfigured);
    EXPECT_EQ(verdict.origin, ErrorOrigin::kHeap);
    EXPECT_EQ(verdict.summary,
              "HTTP " + std::to_string(status) + ", which names the App ID");
  }
}

TEST(ResponseClass, SaysWhoAnswered) {
  for (const int status : {400, 401, 402, 403, 404, 410, 421, 429, 503}) {
    EXPECT_EQ(Of(Status(status)).origin, ErrorOrigin::kHeap) << status;
  }
  EXPECT_EQ(Of(Status(407)).origin, ErrorOrigin::kWay);
  EXPECT_EQ(Of(Kind::kTlsVerification).origin, ErrorOrigin::kWay);
}

TEST(ResponseClass, TriesAgainAfterAStatusThatNoFinalAnswerHas) {
  for (const int status : {0, 100, 103, 199, 600, 999}) {
    EXPECT_EQ(Of(Status(status)).response_class, ResponseClass::kTransient)
        << status;
  }
}

TEST(ResponseClass, TriesAgainAfterEveryFailureThatMayPass) {
  for (const Kind kind :
       {Kind::kDns, Kind::kConnect, Kind::kTls, Kind::kTimeout, Kind::kReset,
        Kind::kMalformedResponse, Kind::kOther}) {
    EXPECT_EQ(Of(kind).response_class, ResponseClass::kTransient);
  }
  for (const Kind kind : {Kind::kTlsVerification, Kind::kProxyRefused}) {
    EXPECT_EQ(Of(kind).response_class, ResponseClass::kMisconfigured);
  }
}

TEST(ResponseClass, SummarizesFailuresByKindAndNamesTheWay) {
  EXPECT_EQ(Of(Kind::kDns).summary, "host name not found: detail");
  EXPECT_EQ(Of(Kind::kConnect).summary, "no connection: detail");
  EXPECT_EQ(Of(Kind::kProxyRefused).summary, "no connection: detail");
  EXPECT_EQ(Of(Kind::kTlsVerification).summary,
            "certificate is not trusted: detail");
  EXPECT_EQ(Of(Kind::kTls).summary, "TLS failure: detail");
  EXPECT_EQ(Of(Kind::kTimeout).summary, "timeout");
  EXPECT_EQ(Of(Kind::kReset).summary, "connection reset");
  EXPECT_EQ(Of(Kind::kMalformedResponse).summary, "malformed answer");
  EXPECT_EQ(Of(Kind::kOther).summary, "transport failure");
}

TEST(ResponseClass, HasANameForLogsAndMetrics) {
  EXPECT_EQ(Name(ResponseClass::kDelivered), "delivered");
  EXPECT_EQ(Name(ResponseClass::kTransient), "transient");
  EXPECT_EQ(Name(ResponseClass::kThrottled), "throttled");
  EXPECT_EQ(Name(ResponseClass::kOversized), "oversized");
  EXPECT_EQ(Name(ResponseClass::kInvalid), "invalid");
  EXPECT_EQ(Name(ResponseClass::kMisconfigured), "misconfigured");
}

TEST(ResponseClass, KeepsTheBodyOutOfTheSummary) {
  EXPECT_EQ(Of({.status = 400,
                .retry_after = std::nullopt,
                .body = "identity jo@example.com is bad"})
                .summary,
            "HTTP 400");
}

TEST(RetryAfterOfAnAnswer, IsReadWhereTheSameBatchIsSentAgain) {
  for (const int status : {301, 403, 408, 429, 500, 503}) {
    EXPECT_THAT(
        Of({.status = status, .retry_after = "7", .body = ""}).retry_after,
        Optional(Eq(std::chrono::seconds(7))))
        << status;
  }
}

TEST(RetryAfterOfAnAnswer, MayBeADate) {
  EXPECT_THAT(Of({.status = 429,
                  .retry_after = "Sun, 06 Nov 1994 08:49:37 GMT",
                  .body = ""})
                  .retry_after,
              Optional(Eq(std::chrono::seconds(7))));
}

TEST(RetryAfterOfAnAnswer, IsNoneWhereNothingIsSentAgain) {
  for (const int status : {200, 400, 413, 422}) {
    EXPECT_EQ(
        Of({.status = status, .retry_after = "7", .body = ""}).retry_after,
        std::nullopt)
        << status;
  }
}

TEST(RetryAfterOfAnAnswer, IsCutToTheMaximum) {
  EXPECT_THAT(
      Of({.status = 503, .retry_after = "31536000", .body = ""}).retry_after,
      Optional(Eq(kMaxRetryAfter)));
}

TEST(RetryAfterOfAnAnswer, IsNoneWhenMalformedOrOver) {
  for (const char* text :
       {"soon", "0", "-7", "Sun, 06 Nov 1994 08:49:30 GMT"}) {
    const Verdict verdict =
        Of({.status = 503, .retry_after = text, .body = ""});
    EXPECT_EQ(verdict.retry_after, std::nullopt) << text;
    EXPECT_EQ(verdict.summary, "HTTP 503") << text;
  }
}

TEST(RetryAfterOfAnAnswer, IsSummarizedByItsEnd) {
  EXPECT_EQ(Of({.status = 429, .retry_after = "7", .body = ""}).summary,
            "HTTP 429, Retry-After until 1994-11-06T08:49:37Z");
  EXPECT_EQ(Of({.status = 503, .retry_after = "31536000", .body = ""}).summary,
            "HTTP 503, Retry-After until 1994-11-06T09:49:30Z");
}

TEST(NamedItemOfAnAnswer, IsReadFromInvalidAnswersOnly) {
  constexpr char kText[] = "postBody.events[3].properties should be object";
  for (const int status : {400, 422, 409}) {
    EXPECT_THAT(
        Of({.status = status, .retry_after = std::nullopt, .body = kText})
            .named_item,
        Optional(Eq(3u)))
        << status;
  }
  for (const int status : {200, 403, 413, 429, 500}) {
    EXPECT_EQ(Of({.status = status, .retry_after = std::nullopt, .body = kText})
                  .named_item,
              std::nullopt)
        << status;
  }
}

TEST(NamedItemOfAnAnswer, LiesInTheArrayThatWasSent) {
  const HttpResponse answer{.status = 400,
                            .retry_after = std::nullopt,
                            .body = "postBody.users[3].identity is required"};
  EXPECT_THAT(Of(answer, ObjectType::kUserProperties, 4).named_item,
              Optional(Eq(3u)));
  EXPECT_EQ(Of(answer, ObjectType::kUserProperties, 3).named_item,
            std::nullopt);
  EXPECT_EQ(Of(answer, ObjectType::kTrackEvent, 4).named_item, std::nullopt);
}

}  // namespace
}  // namespace heapsync
