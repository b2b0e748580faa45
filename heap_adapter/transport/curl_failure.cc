#include "heap_adapter/transport/curl_failure.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace heapsync {
namespace {

using Kind = TransportFailure::Kind;

Kind KindOf(CURLcode code, RequestStage stage) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return Kind::kDns;

    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
    case CURLE_NO_CONNECTION_AVAILABLE:
    case CURLE_PROXY:
      return Kind::kConnect;

    // A retry does not help if a CA or revocation file is unreadable, so it
    // counts as a failed verification.
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
      return Kind::kTlsVerification;

    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CLIENTCERT:
    case CURLE_SSL_SHUTDOWN_FAILED:
    case CURLE_USE_SSL_FAILED:
      return Kind::kTls;

    case CURLE_OPERATION_TIMEDOUT:
      return Kind::kTimeout;

    // CURLE_ABORTED_BY_CALLBACK: the transport kept libcurl from repeating a
    // request whose reused connection was closed.
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2_STREAM:
    case CURLE_ABORTED_BY_CALLBACK:
    case CURLE_AGAIN:
      return Kind::kReset;

    // The response exceeded the transport's maximum, the second time by the
    // length that it declared.
    case CURLE_WRITE_ERROR:
    case CURLE_FILESIZE_EXCEEDED:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
    case CURLE_HTTP_RETURNED_ERROR:
    case CURLE_TOO_MANY_REDIRECTS:
      return Kind::kMalformedResponse;

    // Before sending: a scheme that is not allowed. Afterwards: a response that
    // is not HTTP/1 or later.
    case CURLE_UNSUPPORTED_PROTOCOL:
      return stage == RequestStage::kSent ? Kind::kMalformedResponse
                                          : Kind::kOther;

    // Everything else is a bug, a lack of memory, or concerns protocols and
    // options that are never used.
    default:
      return Kind::kOther;
  }
}

// libcurl builds these messages from host names, addresses and certificates,
// never from the request or the response.
bool DescribesConnection(Kind kind) {
  return kind == Kind::kDns || kind == Kind::kConnect || kind == Kind::kTls ||
         kind == Kind::kTlsVerification || kind == Kind::kTimeout;
}

// A failure before the tunnel through the proxy stood.
TransportFailure ProxyFailure(int status) {
  if (status == 0) {
    return {Kind::kConnect, "the proxy did not answer CONNECT"};
  }
  const bool may_pass = status >= 500 || status == 408 || status == 429;
  return {may_pass ? Kind::kConnect : Kind::kProxyRefused,
          absl::StrCat("proxy refused CONNECT: ", status)};
}

// "Failed to connect to host port 443 after 12 ms: …" without the duration, and
// without what the kind says already.
std::string WithoutNoise(absl::string_view message) {
  constexpr absl::string_view kDuration = " after ";
  absl::ConsumePrefix(&message, "SSL certificate problem: ");
  absl::ConsumePrefix(&message, "SSL: ");
  const size_t begin = message.find(kDuration);
  const size_t end = message.find(" ms: ");
  if (!absl::StartsWith(message, "Failed to connect") ||
      begin == absl::string_view::npos || end == absl::string_view::npos ||
      end < begin) {
    return std::string(message);
  }
  return absl::StrCat(message.substr(0, begin), message.substr(end + 3));
}

}  // namespace

TransportFailure FailureOf(CURLcode code, RequestStage stage,
                           absl::string_view message,
                           std::optional<int> proxy_status) {
  constexpr size_t kMaxDetail = 200;
  Kind kind = KindOf(code, stage);
  // A status of success means that the tunnel stood: what failed is behind it.
  if (proxy_status.has_value() && stage == RequestStage::kNotSent &&
      *proxy_status / 100 != 2 &&
      (kind == Kind::kReset || kind == Kind::kMalformedResponse ||
       kind == Kind::kTimeout)) {
    return ProxyFailure(*proxy_status);
  }
  // libcurl may open a new connection after it lost the one on which it had
  // sent. A failure to open it does not undo the sending.
  if (stage == RequestStage::kSent &&
      (kind == Kind::kDns || kind == Kind::kConnect || kind == Kind::kTls)) {
    kind = Kind::kReset;
  }
  if (code == CURLE_ABORTED_BY_CALLBACK) {
    return {kind, "the connection was closed before an answer began"};
  }
  if (message.empty() || !DescribesConnection(kind)) {
    return {kind, curl_easy_strerror(code)};
  }
  std::string detail = WithoutNoise(message).substr(0, kMaxDetail);
  std::replace_if(detail.begin(), detail.end(), absl::ascii_iscntrl, ' ');
  return {kind, std::move(detail)};
}

}  // namespace heapsync
