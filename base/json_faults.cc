#include "base/json_faults.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace heapsync {
namespace {

using Json = nlohmann::json;

// The parser's own message quotes what it read last; up to that quotation it is
// made of fixed words.
std::string DescribeSyntaxFault(absl::string_view message) {
  constexpr absl::string_view kStart = "syntax error";
  const size_t start = message.find(kStart);
  if (start == absl::string_view::npos) return "number out of range";
  message = message.substr(start);
  return std::string(message.substr(0, message.find("; last read: ")));
}

std::string LineAndColumn(absl::string_view text, size_t chars_read) {
  const size_t last = std::min(chars_read, text.size() + 1);
  const absl::string_view before = text.substr(0, last == 0 ? 0 : last - 1);
  const auto lines = std::count(before.begin(), before.end(), '\n');
  const size_t newline = before.rfind('\n');
  const size_t column = newline == absl::string_view::npos
                            ? before.size()
                            : before.size() - newline - 1;
  return absl::StrCat("line ", lines + 1, ", column ", column + 1);
}

// Walks the text for what the parsed value no longer shows.
class FaultFinder final : public nlohmann::json_sax<Json> {
 public:
  FaultFinder(absl::string_view text, std::vector<std::string>& faults)
      : text_(text), faults_(faults) {}

  bool null() override { return Element(); }
  bool boolean(bool) override { return Element(); }
  bool number_integer(number_integer_t) override { return Element(); }
  bool number_unsigned(number_unsigned_t) override { return Element(); }
  bool number_float(number_float_t, const string_t&) override {
    return Element();
  }
  bool string(string_t&) override { return Element(); }
  bool binary(binary_t&) override { return Element(); }

