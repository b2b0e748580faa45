#include "heap_adapter/encoding/findings.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/json_text.h"

namespace heapsync {

std::string ItemPath::ToString() const {
  if (!index.has_value()) return std::string(field);
  return absl::StrCat(field, "[", *index, "]");
}

std::string PrintableKey(absl::string_view key) {
  constexpr size_t kMaxCharacters = 64;
  std::string shown;
  size_t at = 0;
  for (size_t count = 0; at < key.size(); ++count) {
    if (count == kMaxCharacters) {
      shown += "…";
      break;
    }
    const size_t length = Utf8CharacterLength(key.substr(at));
    const auto first = static_cast<unsigned char>(key[at]);
    if (length == 0) {
      absl::StrAppendFormat(&shown, "\\x%02x", first);
    } else if (length == 1 && (first < 0x20 || first == 0x7f)) {
      absl::StrAppendFormat(&shown, "\\u%04x", first);
    } else if (length == 2 && first == 0xc2 &&
               static_cast<unsigned char>(key[at + 1]) < 0xa0) {
      absl::StrAppendFormat(&shown, "\\u%04x",
                            static_cast<unsigned char>(key[at + 1]));
    } else {
      shown.append(key.data() + at, length);
    }
    at += length == 0 ? 1 : length;
  }
  return shown;
}

void FindingLog::AddViolation(absl::string_view field, absl::string_view reason,
                              absl::string_view description) {
  AddTo(findings_.violations, field, reason, description);
}

void FindingLog::AddWarning(absl::string_view field, absl::string_view reason,
                            absl::string_view description) {
  AddTo(findings_.warnings, field, reason, description);
}

void FindingLog::AddTo(std::vector<Finding>& list, absl::string_view field,
                       absl::string_view reason,
                       absl::string_view description) {
  if (list.size() == max_findings_) {
    if (list.back().reason == reason::kMoreFindings) return;
    list.back() = {
        .field = path_.ToString(),
        .reason = std::string(reason::kMoreFindings),
        .description = absl::StrCat("the item has more faults than the ",
                                    max_findings_ - 1, " that are listed")};
    return;
  }
  list.push_back({.field = field.empty()
                               ? path_.ToString()
                               : absl::StrCat(path_.ToString(), ".", field),
                  .reason = std::string(reason),
                  .description = std::string(description)});
}

}  // namespace heapsync
