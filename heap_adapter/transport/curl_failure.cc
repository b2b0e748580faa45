#include "heap_adapter/transport/curl_failure.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"

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

    // An unreadable CA or revocation file is nothing that a retry mends, so it
    // counts as the verification that it prevents.
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

    // CURLE_ABORTED_BY_CALLBACK is this transport's own refusal to let libcurl
    // repeat a request whose reused connection was closed.
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2_STREAM:
    case CURLE_ABORTED_BY_CALLBACK:
    case CURLE_AGAIN:
      return Kind::kReset;

    // CURLE_WRITE_ERROR: the answer was longer than the transport takes.
    case CURLE_WRITE_ERROR:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
    case CURLE_HTTP_RETURNED_ERROR:
    case CURLE_TOO_MANY_REDIRECTS:
      return Kind::kMalformedResponse;

    // Before sending: a scheme that is not allowed. Afterwards: an answer that
    // is not HTTP/1 or later.
    case CURLE_UNSUPPORTED_PROTOCOL:
      return stage == RequestStage::kSent ? Kind::kMalformedResponse
                                          : Kind::kOther;

    // Everything else is a bug, a lack of memory, or belongs to protocols and
    // options that are never used.
    default:
      return Kind::kOther;
  }
}

// libcurl writes these texts from host names, addresses and certificates, never
// from what was sent or answered.
bool MessageIsOfTheConnection(Kind kind) {
  return kind == Kind::kDns || kind == Kind::kConnect || kind == Kind::kTls ||
         kind == Kind::kTlsVerification || kind == Kind::kTimeout;
}

}  // namespace

TransportFailure FailureOf(CURLcode code, RequestStage stage,
                           absl::string_view message) {
  constexpr size_t kMaxDetail = 200;
  Kind kind = KindOf(code, stage);
  // libcurl may look for a new connection after it lost the one it had sent on:
  // that this one could not be had does not undo the sending.
  if (stage == RequestStage::kSent &&
      (kind == Kind::kDns || kind == Kind::kConnect || kind == Kind::kTls)) {
    kind = Kind::kReset;
  }
  if (code == CURLE_ABORTED_BY_CALLBACK) {
    return {kind, "the connection was closed before an answer began"};
  }
  if (message.empty() || !MessageIsOfTheConnection(kind)) {
    return {kind, curl_easy_strerror(code)};
  }
  std::string detail(message.substr(0, kMaxDetail));
  std::replace_if(detail.begin(), detail.end(), absl::ascii_iscntrl, ' ');
  return {kind, std::move(detail)};
}

}  // namespace heapsync
