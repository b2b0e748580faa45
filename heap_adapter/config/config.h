#ifndef HEAPSYNC_HEAP_ADAPTER_CONFIG_CONFIG_H_
#define HEAPSYNC_HEAP_ADAPTER_CONFIG_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/model/destination.h"  // IWYU pragma: export

namespace heapsync {

// The destinations that a server knows. Names are unique; `default_destination`
// is one of them, or empty when a caller must always name one.
struct DestinationConfig {
  std::vector<Destination> destinations;
  std::string default_destination;

  bool operator==(const DestinationConfig&) const = default;
};

// Reads the JSON form (comments allowed), whose keys are those of
// DescribeDestinationKeys():
//
//   {"destinations": [{"name": "prod", "app_id": "1234567890",
//                      "batch": {"max_wait": "2s"}}],
//    "default_destination": "prod"}
//
// With one destination the default may be left out.
//
// Errors: kInvalidArgument whose message has one line per fault, each with its
// place ("destinations[1].region: …" or line and column of a syntax error); all
// faults at once, unknown and repeated keys included. App IDs never appear in
// it.
absl::StatusOr<DestinationConfig> ParseDestinationConfig(
    absl::string_view json);

// A key of a destination in that JSON, for people.
struct DestinationKeyText {
  std::string path;           // "batch.max_items"
  std::string default_value;  // empty: none
  std::string values;         // that are accepted
  std::string meaning;
};

// All keys, in the order in which they are read.
std::vector<DestinationKeyText> DescribeDestinationKeys();

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_CONFIG_CONFIG_H_
