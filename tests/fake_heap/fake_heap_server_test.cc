#include "tests/fake_heap/fake_heap_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/error.hpp>
#include <boost/beast/http/error.hpp>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/fake_heap/http_client.h"

namespace heapsync::fake_heap {
namespace {

using ::testing::StartsWith;

// A time of its own, that stands still.
class StoppedClock : public Clock {
 public:
  Now Read() const override {
    return {WallTime(std::chrono::seconds(1'700'000'000)), MonotonicTime()};
  }
  uint64_t Epoch() const override { return 1; }
};

std::string Events(const std::string& key, int count = 1) {
  std::string items;
  for (int i = 0; i < count; ++i) {
    absl::StrAppend(&items, i ? "," : "", R"({"identity":"a","event":"e",)",
                    R"("idempotency_key":"event-)", key, "-", i, R"("})");
  }
  return absl::StrCat(R"({"app_id":"1","events":[)", items, "]}");
}

class FakeHeapServerTest : public ::testing::Test {
 protected:
  void SetUp() override { Start({}); }

  void Start(ServerOptions options) {
    server_.reset();
    options.clock = &clock_;
    auto server = FakeHeapServer::Start(std::move(options));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  HttpClient Connect(Region region = Region::kUs) {
    return HttpClient(server_->port(region));
  }

  // Strikes every request with this action.
  void Fault(const std::string& action) {
    const auto set = server_->SetFaults(
        absl::StrCat(R"({"rules":[{"name":"it","action":)", action, "}]}"));
    ASSERT_TRUE(set.ok()) << set;
  }

  uint64_t Appended() {
    return server_->Ask("/_fake/summary")["total"]["events_appended"];
  }

  StoppedClock clock_;
  std::unique_ptr<FakeHeapServer> server_;
};

TEST_F(FakeHeapServerTest, TakesItemsOverOneConnectionInBothRegions) {
  HttpClient us = Connect(Region::kUs);
  HttpClient eu = Connect(Region::kEu);
  EXPECT_EQ(us.Call("POST", "/api/track", Events("a", 1000)).status, 200);
  EXPECT_EQ(us.Call("POST", "/api/track", Events("b")).status, 200);
  EXPECT_EQ(eu.Call("POST", "/api/add_user_properties",
                    R"({"app_id":"1","users":[{"identity":"u"}]})")
                .status,
            200);
  EXPECT_EQ(eu.Call("POST", "/api/add_account_properties",
                    R"({"app_id":"2","accounts":[{"account_id":"c"}]})")
                .response.body(),
            "OK");
  const auto summary = server_->Ask("/_fake/summary");
  const auto& app = summary["apps"]["1"];
  EXPECT_EQ(app["regions"]["us"]["requests"]["/api/track"]["200"], 2);
  EXPECT_EQ(app["regions"]["us"]["items"]["events"], 1001);
  EXPECT_EQ(app["regions"]["eu"]["items"]["users"], 1);
  EXPECT_EQ(app["events"]["unique_keys"], 1001);
  EXPECT_EQ(summary["apps"]["2"]["accounts"]["identities"], 1);
  EXPECT_EQ(summary["regions"]["us"]["connections"]["accepted"], 1);
  EXPECT_EQ(summary["regions"]["eu"]["connections"]["accepted"], 1);
}

TEST_F(FakeHeapServerTest, AnswersSchemaFaultsInHeapsWordsAndTakesNothing) {
  const ClientAnswer answer =
      Connect().Call("POST", "/api/track",
                     R"({"app_id":"1","events":[{"identity":"a","event":"e"},
                         {"identity":"a","event":"e","properties":[]}]})");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.response.body(),
            "postBody.events[1].properties should be object");
  EXPECT_EQ(answer.response["Content-Type"], "text/plain");
  EXPECT_EQ(Appended(), 0u);
}

TEST_F(FakeHeapServerTest, Answers404OffThePaths) {
  EXPECT_EQ(Connect().Call("POST", "/api/identify", "{}").status, 404);
  EXPECT_EQ(Connect().Call("GET", "/api/track").status, 404);
  EXPECT_EQ(Connect().Call("GET", "/_fake/nothing").status, 404);
}

TEST_F(FakeHeapServerTest, Answers413OverTheBodyLimit) {
  ServerOptions options;
  options.max_body_bytes = 100;
  Start(std::move(options));
  EXPECT_EQ(Connect().Call("POST", "/api/track", Events("a", 10)).status, 413);
  EXPECT_EQ(Connect().Call("POST", "/api/track", Events("a")).status, 200);
}

TEST_F(FakeHeapServerTest, LetsAClientReadItsRefusalOfALargeBody) {
  ServerOptions options;
  options.max_body_bytes = 100;
  Start(std::move(options));
  const std::string body(8 << 20, 'x');
  EXPECT_EQ(Connect().Call("POST", "/api/track", body).status, 413);
  EXPECT_EQ(server_->Ask("/_fake/summary")["apps"]["unknown"]["regions"]["us"]
                                          ["requests"]["/api/track"]["413"],
            1);
}

TEST_F(FakeHeapServerTest, PlaysAStatusWithRetryAfterInSeconds) {
  Fault(R"({"type":"status","status":429,"retry_after":7,"body":"slow"})");
  const ClientAnswer answer = Connect().Call("POST", "/api/track", Events("a"));
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.response["Retry-After"], "7");
  EXPECT_EQ(answer.response.body(), "slow");
  EXPECT_EQ(Appended(), 0u);
}

TEST_F(FakeHeapServerTest, PlaysAStatusWithRetryAfterAsADate) {
  Fault(R"({"type":"status","status":503,"retry_after":{"date_in":60}})");
  EXPECT_EQ(
      Connect().Call("POST", "/api/track", Events("a")).response["Retry-After"],
      "Tue, 14 Nov 2023 22:14:20 GMT");
}

TEST_F(FakeHeapServerTest, AnswersAStatusWithoutBodyOnAConnectionThatGoesOn) {
  Fault(R"({"type":"status","status":204})");
  HttpClient client = Connect();
  EXPECT_EQ(client.Call("POST", "/api/track", Events("a")).status, 204);
  EXPECT_EQ(client.Call("POST", "/api/track", Events("b")).status, 204);
  EXPECT_EQ(Appended(), 2u);
}

TEST_F(FakeHeapServerTest, PlaysARedirect) {
  Fault(R"({"type":"redirect","status":307,"location":"http://other/"})");
  const ClientAnswer answer = Connect().Call("POST", "/api/track", Events("a"));
  EXPECT_EQ(answer.status, 307);
  EXPECT_EQ(answer.response["Location"], "http://other/");
}

TEST_F(FakeHeapServerTest, NamesAPoisonedItem) {
  ASSERT_TRUE(server_
                  ->SetFaults(R"({"rules":[{"match":{"body_contains":"-7\""},
                                  "action":{"type":"poison"}}]})")
                  .ok());
  const ClientAnswer answer =
      Connect().Call("POST", "/api/track", Events("a", 10));
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.response.body(),
            "postBody.events[7].properties should be object");
  EXPECT_EQ(Connect().Call("POST", "/api/track", Events("a", 7)).status, 200);
}

