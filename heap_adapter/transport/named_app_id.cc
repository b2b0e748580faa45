#include "heap_adapter/transport/named_app_id.h"

#include <algorithm>
#include <array>
#include <string>

#include "absl/strings/ascii.h"

namespace heapsync {
namespace {

constexpr std::array<absl::string_view, 30> kWordsOfAComplaint = {
    "400",    "422",      "bad",      "body",    "code",       "cannot",
    "error",  "errors",   "find",     "for",     "found",      "have",
    "in",     "invalid",  "message",  "missing", "must",       "no",
    "not",    "postbody", "property", "request", "required",   "should",
    "status", "the",      "this",     "unknown", "validation", "your"};

bool IsWordOfAComplaint(absl::string_view word) {
  return std::find(kWordsOfAComplaint.begin(), kWordsOfAComplaint.end(),
                   word) != kWordsOfAComplaint.end();
}

bool IsPartOfWord(char c) { return absl::ascii_isalnum(c) || c == '_'; }

}  // namespace

bool NamesAppId(absl::string_view text) {
  constexpr size_t kMaxLead = 200;
  const std::string lowercase = absl::AsciiStrToLower(text.substr(0, kMaxLead));
  absl::string_view former;
  for (size_t begin = 0; begin < lowercase.size();) {
    if (!IsPartOfWord(lowercase[begin])) {
      ++begin;
      continue;
    }
    size_t end = begin;
    while (end < lowercase.size() && IsPartOfWord(lowercase[end])) ++end;
    const absl::string_view word =
        absl::string_view(lowercase).substr(begin, end - begin);
    if (word == "app_id" || word == "appid") return true;
    if (former == "app" && word == "id") return true;
    if (word != "app" && !IsWordOfAComplaint(word)) return false;
    former = word;
    begin = end;
  }
  return false;
}

}  // namespace heapsync
