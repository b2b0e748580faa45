#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_FINDINGS_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_FINDINGS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "heap_adapter/encoding/reasons.h"  // IWYU pragma: export

namespace heapsync {

// One violation or warning about an item.
struct Finding {
  std::string field;   // "events[17].properties.plan"
  std::string reason;  // stable, one of reasons.h: "VALUE_TOO_LONG"
  // The rule and what was found; never the value itself.
  std::string description;
};

// The findings for one item. An item with violations is not part of the chunk.
struct Findings {
  // Each list is bounded; see kMaxFindings.
  std::vector<Finding> violations;
  std::vector<Finding> warnings;
  bool ok() const { return violations.empty(); }
};

// Maximum length of either list in `Findings`. If there are more findings, the
// last entry is reason::kMoreFindings, so that an item with thousands of faults
// does not cause a response of megabytes.
inline constexpr size_t kMaxFindings = 100;

// Path of an item in its request: "event", or "events[17]". The text is built
// only if there is something to report.
struct ItemPath {
  absl::string_view field;
  std::optional<uint64_t> index;
  std::string ToString() const;
};

// A property key that is safe to show in paths, logs and terminals: the first
// 64 characters, then "…"; control characters as "\u000a", bytes that are not
// UTF-8 as "\xff".
std::string PrintableKey(absl::string_view key);

// Collects the findings for one item. `path` must outlive it.
class FindingLog {
 public:
  // Lists at most `max_findings`, at least two; see kMaxFindings.
  explicit FindingLog(const ItemPath& path, size_t max_findings = kMaxFindings)
      : path_(path), max_findings_(max_findings) {}

  // `field` is relative to the item: "identity", "properties.plan"; empty for
  // the item as a whole. `reason` is one of reasons.h.
  void AddViolation(absl::string_view field, absl::string_view reason,
                    absl::string_view description);
  void AddWarning(absl::string_view field, absl::string_view reason,
                  absl::string_view description);

  // True once the list of violations takes no more: what another one says is
  // not looked at.
  bool is_full() const {
    return findings_.violations.size() == max_findings_ &&
           findings_.violations.back().reason == reason::kMoreFindings;
  }

  bool has_violations() const { return !findings_.violations.empty(); }

  Findings Take() { return std::move(findings_); }

 private:
  void AddTo(std::vector<Finding>& list, absl::string_view field,
             absl::string_view reason, absl::string_view description);

  const ItemPath& path_;
  const size_t max_findings_;
  Findings findings_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_FINDINGS_H_
