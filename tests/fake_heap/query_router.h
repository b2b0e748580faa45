#ifndef HEAPSYNC_TESTS_FAKE_HEAP_QUERY_ROUTER_H_
#define HEAPSYNC_TESTS_FAKE_HEAP_QUERY_ROUTER_H_

#include <cstddef>
#include <string>
#include <variant>

#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "tests/fake_heap/heap_simulator.h"

namespace heapsync::fake_heap {

// The keys of an app id, to be streamed with NextKeys().
struct KeyStream {
  std::string app_id;
};

// Answers what stands under /_fake/ (the README lists it). `target` is path and
// query. Faults in a query are answered with 400 or 404 and {"error": …}.
std::variant<Reply, KeyStream> AnswerQuery(HeapSimulator& simulator,
                                           absl::string_view method,
                                           absl::string_view target,
                                           absl::string_view body,
                                           const Now& now);

// A part of the list of keys: lines of key, tab, how often it came. A key with
// control characters stands as a JSON string.
struct KeyLines {
  std::string text;
  size_t next;  // index of the first key that is not in `text`
  bool last;
};
KeyLines NextKeys(const HeapSimulator& simulator, const KeyStream& stream,
                  size_t from);

}  // namespace heapsync::fake_heap

#endif  // HEAPSYNC_TESTS_FAKE_HEAP_QUERY_ROUTER_H_
