#include "client/cli/input_profile.h"

#include <xxhash.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

using google::protobuf::Value;

constexpr size_t kMaxFields = 1'000;
constexpr size_t kMaxSubjects = 1'000'000;
constexpr size_t kMaxExample = 24;

// Heap's reference, on rate limits.
constexpr uint64_t kAppEvents = 15'000;
constexpr uint64_t kIdentityEvents = 1'000;
constexpr std::chrono::seconds kEventWindow{60};

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

void InputProfile::CountText(const char* name, const std::string& text) {
  if (!text.empty()) Count(name, "text", Masked(text));
}

void InputProfile::Observe(const MappedRow& row) {
  ++rows_;
  CountText("identity", row.identity);
  CountText("user_id", row.user_id);
  CountText("account_id", row.account_id);
  CountText("event", row.event);
  if (row.timestamp) Count("timestamp", "time", "");
  CountText("email", row.email);
  CountText("session_id", row.session_id);
  CountText("idempotency_key", row.idempotency_key);
  // In the order of their names, which that of a map is not.
  std::vector<const std::string*> keys;
  for (const auto& [key, value] : row.properties.fields()) keys.push_back(&key);
  std::sort(keys.begin(), keys.end(),
            [](const auto* a, const auto* b) { return *a < *b; });
  for (const std::string* key : keys) {
    const Value& value = row.properties.fields().at(*key);
    const std::string name = absl::StrCat("properties.", *key);
    const bool seen = field_index_.contains(name);
    Count(name, TypeOf(value), seen ? "" : ExampleOf(value));
  }
  const std::string& subject = type_ == ItemType::kAccount ? row.account_id
                               : row.identity.empty()      ? row.user_id
                                                           : row.identity;
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

std::chrono::seconds InputProfile::LeastDuration() const {
  if (type_ != ItemType::kTrack || rows_ == 0) return std::chrono::seconds(0);
  // The last of them are sent as the last window begins.
  const uint64_t windows =
      std::max((rows_ - 1) / kAppEvents,
               busiest_ == 0 ? 0 : (busiest_ - 1) / kIdentityEvents);
  return kEventWindow * windows;
}

}  // namespace heapsync
