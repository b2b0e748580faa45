#include "heap_adapter/encoding/placeholder.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "heap_adapter/encoding/placeholder_words.h"
#include "heap_adapter/encoding/unicode_text.h"

namespace heapsync {
namespace {

// Longer texts are neither words nor numbers; only templates are looked for.
constexpr size_t kMaxFoldedBytes = 64;

bool HasOnlyPunctuation(absl::string_view text) {
  while (!text.empty()) {
    const Character first = FirstCharacter(text);
    if (!IsPunctuation(first.code) && !IsBlankCharacter(first.code)) {
      return false;
    }
    text.remove_prefix(first.size);
  }
  return true;
}

bool IsAsciiPunctuation(char32_t c) {
  return c < 0x80 && (c == ' ' || IsPunctuation(c));
}

// "no-reply" as "noreply".
void RemoveJoints(std::string& name) {
  name.erase(
      std::remove_if(
          name.begin(), name.end(),
          [](char c) { return c == '-' || c == '_' || c == '.' || c == ' '; }),
      name.end());
}

// "system", "no-reply@example.com".
bool IsSharedAccount(absl::string_view folded) {
  const size_t at = folded.find('@');
  std::string name(folded.substr(0, at));
  RemoveJoints(name);
  return at == absl::string_view::npos ? IsSharedAccountName(name)
                                       : IsNobodysMailbox(name);
}

// "user id", "anonymous_user", "null null": words of the list only.
bool HasOnlyWords(absl::string_view text) {
  bool any = false;
  for (const absl::string_view word :
       absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    if (!IsPlaceholderWord(word)) return false;
    any = true;
  }
  return any;
}

// True for the words that programs write for no value.
bool IsNoValue(absl::string_view word) {
  constexpr absl::string_view kNoValues[] = {"null", "undefined", "nil", "none",
                                             "nan"};
  return std::find(std::begin(kNoValues), std::end(kNoValues), word) !=
         std::end(kNoValues);
}

// "undefined@undefined", "null@null.com": an address of nobody at no domain.
bool IsNoAddress(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('@', 1));
  const absl::string_view domain =
      parts.second.substr(0, parts.second.find('.'));
  return IsPlaceholderWord(parts.first) && IsPlaceholderWord(domain);
}

// The parts of a key put together, as "acme:null", that have no value. Points
// stand in many names, so only "null.null" counts.
enum class EmptyParts { kNone, kSome, kAll };
EmptyParts EmptyPartsOf(absl::string_view text) {
  constexpr absl::string_view kSeparators = ":|/#";
  const bool joined =
      text.find_first_of(kSeparators) != absl::string_view::npos;
  const std::vector<absl::string_view> parts =
      absl::StrSplit(text, absl::ByAnyChar(joined ? kSeparators : "."));
  if (parts.size() == 1) return EmptyParts::kNone;
  const auto empty = std::count_if(parts.begin(), parts.end(), IsNoValue);
  if (static_cast<size_t>(empty) == parts.size()) return EmptyParts::kAll;
  return empty > 0 && joined ? EmptyParts::kSome : EmptyParts::kNone;
}

// "0", "0.0", "-0", "00000000-0000-0000-0000-000000000000", "0x0".
bool IsZero(absl::string_view text) {
  return absl::StrContains(text, '0') &&
         text.find_first_not_of("0+-.,:_ x") == absl::string_view::npos;
}

// "-1" with or without a fraction of zeros.
bool IsMinusOne(absl::string_view text) {
  return absl::ConsumePrefix(&text, "-1") && !text.empty() &&
         (text[0] == '.' || text[0] == ',') && text.size() > 1 &&
         text.find_first_not_of('0', 1) == absl::string_view::npos;
}

// A UUID of one repeated digit that nothing has drawn: f or x.
bool IsFilledUuid(absl::string_view text) {
  if (text.size() != 36 || (text[0] != 'f' && text[0] != 'x')) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (text[i] != (dash ? '-' : text[0])) return false;
  }
  return true;
}

// A place in a template that nothing filled, anywhere in `text`.
bool HasTemplate(absl::string_view text) {
  constexpr std::array kMarks =
      std::to_array<std::pair<absl::string_view, absl::string_view>>({
          {"{{", "}}"},
          {"${", "}"},
          {"%{", "}"},
          {"#{", "}"},
          {"@{", "}"},
          {"<%", "%>"},
          {"{%", "%}"},
          {"{!", "}"},
          {"$(", ")"},
          {"*|", "|*"},
          {"%%", "%%"},
          {"<<", ">>"},
          {"[%", "%]"},
          {"[[", "]]"},
          {"%7B%7B", "%7D%7D"},
          {"%7b%7b", "%7d%7d"},
          {"%!", ")"},  // Go's fmt on a wrong argument: "%!s(<nil>)"
      });
  return std::any_of(kMarks.begin(), kMarks.end(), [text](const auto& mark) {
    const size_t open = text.find(mark.first);
    return open != absl::string_view::npos &&
           text.find(mark.second, open + mark.first.size()) !=
               absl::string_view::npos;
  });
}

