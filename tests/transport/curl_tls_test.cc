#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <variant>
#include <vector>

#include "heap_adapter/transport/curl_transport.h"
#include "tests/transport/scripted_server.h"
#include "tests/transport/self_signed.h"

namespace heapsync {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = TransportFailure::Kind;

// A file with the certificate that should be trusted.
class CaFile {
 public:
  explicit CaFile(const SelfSigned& identity)
      : path_(::testing::TempDir() + "heapsync_ca_" +
              ::testing::UnitTest::GetInstance()->current_test_info()->name() +
              ".pem") {
    std::ofstream(path_) << identity.CertificatePem();
  }
  ~CaFile() { std::filesystem::remove(path_); }

  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

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
  EXPECT_EQ(KindOf(Exchange(transport, server.Url())), Kind::kTlsVerification);
  EXPECT_THAT(server.requests(), IsEmpty());
}

TEST(CurlTls, TrustsTheAuthoritiesOfTheCaFile) {
  const SelfSigned identity;
  const CaFile authorities(identity);
  ScriptedServer server({Answer(200, ""), Answer(200, "")}, &identity);
  CurlTransport transport({.ca_file = authorities.path()});
  EXPECT_EQ(StatusOf(Exchange(transport, server.Url())), 200);
  EXPECT_EQ(StatusOf(Exchange(transport, server.Url())), 200);
  EXPECT_EQ(server.connections(), 1);
}

TEST(CurlTls, TrustsOnlyTheCaFile) {
  const SelfSigned identity;
  const SelfSigned other;
  const CaFile authorities(other);
  ScriptedServer server({Answer(200, "")}, &identity);
  CurlTransport transport({.ca_file = authorities.path()});
  EXPECT_EQ(KindOf(Exchange(transport, server.Url())), Kind::kTlsVerification);
}

TEST(CurlTls, RefusesACertificateOfAnotherHost) {
  const SelfSigned identity;
  const CaFile authorities(identity);
  ScriptedServer server({Answer(200, "")}, &identity);
  CurlTransport transport({.ca_file = authorities.path()});
  std::string url = server.Url();
  url.replace(url.find("127.0.0.1"), 9, "localhost");
  EXPECT_EQ(KindOf(Exchange(transport, url)), Kind::kTlsVerification);
}

TEST(CurlTls, CountsAMissingCaFileAsAVerificationFailure) {
  const SelfSigned identity;
  ScriptedServer server({Answer(200, "")}, &identity);
  CurlTransport transport({.ca_file = "/nonexistent/ca.pem"});
  EXPECT_EQ(KindOf(Exchange(transport, server.Url())), Kind::kTlsVerification);
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
