#include "heap_adapter/transport/heap_origin.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "nlohmann/json.hpp"

namespace heapsync {
namespace {

using nlohmann::json;

template <size_t size>
bool IsOneOf(const std::array<absl::string_view, size>& words,
             absl::string_view text) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

// True for false, null, zero, "false", and what is empty.
bool SaysNo(const json& value) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    return text.empty() || absl::EqualsIgnoreCase(text, "false");
  }
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_number()) return value.get<double>() == 0;
  return value.empty();
}

bool IsErrorStatus(double status) { return status >= 400 && status < 600; }

// "error", "Failed", "not taken", "403".
bool IsErrorText(absl::string_view text) {
  constexpr std::array<absl::string_view, 10> kWords = {
      "error",   "fail",      "denied",       "reject", "blocked",
      "invalid", "forbidden", "unauthorized", "not ",   "unavailable"};
  const std::string lowercase = absl::AsciiStrToLower(text);
  int status = 0;
  return std::any_of(kWords.begin(), kWords.end(),
                     [&lowercase](absl::string_view word) {
                       return absl::StrContains(lowercase, word);
                     }) ||
         (absl::SimpleAtoi(text, &status) && IsErrorStatus(status));
}

bool NamesError(absl::string_view key) {
  constexpr std::array<absl::string_view, 8> kBeginnings = {
      "error",  "exception", "fault",   "fail",
      "reject", "denied",    "blocked", "invalid"};
  return key == "err" ||
         std::any_of(kBeginnings.begin(), kBeginnings.end(),
                     [key](absl::string_view beginning) {
                       return absl::StartsWith(key, beginning);
                     }) ||
         absl::EndsWith(key, "error") || absl::EndsWith(key, "errors");
}

bool ReportsError(const std::string& name, const json& value) {
  constexpr std::array<absl::string_view, 4> kSuccesses = {
      "ok", "success", "successful", "accepted"};
  constexpr std::array<absl::string_view, 4> kStatuses = {
      "status", "code", "statuscode", "status_code"};
  constexpr std::array<absl::string_view, 5> kTexts = {
      "message", "detail", "reason", "result", "state"};
  const std::string key = absl::AsciiStrToLower(name);
  if (NamesError(key)) return !SaysNo(value);
  if (IsOneOf(kSuccesses, key)) return SaysNo(value);
  const bool is_status = IsOneOf(kStatuses, key);
  if (value.is_number()) return is_status && IsErrorStatus(value.get<double>());
  return value.is_string() && (is_status || IsOneOf(kTexts, key)) &&
         IsErrorText(value.get_ref<const std::string&>());
}

bool ReportsError(const json& object, int depth) {
  if (depth == 0) return false;
  for (const auto& [name, value] : object.items()) {
    if (ReportsError(name, value)) return true;
    if (value.is_object() && ReportsError(value, depth - 1)) return true;
  }
  return false;
}

absl::string_view MediaType(const std::optional<std::string>& content_type) {
  if (!content_type.has_value()) return "";
  const absl::string_view text = *content_type;
  return absl::StripAsciiWhitespace(text.substr(0, text.find(';')));
}

bool IsHtml(absl::string_view media_type) {
  return absl::EqualsIgnoreCase(media_type, "text/html") ||
         absl::EqualsIgnoreCase(media_type, "application/xhtml+xml");
}

}  // namespace

bool ComesFromHeap(const HttpResponse& response) {
  // Deep enough for an error in an envelope; bounds the recursion.
  constexpr int kMaxDepth = 4;
  switch (response.status) {
    case 200:
    case 201:
    case 202:
    case 204:
      break;
    default:
      return false;
  }
  const absl::string_view body = absl::StripAsciiWhitespace(response.body);
  if (absl::EqualsIgnoreCase(body, "OK")) return true;
  if (IsHtml(MediaType(response.content_type))) return false;
  if (body.empty()) return true;
  if (body.front() != '{') return false;
  const json object = json::parse(body, nullptr, /*allow_exceptions=*/false);
  return object.is_object() && !ReportsError(object, kMaxDepth);
}

std::string MediaTypeText(const std::optional<std::string>& content_type) {
  constexpr size_t kMaxLength = 60;
  const absl::string_view type = MediaType(content_type);
  if (type.empty()) return "no content type";
  const bool readable =
      type.size() <= kMaxLength &&
      std::count(type.begin(), type.end(), '/') == 1 &&
      std::all_of(type.begin(), type.end(), [](char c) {
        return absl::ascii_isalnum(c) || absl::StrContains("/.+-", c);
      });
  if (!readable) return "unreadable content type";
  return absl::AsciiStrToLower(type);
}

}  // namespace heapsync