// "%s", "%d", "%1$s", "%@".
bool IsFormatSpecifier(absl::string_view text) {
  constexpr size_t kMaxSize = 6;
  if (text.size() < 2 || text.size() > kMaxSize || text[0] != '%') return false;
  const auto last = static_cast<unsigned char>(text.back());
  return (absl::ascii_isalpha(last) || last == '@') &&
         text.substr(1, text.size() - 2).find_first_not_of("0123456789.$-l") ==
             absl::string_view::npos;
}

// "{customer}", "<customer>", "%CUSTOMER%", "$customer": a single word of
// letters. Brackets around anything else are part of many real ids.
bool IsTemplateWord(absl::string_view text) {
  text = Stripped(text, [](char32_t c) {
    return c == '"' || c == '\'' || c == '`' || IsBlankCharacter(c);
  });
  if (text.size() < 3) return false;
  const char first = text.front();
  const char last = text.back();
  absl::string_view word = text.substr(1);
  if ((first == '{' && last == '}') || (first == '<' && last == '>') ||
      (first == '%' && last == '%')) {
    word.remove_suffix(1);
  } else if (first != '$') {
    return false;
  }
  return std::all_of(word.begin(), word.end(), [](char c) {
    return absl::ascii_isalpha(static_cast<unsigned char>(c)) || c == '_' ||
           c == '.';
  });
}

size_t CountDigits(absl::string_view text) {
  return std::min(text.find_first_not_of("0123456789"), text.size());
}

// A whole number that has lost the digits that a spreadsheet does not keep.
bool IsRounded(absl::string_view digits) {
  constexpr size_t kDigitsKept = 15;
  constexpr size_t kMinDigits = 17;
  return digits.size() >= kMinDigits &&
         digits.find_first_not_of('0', kDigitsKept) == absl::string_view::npos;
}

// A number in exponent form or with a fraction of zeros. Hexadecimal ids such
// as "12e4" are neither: programs write one digit before the point, or a sign
// after the E, or both.
NameQuality JudgeNumber(absl::string_view text) {
  constexpr size_t kMaxExponentDigits = 3;
  if (text.front() == '-' || text.front() == '+') text.remove_prefix(1);
  const size_t whole = CountDigits(text);
  if (whole == text.size() && IsRounded(text)) return NameQuality::kRounded;
  text.remove_prefix(whole);
  if (whole == 0 || text.empty()) return NameQuality::kGood;
  bool has_fraction = false;
  bool only_zeros = false;
  if (text.front() == '.' || text.front() == ',') {
    text.remove_prefix(1);
    const size_t digits = CountDigits(text);
    has_fraction = true;
    only_zeros = digits > 0 && text.substr(0, digits).find_first_not_of('0') ==
                                   absl::string_view::npos;
    text.remove_prefix(digits);
    if (text.empty()) {
      return only_zeros ? NameQuality::kFraction : NameQuality::kGood;
    }
  }
  if (text.front() != 'e' && text.front() != 'E') return NameQuality::kGood;
  text.remove_prefix(1);
  bool has_sign = false;
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    has_sign = true;
    text.remove_prefix(1);
  }
  const size_t digits = CountDigits(text);
  const bool is_number =
      digits == text.size() && digits > 0 && digits <= kMaxExponentDigits;
  return is_number && (has_fraction || has_sign || whole == 1)
             ? NameQuality::kMangled
             : NameQuality::kGood;
}

// The text that programs make of a function or an object, where its name or
// result was meant: the same for many people.
bool IsShownObject(absl::string_view text) {
  constexpr absl::string_view kBeginnings[] = {
      "[object ",   "[Function",      "function(",  "function ",
      "<function ", "<bound method ", "<built-in ", "<class "};
  const auto begins = [text](absl::string_view beginning) {
    return absl::StartsWith(text, beginning);
  };
  if (std::any_of(std::begin(kBeginnings), std::end(kBeginnings), begins)) {
    return absl::StrContains("]}>", text.substr(text.size() - 1));
  }
  return (text.front() == '<' && text.back() == '>' &&
          absl::StrContains(text, " at 0x")) ||
         (text.front() == '(' && absl::StrContains(text, "=>"));
}

