#ifndef HEAPSYNC_HEAP_ADAPTER_TRANSPORT_TRANSPORT_H_
#define HEAPSYNC_HEAP_ADAPTER_TRANSPORT_TRANSPORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "heap_adapter/base/clock.h"

namespace heapsync {

// One POST to Heap with a JSON body.
struct HeapRequest {
  uint64_t id;      // chosen by the sender; unique among the requests in flight
  std::string url;  // scheme, host and path
  std::string body;              // JSON
  std::string traceparent = {};  // the header's text; empty: it is not sent
};

// Heap (or something in front of it) answered over HTTP, with whatever status.
struct HttpResponse {
  int status = 0;
  std::optional<std::string> retry_after;  // the header's text, untouched
  std::string body;  // at most kMaxResponseBytes; the rest is cut off
};
inline constexpr size_t kMaxResponseBytes = 64 * 1024;

// No complete answer came. Whether Heap took the body is not known.
struct TransportFailure {
  enum class Kind {
    kDns,
    kConnect,
    kTlsVerification,
    kTls,
    kTimeout,
    kReset,
    kMalformedResponse,
    kOther
  };
  Kind kind;
  std::string detail;  // for people; carries nothing of the body
};

struct HeapResponse {
  uint64_t request_id;
  std::variant<HttpResponse, TransportFailure> result;
};

// Carries requests to Heap. It never retries, redirects or judges: every answer
// is a value.
//
// All methods but Wake() belong to one thread.
class Transport {
 public:
  virtual ~Transport() = default;

  // Starts a request and returns at once.
  virtual void Send(HeapRequest request) = 0;

  // Returns the answers that are there, waiting up to `timeout` for the first
  // one. Returns early, perhaps with nothing, after Wake(). Each request is
  // answered exactly once, in any order.
  virtual std::vector<HeapResponse> Wait(Duration timeout) = 0;

  // Ends the present Wait(), or else the next one. Any thread.
  virtual void Wake() = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_TRANSPORT_TRANSPORT_H_
