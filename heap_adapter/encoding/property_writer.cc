#include "heap_adapter/encoding/property_writer.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <list>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/json_text.h"
#include "heap_adapter/encoding/key_casing.h"
#include "heap_adapter/encoding/placeholder.h"
#include "heap_adapter/encoding/reasons.h"
#include "heap_adapter/encoding/unicode_text.h"

namespace heapsync {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;
using google::protobuf::Value;

constexpr absl::string_view kListSeparator = "||";
constexpr size_t kMaxPropertyBytes = kMaxPropertyUnits * kMaxUtf8BytesPerUnit;

// The first eight bytes, padded with zeros, as a number with the same order.
uint64_t KeyStart(absl::string_view key) {
  constexpr size_t kBytes = sizeof(uint64_t);
  uint64_t ordered = 0;
  if (key.size() >= kBytes) {
    for (size_t i = 0; i < kBytes; ++i) {
      ordered = ordered << 8 | static_cast<unsigned char>(key[i]);
    }
    return ordered;
  }
  for (const char c : key) {
    ordered = ordered << 8 | static_cast<unsigned char>(c);
  }
  return key.empty() ? 0 : ordered << 8 * (kBytes - key.size());
}

std::string LengthFault(absl::string_view what, size_t units) {
  return absl::StrCat(what, " has ", units, " characters; at most ",
                      kMaxPropertyUnits, " are allowed");
}

class PropertyWriter {
 public:
  PropertyWriter(PropertyRules rules, FindingLog& log, std::string& json)
      : rules_(rules), log_(log), json_(json), start_(json.size()) {}

  void Write(const Struct& properties, std::optional<absl::string_view> email) {
    Collect(properties, "", 1);
    if (email.has_value()) AddEmail(*email);
    if (too_many_) {
      log_.AddViolation(
          "properties", reason::kTooManyProperties,
          absl::StrCat("there are more than ", kMaxProperties, " properties"));
      return;
    }
    std::sort(entries_.begin(), entries_.end(),
              [](const Entry& a, const Entry& b) {
                return a.key_start != b.key_start ? a.key_start < b.key_start
                                                  : a.key < b.key;
              });
    json_ += '{';
    CasingFilter casings;
    bool may_differ_in_case = false;
    for (size_t i = 0; i < entries_.size(); ++i) {
      const Entry& entry = entries_[i];
      may_differ_in_case |= casings.Add(entry.key_start, entry.key.size());
      if (i > 0) {
        json_ += ',';
        if (entry.key == entries_[i - 1].key) {
          Refuse(entry.key, reason::kKeyCollision,
                 "two properties have this key once nested objects are "
                 "flattened");
        }
      }
      json_ += '"';
      WriteKey(entry.key);
      if (entry.value == nullptr) {
        json_ += "\":\"";
        AppendBounded(email_);
        json_ += '"';
      } else {
        WriteValue(entry.key, *entry.value);
      }
    }
    json_ += '}';
    if (may_differ_in_case && !log_.has_violations()) WarnOfCasings();
  }

 private:
  struct Entry {
    explicit Entry(absl::string_view property_key, const Value* property_value)
        : key(property_key),
          key_start(KeyStart(property_key)),
          value(property_value) {}

    absl::string_view key;
    uint64_t key_start;  // decides most comparisons without reading the key
    const Value* value;  // null: the value is `email_`
  };

  // Collects the entries to send: nulls are left out, and nested objects are
  // replaced by their entries. `prefix` is "" or ends with a dot.
  void Collect(const Struct& object, absl::string_view prefix, int depth) {
    for (const auto& [name, value] : object.fields()) {
      if (entries_.size() > kMaxProperties) break;
      if (value.kind_case() == Value::kNullValue) continue;
      if (prefix.empty()) {
        CollectOne(name, value, depth);
        continue;
      }
      if (name.empty()) {
        Refuse(prefix, reason::kKeyEmpty, "a key in a nested object is empty");
        continue;
      }
      if (prefix.size() + name.size() > kMaxPropertyBytes) {
        Refuse(prefix, reason::kKeyTooLong,
               absl::StrCat("a flattened key has more than ", kMaxPropertyUnits,
                            " characters"));
        continue;
      }
      CollectOne(flattened_keys_.emplace_back(absl::StrCat(prefix, name)),
                 value, depth);
    }
    too_many_ = entries_.size() > kMaxProperties;
  }

  void CollectOne(absl::string_view key, const Value& value, int depth) {
    if (rules_.type == ObjectType::kUserProperties && key == "email" &&
        LeavesOutEmail(value)) {
      return;
    }
    if (!rules_.encoding.flatten_nested ||
        value.kind_case() != Value::kStructValue) {
      entries_.emplace_back(key, &value);
    } else if (depth == kMaxNesting) {
      Refuse(key, reason::kNestedTooDeep,
             absl::StrCat("objects are nested deeper than ", kMaxNesting,
                          " levels"));
    } else {
      Collect(value.struct_value(), absl::StrCat(key, "."), depth + 1);
    }
  }

