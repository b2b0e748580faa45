#include "heap_adapter/transport/curl_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "tests/transport/scripted_server.h"

namespace heapsync {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;
using Kind = TransportFailure::Kind;
using ReadFirst = Reply::ReadFirst;
using Then = Reply::Then;

constexpr Duration kForever = Duration::max();
constexpr Duration kNoTime{0};

HeapResponse Exchange(CurlTransport& transport, std::string url,
                      std::string body = "{}") {
  transport.Send({.id = 7, .url = std::move(url), .body = std::move(body)});
  std::vector<HeapResponse> answers = transport.Wait(kForever);
  EXPECT_THAT(answers, SizeIs(1));
  EXPECT_EQ(answers.at(0).request_id, 7u);
  return answers.at(0);
}

HttpResponse Http(const HeapResponse& answer) {
  const auto* failure = std::get_if<TransportFailure>(&answer.result);
  EXPECT_EQ(failure, nullptr) << failure->detail;
  return failure == nullptr ? std::get<HttpResponse>(answer.result)
                            : HttpResponse{};
}

TransportFailure Failure(const HeapResponse& answer) {
  const auto* http = std::get_if<HttpResponse>(&answer.result);
  EXPECT_EQ(http, nullptr) << http->status;
  return http == nullptr ? std::get<TransportFailure>(answer.result)
                         : TransportFailure{};
}

TEST(CurlTransport, WhatMayNotBeSentAnyMoreReachesNobody) {
  ScriptedServer server({Answer(200, "OK")});
  bool may_send = false;
  CurlTransport transport({.may_send = [&may_send] { return may_send; }});
  EXPECT_EQ(Failure(Exchange(transport, server.Url())).kind, Kind::kReset);
  EXPECT_THAT(server.requests(), IsEmpty());
  may_send = true;
  EXPECT_EQ(Http(Exchange(transport, server.Url())).status, 200);
}

TEST(CurlTransport, PostsTheBodyAsJsonAndReturnsTheAnswer) {
  ScriptedServer server({Answer(200, "OK")});
  CurlTransport transport({.user_agent = "heapsync/1.2.3"});
  const HttpResponse answer =
      Http(Exchange(transport, server.Url(), "{\"app_id\":\"1\"}"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "OK");
  EXPECT_EQ(answer.retry_after, std::nullopt);

  ASSERT_THAT(server.requests(), SizeIs(1));
  const std::string request = server.requests()[0];
  EXPECT_THAT(request, StartsWith("POST /api/track HTTP/1.1\r\n"));
  EXPECT_THAT(request, EndsWith("\r\n\r\n{\"app_id\":\"1\"}"));
  EXPECT_THAT(request, HasSubstr("\r\nContent-Type: application/json\r\n"));
  EXPECT_THAT(request, HasSubstr("\r\nUser-Agent: heapsync/1.2.3\r\n"));
}

TEST(CurlTransport, SendsATraceparentWithTheRequestThatHasOneOnly) {
  ScriptedServer server({Answer(200, ""), Answer(200, ""), Answer(200, "")});
  CurlTransport transport;
  for (const char* traceparent : {"", "00-1-2-01", ""}) {
    transport.Send({.id = 7,
                    .url = server.Url(),
                    .body = "{}",
                    .traceparent = traceparent});
    EXPECT_THAT(transport.Wait(kForever), SizeIs(1));
  }
  ASSERT_THAT(server.requests(), SizeIs(3));
  EXPECT_THAT(server.requests()[0], Not(HasSubstr("traceparent")));
  EXPECT_THAT(server.requests()[1],
              HasSubstr("\r\ntraceparent: 00-1-2-01\r\n"));
  EXPECT_THAT(server.requests()[1],
              HasSubstr("\r\nContent-Type: application/json\r\n"));
  EXPECT_THAT(server.requests()[2], Not(HasSubstr("traceparent")));
}

TEST(CurlTransport, AsksNoLeaveForALargeBody) {
  ScriptedServer server({Answer(200, "")});
  CurlTransport transport;
  const std::string body(4 << 20, 'x');
  EXPECT_EQ(Http(Exchange(transport, server.Url(), body)).status, 200);
  EXPECT_THAT(absl::AsciiStrToLower(server.requests().at(0).substr(0, 1'000)),
              Not(HasSubstr("expect:")));
  EXPECT_EQ(server.requests().at(0).size() - body.size(),
            server.requests().at(0).find("\r\n\r\n") + 4);
}

TEST(CurlTransport, ReusesAConnectionForOneRequestAfterTheOther) {
  ScriptedServer server(
      {Answer(200, "{}"), Answer(400, "Bad Request"), Answer(204, "")});
  CurlTransport transport;
  EXPECT_EQ(Http(Exchange(transport, server.Url())).status, 200);
  EXPECT_EQ(Http(Exchange(transport, server.Url())).status, 400);
  EXPECT_EQ(Http(Exchange(transport, server.Url())).status, 204);
  EXPECT_EQ(server.connections(), 1);
}

TEST(CurlTransport, AnswersEachOfManyRequestsOnce) {
  constexpr size_t kRequests = 100;
  ScriptedServer server(std::vector<Reply>(kRequests, Answer(200, "OK")));
  CurlTransport transport({.max_connections_per_host = 4});
  for (size_t id = 0; id < kRequests; ++id) {
    transport.Send({.id = id, .url = server.Url(), .body = absl::StrCat(id)});
  }
  std::vector<bool> answered(kRequests, false);
  for (size_t count = 0; count < kRequests;) {
    for (const HeapResponse& answer : transport.Wait(kForever)) {
      EXPECT_EQ(Http(answer).status, 200);
      EXPECT_FALSE(answered.at(answer.request_id));
      answered.at(answer.request_id) = true;
      ++count;
    }
  }
  EXPECT_THAT(transport.Wait(kNoTime), IsEmpty());
  EXPECT_LE(server.connections(), 4);
}

TEST(CurlTransport, KeepsToTheConnectionsThatItMayOpen) {
  ScriptedServer server(std::vector<Reply>(3, Answer(200, "")));
  CurlTransport transport({.max_connections_per_host = 1});
  for (uint64_t id = 0; id < 3; ++id) {
    transport.Send({.id = id, .url = server.Url(), .body = "{}"});
  }
  for (size_t count = 0; count < 3;) count += transport.Wait(kForever).size();
  EXPECT_EQ(server.connections(), 1);
}

TEST(CurlTransport, ReturnsRetryAfterUntouched) {
  ScriptedServer server({Answer(503, "", "retry-after: 7 \r\n")});
  CurlTransport transport;
  const HttpResponse answer = Http(Exchange(transport, server.Url()));
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.retry_after, "7");
}

TEST(CurlTransport, ForgetsTheHeadersOfTheAnswerBefore) {
  ScriptedServer server(
      {Answer(503, "busy", "Retry-After: 7\r\n"), Answer(200, "")});
  CurlTransport transport;
  Exchange(transport, server.Url());
  const HttpResponse answer = Http(Exchange(transport, server.Url()));
  EXPECT_EQ(answer.retry_after, std::nullopt);
  EXPECT_EQ(answer.body, "");
}

TEST(CurlTransport, ReturnsTheContentType) {
  ScriptedServer server(
      {Answer(200, "", "content-type: text/html; charset=utf-8\r\n"),
       Answer(200, "")});
  CurlTransport transport;
  EXPECT_EQ(Http(Exchange(transport, server.Url())).content_type,
            "text/html; charset=utf-8");
  EXPECT_EQ(Http(Exchange(transport, server.Url())).content_type, std::nullopt);
}

TEST(CurlTransport, TakesTheFinalAnswerAfterAnInterimOne) {
  Reply reply = Answer(200, "OK");
  reply.bytes =
      "HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n"
      "Content-Type: text/html\r\n\r\n" +
      reply.bytes;
  ScriptedServer server({reply});
  CurlTransport transport;
  const HttpResponse answer = Http(Exchange(transport, server.Url()));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.retry_after, std::nullopt);
  EXPECT_EQ(answer.content_type, std::nullopt);
}

TEST(CurlTransport, FollowsNoRedirect) {
  ScriptedServer server(
      {Answer(307, "", "Location: /elsewhere\r\n"), Answer(200, "")});
  CurlTransport transport;
  EXPECT_EQ(Http(Exchange(transport, server.Url())).status, 307);
  EXPECT_THAT(server.requests(), SizeIs(1));
}

TEST(CurlTransport, CutsALongAnswerAndKeepsTheConnection) {
  ScriptedServer server(
      {Answer(400, std::string(1 << 20, 'x')), Answer(200, "")});
  CurlTransport transport;
  const HttpResponse answer = Http(Exchange(transport, server.Url()));
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.body, std::string(kMaxResponseBytes, 'x'));
  EXPECT_EQ(Http(Exchange(transport, server.Url())).status, 200);
  EXPECT_EQ(server.connections(), 1);
}

TEST(CurlTransport, CallsAHugeAnswerMalformed) {
  ScriptedServer server({Answer(200, std::string(200'000, 'x'))});
  CurlTransport transport({.max_response_bytes = 100'000});
  EXPECT_EQ(Failure(Exchange(transport, server.Url())).kind,
            Kind::kMalformedResponse);
}

std::string Deflated(const std::string& text) {
  uLongf size = compressBound(text.size());
  std::string packed(size, '\0');
  EXPECT_EQ(compress(reinterpret_cast<Bytef*>(packed.data()), &size,
                     reinterpret_cast<const Bytef*>(text.data()), text.size()),
            Z_OK);
  packed.resize(size);
  return packed;
}

TEST(CurlTransport, UnpacksWhatAProxyCompressedUnasked) {
  ScriptedServer server(
      {Answer(200, Deflated("{}"), "Content-Encoding: deflate\r\n"),
       Answer(200, Deflated(std::string(200'000, 'x')),
              "Content-Encoding: deflate\r\n")});
  CurlTransport transport({.max_response_bytes = 100'000});
  EXPECT_EQ(
      std::get<HttpResponse>(Exchange(transport, server.Url()).result).body,
      "{}");
  EXPECT_EQ(Failure(Exchange(transport, server.Url())).kind,
            Kind::kMalformedResponse);
}

TEST(CurlTransport, CallsAHugeAnswerMalformedBeforeItComes) {
  ScriptedServer server(
      {{"HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n"}});
  CurlTransport transport({.max_response_bytes = 100'000});
  EXPECT_EQ(Failure(Exchange(transport, server.Url())).kind,
            Kind::kMalformedResponse);
}

TEST(CurlTransport, CallsHugeHeadersMalformed) {
  std::string many;
  for (int i = 0; i < 1'000; ++i) {
    absl::StrAppend(&many, "X-", i, ": ", std::string(80, 'x'), "\r\n");
  }
  std::string interim;
  for (int i = 0; i < 5'000; ++i) {
    interim += "HTTP/1.1 103 Early Hints\r\n\r\n";
  }
  const std::string replies[] = {
      "HTTP/1.1 200 OK\r\n" + many + "Content-Length: 0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + many +
          "\r\n",
      interim + "HTTP/1.1 204 OK\r\n\r\n"};
  for (const std::string& reply : replies) {
    ScriptedServer server({{reply}});
    CurlTransport transport;
    EXPECT_EQ(Failure(Exchange(transport, server.Url())).kind,
              Kind::kMalformedResponse)
        << reply.substr(0, 60);
  }
}

TEST(CurlTransport, TimesOutWhenNoAnswerComes) {
  ScriptedServer server({{"", Then::kHang}});
  CurlTransport transport({.request_timeout = std::chrono::milliseconds(50)});
  EXPECT_EQ(Failure(Exchange(transport, server.Url())).kind, Kind::kTimeout);
}

TEST(CurlTransport, TimesOutInTheMiddleOfAnAnswer) {
  ScriptedServer server(
      {{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", Then::kHang}});
  CurlTransport transport({.request_timeout = std::chrono::milliseconds(50)});
  EXPECT_EQ(Failure(Exchange(transport, server.Url())).kind, Kind::kTimeout);
}

TEST(CurlTransport, EndsARequestThatMovesNoBytes) {
  ScriptedServer server({{"", Then::kHang}});
  CurlTransport transport({.stall_timeout = std::chrono::seconds(1)});
  EXPECT_EQ(Failure(Exchange(transport, server.Url())).kind, Kind::kTimeout);
}

TEST(CurlTransport, ARequestThatIsGivenUpEnds) {
  ScriptedServer server({Answer(200, "")});
  ScriptedServer hanging({});
  CurlTransport transport;
  transport.Send({.id = 1, .url = hanging.Url(), .body = "{}"});
  EXPECT_EQ(Http(Exchange(transport, server.Url())).status, 200);
  transport.GiveUp(1);
  transport.GiveUp(1);
  transport.GiveUp(99);
  const std::vector<HeapResponse> answers = transport.Wait(kForever);
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_EQ(answers[0].request_id, 1u);
  EXPECT_EQ(Failure(answers[0]).kind, Kind::kTimeout);
  EXPECT_THAT(transport.Wait(kNoTime), IsEmpty());
}

TEST(CurlTransport, AHangingRequestHoldsUpNoOther) {
  ScriptedServer hanging({});
  ScriptedServer working({Answer(200, "")});
  CurlTransport transport;
  transport.Send({.id = 1, .url = hanging.Url(), .body = "{}"});
  EXPECT_EQ(Http(Exchange(transport, working.Url())).status, 200);
}

TEST(CurlTransport, ReportsAResetBeforeTheBodyWasTaken) {
  ScriptedServer server({{"", Then::kReset, ReadFirst::kHead}});
  CurlTransport transport;
  EXPECT_EQ(
      Failure(Exchange(transport, server.Url(), std::string(4 << 20, 'x')))
          .kind,
      Kind::kReset);
}

TEST(CurlTransport, ReportsAResetAfterTheBodyWasTaken) {
  ScriptedServer server({{"", Then::kReset}});
  CurlTransport transport;
  EXPECT_EQ(Failure(Exchange(transport, server.Url())).kind, Kind::kReset);
}

TEST(CurlTransport, ReportsACloseWithoutAnAnswer) {
  ScriptedServer server({{"", Then::kClose}});
  CurlTransport transport;
  EXPECT_EQ(Failure(Exchange(transport, server.Url())).kind, Kind::kReset);
}

TEST(CurlTransport, ReportsACutAnswer) {
  ScriptedServer server(
      {{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":",
        Then::kClose}});
  CurlTransport transport;
  EXPECT_EQ(Failure(Exchange(transport, server.Url())).kind, Kind::kReset);
}

TEST(CurlTransport, ReportsACutHead) {
  ScriptedServer server({{"HTTP/1.1 200 OK\r\nContent-Le", Then::kClose}});
  CurlTransport transport;
  EXPECT_EQ(Failure(Exchange(transport, server.Url())).kind, Kind::kReset);
}

TEST(CurlTransport, TakesAnAnswerThatEndsWithItsConnection) {
  ScriptedServer server({{"HTTP/1.1 200 OK\r\n\r\n{}", Then::kClose}});
  CurlTransport transport;
  EXPECT_EQ(Http(Exchange(transport, server.Url())).body, "{}");
}

TEST(CurlTransport, TakesAnAnswerInChunksWithTrailers) {
  ScriptedServer server(
      {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "2\r\n{}\r\n0\r\nX-Sum: 1\r\n\r\n"}});
  CurlTransport transport;
  EXPECT_EQ(Http(Exchange(transport, server.Url())).body, "{}");
}

TEST(CurlTransport, NeverRepeatsARequestOfItsOwnAccord) {
  // libcurl repeats a request when a reused connection closes unanswered.
  ScriptedServer server({Answer(200, ""), {"", Then::kClose}, Answer(200, "")});
  CurlTransport transport;
  EXPECT_EQ(Http(Exchange(transport, server.Url())).status, 200);
  EXPECT_EQ(Failure(Exchange(transport, server.Url())).kind, Kind::kReset);
  EXPECT_THAT(server.requests(), SizeIs(2));
  EXPECT_EQ(Http(Exchange(transport, server.Url())).status, 200);
  EXPECT_THAT(server.requests(), SizeIs(3));
}

TEST(CurlTransport, ReportsGarbage) {
  for (const char* garbage : {"SSH-2.0-OpenSSH_9.2\r\n", "<html>hello</html>",
                              "\r\n\r\n\r\n", "HTTP/1.1 banana\r\n\r\n",
                              "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"}) {
    ScriptedServer server({{garbage, Then::kClose}});
    CurlTransport transport;
    const TransportFailure failure = Failure(Exchange(transport, server.Url()));
    EXPECT_EQ(failure.kind, Kind::kMalformedResponse)
        << garbage << ": " << failure.detail;
  }
}

TEST(CurlTransport, ReportsARefusedConnection) {
  std::string url;
  {
    ScriptedServer server({});
    url = server.Url();
  }
  CurlTransport transport;
  EXPECT_EQ(Failure(Exchange(transport, url)).kind, Kind::kConnect);
}

TEST(CurlTransport, ReportsAHostThatIsNotFound) {
  // A label may have 63 characters, so no name server is asked.
  const std::string url =
      absl::StrCat("http://", std::string(64, 'a'), ".invalid/");
  CurlTransport transport;
  EXPECT_EQ(Failure(Exchange(transport, url)).kind, Kind::kDns);
}

TEST(CurlTransport, RefusesUrlsThatAreNotHttp) {
  CurlTransport transport;
  for (const char* url : {"", "ftp://127.0.0.1/", "file:///etc/hostname",
                          "http://", "http://127.0.0.1:port/"}) {
    EXPECT_EQ(Failure(Exchange(transport, url)).kind, Kind::kOther) << url;
  }
}

TEST(CurlTransport, ShowsNeitherBodyNorQueryInAFailure) {
  ScriptedServer server({{"", Then::kHang}, {"garbage", Then::kClose}});
  CurlTransport transport({.request_timeout = std::chrono::milliseconds(50)});
  for (const std::string& url : {server.Url("/?secret"), server.Url("/?secret"),
                                 std::string("http://127.0.0.1:1/?secret")}) {
    EXPECT_THAT(Failure(Exchange(transport, url, "secret")).detail,
                Not(HasSubstr("secret")));
  }
}

TEST(CurlTransport, IgnoresProxiesOfTheEnvironment) {
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  setenv("all_proxy", "http://127.0.0.1:1", 1);
  ScriptedServer server({Answer(200, "")});
  CurlTransport transport;
  EXPECT_EQ(Http(Exchange(transport, server.Url())).status, 200);
  unsetenv("http_proxy");
  unsetenv("all_proxy");
}

TEST(CurlTransport, GoesThroughATunnelOfTheProxy) {
  ScriptedServer proxy({{"HTTP/1.1 200 Established\r\nRetry-After: 9\r\n"
                         "Content-Type: text/html\r\n\r\n"},
                        Answer(200, "OK"),
                        Answer(400, "")});
  CurlTransport transport({.proxy = proxy.Url("")});
  const HttpResponse answer =
      Http(Exchange(transport, "http://heap.invalid/api/track"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "OK");
  // The proxy's own headers are not Heap's.
  EXPECT_EQ(answer.retry_after, std::nullopt);
  EXPECT_EQ(answer.content_type, std::nullopt);
  EXPECT_EQ(Http(Exchange(transport, "http://heap.invalid/api/track")).status,
            400);
  ASSERT_THAT(proxy.requests(), SizeIs(3));
  EXPECT_THAT(proxy.requests()[0],
              StartsWith("CONNECT heap.invalid:80 HTTP/1.1\r\n"));
  EXPECT_THAT(proxy.requests()[0], Not(HasSubstr("Proxy-Authorization")));
  EXPECT_THAT(proxy.requests()[1], StartsWith("POST /api/track HTTP/1.1\r\n"));
  EXPECT_EQ(proxy.connections(), 1);
}

TEST(CurlTransport, ShowsItsCredentialsToTheProxyOnly) {
  ScriptedServer proxy(
      {{"HTTP/1.1 200 Established\r\n\r\n"}, Answer(200, "OK")});
  CurlTransport transport({.proxy = proxy.Url(""),
                           .proxy_user = "user",
                           .proxy_password = "a:secret"});
  EXPECT_EQ(Http(Exchange(transport, "http://heap.invalid/")).status, 200);
  ASSERT_THAT(proxy.requests(), SizeIs(2));
  EXPECT_THAT(
      proxy.requests()[0],
      HasSubstr("\r\nProxy-Authorization: Basic dXNlcjphOnNlY3JldA==\r\n"));
  EXPECT_THAT(proxy.requests()[1], Not(HasSubstr("Authorization")));
}

TEST(CurlTransport, NamesTheProxyThatRefuses) {
  ScriptedServer proxy(
      {{"HTTP/1.1 407 Who are you\r\nContent-Length: 6\r\n\r\nsecret",
        Then::kClose},
       {"HTTP/1.1 503 Not now\r\nContent-Length: 0\r\n\r\n", Then::kClose},
       {"", Then::kClose}});
  CurlTransport transport({.proxy = proxy.Url(""),
                           .proxy_user = "user",
                           .proxy_password = "secret"});
  const std::pair<Kind, const char*> expected[] = {
      {Kind::kProxyRefused, "proxy refused CONNECT: 407"},
      {Kind::kConnect, "proxy refused CONNECT: 503"},
      {Kind::kConnect, "the proxy did not answer CONNECT"}};
  for (const auto& [kind, detail] : expected) {
    const TransportFailure failure =
        Failure(Exchange(transport, "http://heap.invalid/"));
    EXPECT_EQ(failure.kind, kind);
    EXPECT_EQ(failure.detail, detail);
  }
}

TEST(CurlTransport, NamesTheProxyThatHangs) {
  ScriptedServer proxy({{"", Then::kHang}});
  CurlTransport transport({.request_timeout = std::chrono::milliseconds(50),
                           .proxy = proxy.Url("")});
  EXPECT_EQ(Failure(Exchange(transport, "http://heap.invalid/")).detail,
            "the proxy did not answer CONNECT");
}

TEST(CurlTransport, WaitsNoLongerThanAsked) {
  CurlTransport transport;
  EXPECT_THAT(transport.Wait(kNoTime), IsEmpty());
  EXPECT_THAT(transport.Wait(std::chrono::milliseconds(1)), IsEmpty());
  EXPECT_THAT(transport.Wait(-std::chrono::seconds(1)), IsEmpty());
}

TEST(CurlTransport, AWakeEndsTheNextWait) {
  CurlTransport transport;
  transport.Wake();
  EXPECT_THAT(transport.Wait(kForever), IsEmpty());
}

TEST(CurlTransport, AWakeFromAnotherThreadEndsAWait) {
  ScriptedServer server({});
  CurlTransport transport;
  transport.Send({.id = 1, .url = server.Url(), .body = "{}"});
  std::thread other([&transport] { transport.Wake(); });
  EXPECT_THAT(transport.Wait(kForever), IsEmpty());
  other.join();
}

TEST(CurlTransport, CarriesRequestsWhileOtherThreadsWakeIt) {
  constexpr int kRequests = 50;
  ScriptedServer server(std::vector<Reply>(kRequests, Answer(200, "")));
  CurlTransport transport;
  std::vector<std::thread> others;
  for (int i = 0; i < 4; ++i) {
    others.emplace_back([&transport] {
      for (int wake = 0; wake < 200; ++wake) transport.Wake();
    });
  }
  for (uint64_t id = 0; id < kRequests; ++id) {
    transport.Send({.id = id, .url = server.Url(), .body = "{}"});
  }
  for (size_t count = 0; count < kRequests;) {
    count += transport.Wait(kForever).size();
  }
  for (std::thread& other : others) other.join();
}

TEST(CurlTransport, AbandonsRequestsInFlightWhenDestroyed) {
  ScriptedServer server({});
  {
    CurlTransport transport;
    for (uint64_t id = 0; id < 3; ++id) {
      transport.Send({.id = id, .url = server.Url(), .body = "{}"});
    }
    transport.Wait(kNoTime);
  }
  CurlTransport next;
  EXPECT_THAT(next.Wait(kNoTime), IsEmpty());
}

}  // namespace
}  // namespace heapsync