  bool start_object(size_t) override { return Open(/*is_array=*/false); }
  bool start_array(size_t) override { return Open(/*is_array=*/true); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool key(string_t& key) override {
    Frame& frame = frames_.back();
    frame.child_path = KeyPath(frame.path, key);
    if (!frame.keys.insert(key).second) {
      faults_.push_back(
          absl::StrCat(frame.child_path, ": stands here more than once"));
    }
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    faults_.push_back(absl::StrCat(LineAndColumn(text_, position), ": ",
                                   DescribeSyntaxFault(error.what())));
    return false;
  }

 private:
  struct Frame {
    bool is_array = false;
    std::string path;
    std::string child_path;
    size_t next_index = 0;
    absl::flat_hash_set<std::string> keys;
  };

  bool Element() {
    if (!frames_.empty() && frames_.back().is_array) {
      Frame& frame = frames_.back();
      frame.child_path = IndexPath(frame.path, frame.next_index++);
    }
    return true;
  }

  bool Open(bool is_array) {
    // Paths grow with the depth, and no setting lies this deep.
    constexpr size_t kDeepest = 16;
    if (frames_.size() == kDeepest) {
      faults_.push_back(
          absl::StrCat(frames_.back().path, ": nests deeper than any setting"));
      return false;
    }
    Element();
    std::string path = frames_.empty() ? "" : frames_.back().child_path;
    frames_.push_back({.is_array = is_array,
                       .path = std::move(path),
                       .child_path = {},
                       .next_index = 0,
                       .keys = {}});
    return true;
  }

  bool Close() {
    frames_.pop_back();
    return true;
  }

  const absl::string_view text_;
  std::vector<std::string>& faults_;
  std::vector<Frame> frames_;
};

std::string Shown(absl::string_view key) {
  constexpr size_t kMaxLength = 40;
  constexpr auto kMaxDigits = 3;
  const auto plain = [](char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
  };
  // A token that lost its way begins like this.
  const bool harmless =
      !key.empty() && key.size() <= kMaxLength && key.substr(0, 4) != "hst_" &&
      std::all_of(key.begin(), key.end(), plain) &&
      std::count_if(key.begin(), key.end(), absl::ascii_isdigit) <= kMaxDigits;
  return harmless ? std::string(key) : "(a key that is not shown)";
}

}  // namespace

CheckedJson ParseCheckedJson(absl::string_view text) {
  CheckedJson checked;
  FaultFinder finder(text, checked.faults);
  constexpr bool kStrict = true;
  constexpr bool kIgnoreComments = true;
  if (!Json::sax_parse(text.begin(), text.end(), &finder,
                       Json::input_format_t::json, kStrict, kIgnoreComments)) {
    return checked;
  }
  constexpr bool kAllowExceptions = false;
  checked.value = Json::parse(text.begin(), text.end(), nullptr,
                              kAllowExceptions, kIgnoreComments);
  return checked;
}

std::string KeyPath(absl::string_view parent, absl::string_view key) {
  return parent.empty() ? Shown(key) : absl::StrCat(parent, ".", Shown(key));
}

std::string IndexPath(absl::string_view parent, size_t index) {
  return absl::StrCat(parent, "[", index, "]");
}

ObjectReader::ObjectReader(const Json& value, std::string path,
                           std::vector<std::string>& faults)
    : object_(value.is_object() ? &value : nullptr),
      path_(std::move(path)),
      faults_(faults) {
  if (object_ == nullptr) {
    faults_.push_back(absl::StrCat(path_.empty() ? "the file" : path_,
                                   ": must be an object, is ",
                                   value.type_name()));
  }
}

const Json* ObjectReader::Any(const char* key) {
  known_.push_back(key);
  if (object_ == nullptr) return nullptr;
  const auto found = object_->find(key);
  return found == object_->end() ? nullptr : &*found;
}

const Json* ObjectReader::Take(const char* key,
                               bool (Json::*fits)() const noexcept,
                               absl::string_view expected) {
  const Json* value = Any(key);
  if (value == nullptr || (value->*fits)()) return value;
  AddFault(key,
           absl::StrCat("must be ", expected, ", is ", value->type_name()));
  return nullptr;
}

const Json* ObjectReader::Array(const char* key) {
  return Take(key, &Json::is_array, "an array");
}

std::optional<bool> ObjectReader::Bool(const char* key) {
  const Json* value = Take(key, &Json::is_boolean, "true or false");
  if (value == nullptr) return std::nullopt;
  return value->get<bool>();
}

std::optional<std::string> ObjectReader::String(const char* key) {
  const Json* value = Take(key, &Json::is_string, "a string in quotes");
  if (value == nullptr) return std::nullopt;
  return value->get<std::string>();
}

std::optional<std::string> ObjectReader::RequiredString(const char* key) {
  if (object_ != nullptr && !object_->contains(key)) {
    AddFault(key, "is missing");
  }
  return String(key);
}

std::vector<std::string> ObjectReader::Strings(const char* key) {
  std::vector<std::string> strings;
  const Json* array = Array(key);
  if (array == nullptr) return strings;
  for (size_t i = 0; i < array->size(); ++i) {
    const Json& element = (*array)[i];
    if (element.is_string() && !element.get_ref<const std::string&>().empty()) {
      strings.push_back(element.get<std::string>());
    } else {
      faults_.push_back(absl::StrCat(IndexPath(PathOf(key), i),
                                     ": must be a string that is not empty"));
    }
  }
  return strings;
}

std::optional<double> ObjectReader::Number(const char* key) {
  const Json* value = Take(key, &Json::is_number, "a number");
  if (value == nullptr) return std::nullopt;
  return value->get<double>();
}

std::optional<uint32_t> ObjectReader::WholeNumber(const char* key,
                                                  uint32_t least,
                                                  uint32_t most) {
  const Json* value = Take(key, &Json::is_number, "a whole number");
  if (value == nullptr) return std::nullopt;
  // A negative whole number is not "unsigned" in this library.
  if (!value->is_number_unsigned() || value->get<uint64_t>() < least ||
      value->get<uint64_t>() > most) {
    AddFault(key,
             absl::StrCat("must be a whole number from ", least, " to ", most));
    return std::nullopt;
  }
  return static_cast<uint32_t>(value->get<uint64_t>());
}

void ObjectReader::AddFault(const char* key, absl::string_view text) {
  faults_.push_back(absl::StrCat(PathOf(key), ": ", text));
}

void ObjectReader::RefuseOtherKeys() {
  if (object_ == nullptr) return;
  for (const auto& [key, value] : object_->items()) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    faults_.push_back(
        absl::StrCat(KeyPath(path_, key),
                     ": unknown key; known: ", absl::StrJoin(known_, ", ")));
  }
}

}  // namespace heapsync
