#ifndef HEAPSYNC_TESTS_FAKE_HEAP_ITEM_SCHEMA_H_
#define HEAPSYNC_TESTS_FAKE_HEAP_ITEM_SCHEMA_H_

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "heap_adapter/model/object_type.h"

namespace heapsync::fake_heap {

// Checks one item against the schema of Heap's reference and returns the text
// with which Heap would refuse it, nothing where it is valid. The words are
// those of the JSON schema validator ajv, which Heap's answers were seen to
// use: "postBody.events[0].properties should be object". Like ajv it stops at
// the first fault, and counts lengths in code points.
//
// `path` is the item's place, such as "postBody.events[0]".
std::optional<std::string> ItemFault(ObjectType type, absl::string_view path,
                                     const nlohmann::json& item);

// The same for the app id: a string of digits. Heap answers 200 to any of
// those.
std::optional<std::string> AppIdFault(const nlohmann::json& app_id);

}  // namespace heapsync::fake_heap

#endif  // HEAPSYNC_TESTS_FAKE_HEAP_ITEM_SCHEMA_H_
