#include "heap_adapter/transport/curl_failure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace heapsync {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using Kind = TransportFailure::Kind;

TEST(CurlFailure, HasAKindForEachCodeThatHttpCanGive) {
  const std::map<CURLcode, Kind> expected = {
      {CURLE_COULDNT_RESOLVE_HOST, Kind::kDns},
      {CURLE_COULDNT_RESOLVE_PROXY, Kind::kDns},
      {CURLE_COULDNT_CONNECT, Kind::kConnect},
      {CURLE_PROXY, Kind::kConnect},
      {CURLE_PEER_FAILED_VERIFICATION, Kind::kTlsVerification},
      {CURLE_SSL_CACERT_BADFILE, Kind::kTlsVerification},
      {CURLE_SSL_ISSUER_ERROR, Kind::kTlsVerification},
      {CURLE_SSL_INVALIDCERTSTATUS, Kind::kTlsVerification},
      {CURLE_SSL_CONNECT_ERROR, Kind::kTls},
      {CURLE_SSL_CIPHER, Kind::kTls},
      {CURLE_SSL_CERTPROBLEM, Kind::kTls},
      {CURLE_OPERATION_TIMEDOUT, Kind::kTimeout},
      {CURLE_GOT_NOTHING, Kind::kReset},
      {CURLE_SEND_ERROR, Kind::kReset},
      {CURLE_RECV_ERROR, Kind::kReset},
      {CURLE_PARTIAL_FILE, Kind::kReset},
      {CURLE_HTTP2_STREAM, Kind::kReset},
      {CURLE_ABORTED_BY_CALLBACK, Kind::kReset},
      {CURLE_HTTP2, Kind::kMalformedResponse},
      {CURLE_WEIRD_SERVER_REPLY, Kind::kMalformedResponse},
      {CURLE_WRITE_ERROR, Kind::kMalformedResponse},
      {CURLE_FILESIZE_EXCEEDED, Kind::kMalformedResponse},
      {CURLE_URL_MALFORMAT, Kind::kOther},
      {CURLE_OUT_OF_MEMORY, Kind::kOther}};
  for (const auto& [code, kind] : expected) {
    const bool only_before_sending =
        kind == Kind::kDns || kind == Kind::kConnect || kind == Kind::kTls;
    const RequestStage stage =
        only_before_sending ? RequestStage::kNotSent : RequestStage::kSent;
    EXPECT_EQ(FailureOf(code, stage, "").kind, kind)
        << curl_easy_strerror(code);
  }
}

TEST(CurlFailure, IsAResetWhenTheConnectionForASecondSendingCannotBeHad) {
  for (const CURLcode code : {CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT,
                              CURLE_SSL_CONNECT_ERROR}) {
    EXPECT_EQ(FailureOf(code, RequestStage::kSent, "").kind, Kind::kReset)
        << curl_easy_strerror(code);
  }
}

TEST(CurlFailure, HasADetailForEveryCode) {
  for (int code = 1; code < CURL_LAST; ++code) {
    EXPECT_NE(FailureOf(static_cast<CURLcode>(code), RequestStage::kNotSent, "")
                  .detail,
              "")
        << code;
  }
}

TEST(CurlFailure, DistinguishesARefusedSchemeFromAResponseThatIsNotHttp) {
  EXPECT_EQ(
      FailureOf(CURLE_UNSUPPORTED_PROTOCOL, RequestStage::kNotSent, "").kind,
      Kind::kOther);
  EXPECT_EQ(FailureOf(CURLE_UNSUPPORTED_PROTOCOL, RequestStage::kSent, "").kind,
            Kind::kMalformedResponse);
}

TEST(CurlFailure, DescribesTheConnectionButNotTheResponse) {
  EXPECT_EQ(FailureOf(CURLE_COULDNT_CONNECT, RequestStage::kNotSent,
                      "Connection refused")
                .detail,
            "Connection refused");
  EXPECT_THAT(FailureOf(CURLE_WEIRD_SERVER_REPLY, RequestStage::kSent,
                        "got jo@example.com")
                  .detail,
              Not(HasSubstr("jo@example.com")));
}

TEST(CurlFailure, NamesTheProxyThatRefused) {
  const auto refused = [](int status) {
    return FailureOf(CURLE_RECV_ERROR, RequestStage::kNotSent, "", status);
  };
  for (const int status : {301, 400, 403, 405, 407}) {
    EXPECT_EQ(refused(status).kind, Kind::kProxyRefused) << status;
  }
  for (const int status : {408, 429, 500, 502, 503, 504}) {
    EXPECT_EQ(refused(status).kind, Kind::kConnect) << status;
  }
  EXPECT_EQ(refused(407).detail, "proxy refused CONNECT: 407");
  for (const CURLcode code :
       {CURLE_RECV_ERROR, CURLE_OPERATION_TIMEDOUT, CURLE_GOT_NOTHING}) {
    const TransportFailure silent =
        FailureOf(code, RequestStage::kNotSent, "", 0);
    EXPECT_EQ(silent.kind, Kind::kConnect);
    EXPECT_EQ(silent.detail, "the proxy did not answer CONNECT");
  }
}

TEST(CurlFailure, DoesNotBlameTheProxyForWhatIsBehindIt) {
  EXPECT_EQ(FailureOf(CURLE_RECV_ERROR, RequestStage::kNotSent, "", 200).kind,
            Kind::kReset);
  EXPECT_EQ(FailureOf(CURLE_RECV_ERROR, RequestStage::kSent, "", 407).kind,
            Kind::kReset);
  EXPECT_EQ(
      FailureOf(CURLE_PEER_FAILED_VERIFICATION, RequestStage::kNotSent, "", 200)
          .kind,
      Kind::kTlsVerification);
}

TEST(CurlFailure, LeavesOutWhatDiffersFromOneAttemptToTheNext) {
  const auto detail = [](CURLcode code, const char* message) {
    return FailureOf(code, RequestStage::kNotSent, message).detail;
  };
  EXPECT_EQ(detail(CURLE_COULDNT_CONNECT,
                   "Failed to connect to 127.0.0.1 port 9 after 12 ms: "
                   "Couldn't connect to server"),
            "Failed to connect to 127.0.0.1 port 9: Couldn't connect to "
            "server");
  EXPECT_EQ(detail(CURLE_PEER_FAILED_VERIFICATION,
                   "SSL certificate problem: unable to get local issuer "
                   "certificate"),
            "unable to get local issuer certificate");
}

TEST(CurlFailure, CutsAndCleansTheDetail) {
  EXPECT_THAT(FailureOf(CURLE_PEER_FAILED_VERIFICATION, RequestStage::kNotSent,
                        std::string(1'000, '\n'))
                  .detail,
              AllOf(SizeIs(200), Each(' ')));
}

}  // namespace
}  // namespace heapsync
