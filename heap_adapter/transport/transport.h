#ifndef HEAPSYNC_HEAP_ADAPTER_TRANSPORT_TRANSPORT_H_
#define HEAPSYNC_HEAP_ADAPTER_TRANSPORT_TRANSPORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"

namespace heapsync {

// One POST to Heap with a JSON body.
struct HeapRequest {
  uint64_t id;      // chosen by the sender; unique among the requests in flight
  std::string url;  // scheme, host and path
  std::string body;              // JSON
  std::string traceparent = {};  // value of the header; empty: not sent
};

// A complete HTTP response from Heap or something in front of it, with any
// status.
struct HttpResponse {
  int status = 0;
  std::optional<std::string> retry_after;  // value of the header, unparsed
  std::optional<std::string> content_type = {};  // likewise
  std::string body;  // truncated to kMaxResponseBytes
};
inline constexpr size_t kMaxResponseBytes = 64 * 1024;

// No complete response arrived. It is unknown whether Heap took the body.
struct TransportFailure {
  enum class Kind {
    kDns,
    kConnect,
    kProxyRefused,  // it does not let the request through at all
    kTlsVerification,
    kTls,
    kTimeout,
    kReset,
    kMalformedResponse,
    kOther
  };
  Kind kind;
  std::string detail;  // human-readable; contains nothing of the body
};

struct HeapResponse {
  uint64_t request_id;
  std::variant<HttpResponse, TransportFailure> result;
};

// Sends requests to Heap. It never retries, follows redirects or interprets a
// response: every outcome is a value.
//
// All methods except Wake() must be called by the same thread.
class Transport {
 public:
  virtual ~Transport() = default;

  // Starts a request without blocking.
  virtual void Send(HeapRequest request) = 0;

  // Ends a request that has no response yet, if it can be: its response is then
  // a TransportFailure of kind kTimeout. Heap may take the body nevertheless.
  virtual void GiveUp(uint64_t /*request_id*/) {}

  // Returns the available responses, after waiting up to `timeout` for the
  // first one. Returns early, perhaps with nothing, after Wake(). Each request
  // gets exactly one response, in any order.
  virtual std::vector<HeapResponse> Wait(Duration timeout) = 0;

  // Ends the current Wait(), or else the next one. Any thread.
  virtual void Wake() = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_TRANSPORT_TRANSPORT_H_
