#include "heap_adapter/encoding/merge_properties.h"

#include <utility>

#include "absl/status/status.h"
#include "heap_adapter/encoding/property_writer.h"
#include "nlohmann/json.hpp"

namespace heapsync {
namespace {

using Json = nlohmann::json;

constexpr char kProperties[] = "properties";

const char* SubjectKey(const Json& item) {
  return item.contains("identity") ? "identity" : "account_id";
}

bool IsUpdate(const Json& item) {
  if (!item.is_object()) return false;
  const auto subject = item.find(SubjectKey(item));
  if (subject == item.end() || !subject->is_string()) return false;
  const auto properties = item.find(kProperties);
  return item.size() == (properties == item.end() ? 1 : 2) &&
         (properties == item.end() || properties->is_object());
}

// Returns a discarded value for text that is not JSON.
Json Parse(absl::string_view text) {
  return Json::parse(text.begin(), text.end(), /*cb=*/nullptr,
                     /*allow_exceptions=*/false);
}

}  // namespace

absl::StatusOr<std::string> MergeProperties(absl::string_view older,
                                            absl::string_view newer) {
  Json merged = Parse(older);
  Json update = Parse(newer);
  if (!IsUpdate(merged) || !IsUpdate(update)) {
    return absl::DataLossError("not an encoded user or account");
  }
  const char* const subject = SubjectKey(merged);
  if (!update.contains(subject) || update[subject] != merged[subject]) {
    return absl::FailedPreconditionError(
        "only updates of the same identity or account can be merged");
  }
  if (const auto wins = update.find(kProperties); wins != update.end()) {
    Json& properties = merged[kProperties];
    for (auto& [key, value] : wins->items()) properties[key] = std::move(value);
  }
  // The parser has rejected text that is not UTF-8, so this cannot throw.
  std::string text = merged.dump();
  if (text.size() > kMaxItemBytes) {
    return absl::OutOfRangeError("the merged item would be too large");
  }
  return text;
}

}  // namespace heapsync
