#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_FINDINGS_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_FINDINGS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace heapsync {

// One thing wrong, or doubtful, about an item.
struct Finding {
  std::string field;   // "events[17].properties.plan"
  std::string reason;  // stable, one of reasons.h: "VALUE_TOO_LONG"
  std::string
      description;  // the rule and what was found, never the value itself
};

// What was found in one item. An item with violations is not part of the chunk.
struct Findings {
  // Each list is bounded; see kMaxFindings.
  std::vector<Finding> violations;
  std::vector<Finding> warnings;
  bool ok() const { return violations.empty(); }
};

// The length of either list in `Findings`. Where there is more to say, the last
// entry is reason::kMoreFindings: an item with thousands of faults must not
// become an answer of megabytes.
inline constexpr size_t kMaxFindings = 100;

// Where an item stands in its request: "event", or "events[17]". The text is
// only made when there is something to report.
struct ItemPath {
  absl::string_view field;
  std::optional<uint64_t> index;
  std::string ToString() const;
};

// A property key in a form that is fit for paths, logs and terminals: the first
// 64 characters, then "…"; control characters as "\u000a", bytes that are not
// UTF-8 as "\xff".
std::string PrintableKey(absl::string_view key);

// Gathers what is found in one item. `path` must outlive it.
class FindingLog {
 public:
  explicit FindingLog(const ItemPath& path) : path_(path) {}

  // `field` is relative to the item: "identity", "properties.plan"; empty for
  // the item as a whole. `reason` is one of reasons.h.
  void AddViolation(absl::string_view field, absl::string_view reason,
                    absl::string_view description);
  void AddWarning(absl::string_view field, absl::string_view reason,
                  absl::string_view description);

  bool has_violations() const { return !findings_.violations.empty(); }

  Findings Take() { return std::move(findings_); }

 private:
  void AddTo(std::vector<Finding>& list, absl::string_view field,
             absl::string_view reason, absl::string_view description);

  const ItemPath& path_;
  Findings findings_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_FINDINGS_H_
