#include "client/cli/json_structure.h"

#include <cstddef>

#include "absl/strings/string_view.h"

namespace heapsync {
namespace {

// Deeper nesting is refused by the parser anyway; bounds the memory.
constexpr size_t kMaxDepth = 4'096;
constexpr absl::string_view kEndsWord = " \t\r\n\"{}[],:";

}  // namespace

JsonStructure::Verdict JsonStructure::Add(char byte) {
  if (in_string_) {
    // A line break belongs in no string, so a quote is missing before it.
    if (byte == '\n') return Verdict::kMalformed;
    if (escaped_) {
      escaped_ = false;
    } else if (byte == '\\') {
      escaped_ = true;
    } else if (byte == '"') {
      in_string_ = false;
    }
    return Verdict::kGoesOn;
  }
  if (in_word_ && kEndsWord.find(byte) == absl::string_view::npos) {
    return Verdict::kGoesOn;
  }
  in_word_ = false;
  return Token(byte);
}

JsonStructure::Verdict JsonStructure::AddLeniently(char byte) {
  const Expected expected = expected_;
  const bool in_string = in_string_;
  const Verdict verdict = Add(byte);
  if (verdict != Verdict::kMalformed) return verdict;
  expected_ = expected;
  if (in_string) {
    in_string_ = false;
  } else if (byte == '"') {
    in_string_ = true;
  } else if (byte == '{' || byte == '[') {
    if (open_.size() < kMaxDepth) open_ += byte;
  } else if (byte == '}' || byte == ']') {
    if (!open_.empty()) open_.pop_back();
    if (open_.empty()) return Verdict::kComplete;
  }
  return Verdict::kGoesOn;
}

JsonStructure::Verdict JsonStructure::Token(char byte) {
  switch (byte) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
      return Verdict::kGoesOn;
    case '{':
    case '[':
      if (open_.size() == kMaxDepth || (expected_ != Expected::kValue &&
                                        expected_ != Expected::kValueOrEnd)) {
        return Verdict::kMalformed;
      }
      open_ += byte;
      expected_ = byte == '{' ? Expected::kKeyOrEnd : Expected::kValueOrEnd;
      return Verdict::kGoesOn;
    case '}':
      return Close('{');
    case ']':
      return Close('[');
    case ',':
      if (expected_ != Expected::kCommaOrEnd) return Verdict::kMalformed;
      expected_ =
          open_.back() == '{' ? Expected::kKeyOrEnd : Expected::kValueOrEnd;
      return Verdict::kGoesOn;
    case ':':
      if (expected_ != Expected::kColon) return Verdict::kMalformed;
      expected_ = Expected::kValue;
      return Verdict::kGoesOn;
    case '"':
      in_string_ = BeginValue() == Verdict::kGoesOn;
      return in_string_ ? Verdict::kGoesOn : Verdict::kMalformed;
    default:
      in_word_ = BeginValue() == Verdict::kGoesOn;
      return in_word_ ? Verdict::kGoesOn : Verdict::kMalformed;
  }
}

// A key or a value that has no brackets.
JsonStructure::Verdict JsonStructure::BeginValue() {
  switch (expected_) {
    case Expected::kKeyOrEnd:
      expected_ = Expected::kColon;
      return Verdict::kGoesOn;
    case Expected::kValue:
    case Expected::kValueOrEnd:
      expected_ = Expected::kCommaOrEnd;
      return Verdict::kGoesOn;
    case Expected::kColon:
    case Expected::kCommaOrEnd:
      break;
  }
  return Verdict::kMalformed;
}

JsonStructure::Verdict JsonStructure::Close(char opening) {
  if (open_.back() != opening || expected_ == Expected::kValue ||
      expected_ == Expected::kColon) {
    return Verdict::kMalformed;
  }
  open_.pop_back();
  expected_ = Expected::kCommaOrEnd;
  return open_.empty() ? Verdict::kComplete : Verdict::kGoesOn;
}

}  // namespace heapsync