TEST_F(FakeHeapServerTest, KeepsThePoisonedItemToItself) {
  ASSERT_TRUE(server_
                  ->SetFaults(R"({"rules":[{"match":{"body_contains":"-7\""},
                          "action":{"type":"poison","name_item":false}}]})")
                  .ok());
  EXPECT_EQ(
      Connect().Call("POST", "/api/track", Events("a", 10)).response.body(),
      "Bad Request");
}

TEST_F(FakeHeapServerTest, AnswersLateButNotTooEarly) {
  Fault(R"({"type":"pass","delay_ms":30})");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(Connect().Call("POST", "/api/track", Events("a")).status, 200);
  EXPECT_GE(std::chrono::steady_clock::now() - start,
            std::chrono::milliseconds(30));
}

TEST_F(FakeHeapServerTest, ServesOthersWhileARequestHangs) {
  ASSERT_TRUE(server_
                  ->SetFaults(R"({"rules":[{"match":{"region":"us"},
                                  "action":{"type":"hang"}}]})")
                  .ok());
  HttpClient hanging = Connect(Region::kUs);
  hanging.Send("POST", "/api/track", Events("a"));
  EXPECT_EQ(Connect(Region::kEu).Call("POST", "/api/track", Events("b")).status,
            200);
  hanging.Close();
  const auto open = [&] {
    return server_->Ask(
        "/_fake/summary")["regions"]["us"]["connections"]["open"];
  };
  while (open() != 0) std::this_thread::yield();
  EXPECT_EQ(Appended(), 1u);
}

TEST_F(FakeHeapServerTest, ResetsBeforeTheBody) {
  Fault(R"({"type":"reset_before_body"})");
  EXPECT_EQ(Connect().Call("POST", "/api/track", Events("a")).error,
            boost::asio::error::connection_reset);
  EXPECT_EQ(Appended(), 0u);
  const auto requests = server_->Ask("/_fake/requests")["requests"];
  EXPECT_EQ(requests[0]["outcome"], "reset_before_body");
  EXPECT_EQ(requests[0]["rule"], "it");
}

