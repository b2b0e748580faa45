#ifndef HEAPSYNC_TESTS_FAKE_HEAP_JSON_SLICES_H_
#define HEAPSYNC_TESTS_FAKE_HEAP_JSON_SLICES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heapsync::fake_heap {

struct JsonMember {
  std::string key;
  absl::string_view value;  // the value's text, a part of what was sliced
};

// Cuts a JSON object or array into the texts of its values without looking into
// them: only strings and brackets are followed, so a value that comes back may
// still be no JSON. This is what lets a thousand items be counted, or kept as
// they were sent, at the price of one pass over their bytes.
//
// Errors: kInvalidArgument where brackets, strings or separators don't fit, or
// something follows the closing bracket.
absl::StatusOr<std::vector<JsonMember>> SliceObject(absl::string_view text);
absl::StatusOr<std::vector<absl::string_view>> SliceArray(
    absl::string_view text);

}  // namespace heapsync::fake_heap

#endif  // HEAPSYNC_TESTS_FAKE_HEAP_JSON_SLICES_H_
