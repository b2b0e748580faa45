#include "heap_adapter/model/app_id.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace heapsync {

absl::StatusOr<AppId> AppId::Parse(absl::string_view digits) {
  constexpr size_t kMaxLength = 20;
  if (digits.empty()) return absl::InvalidArgumentError("an App ID is needed");
  if (digits.size() > kMaxLength ||
      !std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit)) {
    return absl::InvalidArgumentError(
        absl::StrCat("an App ID is 1 to ", kMaxLength,
                     " decimal digits; the text given has ", digits.size(),
                     " characters and is not that (Heap shows it under Account "
                     "> Manage > Projects)"));
  }
  return AppId(std::string(digits));
}

std::string AppId::Masked() const {
  const size_t shown = std::min<size_t>(4, digits_.size() / 2);
  return absl::StrCat("…", digits_.substr(digits_.size() - shown));
}

}  // namespace heapsync