bool IsPlaceholder(absl::string_view text, std::string folded,
                   const EncodingRules& rules) {
  if (rules.denied_identities.contains(folded)) return true;
  if (rules.allowed_identities.contains(folded)) return false;
  if (HasTemplate(text) || IsShownObject(text) || IsFormatSpecifier(folded) ||
      HasOnlyPunctuation(folded) || IsZero(folded) || IsMinusOne(folded) ||
      IsFilledUuid(folded) || IsPlaceholderPhrase(folded) ||
      IsNoAddress(folded) || EmptyPartsOf(folded) == EmptyParts::kAll) {
    return true;
  }
  const bool dots_too = IsTemplateWord(text);
  std::replace_if(
      folded.begin(), folded.end(),
      [dots_too](char c) {
        return c == '_' || c == '-' || (dots_too && c == '.');
      },
      ' ');
  const absl::string_view bare = Stripped(folded, IsAsciiPunctuation);
  return !rules.allowed_identities.contains(bare) &&
         (IsPlaceholderPhrase(bare) || HasOnlyWords(bare));
}

// The kinds of bytes that a text has, as bits.
enum Trait : uint8_t {
  kControl = 1,       // U+0000 to U+001F, U+007F
  kNotAscii = 2,      // and perhaps U+0080 to U+009F
  kAt = 4,            // '@'
  kDigit = 8,         // '0' to '9'
  kOtherLetter = 16,  // a letter that no number has: neither e nor x
  kSpecial = 32,      // punctuation of templates and of words such as "#n/a"
  kJoins = 64,        // ':' and '/', between the parts of a key
};

constexpr std::array<uint8_t, 256> kTraits = [] {
  std::array<uint8_t, 256> traits{};
  for (size_t c = 0; c < traits.size(); ++c) {
    const bool upper = c >= 'A' && c <= 'Z';
    const size_t lower = upper ? c - 'A' + 'a' : c;
    if (c < 0x20 || c == 0x7f) {
      traits[c] = kControl;
    } else if (c >= 0x80) {
      traits[c] = kNotAscii;
    } else if (c == '@') {
      traits[c] = kAt;
    } else if (c >= '0' && c <= '9') {
      traits[c] = kDigit;
    } else if (lower >= 'a' && lower <= 'z') {
      traits[c] = lower == 'e' || lower == 'x' ? 0 : kOtherLetter;
    } else {
      traits[c] = kSpecial;
    }
  }
  for (const unsigned char c : {'.', '_', '-', '+', ':', ',', '/', '=', ' '}) {
    traits[c] = c == ':' || c == '/' ? kJoins : 0;
  }
  return traits;
}();

unsigned TraitsOf(absl::string_view text) {
  const auto traits_at = [text](size_t i) -> unsigned {
    return kTraits[static_cast<unsigned char>(text[i])];
  };
  unsigned traits = 0;
  size_t i = 0;
  for (; i + 4 <= text.size(); i += 4) {
    traits |= (traits_at(i) | traits_at(i + 1)) |
              (traits_at(i + 2) | traits_at(i + 3));
  }
  for (; i < text.size(); ++i) traits |= traits_at(i);
  return traits;
}

bool IsLetter(char c) {
  return absl::ascii_isalpha(static_cast<unsigned char>(c));
}

bool IsDigit(char c) {
  return absl::ascii_isdigit(static_cast<unsigned char>(c));
}

// True for addresses such as "null@example.com" and "no-reply@example.com".
bool HasWordAsLocalPart(absl::string_view address) {
  std::array<char, 16> lower{};
  const size_t size = address.find('@');
  if (size > lower.size()) return false;
  if (std::any_of(address.begin(), address.begin() + size, IsDigit)) {
    return false;
  }
  std::transform(address.begin(), address.begin() + size, lower.begin(),
                 [](char c) {
                   return absl::ascii_tolower(static_cast<unsigned char>(c));
                 });
  const absl::string_view name(lower.data(), size);
  if (IsPlaceholderWord(name)) return true;
  // Few names begin like a mailbox of nobody.
  constexpr absl::string_view kFirstLetters = "ndmp";
  if (kFirstLetters.find(lower[0]) == absl::string_view::npos) return false;
  std::string mailbox(name);
  RemoveJoints(mailbox);
  return IsNobodysMailbox(mailbox);
}

