#ifndef HEAPSYNC_HEAP_ADAPTER_TRANSPORT_CURL_TRANSPORT_H_
#define HEAPSYNC_HEAP_ADAPTER_TRANSPORT_CURL_TRANSPORT_H_

#include <curl/curl.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "heap_adapter/base/clock.h"
#include "heap_adapter/transport/transport.h"

namespace heapsync {

struct CurlTransportOptions {
  // Connections open at once, to one host and in total; requests beyond them
  // wait for a free one, and `request_timeout` runs meanwhile. More: more
  // requests in flight where Heap answers slowly, each with a socket and its
  // TLS state. The total should be `max_connections_per_host` times the number
  // of hosts (Heap has two), or else a host that hangs takes the connections of
  // one that works. Zero: no bound.
  uint32_t max_connections_per_host = 32;
  uint32_t max_connections = 64;

  // Name look-up, TCP and TLS handshake. Longer: slow networks get through, but
  // an unreachable Heap is noticed later.
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);

  // From Send() to the last byte of the answer. Longer: a slow Heap gets to
  // answer instead of seeing the same batch twice; shorter: a hanging request
  // gives its connection back sooner.
  std::chrono::milliseconds request_timeout = std::chrono::seconds(30);

  // A request that moves no byte in either direction for this long ends as
  // timed out. It bounds the time that Heap may think, too. Whole seconds; zero
  // leaves only `request_timeout`.
  std::chrono::seconds stall_timeout{20};

  // PEM file of the authorities to trust instead of the system's. For private
  // authorities and tests. Empty: the system's. Verification cannot be turned
  // off.
  std::string ca_file;

  // Proxy URL, such as "http://proxy.internal:3128". Empty: none; the variables
  // http_proxy and https_proxy are never looked at, because the App ID is the
  // only secret there is and should pass only where configuration says.
  std::string proxy;

  // An answer with a longer body than this counts as malformed. What lies
  // between kMaxResponseBytes and this is read and thrown away, which keeps the
  // connection usable.
  size_t max_answer = 16 * 1024 * 1024;

  std::string user_agent = "heapsync";  // "heapsync/<version>"
};

// Sends over HTTP/1.1, or HTTP/2 where a TLS server offers it, and keeps
// connections alive between requests. One thread drives any number of requests.
//
// A request is sent once: redirects are not followed, and where libcurl would
// silently repeat a request whose reused connection was closed, this fails with
// kReset instead, since Heap may have counted the first one against its limits.
//
// Requests in flight at destruction are abandoned. Wake() must have returned by
// then. The destructor does not wait for the network.
class CurlTransport final : public Transport {
 public:
  explicit CurlTransport(CurlTransportOptions options = {});
  ~CurlTransport() override;

  CurlTransport(const CurlTransport&) = delete;
  CurlTransport& operator=(const CurlTransport&) = delete;

  void Send(HeapRequest request) override;
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
  // Moves what libcurl has finished to `answers_`.
  void CollectFinished();

  const CurlTransportOptions options_;
  const std::unique_ptr<CURLM, MultiDeleter> multi_;
  std::unique_ptr<curl_slist, ListDeleter> headers_;
  std::vector<std::unique_ptr<Transfer>> in_flight_;
  std::vector<std::unique_ptr<Transfer>> idle_;
  std::vector<HeapResponse> answers_;
  std::atomic<bool> woken_{false};
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_TRANSPORT_CURL_TRANSPORT_H_
