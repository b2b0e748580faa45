#include "heapsync/client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/random_id.h"
#include "heapsync/client/status_details.h"
#include "tests/client/fake_heapsync.h"

namespace heapsync {
namespace {

using std::chrono::milliseconds;
using ::testing::MatchesRegex;

ClientOptions QuickOptions(const FakeHeapSync& server) {
  ClientOptions options;
  options.server = server.address();
  options.retry = {.initial_backoff = milliseconds(1),
                   .max_backoff = milliseconds(2)};
  return options;
}

v1::TrackEventRequest Request() {
  v1::TrackEventRequest request;
  request.mutable_event()->set_identity("a");
  return request;
}

TEST(ClientTest, CallsGetTheirAnswers) {
  FakeHeapSync server;
  const Client client(QuickOptions(server));
  EXPECT_EQ(client.TrackEvent(Request())->receipt(), "receipt-1");
  EXPECT_EQ(client.UserProperties({})->receipt(), "receipt-2");
  EXPECT_EQ(client.AccountProperties({})->receipt(), "receipt-3");
}

TEST(ClientTest, RepetitionsCarryTheSameRequestId) {
  FakeHeapSync server;
  server.AddUnaryFault({grpc::StatusCode::UNAVAILABLE, "gone"});
  server.AddUnaryFault(RichStatus(grpc::StatusCode::RESOURCE_EXHAUSTED,
                                  "SPOOL_FULL", milliseconds(1)));
  const Client client(QuickOptions(server));
  ASSERT_TRUE(client.TrackEvent(Request()).ok());
  const std::vector<std::string> ids = server.unary_request_ids();
  ASSERT_EQ(ids.size(), 3u);
  EXPECT_THAT(ids[0], MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-"
                                   "[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  EXPECT_EQ(ids[1], ids[0]);
  EXPECT_EQ(ids[2], ids[0]);
}

TEST(ClientTest, AGivenRequestIdIsKept) {
  FakeHeapSync server;
  v1::TrackEventRequest request = Request();
  request.set_request_id("mine");
  ASSERT_TRUE(Client(QuickOptions(server)).TrackEvent(std::move(request)).ok());
  EXPECT_EQ(server.unary_request_ids(), std::vector<std::string>{"mine"});
}

TEST(ClientTest, InvalidItemsAreNotRepeatedAndNameTheirFaults) {
  FakeHeapSync server;
  server.AddUnaryFault(RichStatus(
      grpc::StatusCode::INVALID_ARGUMENT, "INVALID_REQUEST", std::nullopt,
      {{"event.identity", "REQUIRED: must be set"}, {"event", "odd thing"}}));
  const auto response = Client(QuickOptions(server)).TrackEvent(Request());
  EXPECT_EQ(response.status().code(), absl::StatusCode::kInvalidArgument);
  const ErrorDetails details = DetailsOf(response.status());
  EXPECT_EQ(details.reason, "INVALID_REQUEST");
  EXPECT_EQ(
      details.violations,
      (std::vector<Violation>{{"event.identity", "REQUIRED", "must be set"},
                              {"event", "", "odd thing"}}));
  EXPECT_EQ(server.unary_request_ids().size(), 1u);
}

TEST(ClientTest, AFullServerThatDoesNotAskForAnotherTryIsNotAskedAgain) {
  FakeHeapSync server;
  server.AddUnaryFault({grpc::StatusCode::RESOURCE_EXHAUSTED, "too large"});
  EXPECT_FALSE(Client(QuickOptions(server)).TrackEvent(Request()).ok());
  EXPECT_EQ(server.unary_request_ids().size(), 1u);
}

TEST(ClientTest, ADelayBeyondTheDeadlineIsReturnedAtOnce) {
  FakeHeapSync server;
  server.AddUnaryFault(RichStatus(grpc::StatusCode::RESOURCE_EXHAUSTED,
                                  "SPOOL_FULL", milliseconds(900)));
  ClientOptions options = QuickOptions(server);
  options.timeout = milliseconds(800);
  const auto response = Client(options).TrackEvent(Request());
  EXPECT_EQ(response.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(DetailsOf(response.status()).retry_delay, milliseconds(900));
}

TEST(ClientTest, HealthTellsServingFromUnknownAndUnreachable) {
  FakeHeapSync server;
  const Client client(QuickOptions(server));
  EXPECT_TRUE(client.CheckHealth("").ok());
  EXPECT_EQ(client.CheckHealth("no.such.Service").code(),
            absl::StatusCode::kNotFound);
  server.Stop();
  EXPECT_EQ(client.CheckHealth("").code(), absl::StatusCode::kUnavailable);
}

TEST(ClientTest, ATokenStaysOnThisMachineUnlessTheConnectionIsEncrypted) {
  const auto may = [](const std::string& server) {
    return MayCarryToken({.server = server});
  };
  for (const char* server : {"localhost:1", "127.0.0.1:1", "127.8.8.8:1",
                             "[::1]:1", "unix:/run/x", "dns:///localhost:1"}) {
    EXPECT_TRUE(may(server)) << server;
  }
  for (const char* server :
       {"10.0.0.1:1", "heapsync:1", "127.evil.example:1", "127.0.0.1.example:1",
        "[::2]:1", "localhost.example:1", ""}) {
    EXPECT_FALSE(may(server)) << server;
  }
  EXPECT_TRUE(MayCarryToken({.server = "10.0.0.1:1", .tls = TlsOptions()}));
  EXPECT_TRUE(
      MayCarryToken({.server = "10.0.0.1:1", .allow_plaintext_token = true}));
}

TEST(ClientTest, ATokenDoesNotGoThroughAProxyInPlaintext) {
  ClientOptions options{.server = "localhost:1",
                        .proxy = ProxyUse::kEnvironment};
  EXPECT_FALSE(MayCarryToken(options));
  options.server = "unix:/run/x";
  EXPECT_TRUE(MayCarryToken(options));
  options.server = "localhost:1";
  options.tls = TlsOptions();
  EXPECT_TRUE(MayCarryToken(options));
}

TEST(ClientTest, AnErrorWithoutAReasonIsOneOfTheWay) {
  EXPECT_TRUE(IsRetryable(absl::InternalError("RST_STREAM")));
  EXPECT_TRUE(IsRetryable(absl::UnknownError("Stream removed")));
  EXPECT_FALSE(IsRetryable(absl::InvalidArgumentError("")));
  FakeHeapSync server;
  server.AddUnaryFault(
      {grpc::StatusCode::INTERNAL, "Received RST_STREAM with error code 2"});
  const Client client(QuickOptions(server));
  EXPECT_TRUE(client.TrackEvent(v1::TrackEventRequest()).ok());
  server.AddUnaryFault(
      RichStatus(grpc::StatusCode::INTERNAL, "STORAGE_FAILED"));
  EXPECT_EQ(client.TrackEvent(v1::TrackEventRequest()).status().code(),
            absl::StatusCode::kInternal);
}

TEST(RetryPolicyTest, BackoffGrowsUpToItsBoundWithFullJitter) {
  const RetryPolicy policy = {.initial_backoff = milliseconds(100),
                              .max_backoff = milliseconds(500)};
  EXPECT_EQ(BackoffDelay(policy, 1, {}, 0.5), milliseconds(50));
  EXPECT_EQ(BackoffDelay(policy, 2, {}, 0.5), milliseconds(100));
  EXPECT_EQ(BackoffDelay(policy, 3, {}, 0.5), milliseconds(200));
  EXPECT_EQ(BackoffDelay(policy, 4, {}, 0.5), milliseconds(250));
  EXPECT_EQ(BackoffDelay(policy, 4'000, {}, 0.5), milliseconds(250));
  EXPECT_EQ(BackoffDelay(policy, 1, {}, 0), milliseconds(0));
}

TEST(RetryPolicyTest, JitterComesOnTopOfTheServersDelay) {
  const RetryPolicy policy = {.initial_backoff = milliseconds(100)};
  EXPECT_EQ(BackoffDelay(policy, 1, milliseconds(700), 0.5), milliseconds(750));
}

TEST(RandomIdTest, IdsDiffer) { EXPECT_NE(RandomId(), RandomId()); }

}  // namespace
}  // namespace heapsync
