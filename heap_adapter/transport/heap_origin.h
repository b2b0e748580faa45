#ifndef HEAPSYNC_HEAP_ADAPTER_TRANSPORT_HEAP_ORIGIN_H_
#define HEAPSYNC_HEAP_ADAPTER_TRANSPORT_HEAP_ORIGIN_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "heap_adapter/transport/transport.h"

namespace heapsync {

// True if a response with a status of success is one that Heap gives: then it
// took the items. A captive portal, a web application firewall or a cache in
// between answers with success, too, and Heap has nothing.
//
// Heap documents no bodies, and is known to answer `{}`, `OK` or nothing. So
// all of this must hold:
//   - the status is 200, 201, 202 or 204;
//   - the body, without white space around it, is empty, `OK` in any case, or a
//     JSON object in which no member reports an error. Members that are not
//     known do not matter;
//   - the content type is not HTML, unless the body is `OK`: web frameworks
//     label a short text as HTML.
//
// Pure.
bool ComesFromHeap(const HttpResponse& response);

// The media type of a Content-Type header ("text/html"), for people to read:
// without parameters, "no content type" where there is none, "unreadable
// content type" for what is not a media type. Pure.
std::string MediaTypeText(const std::optional<std::string>& content_type);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_TRANSPORT_HEAP_ORIGIN_H_
