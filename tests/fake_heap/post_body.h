#ifndef HEAPSYNC_TESTS_FAKE_HEAP_POST_BODY_H_
#define HEAPSYNC_TESTS_FAKE_HEAP_POST_BODY_H_

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "heap_adapter/model/object_type.h"

namespace heapsync::fake_heap {

// Heap's reference: "at most 1,000 items".
inline constexpr size_t kMaxItems = 1000;

// The value of a property as JSON text.
using Property = std::pair<std::string, std::string>;

// One item of a request, as far as it can be made out.
struct PostItem {
  absl::string_view text;  // as it was sent; a part of the body
  // Identity or account id. An event of a `user_id` has "user_id:" before it,
  // so that the two cannot meet. Empty where there is none.
  std::string identity;
  std::string idempotency_key;       // empty: none
  std::vector<Property> properties;  // not for events: their text is enough
};

// The body of a request to one of Heap's three paths.
struct PostBody {
  enum class Form { kBulk, kSingle };
  Form form = Form::kBulk;
  std::string app_id;  // empty where it is missing or malformed
  std::vector<PostItem> items;
  // With this text Heap answers 400. One bad item refuses its whole request;
  // `app_id` and `items` still hold what could be read, for the limits are
  // measured on what arrives.
  std::optional<std::string> fault;
};

// Extent of the parsing. kCount reads only the app id and the texts of the
// items, and leaves the items unchecked: for benchmarks.
enum class ReadDepth { kFull, kCount };

// Reads a body, which must outlive the result.
PostBody ReadPostBody(ObjectType type, absl::string_view body, ReadDepth depth);

}  // namespace heapsync::fake_heap

#endif  // HEAPSYNC_TESTS_FAKE_HEAP_POST_BODY_H_