// True if no rule can apply, which most names show without a copy. REQUIRES:
// `text` is not empty.
bool IsPlainlyGood(absl::string_view text, unsigned traits,
                   const EncodingRules& rules) {
  const char first = text.front();
  const char last = text.back();
  if ((traits & (kControl | kNotAscii | kSpecial)) != 0 ||
      !rules.denied_identities.empty() ||
      (!IsLetter(first) && !IsDigit(first)) ||
      (!IsLetter(last) && !IsDigit(last))) {
    return false;
  }
  if ((traits & kJoins) != 0) return false;
  if ((traits & kAt) != 0) {
    return !HasWordAsLocalPart(text) && !absl::StrContains(text, ',');
  }
  // Words have no digits, and numbers have no letters.
  return (IsLetter(first) ? (traits & kDigit) != 0
                          : (traits & kOtherLetter) != 0);
}

// An id that many devices have: a build of Android, and a fault of it.
bool IsSharedDevice(absl::string_view text) {
  constexpr absl::string_view kDevices[] = {"lmy47d", "9774d56d682e549c"};
  return std::any_of(std::begin(kDevices), std::end(kDevices),
                     [text](absl::string_view device) {
                       return device.size() == text.size() &&
                              absl::EqualsIgnoreCase(text, device);
                     });
}

// The mark with which spreadsheets, and exports that guard against formulas,
// begin a cell that is text: "'00123", "'+4917".
bool HasTextMark(absl::string_view text) {
  constexpr absl::string_view kMarked = "0123456789+-=@";
  return text.size() > 2 && text[0] == '\'' &&
         kMarked.find(text[1]) != absl::string_view::npos;
}

// In the quotes that word processors make.
bool IsTypographicallyQuoted(absl::string_view text) {
  const auto is_among = [](char32_t c, std::initializer_list<char32_t> set) {
    return std::find(set.begin(), set.end(), c) != set.end();
  };
  const Character first = FirstCharacter(text);
  return first.size < text.size() &&
         is_among(first.code, {0x2018, 0x201c, 0x201e, 0xab}) &&
         is_among(LastCharacter(text).code, {0x2019, 0x201c, 0x201d, 0xbb});
}

// Characters that show nothing and belong into no word: soft hyphens, marks of
// direction, blanks without width. Not those that join letters and symbols.
bool HasInvisibleCharacter(absl::string_view text) {
  while (!text.empty()) {
    const Character first = FirstCharacter(text);
    const char32_t c = first.code;
    if (c == 0xad || c == 0x180e || c == 0x200b || c == 0x200e || c == 0x200f ||
        (c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x2069) ||
        c == 0xfeff) {
      return true;
    }
    text.remove_prefix(first.size);
  }
  return false;
}

bool IsQuoted(absl::string_view text) {
  if (HasTextMark(text) || IsTypographicallyQuoted(text)) return true;
  absl::ConsumePrefix(&text, "=");
  return text.size() >= 2 && text.front() == text.back() &&
         (text.front() == '"' || text.front() == '\'' || text.front() == '`');
}

// "['7']", "{'id': 7}", "UUID('7')", "{id=7}", "Optional[7]", "b'7'".
bool IsShownValue(absl::string_view text) {
  const char last = text.back();
  if (text.size() > 3 && (text[0] == 'b' || text[0] == 'u') &&
      (last == '\'' || last == '"') && text[1] == last) {
    return true;
  }
  constexpr absl::string_view kOpening = "([{";
  constexpr absl::string_view kClosing = ")]}";
  const size_t kind = kClosing.find(last);
  if (kind == absl::string_view::npos) return false;
  const size_t open = text.find_first_of(kOpening);
  if (open == absl::string_view::npos || text[open] != kOpening[kind]) {
    return false;
  }
  const absl::string_view name = text.substr(0, open);
  const absl::string_view inner =
      absl::StripLeadingAsciiWhitespace(text.substr(open + 1));
  if (name == "Optional" || name == "Some") return true;
  if (name.empty() && last == '}') {
    return inner.find_first_of("=:") != absl::string_view::npos;
  }
  return (inner.front() == '\'' || inner.front() == '"') &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return IsLetter(c) || c == '.'; });
}

// "mailto:ada@example.com", "Ada <ada@example.com>", "ada%40example.com",
// "ada&#64;example.com", or several addresses.
bool IsOtherFormOfAddress(absl::string_view text) {
  const auto addresses = std::count(text.begin(), text.end(), '@');
  const size_t angle = text.find('<');
  return absl::StartsWithIgnoreCase(text, "mailto:") ||
         (addresses > 0 && text.back() == '>' &&
          angle != absl::string_view::npos && angle < text.find('@')) ||
         (addresses > 1 &&
          text.find_first_of(",; ") != absl::string_view::npos) ||
         (addresses == 0 && absl::StrContains(text, "%40")) ||
         absl::StrContains(text, "&#64;") || absl::StrContains(text, "&amp;");
}

