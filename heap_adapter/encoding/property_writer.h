#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_PROPERTY_WRITER_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_PROPERTY_WRITER_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "google/protobuf/struct.pb.h"
#include "heap_adapter/encoding/findings.h"
#include "heap_adapter/model/object_type.h"

namespace heapsync {

// UTF-16 units of the longest key and the longest value. Heap's reference says
// "fewer than 1,024 characters".
inline constexpr size_t kMaxPropertyUnits = 1'023;

// Ours: Heap names no bound. It keeps the work for one item small.
inline constexpr size_t kMaxProperties = 1'024;

// Ours: how many levels of objects are flattened, counting the outermost.
inline constexpr int kMaxNesting = 16;

// Ours: bytes of one item's JSON. A request must hold at least one item, and a
// batch of such items must not fill the memory.
inline constexpr size_t kMaxItemBytes = 512 * 1024;

struct PropertyRules {
  // Decides on reserved keys and on what becomes of a list that is too long.
  ObjectType type;

  // See EncodingRules.
  bool flatten_nested;
};

// Appends `properties` to `json` as one object, `{"amount":49.99,"plan":"a"}`,
// with the keys in the order of their bytes, so that the same properties always
// give the same text. `email`, if given, becomes the property of that name; its
// own length and encoding are the caller's to check. Faults go to `log` under
// "properties.<key>"; where there are any, `json` ends with text of no meaning.
//
// Lists: joined by "||". One that is too long as one text is refused for
// users and accounts; for events, where Heap joins and cuts by itself, it is
// sent as a JSON array with a warning, because a text of that length could make
// Heap refuse the whole batch.
void AppendProperties(const google::protobuf::Struct& properties,
                      std::optional<absl::string_view> email,
                      PropertyRules rules, FindingLog& log, std::string& json);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_PROPERTY_WRITER_H_
