// The HTTP port, asked over real connections, before an engine whose Heap is a
// script.

#include <curl/curl.h>
#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "heap_adapter/engines.h"
#include "heap_adapter/spool/measured_store.h"
#include "heapsync/v1/heap_sync_service.grpc.pb.h"
#include "nlohmann/json.hpp"
#include "server/data/data_service.h"
#include "server/observe/attempt_metrics.h"
#include "server/observe/call_metrics.h"
#include "server/observe/call_observer.h"
#include "server/observe/flow_history.h"
#include "server/observe/flow_sampler.h"
#include "server/observe/http_server.h"
#include "server/observe/metric_destinations.h"
#include "server/observe/operator_pages.h"
#include "server/observe/process_metrics.h"
#include "server/observe/spool_metrics.h"
#include "tests/server/scrape.h"
#include "tests/spool/memory_store.h"

namespace heapsync {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kAppId[] = "9876543210";
constexpr char kIdentity[] = "someone@example.com";

// Answers every request at once, with the status that is set.
class InstantHeap final : public Transport {
 public:
  void AnswerWith(int status) {
    const std::lock_guard<std::mutex> lock(mutex_);
    status_ = status;
  }

  void Send(HeapRequest request) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    answers_.push_back({request.id, HttpResponse{.status = status_}});
  }
  std::vector<HeapResponse> Wait(Duration timeout) override {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, timeout,
                      [&] { return woken_ || !answers_.empty(); });
    woken_ = false;
    return std::exchange(answers_, {});
  }
  void Wake() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    woken_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int status_ = 200;
  std::vector<HeapResponse> answers_;
  bool woken_ = false;
};

struct Reply {
  long status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

size_t AppendTo(char* bytes, size_t size, size_t count, void* text) {
  static_cast<std::string*>(text)->append(bytes, size * count);
  return size * count;
}

// One request; status 0 if no answer came.
Reply Ask(int port, const std::string& path, const char* method = "GET") {
  Reply reply;
  std::string head;
  CURL* curl = curl_easy_init();
  curl_easy_setopt(curl, CURLOPT_URL,
                   absl::StrCat("http://127.0.0.1:", port, path).c_str());
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
  if (absl::string_view(method) == "HEAD") {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  }
  if (absl::string_view(method) == "POST") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "a=b");
  }
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &AppendTo);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply.body);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &AppendTo);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &head);
  curl_easy_perform(curl);
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.status);
  curl_easy_cleanup(curl);
  for (const absl::string_view line : absl::StrSplit(head, "\r\n")) {
    const std::pair<std::string, std::string> header =
        absl::StrSplit(line, absl::MaxSplits(": ", 1));
    reply.headers[absl::AsciiStrToLower(header.first)] = header.second;
  }
  return reply;
}

class HttpTest : public ::testing::Test {
 protected:
  HttpTest() {
    EngineOptions options;
    options.destinations.destinations.push_back(
        {.name = "prod", .app_id = *AppId::Parse(kAppId)});
    options.destinations.default_destination = "prod";
    engines_ = std::make_unique<Engines>(*Engine::Start(
        measured_, heap_, SystemClock(), std::move(options),
        [this](const AttemptEvent& event) { attempts_.OnAttempt(event); }));
    status_ = std::make_unique<StatusReader>(*engines_, kPatience);
    http_ = *HttpServer::Start(
        "127.0.0.1:0",
        OperatorPages(*status_, history_, "1.2.3", with_metrics_,
                      {&spool_, &attempts_, &calls_, &process_}));
  }
  ~HttpTest() override {
    http_.reset();
    engines_.reset();
  }

  Reply Get(const std::string& path) { return Ask(http_->port(), path); }

