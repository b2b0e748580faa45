#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_PROPERTY_WRITER_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_PROPERTY_WRITER_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "google/protobuf/struct.pb.h"
#include "heap_adapter/encoding/findings.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/model/object_type.h"

namespace heapsync {

// Maximum length of keys and of values, in UTF-16 units. Heap's reference says
// "fewer than 1,024 characters".
inline constexpr size_t kMaxPropertyUnits = 1'023;

// Maximum number of properties of one item. Our own limit, as Heap documents
// none; it bounds the work for one item.
inline constexpr size_t kMaxProperties = 1'024;

// Maximum number of object levels that are flattened, including the outermost.
// Our own limit.
inline constexpr int kMaxNesting = 16;

// Maximum size of one item's JSON, in bytes. Our own limit: a request must hold
// at least one item, and a batch of such items must fit in memory.
inline constexpr size_t kMaxItemBytes = 512 * 1024;

struct PropertyRules {
  // Determines the reserved keys and the treatment of lists that are too long.
  ObjectType type;

  const EncodingRules& encoding;
};

// Appends `properties` to `json` as one object, `{"amount":49.99,"plan":"a"}`,
// with the keys in byte order, so that the same properties always give the same
// text. `email`, if given, becomes the property of that name; the caller checks
// its length and encoding. Violations are added to `log` under
// "properties.<key>"; if there are any, `json` ends with meaningless text.
//
// Lists are joined by "||". A list that is too long as one text is rejected for
// users and accounts. For events, for which Heap itself joins and cuts lists,
// it is sent as a JSON array with a warning, because Heap could reject the
// whole batch for a text of that length.
//
// A user's `email` that is blank or a placeholder is left out with a warning.
void AppendProperties(const google::protobuf::Struct& properties,
                      std::optional<absl::string_view> email,
                      PropertyRules rules, FindingLog& log, std::string& json);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_PROPERTY_WRITER_H_
