#ifndef HEAPSYNC_BASE_TRACE_CONTEXT_H_
#define HEAPSYNC_BASE_TRACE_CONTEXT_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace heapsync {

// The trace of a caller's request: the parts kept of a `traceparent` as defined
// by W3C's "Trace Context". The caller's span is not kept, because a request to
// Heap holds items of many callers.
struct TraceContext {
  std::array<uint8_t, 16> trace_id{};
  uint8_t flags = 0;

  // Returns nullopt for text that the definition does not allow. For later
  // versions, reads the part that version 00 defines.
  static std::optional<TraceContext> Parse(absl::string_view traceparent);

  // 32 hexadecimal digits.
  std::string TraceId() const;
  // The header of a request to Heap within the trace. REQUIRES: `span` is not
  // zero.
  std::string TraceParent(uint64_t span) const;

  friend bool operator==(const TraceContext&, const TraceContext&) = default;
};

// 16 hexadecimal digits.
std::string SpanId(uint64_t span);

}  // namespace heapsync

#endif  // HEAPSYNC_BASE_TRACE_CONTEXT_H_