  absl::Status Append(int events) {
    const Destination& destination = *engines_->FindDestination("");
    ChunkEncoder encoder(destination.encoding, SystemClock().Read().wall);
    for (int i = 0; i < events; ++i) {
      v1::TrackEvent event;
      event.set_identity(kIdentity);
      event.set_event("Purchase");
      encoder.Add(event, ItemPath{.field = "event"}, absl::StrCat("key-", i));
    }
    std::promise<absl::Status> stored;
    const Admission queued = (*engines_)[0].Append(
        destination,
        (*engines_)[0].LaneFor(destination, ObjectType::kTrackEvent),
        encoder.Take(), [&](const absl::StatusOr<SeqRange>& seqs) {
          stored.set_value(seqs.status());
        });
    return queued.ok() ? stored.get_future().get() : queued.status;
  }

  // Waits until all is delivered.
  void Flush() {
    std::promise<void> settled;
    ASSERT_TRUE(
        engines_->Flush("", [&](Settlement) { settled.set_value(); }).ok());
    settled.get_future().get();
  }

  // Keeps the dispatcher busy until `over` has its value.
  void MakeBusy(std::future<void> over) {
    const auto busy = std::make_shared<std::promise<void>>();
    std::future<void> begun = busy->get_future();
    engines_->RequestSnapshot(
        [busy, over = std::move(over)](const EngineSnapshot&) mutable {
          busy->set_value();
          over.get();
        });
    begun.get();
  }

  static constexpr Duration kPatience = std::chrono::milliseconds(300);

  MemoryStore store_;
  SpoolMetrics spool_{"/", 123};
  MeasuredStore measured_{store_, [this](const StoreWrite& write) {
                            spool_.OnWrite(write.took, write.bytes,
                                           write.synced, write.ok);
                          }};
  InstantHeap heap_;
  MetricDestinations with_metrics_{10};
  AttemptMetrics attempts_{with_metrics_};
  CallMetrics calls_{{"heapsync.v1.HeapSyncService", "not.linked.Service"}};
  ProcessMetrics process_;
  FlowHistory history_{SystemClock().Read()};
  std::unique_ptr<Engines> engines_;
  std::unique_ptr<StatusReader> status_;
  std::unique_ptr<HttpServer> http_;
};

TEST_F(HttpTest, EveryPathAnswersInItsOwnType) {
  EXPECT_EQ(Get("/").headers["content-type"], "text/html; charset=utf-8");
  EXPECT_EQ(Get("/statusz.json").headers["content-type"], "application/json");
  EXPECT_EQ(Get("/metrics").headers["content-type"],
            "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(Get("/healthz").body, "ok\n");
}

TEST_F(HttpTest, OtherPathsAreNotFound) {
  for (const char* path :
       {"/nothing", "/metrics/", "//metrics", "/../etc/passwd", "/%2e%2e/etc/",
        "/etc/passwd", "/healthz%00", "/status_page.html"}) {
    EXPECT_EQ(Get(path).status, 404) << path;
  }
}

TEST_F(HttpTest, OnlyGetAndHeadAreAllowed) {
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS"}) {
    Reply reply = Ask(http_->port(), "/metrics", method);
    EXPECT_EQ(reply.status, 405) << method;
    EXPECT_EQ(reply.headers["allow"], "GET, HEAD") << method;
  }
}

TEST_F(HttpTest, HeadHasTheLengthAndNoBody) {
  Reply reply = Ask(http_->port(), "/healthz", "HEAD");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers["content-length"], "3");
  EXPECT_EQ(reply.body, "");
}

