#ifndef HEAPSYNC_HEAP_ADAPTER_TRANSPORT_CURL_FAILURE_H_
#define HEAPSYNC_HEAP_ADAPTER_TRANSPORT_CURL_FAILURE_H_

#include <curl/curl.h>

#include "absl/strings/string_view.h"
#include "heap_adapter/transport/transport.h"

namespace heapsync {

// Whether libcurl had a connection and began to send when a request failed.
enum class RequestStage { kNotSent, kSent };

// What libcurl's result means. `message` is the text of its error buffer, which
// may be empty; it is used only for the kinds where it tells of the connection
// and not of the answer, and is cut and stripped of control characters.
// REQUIRES: code != CURLE_OK.
TransportFailure FailureOf(CURLcode code, RequestStage stage,
                           absl::string_view message);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_TRANSPORT_CURL_FAILURE_H_
