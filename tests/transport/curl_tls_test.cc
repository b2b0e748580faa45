#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "base/certificate_times.h"
#include "heap_adapter/transport/curl_transport.h"
#include "heap_adapter/transport/root_certificates.h"
#include "tests/transport/scripted_server.h"
#include "tests/transport/self_signed.h"

namespace heapsync {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = TransportFailure::Kind;

HeapResponse Exchange(CurlTransport& transport, const std::string& url) {
  transport.Send({.id = 1, .url = url, .body = "{}"});
  std::vector<HeapResponse> answers = transport.Wait(Duration::max());
  EXPECT_THAT(answers, SizeIs(1));
  return answers.at(0);
}

Kind KindOf(const HeapResponse& answer) {
  return std::get<TransportFailure>(answer.result).kind;
}

int StatusOf(const HeapResponse& answer) {
  return std::get<HttpResponse>(answer.result).status;
}

TEST(CurlTls, SendsNothingToAServerThatItDoesNotTrust) {
  const SelfSigned identity;
  ScriptedServer server({Answer(200, "")}, &identity);
  CurlTransport transport;
  const HeapResponse answer = Exchange(transport, server.Url());
  EXPECT_EQ(KindOf(answer), Kind::kTlsVerification);
  EXPECT_EQ(std::get<TransportFailure>(answer.result).detail,
            "self-signed certificate");
  EXPECT_THAT(server.requests(), IsEmpty());
}

TEST(CurlTls, NamesTheDateThatMakesACertificateInvalid) {
  for (const auto& [from, to, text] :
       {std::tuple(-3, -1, "certificate has expired on "),
        std::tuple(1, 3, "certificate is not yet valid before ")}) {
    const SelfSigned identity(from, to);
    ScriptedServer server({Answer(200, "")}, &identity);
    CurlTransport transport({.extra_roots = identity.CertificatePem()});
    const HeapResponse answer = Exchange(transport, server.Url());
    ASSERT_EQ(KindOf(answer), Kind::kTlsVerification);
    const CertificateTimes times =
        ReadCertificateTimes(identity.CertificatePem()).at(0);
    EXPECT_EQ(std::get<TransportFailure>(answer.result).detail,
              text + DateText(to < 0 ? times.not_after : times.not_before));
    EXPECT_THAT(server.requests(), IsEmpty());
  }
}

TEST(CertificateTimes, AreThoseOfEachCertificateOfAText) {
  const SelfSigned old(-3, -1);
  const SelfSigned good;
  const auto times =
      ReadCertificateTimes(old.CertificatePem() + good.CertificatePem());
  ASSERT_THAT(times, SizeIs(2));
  const auto now =
      std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  EXPECT_EQ(ValidityFault(times[0], now),
            "expired on " + DateText(times[0].not_after));
  EXPECT_EQ(ValidityFault(times[1], now), "");
  EXPECT_EQ(ValidityFault(times[1], now - std::chrono::hours(48)),
            "is not valid before " + DateText(times[1].not_before));
  EXPECT_EQ(DateText(WallTime(std::chrono::seconds(1'768'473'000))),
            "2026-01-15 10:30:00 UTC");
  EXPECT_THAT(ReadCertificateTimes("junk"), IsEmpty());
}

TEST(CurlTls, TrustsTheExtraRoots) {
  const SelfSigned identity;
  const SelfSigned other;
  ScriptedServer server({Answer(200, ""), Answer(200, "")}, &identity);
  CurlTransport transport(
      {.extra_roots = other.CertificatePem() + identity.CertificatePem()});
  EXPECT_EQ(StatusOf(Exchange(transport, server.Url())), 200);
  EXPECT_EQ(StatusOf(Exchange(transport, server.Url())), 200);
  EXPECT_EQ(server.connections(), 1);
}

TEST(CurlTls, TrustsThemOnEveryConnection) {
  const SelfSigned identity;
  Reply closing = Answer(200, "", "Connection: close\r\n");
  closing.then = Reply::Then::kClose;
  ScriptedServer server({closing, closing, closing}, &identity);
  CurlTransport transport({.extra_roots = identity.CertificatePem()});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(StatusOf(Exchange(transport, server.Url())), 200);
  }
  EXPECT_EQ(server.connections(), 3);
}

TEST(CurlTls, TrustsNoOtherThanTheSystemsAndTheExtraRoots) {
  const SelfSigned identity;
  const SelfSigned other;
  ScriptedServer server({Answer(200, "")}, &identity);
  CurlTransport transport({.extra_roots = other.CertificatePem()});
  EXPECT_EQ(KindOf(Exchange(transport, server.Url())), Kind::kTlsVerification);
}

TEST(CurlTls, RefusesACertificateOfAnotherHost) {
  const SelfSigned identity;
  ScriptedServer server({Answer(200, "")}, &identity);
  CurlTransport transport({.extra_roots = identity.CertificatePem()});
  std::string url = server.Url();
  url.replace(url.find("127.0.0.1"), 9, "localhost");
  EXPECT_EQ(KindOf(Exchange(transport, url)), Kind::kTlsVerification);
}

// The store stands for the system's, which libcurl has filled by then.
TEST(RootCertificates, AreAddedToThoseOfTheSystem) {
  const SelfSigned system;
  const SelfSigned extra;
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  RootCertificates(system.CertificatePem()).AddTo(*context);
  const RootCertificates roots(extra.CertificatePem());
  roots.AddTo(*context);
  roots.AddTo(*context);
  const STACK_OF(X509_OBJECT)* all =
      X509_STORE_get0_objects(SSL_CTX_get_cert_store(context));
  EXPECT_EQ(sk_X509_OBJECT_num(all), 2);
  SSL_CTX_free(context);
}

TEST(RootCertificates, AreNoneInATextWithoutACertificate) {
  EXPECT_TRUE(RootCertificates("").empty());
  EXPECT_TRUE(RootCertificates("junk").empty());
}

TEST(CurlTls, ReportsAServerThatSpeaksNoTls) {
  Reply reply = Answer(400, "plain HTTP here");
  reply.read_first = Reply::ReadFirst::kNothing;
  reply.then = Reply::Then::kHang;
  ScriptedServer server({reply});
  CurlTransport transport;
  std::string url = server.Url();
  url.replace(0, 4, "https");
  EXPECT_EQ(KindOf(Exchange(transport, url)), Kind::kTls);
}

}  // namespace
}  // namespace heapsync
