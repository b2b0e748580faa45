#ifndef HEAPSYNC_HEAP_ADAPTER_MODEL_TRACE_CONTEXT_H_
#define HEAPSYNC_HEAP_ADAPTER_MODEL_TRACE_CONTEXT_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace heapsync {

// Which trace a caller's request belongs to: what is kept of a `traceparent` as
// W3C's "Trace Context" defines it. The caller's span is not kept: a request to
// Heap holds the items of many.
struct TraceContext {
  std::array<uint8_t, 16> trace_id{};
  uint8_t flags = 0;

  // None for whatever the definition does not allow: a caller may send
  // anything. Of later versions it takes the part that this one knows.
  static std::optional<TraceContext> Parse(absl::string_view traceparent);

  // 32 digits.
  std::string TraceId() const;
  // For a request of ours within the trace. REQUIRES: `span` is not zero.
  std::string TraceParent(uint64_t span) const;

  friend bool operator==(const TraceContext&, const TraceContext&) = default;
};

// 16 digits.
std::string SpanId(uint64_t span);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_MODEL_TRACE_CONTEXT_H_
