#include "heap_adapter/encoding/coalesced_update.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/match.h"
#include "base/json_text.h"

namespace heapsync {
namespace {

constexpr absl::string_view kPropertiesStart = ",\"properties\":{";

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::optional<uint32_t> HexValue(absl::string_view digits) {
  uint32_t value = 0;
  for (const char c : digits) {
    const bool is_letter = c >= 'a' && c <= 'f';
    if (!IsDigit(c) && !is_letter) return std::nullopt;
    value =
        value * 16 + static_cast<uint32_t>(is_letter ? c - 'a' + 10 : c - '0');
  }
  return value;
}

// The character that an escape of json_text.h stands for; `escape` begins after
// the backslash. None for any other escape.
struct Unescaped {
  absl::string_view text;
  size_t length;  // of the escape, without the backslash
};
std::optional<Unescaped> Unescape(absl::string_view escape) {
  // Every control character once, so that a view of one can be given.
  static constexpr char kControls[] =
      "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
      "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f";
  if (escape.empty()) return std::nullopt;
  switch (escape[0]) {
    case '"':
      return Unescaped{"\"", 1};
    case '\\':
      return Unescaped{"\\", 1};
    case 'n':
      return Unescaped{"\n", 1};
    case 'r':
      return Unescaped{"\r", 1};
    case 't':
      return Unescaped{"\t", 1};
    case 'u':
      break;
    default:
      return std::nullopt;
  }
  if (escape.size() < 5) return std::nullopt;
  const std::optional<uint32_t> code = HexValue(escape.substr(1, 4));
  if (!code.has_value()) return std::nullopt;
  if (*code < 0x20) {
    return Unescaped{absl::string_view(&kControls[*code], 1), 5};
  }
  if (*code == 0x2028) return Unescaped{"\u2028", 5};
  if (*code == 0x2029) return Unescaped{"\u2029", 5};
  return std::nullopt;
}

// Reads text in the form that this library writes: no spaces, no escapes that
// are not needed.
class Scanner {
 public:
  explicit Scanner(absl::string_view text) : text_(text) {}

  bool AtEnd() const { return at_ == text_.size(); }
  size_t at() const { return at_; }
  absl::string_view Since(size_t begin) const {
    return text_.substr(begin, at_ - begin);
  }

  bool Skip(char c) {
    if (AtEnd() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool Skip(absl::string_view literal) {
    if (!absl::StartsWith(text_.substr(at_), literal)) return false;
    at_ += literal.size();
    return true;
  }

  struct String {
    absl::string_view raw;  // without the quotes
    bool escaped = false;
  };
  std::optional<String> SkipString() {
    if (!Skip('"')) return std::nullopt;
    const size_t begin = at_;
    bool escaped = false;
    while (true) {
      at_ = EndOfPlainText(text_, at_);
      if (AtEnd()) return std::nullopt;
      if (text_[at_] == '"') break;
      if (text_[at_] == '\\') {
        const auto character = Unescape(text_.substr(at_ + 1));
        if (!character.has_value()) return std::nullopt;
        escaped = true;
        at_ += 1 + character->length;
        continue;
      }
      if (static_cast<unsigned char>(text_[at_]) < 0x80) return std::nullopt;
      const size_t length = Utf8CharacterLength(text_.substr(at_));
      if (length == 0) return std::nullopt;
      at_ += length;
    }
    const String found{.raw = Since(begin), .escaped = escaped};
    ++at_;
    return found;
  }

  bool SkipNumber() {
    Skip('-');
    if (!Skip('0') && !SkipDigits()) return false;
    if (Skip('.') && !SkipDigits()) return false;
    if (Skip('e')) {
      if (!Skip('-')) Skip('+');
      if (!SkipDigits()) return false;
    }
    return true;
  }

 private:
  bool SkipDigits() {
    const size_t begin = at_;
    while (!AtEnd() && IsDigit(text_[at_])) ++at_;
    return at_ > begin;
  }

  const absl::string_view text_;
  size_t at_ = 0;
};

struct ScannedProperty {
  Scanner::String key;
  absl::string_view text;  // "key":value
};

// The key without its escapes. `space` holds it if need be.
absl::string_view KeyOf(const ScannedProperty& property, std::string& space) {
  if (!property.key.escaped) return property.key.raw;
  space.clear();
  absl::string_view rest = property.key.raw;
  while (!rest.empty()) {
    const size_t plain = rest.find('\\');
    space.append(rest.data(), std::min(plain, rest.size()));
    if (plain == absl::string_view::npos) break;
    // It was found to be an escape when it was scanned.
    const Unescaped character = *Unescape(rest.substr(plain + 1));
    space.append(character.text.data(), character.text.size());
    rest.remove_prefix(plain + 1 + character.length);
  }
  return space;
}

}  // namespace

// The parts of an update's text, which must outlive this.
struct CoalescedUpdate::Scanned {
  // None if `text` is not an encoded user or account.
  static std::optional<Scanned> Of(absl::string_view text);