// "undefined@example.com", "acme:null".
bool IsPartlyNone(absl::string_view folded) {
  const size_t at = folded.find('@');
  return (at != absl::string_view::npos && IsNoValue(folded.substr(0, at))) ||
         EmptyPartsOf(folded) == EmptyParts::kSome;
}

}  // namespace

NameQuality JudgeName(absl::string_view text, const EncodingRules& rules) {
  if (text.empty()) return NameQuality::kBlank;
  if ((IsSharedDevice(text) || IsDigestOfNothing(text)) &&
      !rules.allowed_identities.contains(FoldName(text)))
    return NameQuality::kPlaceholder;
  const unsigned traits = TraitsOf(text);
  if (IsPlainlyGood(text, traits, rules)) return NameQuality::kGood;

  const absl::string_view trimmed = Stripped(text, IsBlankCharacter);
  if (trimmed.empty()) return NameQuality::kBlank;
  if ((traits & (kControl | kNotAscii)) != 0 && HasControlCharacter(text)) {
    return NameQuality::kControlCharacter;
  }
  if (trimmed.size() > kMaxFoldedBytes && rules.denied_identities.empty()) {
    if (HasTemplate(trimmed) || IsShownObject(trimmed) ||
        HasOnlyPunctuation(trimmed)) {
      return NameQuality::kPlaceholder;
    }
  } else {
    std::string folded = FoldName(trimmed);
    const NameQuality number = JudgeNumber(folded);
    if (number == NameQuality::kMangled) {
      return rules.allowed_identities.contains(folded) ? NameQuality::kGood
                                                       : number;
    }
    if (IsPlaceholder(trimmed, folded, rules)) {
      return NameQuality::kPlaceholder;
    }
    if (number != NameQuality::kGood) return number;
    if (IsPartlyNone(folded) && !rules.allowed_identities.contains(folded)) {
      return NameQuality::kPartlyNone;
    }
    if (IsSharedAccount(folded) && !rules.allowed_identities.contains(folded)) {
      return NameQuality::kSharedAccount;
    }
  }
  if (IsQuoted(trimmed)) return NameQuality::kQuoted;
  if (IsShownValue(trimmed) || IsOtherFormOfAddress(trimmed)) {
    return NameQuality::kWrapped;
  }
  if (trimmed.size() != text.size()) return NameQuality::kPadded;
  if ((traits & kNotAscii) != 0 && HasInvisibleCharacter(text)) {
    return NameQuality::kInvisible;
  }
  return IsTemplateWord(text) ? NameQuality::kTemplateWord : NameQuality::kGood;
}

std::string FoldName(absl::string_view text) {
  const absl::string_view trimmed = Stripped(text, IsBlankCharacter);
  absl::string_view inner = Stripped(trimmed, [](char32_t c) {
    return IsBracketOrQuote(c) || IsBlankCharacter(c);
  });
  // A text in escaped quotes: \"null\".
  if (!inner.empty() && inner.front() == '\\' && inner.back() == '\\') {
    inner = Stripped(inner, [](char32_t c) {
      return c == '\\' || IsBracketOrQuote(c) || IsBlankCharacter(c);
    });
  }
  if (inner.empty()) inner = trimmed;
  std::string folded;
  while (!inner.empty()) {
    const Character first = FirstCharacter(inner);
    // A minus sign and the dashes that word processors make of it.
    const bool dash = first.code == 0x2212 || first.code == 0x2013;
    if (dash) {
      folded += '-';
    } else if (first.code < 0x80) {
      folded += absl::ascii_tolower(static_cast<unsigned char>(inner[0]));
    } else if (first.code > 0xff00 && first.code < 0xff5f) {
      // The full width of an ASCII character.
      folded += absl::ascii_tolower(
          static_cast<unsigned char>(first.code - 0xff00 + 0x20));
    } else if (first.code == 0xa0 || first.code == 0x3000 ||
               (first.code >= 0x2000 && first.code <= 0x200a)) {
      folded += ' ';
    } else if (!IsBlankCharacter(first.code)) {
      folded.append(inner.data(), first.size);
    }
    inner.remove_prefix(first.size);
  }
  return folded;
}

}  // namespace heapsync
