#include "client/cli/input_profile.h"

#include <xxhash.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Struct;
using google::protobuf::Value;

constexpr size_t kMaxFields = 1'000;
constexpr size_t kMaxSubjects = 1'000'000;
constexpr size_t kMaxExample = 24;

const char* TypeOf(const Value& value) {
  switch (value.kind_case()) {
    case Value::kNumberValue:
      return "number";
    case Value::kBoolValue:
      return "boolean";
    case Value::kListValue:
      return "list";
    case Value::kStructValue:
      return "object";
    case Value::kStringValue:
      return "text";
    default:
      return "null";
  }
}

std::string ExampleOf(const Value& value) {
  switch (value.kind_case()) {
    case Value::kNumberValue:
      return Masked(absl::StrCat(value.number_value()));
    case Value::kBoolValue:
      return "true or false";
    case Value::kStringValue:
      return Masked(value.string_value());
    default:
      return "";
  }
}

}  // namespace

std::string Masked(absl::string_view text) {
  std::string masked;
  size_t characters = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xC0) == 0x80) continue;  // of a character that has begun
    ++characters;
    if (characters > kMaxExample) continue;
    if (absl::ascii_isdigit(byte)) {
      masked.push_back('#');
    } else if (absl::ascii_ispunct(byte) || byte == ' ') {
      masked.push_back(c);
    } else {
      masked.push_back('*');
    }
  }
  const bool can_show =
      characters >= 3 && !text.empty() &&
      absl::ascii_isalnum(static_cast<unsigned char>(text.front()));
  if (can_show) masked.front() = text.front();
  if (characters > kMaxExample) {
    absl::StrAppend(&masked, "… (", characters, " characters)");
  }
  return masked;
}

void InputProfile::Count(const std::string& name, const char* type,
                         absl::string_view example) {
  auto found = field_index_.find(name);
  if (found == field_index_.end()) {
    if (fields_.size() == kMaxFields) {
      fields_are_complete_ = false;
      return;
    }
    found = field_index_.emplace(name, fields_.size()).first;
    fields_.push_back({name, {}, std::string(example)});
  }
  ++fields_[found->second].types[type];
}

void InputProfile::Observe(const MappedRow& row) {
  ++rows_;
  const google::protobuf::Message& item = *row.item;
  const google::protobuf::Reflection& reflection = *item.GetReflection();
  const absl::string_view subject_field = PolicyOf(type_).subject_field;
  std::string subject;
  if (item_fields_.empty()) item_fields_ = FieldsOf(*item.GetDescriptor());
  for (const FieldDescriptor* field : item_fields_) {
    if (!reflection.HasField(item, field)) continue;
    if (field->name() == "properties") {
      CountProperties(
          static_cast<const Struct&>(reflection.GetMessage(item, field)));
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      std::string copy;
      const std::string& text =
          reflection.GetStringReference(item, field, &copy);
      Count(field->name(), "text", Masked(text));
      if (field->name() == subject_field ||
          (subject.empty() && field->name() == "user_id")) {
        subject = text;
      }
    } else {
      Count(field->name(), "time", "");
    }
  }
  const uint64_t hash = XXH3_64bits(subject.data(), subject.size());
  auto known = subjects_.find(hash);
  if (known == subjects_.end()) {
    if (subjects_.size() == kMaxSubjects) {
      subjects_are_complete_ = false;
      return;
    }
    known = subjects_.emplace(hash, 0).first;
  } else {
    ++repeated_rows_;
  }
  busiest_ = std::max<uint64_t>(busiest_, ++known->second);
}

// In the order of their names, which that of a map is not.
void InputProfile::CountProperties(const Struct& properties) {
  std::vector<const std::string*> keys;
  for (const auto& [key, value] : properties.fields()) keys.push_back(&key);
  std::sort(keys.begin(), keys.end(),
            [](const auto* a, const auto* b) { return *a < *b; });
  for (const std::string* key : keys) {
    const Value& value = properties.fields().at(*key);
    const std::string name = absl::StrCat("properties.", *key);
    const bool seen = field_index_.contains(name);
    Count(name, TypeOf(value), seen ? "" : ExampleOf(value));
  }
}

std::chrono::seconds InputProfile::LeastDuration() const {
  const TypeLimit& limit = PolicyOf(type_).limit;
  if (limit.total == nullptr || rows_ == 0) return std::chrono::seconds(0);
  constexpr HeapLimits kPublished;
  // The last of them are sent as the last window begins.
  const uint64_t windows = std::max<uint64_t>(
      (rows_ - 1) / kPublished.*limit.total,
      busiest_ == 0 ? 0 : (busiest_ - 1) / kPublished.*limit.per_identity);
  return limit.window * windows;
}

}  // namespace heapsync
