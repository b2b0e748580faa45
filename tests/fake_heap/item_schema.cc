#include "tests/fake_heap/item_schema.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"

namespace heapsync::fake_heap {
namespace {

using nlohmann::json;
using Fault = std::optional<std::string>;

constexpr size_t kMaxIdentity = 255;
constexpr size_t kMaxEventName = 1024;
constexpr size_t kMaxProperty = 1023;
constexpr size_t kShortestKey = 8;
constexpr uint64_t kHighestUserId = (uint64_t{1} << 53) - 1;

size_t CodePoints(absl::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(),
      [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

bool IsDigits(absl::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

std::string Join(absl::string_view path, absl::string_view key) {
  const auto is_name = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' ||
           c == '$';
  };
  if (!key.empty() &&
      !absl::ascii_isdigit(static_cast<unsigned char>(key[0])) &&
      std::all_of(key.begin(), key.end(), is_name)) {
    return absl::StrCat(path, ".", key);
  }
  return absl::StrCat(path, "['",
                      absl::StrReplaceAll(key, {{"\\", "\\\\"}, {"'", "\\'"}}),
                      "']");
}

struct Lengths {
  size_t shortest;
  size_t longest;
};

Fault LengthFault(const std::string& text, Lengths lengths,
                  absl::string_view path, absl::string_view key) {
  // A text of few bytes cannot have many code points: most need no counting.
  if (text.size() > lengths.longest && CodePoints(text) > lengths.longest) {
    return absl::StrCat(Join(path, key), " should NOT be longer than ",
                        lengths.longest, " characters");
  }
  if (lengths.shortest > 0 && CodePoints(text) < lengths.shortest) {
    return absl::StrCat(Join(path, key), " should NOT be shorter than ",
                        lengths.shortest, " characters");
  }
  return std::nullopt;
}

Fault TextFault(const json& item, const char* key, Lengths lengths,
                absl::string_view path) {
  const auto found = item.find(key);
  if (found == item.end()) return std::nullopt;
  if (!found->is_string()) {
    return absl::StrCat(path, ".", key, " should be string");
  }
  return LengthFault(found->get_ref<const std::string&>(), lengths, path, key);
}

Fault UserIdFault(const json& item, absl::string_view path) {
  const auto found = item.find("user_id");
  if (found == item.end()) return std::nullopt;
  if (!found->is_string()) {
    return absl::StrCat(path, ".user_id should be string");
  }
  const auto& text = found->get_ref<const std::string&>();
  if (!IsDigits(text)) {
    return absl::StrCat(path, ".user_id should match pattern \"^[0-9]+$\"");
  }
  uint64_t number = 0;
  if (!absl::SimpleAtoi(text, &number) || number > kHighestUserId) {
    return absl::StrCat(path, ".user_id should be <= ", kHighestUserId);
  }
  return std::nullopt;
}

bool IsIso8601(const std::string& text) {
  if (text.size() < 10 ||
      !absl::ascii_isdigit(static_cast<unsigned char>(text[0])) ||
      absl::ascii_isspace(static_cast<unsigned char>(text.back()))) {
    return false;
  }
  for (const char* format :
       {"%Y-%m-%d%ET%H:%M:%E*S%Ez", "%Y-%m-%d%ET%H:%M%Ez",
        "%Y-%m-%d%ET%H:%M:%E*S", "%Y-%m-%d%ET%H:%M", "%Y-%m-%d"}) {
    absl::Time time;
    if (absl::ParseTime(format, text, &time, nullptr)) return true;
  }
  return false;
}

Fault TimestampFault(const json& item, absl::string_view path) {
  const auto found = item.find("timestamp");
  if (found == item.end()) return std::nullopt;
  if (!found->is_string()) {
    return absl::StrCat(path, ".timestamp should be string");
  }
  if (!IsIso8601(found->get_ref<const std::string&>())) {
    return absl::StrCat(path, ".timestamp should match format \"date-time\"");
  }
  return std::nullopt;
}

// Heap joins an array of a track event with "||"; its reference says nothing of
// arrays elsewhere, so there they are refused here.
bool IsJoinable(ObjectType type, const json& value) {
  return type == ObjectType::kTrackEvent && value.is_array() &&
         std::all_of(value.begin(), value.end(), [](const json& element) {
           return element.is_string() || element.is_number();
         });
}

Fault PropertiesFault(ObjectType type, const json& item,
                      absl::string_view item_path) {
  const auto found = item.find("properties");
  if (found == item.end()) return std::nullopt;
  const std::string path = absl::StrCat(item_path, ".properties");
  if (!found->is_object()) return absl::StrCat(path, " should be object");
  for (const auto& [key, value] : found->items()) {
    const bool reserved = type == ObjectType::kUserProperties &&
                          absl::EqualsIgnoreCase(key, "id");
    const bool too_long =
        key.size() > kMaxProperty && CodePoints(key) > kMaxProperty;
    if (key.empty() || reserved || too_long) {
      return absl::StrCat(path, " property name '", key, "' is invalid");
    }
    if (value.is_string()) {
      Fault fault = LengthFault(value.get_ref<const std::string&>(),
                                {0, kMaxProperty}, path, key);
      if (fault) return fault;
    } else if (!value.is_number() && !IsJoinable(type, value)) {
      return absl::StrCat(Join(path, key), " should be string,number");
    }
  }
  return std::nullopt;
}

Fault Required(const json& item, absl::string_view key,
               absl::string_view path) {
  if (item.contains(std::string(key))) return std::nullopt;
  return absl::StrCat(path, " should have required property '", key, "'");
}

// In the schema an event has either of two ways to name its user; for none of
// them ajv lists why each one failed.
Fault UserFault(const json& item, absl::string_view path) {
  const bool identity = item.contains("identity");
  if (identity != item.contains("user_id")) return std::nullopt;
  const std::string neither_or_both =
      absl::StrCat(path, " should match exactly one schema in oneOf");
  if (identity) return neither_or_both;
  return absl::StrCat(*Required(item, "identity", path), ", ",
                      *Required(item, "user_id", path), ", ", neither_or_both);
}

Fault EventFault(const json& item, absl::string_view path) {
  Fault fault = Required(item, "event", path);
  if (!fault) fault = TextFault(item, "identity", {1, kMaxIdentity}, path);
  if (!fault) fault = UserIdFault(item, path);
  if (!fault) fault = TextFault(item, "event", {1, kMaxEventName}, path);
  if (!fault) fault = TimestampFault(item, path);
  if (!fault) fault = PropertiesFault(ObjectType::kTrackEvent, item, path);
  if (!fault) fault = TextFault(item, "session_id", {0, SIZE_MAX}, path);
  if (!fault) {
    fault = TextFault(item, "idempotency_key", {kShortestKey, SIZE_MAX}, path);
  }
  if (!fault) fault = UserFault(item, path);
  return fault;
}

Fault PropertiesItemFault(ObjectType type, const char* id, const json& item,
                          absl::string_view path) {
  Fault fault = Required(item, id, path);
  if (!fault) fault = TextFault(item, id, {1, kMaxIdentity}, path);
  if (!fault) fault = PropertiesFault(type, item, path);
  return fault;
}

}  // namespace

std::optional<std::string> ItemFault(ObjectType type, absl::string_view path,
                                     const json& item) {
  if (!item.is_object()) return absl::StrCat(path, " should be object");
  switch (type) {
    case ObjectType::kTrackEvent:
      return EventFault(item, path);
    case ObjectType::kUserProperties:
      return PropertiesItemFault(type, "identity", item, path);
    case ObjectType::kAccountProperties:
      return PropertiesItemFault(type, "account_id", item, path);
  }
  return std::nullopt;
}

std::optional<std::string> AppIdFault(const json& app_id) {
  if (!app_id.is_string()) return "postBody.app_id should be string";
  if (!IsDigits(app_id.get_ref<const std::string&>())) {
    return "postBody.app_id should match pattern \"^[0-9]+$\"";
  }
  return std::nullopt;
}

}  // namespace heapsync::fake_heap
