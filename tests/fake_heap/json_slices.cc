#include "tests/fake_heap/json_slices.h"

#include <cstddef>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace heapsync::fake_heap {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

class Slicer {
 public:
  explicit Slicer(absl::string_view text) : text_(text) {}

  bool Take(char wanted) {
    SkipSpace();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  bool AtEnd() {
    SkipSpace();
    return at_ == text_.size();
  }

  std::optional<absl::string_view> TakeString() {
    SkipSpace();
    const size_t from = at_;
    if (!SkipString()) return std::nullopt;
    return text_.substr(from, at_ - from);
  }

  std::optional<absl::string_view> TakeValue() {
    SkipSpace();
    const size_t from = at_;
    if (at_ >= text_.size()) return std::nullopt;
    const char first = text_[at_];
    if (first == '"') {
      if (!SkipString()) return std::nullopt;
    } else if (first == '{' || first == '[') {
      if (!SkipBrackets()) return std::nullopt;
    } else {
      SkipScalar();
    }
    if (at_ == from) return std::nullopt;
    return text_.substr(from, at_ - from);
  }

  absl::Status Error() const {
    return absl::InvalidArgumentError(
        absl::StrCat("no JSON at byte ", at_, " of ", text_.size()));
  }

 private:
  void SkipSpace() {
    while (at_ < text_.size() && IsSpace(text_[at_])) ++at_;
  }

  bool SkipString() {
    if (at_ >= text_.size() || text_[at_] != '"') return false;
    for (size_t from = at_ + 1;;) {
      if (from >= text_.size()) return false;
      const void* found =
          std::memchr(text_.data() + from, '"', text_.size() - from);
      if (found == nullptr) return false;
      const size_t quote =
          static_cast<size_t>(static_cast<const char*>(found) - text_.data());
      size_t backslashes = 0;
      while (text_[quote - 1 - backslashes] == '\\') ++backslashes;
      from = quote + 1;
      if (backslashes % 2 == 0) {
        at_ = from;
        return true;
      }
    }
  }

  bool SkipBrackets() {
    size_t depth = 0;
    while (at_ < text_.size()) {
      switch (text_[at_]) {
        case '"':
          if (!SkipString()) return false;
          continue;
        case '{':
        case '[':
          ++depth;
          break;
        case '}':
        case ']':
          if (--depth == 0) {
            ++at_;
            return true;
          }
          break;
        default:
          break;
      }
      ++at_;
    }
    return false;
  }

  void SkipScalar() {
    while (at_ < text_.size() && !IsSpace(text_[at_]) && text_[at_] != ',' &&
           text_[at_] != ']' && text_[at_] != '}') {
      ++at_;
    }
  }

  absl::string_view text_;
  size_t at_ = 0;
};

std::optional<std::string> Unquote(absl::string_view quoted) {
  if (quoted.find('\\') == absl::string_view::npos) {
    return std::string(quoted.substr(1, quoted.size() - 2));
  }
  const nlohmann::json value = nlohmann::json::parse(
      quoted.begin(), quoted.end(), nullptr, /*allow_exceptions=*/false);
  if (!value.is_string()) return std::nullopt;
  return value.get<std::string>();
}

}  // namespace

absl::StatusOr<std::vector<JsonMember>> SliceObject(absl::string_view text) {
  Slicer slicer(text);
  std::vector<JsonMember> members;
  if (!slicer.Take('{')) return slicer.Error();
  if (!slicer.Take('}')) {
    do {
      const auto quoted = slicer.TakeString();
      if (!quoted || !slicer.Take(':')) return slicer.Error();
      auto key = Unquote(*quoted);
      const auto value = slicer.TakeValue();
      if (!key || !value) return slicer.Error();
      members.push_back({*std::move(key), *value});
    } while (slicer.Take(','));
    if (!slicer.Take('}')) return slicer.Error();
  }
  if (!slicer.AtEnd()) return slicer.Error();
  return members;
}

absl::StatusOr<std::vector<absl::string_view>> SliceArray(
    absl::string_view text) {
  Slicer slicer(text);
  std::vector<absl::string_view> values;
  if (!slicer.Take('[')) return slicer.Error();
  if (!slicer.Take(']')) {
    do {
      const auto value = slicer.TakeValue();
      if (!value) return slicer.Error();
      values.push_back(*value);
    } while (slicer.Take(','));
    if (!slicer.Take(']')) return slicer.Error();
  }
  if (!slicer.AtEnd()) return slicer.Error();
  return values;
}

}  // namespace heapsync::fake_heap
