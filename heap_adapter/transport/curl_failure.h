#ifndef HEAPSYNC_HEAP_ADAPTER_TRANSPORT_CURL_FAILURE_H_
#define HEAPSYNC_HEAP_ADAPTER_TRANSPORT_CURL_FAILURE_H_

#include <curl/curl.h>

#include <optional>

#include "absl/strings/string_view.h"
#include "heap_adapter/transport/transport.h"

namespace heapsync {

// Progress of a request when it failed: kSent once libcurl had a connection and
// started sending.
enum class RequestStage { kNotSent, kSent };

// Translates a result of libcurl. `message` is the text of its error buffer,
// which may be empty; it is used only for the kinds for which it describes the
// connection rather than the response, without control characters and without
// what differs from one attempt to the next. `proxy_status` is the status of
// the proxy's response to CONNECT, zero before it came; none: there is no
// proxy. A proxy that cannot reach Heap now (5xx, 408, 429) is like a Heap that
// cannot be reached; every other refusal is kProxyRefused.
// REQUIRES: code != CURLE_OK.
TransportFailure FailureOf(CURLcode code, RequestStage stage,
                           absl::string_view message,
                           std::optional<int> proxy_status = std::nullopt);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_TRANSPORT_CURL_FAILURE_H_