TEST_F(FakeHeapServerTest, ResetsAfterItTookTheBody) {
  Fault(R"({"type":"reset_after_body"})");
  EXPECT_EQ(Connect().Call("POST", "/api/track", Events("a")).error,
            boost::asio::error::connection_reset);
  EXPECT_EQ(Appended(), 1u);
}

TEST_F(FakeHeapServerTest, CutsAnAnswerInItsHeaders) {
  Fault(R"({"type":"cut_answer","in":"headers"})");
  const ClientAnswer answer = Connect().Call("POST", "/api/track", Events("a"));
  EXPECT_EQ(answer.error, boost::beast::http::error::partial_message);
  EXPECT_EQ(Appended(), 1u);
}

TEST_F(FakeHeapServerTest, CutsAnAnswerInItsBody) {
  Fault(R"({"type":"cut_answer","in":"body","apply":false})");
  const ClientAnswer answer = Connect().Call("POST", "/api/track", Events("a"));
  EXPECT_EQ(answer.error, boost::beast::http::error::partial_message);
  EXPECT_EQ(answer.response.result_int(), 200u);
  EXPECT_EQ(answer.response.body(), "{");
  EXPECT_EQ(Appended(), 0u);
}

TEST_F(FakeHeapServerTest, SendsGarbage) {
  Fault(R"({"type":"garbage","bytes":64})");
  EXPECT_EQ(Connect().Call("POST", "/api/track", Events("a")).error,
            boost::beast::http::error::bad_version);
  EXPECT_EQ(Appended(), 0u);
}

TEST_F(FakeHeapServerTest, TakesANewScriptOverHttpAndRefusesABadOne) {
  HttpClient client = Connect();
  const std::string script =
      R"({"rules":[{"name":"down","first":1,
                    "action":{"type":"status","status":503}}]})";
  EXPECT_EQ(client.Call("PUT", "/_fake/faults", script).status, 200);
  EXPECT_EQ(client.Call("POST", "/api/track", Events("a")).status, 503);
  EXPECT_EQ(client.Call("POST", "/api/track", Events("a")).status, 200);
  const auto rule = server_->Ask("/_fake/faults")["rules"][0];
  EXPECT_EQ(rule["name"], "down");
  EXPECT_EQ(rule["matched"], 2);
  EXPECT_EQ(rule["fired"], 1);
  const ClientAnswer refused = client.Call(
      "PUT", "/_fake/faults", R"({"rules":[{"x":1},{"action":{"type":"y"}}]})");
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(nlohmann::json::parse(refused.response.body())["faults"].size(),
            3u);
  EXPECT_EQ(client.Call("DELETE", "/_fake/faults").status, 200);
  EXPECT_TRUE(server_->Ask("/_fake/faults")["rules"].empty());
}

TEST_F(FakeHeapServerTest, MeasuresLimitsWithoutRefusing) {
  HttpClient client = Connect();
  EXPECT_EQ(client.Call("POST", "/api/track", Events("a", 1000)).status, 200);
  EXPECT_EQ(client.Call("POST", "/api/track", Events("b")).status, 200);
  const auto violations = server_->Ask("/_fake/violations");
  EXPECT_EQ(violations["total"], 1);
  const auto& violation = violations["violations"][0];
  EXPECT_EQ(violation["kind"], "identity_events");
  EXPECT_EQ(violation["identity"], "a");
  EXPECT_EQ(violation["worst_excess"], 1);
  EXPECT_EQ(violation["first"], "2023-11-14T22:13:20.000000Z");
  EXPECT_EQ(
      server_->Ask(
          "/_fake/summary")["apps"]["1"]["highest_use"]["app_events"]["used"],
      1001);
}

TEST_F(FakeHeapServerTest, EnforcesLimitsIfConfigured) {
  ServerOptions options;
  options.simulator.enforce_limits = true;
  Start(std::move(options));
  HttpClient client = Connect();
  EXPECT_EQ(client.Call("POST", "/api/track", Events("a", 1000)).status, 200);
  EXPECT_EQ(client.Call("POST", "/api/track", Events("b")).status, 429);
  EXPECT_EQ(server_->Ask("/_fake/violations")["total"], 0);
  EXPECT_EQ(Appended(), 1000u);
}

