#include "client/cli/row_findings.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "client/cli/progress.h"
#include "client/cli/utf8.h"
#include "heap_adapter/encoding/reasons.h"
#include "nlohmann/json.hpp"

namespace heapsync {
namespace {

// "properties.plan" of "events[17].properties.plan".
std::string FieldOfItem(absl::string_view path) {
  const size_t bracket = path.find(']');
  if (bracket == absl::string_view::npos ||
      path.find('[') >= path.find_first_of(".\"")) {
    return std::string(path);
  }
  path.remove_prefix(bracket + 1);
  absl::ConsumePrefix(&path, ".");
  return std::string(path);
}

}  // namespace

std::vector<Violation> ViolationsOfRow(const v1::RejectedItem& item) {
  std::vector<Violation> violations;
  for (const v1::FieldViolation& source : item.violations()) {
    violations.push_back(
        {FieldOfItem(source.field()), source.reason(), source.description()});
  }
  return violations;
}

void RowWarnings::Add(const v1::WarnedItem& item, const RowLedger& ledger) {
  const uint64_t row = ledger.RowOf(item.index());
  for (const v1::FieldViolation& warning : item.warnings()) {
    // A server that lists no more of one item.
    if (warning.reason() == reason::kMoreFindings) are_partial_ = true;
    Add(warning.reason(), 1, row, FieldOfItem(warning.field()));
  }
}

void RowWarnings::Add(const v1::UnlistedWarnings& unlisted,
                      const RowLedger& ledger) {
  if (unlisted.reason() == reason::kMoreFindings) are_partial_ = true;
  Add(unlisted.reason(), unlisted.count(), ledger.RowOf(unlisted.first_index()),
      "");
}

void RowWarnings::Add(const std::string& reason, uint64_t count, uint64_t row,
                      std::string field) {
  if (reason == ignored_) return;
  Count& known = by_reason_[reason];
  if (known.count == 0) {
    known.first_row = row;
    known.first_field = std::move(field);
  }
  known.count += count;
}

std::string RowWarnings::ToText() const {
  std::string text;
  for (const auto& [reason, known] : by_reason_) {
    absl::StrAppend(&text, "warning: ", Printable(reason), ": ",
                    are_partial_ ? "at least " : "", WithThousands(known.count),
                    known.count == 1 ? " time" : " times",
                    are_partial_ ? ", such as in row " : ", first in row ",
                    WithThousands(known.first_row));
    if (!known.first_field.empty()) {
      absl::StrAppend(&text, " (", Printable(known.first_field), ")");
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

nlohmann::ordered_json RowWarnings::ToJson() const {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [reason, known] : by_reason_) {
    json[reason] = {{"count", known.count},
                    {"is_at_least", are_partial_},
                    {"first_row", known.first_row},
                    {"first_field", known.first_field}};
  }
  return json;
}

}  // namespace heapsync