  // An empty text says something: it clears the property.
  bool LeavesOutEmail(const Value& value) {
    if (value.kind_case() != Value::kStringValue ||
        value.string_value().empty()) {
      return false;
    }
    const NameQuality quality =
        JudgeName(value.string_value(), rules_.encoding);
    if (quality != NameQuality::kBlank &&
        quality != NameQuality::kPlaceholder) {
      return false;
    }
    log_.AddWarning(PathOf("email"), reason::kPlaceholderLeftOut,
                    "the email is blank or a placeholder, and is left out");
    return true;
  }

  void AddEmail(absl::string_view email) {
    const auto same_key =
        std::find_if(entries_.begin(), entries_.end(),
                     [](const Entry& entry) { return entry.key == "email"; });
    if (same_key == entries_.end()) {
      email_ = email;
      entries_.emplace_back("email", nullptr);
    } else if (same_key->value->kind_case() != Value::kStringValue ||
               same_key->value->string_value() != email) {
      log_.AddViolation("email", reason::kEmailConflict,
                        "email and properties.email are both set and differ");
    }
  }

  void WriteKey(absl::string_view key) {
    if (key.empty()) {
      Refuse(key, reason::kKeyEmpty, "a property's key is empty");
      return;
    }
    if (rules_.type == ObjectType::kUserProperties) CheckUserKey(key);
    const size_t before = json_.size();
    const std::optional<size_t> units = AppendBounded(key);
    // Text that is written as it is has no control character but, perhaps, DEL.
    const bool verbatim =
        json_.size() - before == key.size() && units == key.size();
    if ((!verbatim || absl::StrContains(key, '\x7f')) &&
        HasForbiddenControl(key)) {
      Refuse(key, reason::kControlCharacter,
             "the key has a control character other than tab and line break");
    }
    if (!units.has_value()) {
      Refuse(key, reason::kInvalidUtf8, "the key is not valid UTF-8");
    } else if (*units > kMaxPropertyUnits) {
      Refuse(key, reason::kKeyTooLong, LengthFault("the key", *units));
    }
  }

  // Header cells of spreadsheets may have line breaks; everything else is
  // damage.
  static bool HasForbiddenControl(absl::string_view key) {
    if (!HasControlCharacter(key)) return false;
    std::string others(key);
    others.erase(std::remove_if(others.begin(), others.end(),
                                [](char c) {
                                  return c == '\t' || c == '\n' || c == '\r';
                                }),
                 others.end());
    return HasControlCharacter(others);
  }

  void CheckUserKey(absl::string_view key) {
    if (absl::EqualsIgnoreCase(key, "id")) {
      Refuse(key, reason::kKeyReserved,
             "Heap reserves the user property id, in any casing");
    } else if (absl::EqualsIgnoreCase(key, "email") && key != "email") {
      log_.AddWarning(PathOf(key), reason::kEmailCasing,
                      "only the lowercase key email fills Heap's built-in "
                      "Email; this makes a custom property");
    }
  }

  void WarnOfCasings() {
    std::vector<absl::string_view> keys;
    for (const Entry& entry : entries_) {
      // CheckUserKey() has said more of these.
      if (rules_.type == ObjectType::kUserProperties &&
          absl::EqualsIgnoreCase(entry.key, "email")) {
        continue;
      }
      keys.push_back(entry.key);
    }
    for (const SameInAnotherCase& same : KeysThatDifferInCase(keys)) {
      log_.AddWarning(
          PathOf(same.key), reason::kKeyCasing,
          absl::StrCat("differs only in case from ", PrintableKey(same.earlier),
                       "; Heap keeps them as two properties"));
    }
  }

  // Continues after the key and before its closing quote.
  void WriteValue(absl::string_view key, const Value& value) {
    switch (value.kind_case()) {
      case Value::kStringValue: {
        json_ += "\":\"";
        const std::optional<size_t> units = AppendBounded(value.string_value());
        json_ += '"';
        CheckText(key, units);
        return;
      }
      case Value::kNumberValue:
        json_ += "\":";
        WriteNumber(key, std::nullopt, value.number_value());
        return;
      case Value::kBoolValue:
        json_ += value.bool_value() ? "\":\"true\"" : "\":\"false\"";
        return;
      case Value::kListValue:
        json_ += "\":";
        WriteList(key, value.list_value());
        return;
      case Value::kStructValue:
        Refuse(key, reason::kNestedObject,
               "Heap takes text and numbers, no nested objects");
        return;
      case Value::kNullValue:  // left out by Collect
      case Value::KIND_NOT_SET:
        Refuse(key, reason::kValueUnset,
               "the value has no kind; use a null to leave a property out");
        return;
    }
  }