  absl::string_view subject;
  bool has_properties = false;
  absl::InlinedVector<ScannedProperty, 8> properties;
};

std::optional<CoalescedUpdate::Scanned> CoalescedUpdate::Scanned::Of(
    absl::string_view text) {
  Scanner scanner(text);
  Scanned scanned;
  if (!scanner.Skip('{')) return std::nullopt;
  const size_t begin = scanner.at();
  if (!scanner.Skip("\"identity\":") && !scanner.Skip("\"account_id\":")) {
    return std::nullopt;
  }
  if (!scanner.SkipString().has_value()) return std::nullopt;
  scanned.subject = scanner.Since(begin);
  if (scanner.Skip(kPropertiesStart)) {
    scanned.has_properties = true;
    while (!scanner.Skip('}')) {
      if (!scanned.properties.empty() && !scanner.Skip(',')) {
        return std::nullopt;
      }
      const size_t start = scanner.at();
      const auto key = scanner.SkipString();
      if (!key.has_value() || !scanner.Skip(':') ||
          !(scanner.SkipString().has_value() || scanner.SkipNumber())) {
        return std::nullopt;
      }
      scanned.properties.push_back({*key, scanner.Since(start)});
    }
  }
  if (!scanner.Skip('}') || !scanner.AtEnd()) return std::nullopt;
  return scanned;
}

CoalescedUpdate::CoalescedUpdate(std::string text)
    : text_(std::move(text)), bytes_(text_.size()) {}

void CoalescedUpdate::ReadFirst() {
  const std::optional<Scanned> scanned = Scanned::Of(text_);
  if (!scanned.has_value()) {
    first_ = First::kUnsound;
    return;
  }
  first_ = First::kRead;
  subject_ = std::string(scanned->subject);
  bytes_ = subject_.size() + 2;
  Apply(*scanned);
  text_ = {};
}

absl::Status CoalescedUpdate::Add(absl::string_view newer, size_t max_bytes) {
  if (first_ == First::kUnread) ReadFirst();
  const std::optional<Scanned> scanned = Scanned::Of(newer);
  if (first_ == First::kUnsound || !scanned.has_value()) {
    return absl::DataLossError("not an encoded user or account");
  }
  if (scanned->subject != subject_) {
    return absl::FailedPreconditionError(
        "only updates of the same identity or account can be coalesced");
  }
  if (!Fits(*scanned, max_bytes)) {
    return absl::OutOfRangeError("the coalesced update would be too large");
  }
  Apply(*scanned);
  return absl::OkStatus();
}

bool CoalescedUpdate::Fits(const Scanned& update, size_t max_bytes) const {
  size_t added = update.has_properties ? kPropertiesStart.size() + 1 : 0;
  for (const ScannedProperty& property : update.properties) {
    added += property.text.size() + 1;
  }
  const size_t count = properties_.size() + update.properties.size();
  if (bytes_ + added <= max_bytes && count <= kMaxCoalescedProperties) {
    return true;
  }
  // Replaced properties make the difference.
  std::string space;
  size_t bytes = bytes_;
  size_t new_properties = 0;
  if (update.has_properties && !has_properties_) {
    bytes += kPropertiesStart.size() + 1;
  }
  for (const ScannedProperty& property : update.properties) {
    const auto it = properties_.find(KeyOf(property, space));
    if (it == properties_.end()) {
      const bool is_first = properties_.empty() && new_properties == 0;
      bytes += property.text.size() + (is_first ? 0 : 1);
      ++new_properties;
    } else {
      bytes = bytes - it->second.size() + property.text.size();
    }
  }
  if (bytes > max_bytes && bytes > bytes_) return false;
  return new_properties == 0 ||
         properties_.size() + new_properties <= kMaxCoalescedProperties;
}

void CoalescedUpdate::Apply(const Scanned& update) {
  properties_read_ += update.properties.size();
  if (update.has_properties && !has_properties_) {
    has_properties_ = true;
    bytes_ += kPropertiesStart.size() + 1;
  }
  std::string space;
  for (const ScannedProperty& property : update.properties) {
    const absl::string_view key = KeyOf(property, space);
    const auto it = properties_.lower_bound(key);
    if (it == properties_.end() || it->first != key) {
      bytes_ += property.text.size() + (properties_.empty() ? 0 : 1);
      properties_.emplace_hint(it, key, property.text);
    } else {
      bytes_ = bytes_ - it->second.size() + property.text.size();
      it->second.assign(property.text.data(), property.text.size());
    }
  }
}

std::string CoalescedUpdate::Text() const& {
  if (first_ != First::kRead) return text_;
  std::string text;
  text.reserve(bytes_);
  text += '{';
  text += subject_;
  if (has_properties_) {
    text.append(kPropertiesStart.data(), kPropertiesStart.size());
    bool is_first = true;
    for (const auto& [key, property] : properties_) {
      if (!is_first) text += ',';
      is_first = false;
      text += property;
    }
    text += '}';
  }
  text += '}';
  return text;
}

std::string CoalescedUpdate::Text() && {
  if (first_ != First::kRead) return std::move(text_);
  const CoalescedUpdate& read = *this;
  return read.Text();
}

}  // namespace heapsync
