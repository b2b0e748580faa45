#ifndef HEAPSYNC_HEAP_ADAPTER_MODEL_APP_ID_H_
#define HEAPSYNC_HEAP_ADAPTER_MODEL_APP_ID_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heapsync {

// The id of a Heap environment. It is the only credential that Heap requires,
// so the class keeps it from being printed by accident: logs, metrics, errors
// and pages use Masked().
class AppId {
 public:
  // Parses 1 to 20 decimal digits. Errors: kInvalidArgument, without the input
  // text. No further check is possible, because Heap answers 200 to a
  // well-formed id that does not exist.
  static absl::StatusOr<AppId> Parse(absl::string_view digits);

  // For request bodies only.
  const std::string& digits() const { return digits_; }

  // "…7890": the last four digits, or fewer if four would be more than half of
  // the id.
  std::string Masked() const;

  friend bool operator==(const AppId&, const AppId&) = default;

 private:
  explicit AppId(std::string digits) : digits_(std::move(digits)) {}
  std::string digits_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_MODEL_APP_ID_H_