  // Writes all elements as one text. Beyond the maximum length nothing is
  // written, but the remaining elements are still checked.
  void WriteList(absl::string_view key, const ListValue& list) {
    const size_t before = json_.size();
    size_t units = 0;
    bool first = true;
    bool sound = true;
    json_ += '"';
    for (int i = 0; i < list.values_size(); ++i) {
      const Value& element = list.values(i);
      if (element.kind_case() == Value::kNullValue) continue;
      if (!first) {
        json_ += kListSeparator.data();
        units += kListSeparator.size();
      }
      first = false;
      const size_t at = json_.size();
      const std::optional<size_t> added = WriteElement(key, i, element);
      if (added.has_value()) {
        units += *added;
      } else {
        sound = false;
      }
      if (units > kMaxPropertyUnits) json_.resize(at);
    }
    json_ += '"';
    if (!sound || units <= kMaxPropertyUnits) return;
    if (rules_.type != ObjectType::kTrackEvent) {
      Refuse(key, reason::kValueTooLong,
             LengthFault("the list joined by \"||\"", units));
      return;
    }
    json_.resize(before);
    WriteNativeList(list);
    log_.AddWarning(
        PathOf(key), reason::kListCut,
        absl::StrCat(LengthFault("the list joined by \"||\"", units),
                     " and Heap will cut it"));
  }

  // Writes a JSON array, which Heap joins. REQUIRES: all elements are valid.
  void WriteNativeList(const ListValue& list) {
    json_ += '[';
    bool first = true;
    for (const Value& element : list.values()) {
      if (element.kind_case() == Value::kNullValue) continue;
      if (json_.size() - start_ > kMaxItemBytes) break;  // rejected later
      if (!first) json_ += ',';
      first = false;
      if (element.kind_case() == Value::kNumberValue) {
        AppendJsonNumber(element.number_value(), json_);
      } else {
        json_ += '"';
        WriteElement("", 0, element);
        json_ += '"';
      }
    }
    json_ += ']';
  }

  // Appends one element's text and returns its length in UTF-16 units, or
  // nullopt if it was rejected.
  std::optional<size_t> WriteElement(absl::string_view key, int index,
                                     const Value& element) {
    switch (element.kind_case()) {
      case Value::kStringValue: {
        const std::optional<size_t> units =
            AppendBounded(element.string_value());
        if (!CheckText(key, units, index)) return std::nullopt;
        return units;
      }
      case Value::kNumberValue: {
        const size_t before = json_.size();
        if (!WriteNumber(key, index, element.number_value())) {
          return std::nullopt;
        }
        return json_.size() - before;
      }
      case Value::kBoolValue: {
        const absl::string_view text = element.bool_value() ? "true" : "false";
        json_.append(text.data(), text.size());
        return text.size();
      }
      case Value::kListValue:
        Refuse(key, reason::kNestedList, "a list cannot hold lists", index);
        return std::nullopt;
      case Value::kStructValue:
        Refuse(key, reason::kNestedObject, "a list cannot hold objects", index);
        return std::nullopt;
      case Value::kNullValue:  // left out by the caller
      case Value::KIND_NOT_SET:
        Refuse(key, reason::kValueUnset, "the list's element has no kind",
               index);
        return std::nullopt;
    }
    return std::nullopt;
  }

  bool WriteNumber(absl::string_view key, std::optional<int> index,
                   double number) {
    if (!std::isfinite(number)) {
      Refuse(key, reason::kNumberNotFinite, "NaN and infinity are not allowed",
             index);
      return false;
    }
    if (std::abs(number) >= kFirstInexactNumber) {
      Refuse(key, reason::kNumberTooLarge,
             "from 2^53 on, numbers lose their last digits before they "
             "arrive; send it as a string",
             index);
      return false;
    }
    AppendJsonNumber(number, json_);
    return true;
  }

  // Appends text that may be too long. If its size in bytes already shows that,
  // the text is only measured.
  std::optional<size_t> AppendBounded(absl::string_view text) {
    return text.size() > kMaxPropertyBytes ? CountUtf16Units(text)
                                           : AppendJsonText(text, json_);
  }

  bool CheckText(absl::string_view key, std::optional<size_t> units,
                 std::optional<int> index = std::nullopt) {
    if (units.has_value() && *units <= kMaxPropertyUnits) return true;
    if (units.has_value()) {
      Refuse(key, reason::kValueTooLong, LengthFault("the value", *units),
             index);
    } else {
      Refuse(key, reason::kInvalidUtf8, "the value is not valid UTF-8", index);
    }
    return false;
  }

  static std::string PathOf(absl::string_view key) {
    return absl::StrCat("properties.", PrintableKey(key));
  }

  void Refuse(absl::string_view key, absl::string_view reason,
              absl::string_view description,
              std::optional<int> index = std::nullopt) {
    if (log_.is_full()) return;
    std::string path = PathOf(key);
    if (index.has_value()) absl::StrAppend(&path, "[", *index, "]");
    log_.AddViolation(path, reason, description);
  }

  const PropertyRules rules_;
  FindingLog& log_;
  std::string& json_;
  const size_t start_;
  bool too_many_ = false;
  absl::string_view email_;
  absl::InlinedVector<Entry, 16> entries_;
  // A list: unlike a deque it takes no memory while it is empty.
  std::list<std::string> flattened_keys_;
};

}  // namespace

void AppendProperties(const Struct& properties,
                      std::optional<absl::string_view> email,
                      PropertyRules rules, FindingLog& log, std::string& json) {
  PropertyWriter(rules, log, json).Write(properties, email);
}

}  // namespace heapsync