TEST_F(FakeHeapServerTest, DistinguishesEventsUsersAndAccounts) {
  HttpClient client = Connect();
  client.Call("POST", "/api/track", Events("x", 3));
  client.Call("POST", "/api/add_user_properties",
              R"({"app_id":"1","users":[{"identity":"a+b@c.de",
                  "properties":{"plan":"pro","n":1}}]})");
  const auto events =
      server_->Ask("/_fake/events?app_id=1&identity=a&offset=1&limit=1");
  EXPECT_EQ(events["total"], 3);
  EXPECT_EQ(events["events"][0]["key"], "event-x-1");
  EXPECT_EQ(events["events"][0]["event"]["event"], "e");
  EXPECT_EQ(server_->Ask("/_fake/event?app_id=1&key=event-x-2")["count"], 1);
  EXPECT_EQ(server_->Ask("/_fake/event?app_id=1&key=other")["error"],
            "no such key");
  EXPECT_EQ(
      server_->Ask("/_fake/users?app_id=1&identity=a%2Bb%40c.de")["properties"],
      nlohmann::json::parse(R"({"plan":"pro","n":1})"));
  EXPECT_EQ(server_->Ask("/_fake/users?app_id=1")["users"].size(), 1u);
  EXPECT_EQ(server_->Ask("/_fake/accounts?app_id=1")["total"], 0);
  EXPECT_EQ(server_->Ask("/_fake/events")["error"], "app_id is needed");
}

TEST_F(FakeHeapServerTest, StreamsKeysWithTheirCounts) {
  HttpClient client = Connect();
  client.Call("POST", "/api/track", Events("x", 2));
  client.Call("POST", "/api/track", Events("x", 1));
  EXPECT_EQ(client.Call("GET", "/_fake/keys?app_id=1").response.body(),
            "event-x-0\t2\nevent-x-1\t1\n");
  EXPECT_EQ(client.Call("GET", "/_fake/keys?app_id=9").response.body(), "");
}

TEST_F(FakeHeapServerTest, StreamsMoreKeysThanFitIntoOneChunk) {
  HttpClient client = Connect();
  for (int i = 0; i < 40; ++i) {
    client.Call("POST", "/api/track", Events(absl::StrCat(i), 1000));
  }
  const std::string keys =
      client.Call("GET", "/_fake/keys?app_id=1").response.body();
  EXPECT_EQ(std::count(keys.begin(), keys.end(), '\n'), 40'000);
}

TEST_F(FakeHeapServerTest, RemembersTheLastRequestsWithTheirHeaders) {
  ServerOptions options;
  options.simulator.keep_requests = 2;
  options.simulator.keep_bodies = true;
  Start(std::move(options));
  HttpClient client = Connect();
  for (const char* key : {"a", "b", "c"}) {
    client.Call("POST", "/api/track", Events(key));
  }
  const auto requests = server_->Ask("/_fake/requests")["requests"];
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[1]["number"], 3);
  EXPECT_EQ(requests[1]["items"], 1);
  EXPECT_EQ(requests[1]["headers"]["Content-Type"], "application/json");
  EXPECT_EQ(requests[1]["body"], Events("c"));
}

TEST_F(FakeHeapServerTest, ForgetsItsStateButNotItsScript) {
  HttpClient client = Connect();
  Fault(R"({"type":"pass"})");
  client.Call("POST", "/api/track", Events("a"));
  EXPECT_EQ(client.Call("DELETE", "/_fake/state").status, 200);
  const auto summary = server_->Ask("/_fake/summary");
  EXPECT_EQ(summary["total"]["requests"], 0);
  EXPECT_TRUE(summary["apps"].empty());
  EXPECT_EQ(server_->Ask("/_fake/faults")["rules"].size(), 1u);
}

TEST_F(FakeHeapServerTest, CountsAndForgetsInNoStoreMode) {
  ServerOptions options;
  options.simulator.state.count_only = true;
  Start(std::move(options));
  EXPECT_EQ(Connect().Call("POST", "/api/track", Events("a", 1000)).status,
            200);
  const auto total = server_->Ask("/_fake/summary")["total"];
  EXPECT_EQ(total["items"], 1000);
  EXPECT_EQ(total["unique_keys"], 0);
}

TEST(FakeHeapServer, RefusesAddressesItCannotUse) {
  ServerOptions options;
  options.listen_eu = "nowhere";
  EXPECT_EQ(FakeHeapServer::Start(options).status().code(),
            absl::StatusCode::kInvalidArgument);
  const auto server = FakeHeapServer::Start({});
  ASSERT_TRUE(server.ok());
  options.listen_eu = (*server)->address(Region::kEu);
  const auto second = FakeHeapServer::Start(options);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()),
              StartsWith("cannot listen on 127.0.0.1:"));
}

}  // namespace
}  // namespace heapsync::fake_heap
