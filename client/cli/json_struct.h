#ifndef HEAPSYNC_CLIENT_CLI_JSON_STRUCT_H_
#define HEAPSYNC_CLIENT_CLI_JSON_STRUCT_H_

#include <google/protobuf/struct.pb.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heapsync {

// The treatment of values that look like numbers and booleans.
enum class ValueTyping {
  kTyped,    // numbers and booleans, wherever nothing is lost
  kStrings,  // always the text as it stands
  kDoubles   // as typed, but every number of JSON, even if digits are lost
};

// Reads one JSON object. Whole numbers from ±2^53 on, which a Struct cannot
// hold, become strings of the same digits. Errors: kInvalidArgument, naming the
// byte but never the text: not JSON, not an object, a key that comes twice in
// one object, nested deeper than 32, or a number out of range.
absl::StatusOr<google::protobuf::Struct> ParseJsonObject(
    absl::string_view text, ValueTyping typing = ValueTyping::kTyped);

// The value of a cell of text. When typed: `true` and `false` become booleans,
// and JSON numbers become numbers unless something would be lost: leading zeros
// and plus signs are no JSON, more than 15 significant digits do not fit, and
// an exponent without a point or sign ("12E5") is more likely a code.
google::protobuf::Value CellValue(absl::string_view cell, ValueTyping typing);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_JSON_STRUCT_H_