TEST_F(HttpTest, LongRequestsAreRefused) {
  EXPECT_GE(Get("/metrics?" + std::string(10'000, 'a')).status, 400);
  EXPECT_EQ(Get("/metrics").status, 200);
}

TEST_F(HttpTest, HostileRequestsAreAnsweredOrCutAndTheNextIsServed) {
  const sockaddr_in address{
      .sin_family = AF_INET,
      .sin_port = htons(static_cast<uint16_t>(http_->port())),
      .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
  const std::vector<std::string> requests = {
      std::string("\0\0\0\0", 4) + "\r\n\r\n",
      "GET\r\n\r\n",
      "GET /metrics HTTP/9.9\r\n\r\n",
      "GET /metrics\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\r\n\r\n",
      "GET /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
      "GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "GET http://elsewhere.example/metrics HTTP/1.1\r\n\r\n",
      "GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\n" + std::string(20'000, 'a') + ": b\r\n\r\n"};
  for (const std::string& request : requests) {
    const int connection = socket(AF_INET, SOCK_STREAM, 0);
    ASSERT_EQ(connect(connection, reinterpret_cast<const sockaddr*>(&address),
                      sizeof(address)),
              0);
    send(connection, request.data(), request.size(), MSG_NOSIGNAL);
    shutdown(connection, SHUT_WR);
    std::string answer;
    char bytes[4096];
    for (ssize_t n; (n = recv(connection, bytes, sizeof(bytes), 0)) > 0;) {
      answer.append(bytes, static_cast<size_t>(n));
    }
    close(connection);
    EXPECT_THAT(answer, Not(HasSubstr(kAppId))) << request.substr(0, 40);
  }
  EXPECT_EQ(Get("/healthz").body, "ok\n");
}

TEST_F(HttpTest, AnswersCarrySecurityHeaders) {
  for (const char* path : {"/", "/metrics", "/statusz.json", "/nothing"}) {
    Reply reply = Get(path);
    EXPECT_EQ(reply.headers["x-content-type-options"], "nosniff") << path;
    EXPECT_EQ(reply.headers["x-frame-options"], "DENY") << path;
    EXPECT_EQ(reply.headers["cache-control"], "no-store") << path;
    EXPECT_THAT(reply.headers["content-security-policy"],
                StartsWith("default-src 'none'"))
        << path;
  }
}

TEST_F(HttpTest, TakenAddressIsAClearError) {
  const std::string address = absl::StrCat("127.0.0.1:", http_->port());
  const auto second = HttpServer::Start(address, {});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(address));
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr("Address already in use"));
}

TEST_F(HttpTest, UnusableAddressIsAnError) {
  for (const char* address :
       {"no.such.host.invalid:0", "192.0.2.1:0", "127.0.0.1:0,127.0.0.1:0",
        "127.0.0.1:0s", "[2001:db8::1]:0"}) {
    const auto server = HttpServer::Start(address, {});
    EXPECT_FALSE(server.ok()) << address;
    EXPECT_THAT(std::string(server.status().message()), StartsWith(address));
  }
}

TEST_F(HttpTest, ListensOnNamesAndOnAllAddresses) {
  for (const char* address : {"localhost:0", "0.0.0.0:0", "[::]:0"}) {
    const auto server = HttpServer::Start(address, {});
    ASSERT_TRUE(server.ok()) << server.status();
    EXPECT_GT((*server)->port(), 0) << address;
  }
}

TEST_F(HttpTest, MetricsParseAndEachFamilyIsDescribedOnce) {
  ASSERT_TRUE(Append(1).ok());
  Flush();
  const Scrape scrape = Parse(Get("/metrics").body);
  EXPECT_THAT(scrape.faults, ::testing::IsEmpty());
  for (const auto& [name, type] : scrape.types) {
    EXPECT_EQ(type == "counter", absl::EndsWith(name, "_total")) << name;
  }
}

TEST_F(HttpTest, MetricsCountWhatWasDelivered) {
  ASSERT_TRUE(Append(7).ok());
  Flush();
  const Scrape scrape = Parse(Get("/metrics").body);
  const std::string lane = R"({destination="prod",type="track_event"})";
  EXPECT_EQ(scrape["heapsync_items_accepted_total" + lane], 7);
  EXPECT_EQ(scrape["heapsync_items_delivered_total" + lane], 7);
  EXPECT_EQ(scrape["heapsync_items_dead_lettered_total{destination=\"prod\","
                   "type=\"track_event\",reason=\"refused\"}"],
            0);
  EXPECT_EQ(scrape["heapsync_queued_items" + lane], 0);
  EXPECT_EQ(scrape["heapsync_oldest_item_age_seconds" + lane], 0);
  EXPECT_EQ(scrape["heapsync_batch_items_sum" + lane], 7);
  EXPECT_EQ(scrape["heapsync_delivery_latency_seconds_count" + lane], 7);
  EXPECT_EQ(scrape["heapsync_request_duration_seconds_count" + lane], 1);
  EXPECT_EQ(scrape[R"(heapsync_attempts_total{class="delivered",)"
                   R"(destination="prod",type="track_event"})"],
            1);
  EXPECT_EQ(scrape[R"(heapsync_allowance_used_events{destination="prod"})"], 7);
  EXPECT_EQ(scrape[R"(heapsync_allowance_limit_events{destination="prod"})"],
            15'000);
  EXPECT_EQ(scrape[R"(heapsync_drain_forecast_seconds{destination="prod"})"],
            0);
  EXPECT_EQ(scrape["heapsync_spool_healthy"], 1);
  EXPECT_EQ(scrape[R"(heapsync_build_info{version="1.2.3"})"], 1);
}

TEST_F(HttpTest, MetricsTellOfTheSpoolAndItsDisk) {
  ASSERT_TRUE(Append(1).ok());
  Flush();
  const Scrape scrape = Parse(Get("/metrics").body);
  const std::string synced = R"({synced="true"})";
  EXPECT_GE(scrape["heapsync_spool_commit_seconds_count" + synced], 2);
  EXPECT_GT(scrape["heapsync_spool_written_bytes_total"], 100);
  EXPECT_EQ(scrape["heapsync_spool_write_failures_total"], 0);
  EXPECT_GT(scrape["heapsync_spool_disk_size_bytes"],
            scrape["heapsync_spool_disk_free_bytes"]);
  EXPECT_EQ(scrape["heapsync_spool_disk_reserve_bytes"], 123);
}

TEST_F(HttpTest, MetricsCountRetriesAndDeadLettersByTheirCause) {
  heap_.AnswerWith(400);
  ASSERT_TRUE(Append(1).ok());
  Flush();
  heap_.AnswerWith(503);
  ASSERT_TRUE(Append(1).ok());
  const std::string lane = R"(destination="prod",type="track_event")";
  Scrape scrape;
  do {
    scrape = Parse(Get("/metrics").body);
  } while (scrape[R"(heapsync_retries_total{class="transient",)" + lane + "}"] <
           1);
  EXPECT_EQ(scrape["heapsync_items_dead_lettered_total{" + lane +
                   R"(,reason="refused"})"],
            1);
  EXPECT_EQ(scrape["heapsync_items_dead_lettered_total{" + lane +
                   R"(,reason="expired"})"],
            0);
  // Nothing else is there to compare the item with, so it is refused thrice.
  EXPECT_EQ(scrape[R"(heapsync_attempts_total{class="invalid",)" + lane + "}"],
            3);
}

TEST_F(HttpTest, MetricsCountCallsByMethodAndCode) {
  const Access access;
  DataService service(*engines_, access);
  ConnectionGuard guard({});
  grpc::ServerBuilder builder;
  ObserveCalls(guard, &calls_, builder);
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  const auto stub = v1::HeapSyncService::NewStub(server->InProcessChannel({}));
  v1::TrackEventRequest request;
  request.mutable_event()->set_identity(kIdentity);
  for (const char* name : {"Purchase", "Purchase", ""}) {
    request.mutable_event()->set_event(name);
    grpc::ClientContext context;
    v1::TrackEventResponse response;
    stub->TrackEvent(&context, request, &response);
  }
  server->Shutdown();

  const Scrape scrape = Parse(Get("/metrics").body);
  const std::string method = R"({grpc_service="heapsync.v1.HeapSyncService",)"
                             R"(grpc_method="TrackEvent",grpc_type="unary")";
  EXPECT_EQ(scrape["grpc_server_started_total" + method + "}"], 3);
  EXPECT_EQ(
      scrape["grpc_server_handled_total" + method + R"(,grpc_code="OK"})"], 2);
  EXPECT_EQ(scrape["grpc_server_handled_total" + method +
                   R"(,grpc_code="InvalidArgument"})"],
            1);
  EXPECT_EQ(scrape["grpc_server_handling_seconds_count" + method + "}"], 3);
  EXPECT_EQ(
      scrape["grpc_server_handling_seconds_bucket" + method + R"(,le="+Inf"})"],
      3);
}

TEST_F(HttpTest, MetricsTellOfTheProcess) {
  const Scrape scrape = Parse(Get("/metrics").body);
  const double now = std::chrono::duration<double>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
  EXPECT_GT(scrape["process_resident_memory_bytes"], 1e6);
  EXPECT_GT(scrape["process_cpu_seconds_total"], 0);
  EXPECT_GT(scrape["process_open_fds"], 3);
  EXPECT_GT(scrape["process_max_fds"], scrape["process_open_fds"]);
  EXPECT_GT(scrape["process_threads"], 3);
  EXPECT_EQ(scrape["heapsync_log_lines_dropped_total"], 0);
  EXPECT_LT(scrape["process_start_time_seconds"], now + 2);
  EXPECT_GT(scrape["process_start_time_seconds"], now - 300);
}

TEST_F(HttpTest, DestinationThatHeapRefusesShowsItsStateAndWhatWaits) {
  heap_.AnswerWith(403);
  ASSERT_TRUE(Append(3).ok());
  nlohmann::json destination;
  do {
    destination =
        nlohmann::json::parse(Get("/statusz.json").body)["destinations"][0];
  } while (destination["state"] == "active");
  EXPECT_EQ(destination["state"], "needs_attention");
  EXPECT_EQ(destination["last_error"], "HTTP 403");
  EXPECT_EQ(destination["queued_items"], 3);
  EXPECT_EQ(destination["drained_in_seconds"], nullptr);
  EXPECT_TRUE(destination["oldest_age_seconds"].is_number());
  EXPECT_THAT(
      destination["why"].get<std::string>(),
      AllOf(HasSubstr("every request with events."), HasSubstr("App ID")));

  const Scrape scrape = Parse(Get("/metrics").body);
  EXPECT_EQ(scrape["heapsync_destination_state"
                   R"({destination="prod",state="needs_attention"})"],
            1);
  EXPECT_EQ(scrape["heapsync_destination_state"
                   R"({destination="prod",state="active"})"],
            0);
}

TEST_F(HttpTest, DestinationWhoseWayIsWrongDoesNotBlameTheAppId) {
  heap_.AnswerWith(203);
  ASSERT_TRUE(Append(3).ok());
  nlohmann::json destination;
  do {
    destination =
        nlohmann::json::parse(Get("/statusz.json").body)["destinations"][0];
  } while (destination["state"] == "active");
  EXPECT_EQ(destination["state"], "needs_attention");
  EXPECT_EQ(
      destination["last_error"],
      "HTTP 203 (no content type), a response that does not come from Heap");
  EXPECT_THAT(destination["why"].get<std::string>(), Not(HasSubstr("App ID")));
}

TEST_F(HttpTest, StatusShowsTheDestinationsThatAreAskedFor) {
  const auto found =
      nlohmann::json::parse(Get("/statusz.json?search=PRO&state=active").body);
  EXPECT_EQ(found["matching"], 1);
  EXPECT_EQ(found["destinations"][0]["name"], "prod");
  const auto none = nlohmann::json::parse(Get("/statusz.json?search=x").body);
  EXPECT_EQ(none["destinations_total"], 1);
  EXPECT_TRUE(none["destinations"].empty());
  EXPECT_EQ(Get("/statusz.json?page=some").status, 400);
}

TEST_F(HttpTest, TheSamplerPutsTheFlowsOfTheEngineIntoTheHistory) {
  Now a_step_ago = SystemClock().Read();
  a_step_ago.wall -= FlowHistory::kStep;
  a_step_ago.monotonic -= FlowHistory::kStep;
  FlowHistory history(a_step_ago);
  FlowSampler sampler(*engines_, history);
  ASSERT_TRUE(Append(1).ok());
  Flush();
  sampler.Tick(SystemClock().Read().monotonic);
  std::promise<void> answered;
  engines_->RequestFlows([&](const EngineFlows&) { answered.set_value(); });
  answered.get_future().get();
  sampler.Tick(SystemClock().Read().monotonic);
  const FlowCharts charts =
      history.Charts(FlowHistory::Range::kMinutes, {"prod"});
  for (const FlowChart& chart : {charts.total, charts.destinations[0]}) {
    ASSERT_EQ(chart.points.size(), 1);
    EXPECT_EQ(chart.points[0]->accepted, 1);
    EXPECT_EQ(chart.points[0]->delivered, 1);
    EXPECT_EQ(chart.points[0]->queued_items, 0);
  }
}

TEST_F(HttpTest, TheSamplerDoesNotWaitForABusyDispatcher) {
  std::promise<void> go_on;
  MakeBusy(go_on.get_future());
  FlowHistory history(SystemClock().Read());
  FlowSampler sampler(*engines_, history);
  const MonotonicTime later = SystemClock().Read().monotonic;
  for (int i = 0; i < 100; ++i) sampler.Tick(later + i * FlowHistory::kStep);
  EXPECT_TRUE(
      history.Charts(FlowHistory::Range::kMinutes, {}).total.points.empty());
  go_on.set_value();
}

TEST_F(HttpTest, BusyDispatcherIsShownAsItWasLastSeen) {
  ASSERT_TRUE(Append(5).ok());
  Flush();
  ASSERT_EQ(Get("/statusz.json").status, 200);
  std::promise<void> go_on;
  MakeBusy(go_on.get_future());
  nlohmann::json status;
  do {
    status = nlohmann::json::parse(Get("/statusz.json").body);
  } while (status["snapshot_age_seconds"] <
           std::chrono::duration<double>(kPatience).count());
  EXPECT_EQ(status["destinations"][0]["delivered"], 5);
  EXPECT_THAT(Parse(Get("/metrics").body).faults, ::testing::IsEmpty());
  go_on.set_value();
}

TEST_F(HttpTest, HealthTurnsBadWhenTheSpoolFailsToWrite) {
  store_.FailWrites(absl::InternalError("the disk is gone"), 0);
  ASSERT_FALSE(Append(1).ok());
  EXPECT_EQ(Get("/healthz").status, 503);
}

TEST_F(HttpTest, NothingSecretIsServed) {
  heap_.AnswerWith(403);
  ASSERT_TRUE(Append(3).ok());
  for (const char* path : {"/", "/statusz.json", "/metrics", "/healthz"}) {
    const std::string body = Get(path).body;
    EXPECT_THAT(body, Not(HasSubstr(kAppId))) << path;
    EXPECT_THAT(body, Not(HasSubstr(kIdentity))) << path;
  }
  EXPECT_THAT(Get("/statusz.json").body, HasSubstr("…3210"));
}

TEST_F(HttpTest, PageNeedsNothingFromOutside) {
  const std::string page = Get("/").body;
  EXPECT_THAT(page, HasSubstr("</html>"));
  // The name of the vector format's namespace is not loaded.
  std::string rest = page;
  const std::string name_space = "http://www.w3.org/2000/svg";
  for (size_t at; (at = rest.find(name_space)) != std::string::npos;) {
    rest.erase(at, name_space.size());
  }
  for (const char* outside : {"http:", "https:", "src=", "@import", "url("}) {
    EXPECT_THAT(rest, Not(HasSubstr(outside)));
  }
  EXPECT_THAT(rest, Not(HasSubstr("innerHTML")));
}

TEST_F(HttpTest, PagePolicyAllowsItsOwnScriptAndStyleOnly) {
  const std::string policy = Get("/").headers["content-security-policy"];
  EXPECT_THAT(policy, ContainsRegex("script-src 'sha256-[A-Za-z0-9+/]+=*';"));
  EXPECT_THAT(policy, ContainsRegex("style-src 'sha256-[A-Za-z0-9+/]+=*';"));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
}

}  // namespace
}  // namespace heapsync
