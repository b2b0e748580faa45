#ifndef HEAPSYNC_HEAP_ADAPTER_TRANSPORT_CURL_TRANSPORT_H_
#define HEAPSYNC_HEAP_ADAPTER_TRANSPORT_CURL_TRANSPORT_H_

#include <curl/curl.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "heap_adapter/transport/connection_reuse.h"
#include "heap_adapter/transport/root_certificates.h"
#include "heap_adapter/transport/transport.h"

namespace heapsync {

struct CurlTransportOptions {
  // Maximum number of open connections, to one host and in total. Further
  // requests wait for a free connection, while `request_timeout` runs. Larger:
  // more requests in flight while Heap is slow, each with a socket and TLS
  // state. The total should be `max_connections_per_host` times the number of
  // hosts (Heap has two), or a hanging host uses up the connections of a
  // working one. Zero: no limit.
  uint32_t max_connections_per_host = 40;
  uint32_t max_connections = 80;

  // For name lookup, TCP and TLS handshake. Longer: slow networks succeed, but
  // an unreachable Heap is noticed later.
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);

  // From Send() to the last byte of the response. Longer: a slow Heap can
  // respond instead of receiving the same batch twice. Shorter: a hanging
  // request releases its connection sooner.
  std::chrono::milliseconds request_timeout = std::chrono::seconds(30);

  // A request that transfers no byte in either direction for this long times
  // out. This also bounds Heap's processing time. Whole seconds; zero: only
  // `request_timeout` applies.
  std::chrono::seconds stall_timeout{20};

  // An older connection is closed instead of reused, so that requests follow a
  // name that has moved. Longer: fewer handshakes. At least one second.
  std::chrono::seconds max_connection_age{300};

  // Root certificates in PEM that are trusted besides the system's, such as the
  // one of a proxy that inspects TLS. Verification cannot be disabled.
  std::string extra_roots;

  // Proxy through which every request goes, in a tunnel made by CONNECT:
  // "http://proxy.internal:3128". Empty: none. The variables http_proxy,
  // https_proxy and all_proxy are ignored, because the App ID is the only
  // secret and must be sent only through the configured path.
  std::string proxy;
  // For Basic authentication with the proxy; an empty name: none. The proxy is
  // reached in plaintext, and so are these.
  std::string proxy_user;
  std::string proxy_password;

  // Maximum size of a response body; a longer one counts as malformed, as does
  // a response with more than 64 KiB of headers. The part
  // beyond kMaxResponseBytes is read and discarded, which keeps the connection
  // usable.
  size_t max_response_bytes = 16 * 1024 * 1024;

  std::string user_agent = "heapsync";  // "heapsync/<version>"

  // Asked when a request has its connection and is about to be sent; false: it
  // is not sent, and fails with kReset. Null: everything is sent. Called by the
  // thread of Wait(); must not block.
  std::function<bool()> may_send;
};

// Sends over HTTP/1.1, or HTTP/2 if a TLS server offers it, and keeps
// connections alive between requests; each carries one request at a time. After
// a request that timed out, no connection to its host that is older is used.
// One thread drives any number of requests.
//
// A request is sent once: redirects are not followed. libcurl would silently
// repeat a request whose reused connection was closed; instead this fails with
// kReset, because Heap may have counted the first request against its limits.
//
// The destructor abandons requests in flight and does not wait for the network.
// Wake() must have returned before.
class CurlTransport final : public Transport {
 public:
  explicit CurlTransport(CurlTransportOptions options = {});
  ~CurlTransport() override;

  CurlTransport(const CurlTransport&) = delete;
  CurlTransport& operator=(const CurlTransport&) = delete;

  void Send(HeapRequest request) override;
  void GiveUp(uint64_t request_id) override;
  std::vector<HeapResponse> Wait(Duration timeout) override;
  void Wake() override;

 private:
  struct Transfer;
  struct MultiDeleter {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
  };
  struct ListDeleter {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };

  // An idle transfer, or a new one.
  std::unique_ptr<Transfer> TakeTransfer();
  static curl_slist* NewHeaders(const std::string& traceparent);
  // Moves the results of finished transfers to `answers_`.
  void CollectFinished();

  const CurlTransportOptions options_;
  const RootCertificates extra_roots_;
  ConnectionReuse reuse_;
  const std::unique_ptr<CURLM, MultiDeleter> multi_;
  std::unique_ptr<curl_slist, ListDeleter> headers_;
  std::vector<std::unique_ptr<Transfer>> in_flight_;
  std::vector<std::unique_ptr<Transfer>> idle_;
  std::vector<HeapResponse> answers_;
  std::atomic<bool> woken_{false};
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_TRANSPORT_CURL_TRANSPORT_H_
