#include "client/cli/json_struct.h"

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/charconv.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"

namespace heapsync {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;
using google::protobuf::Value;

constexpr int64_t kMaxExactInteger = (int64_t{1} << 53) - 1;
constexpr size_t kMaxDepth = 32;
constexpr int kMaxExactDigits = 15;

// Builds a Struct from nlohmann's parse events, with no tree of its own.
class StructBuilder {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  explicit StructBuilder(ValueTyping typing) : typing_(typing) {}

  absl::StatusOr<Struct> Take() && {
    if (!error_.ok()) return error_;
    return std::move(*root_.mutable_struct_value());
  }

  bool null() {
    return Scalar([](Value& value) {
      value.set_null_value(google::protobuf::NULL_VALUE);
    });
  }
  bool boolean(bool boolean) {
    return Scalar([&](Value& value) {
      if (typing_ == ValueTyping::kStrings) {
        value.set_string_value(boolean ? "true" : "false");
      } else {
        value.set_bool_value(boolean);
      }
    });
  }
  bool number_integer(number_integer_t number) {
    const bool exact =
        number <= kMaxExactInteger && number >= -kMaxExactInteger;
    return Number(exact, static_cast<double>(number), absl::StrCat(number));
  }
  bool number_unsigned(number_unsigned_t number) {
    const bool exact = number <= uint64_t{kMaxExactInteger};
    return Number(exact, static_cast<double>(number), absl::StrCat(number));
  }
  bool number_float(number_float_t number, const string_t& text) {
    // Whole numbers beyond 64 bits come here too.
    const bool exact = text.find_first_of(".eE") != std::string::npos;
    return Number(exact, number, text);
  }
  bool string(string_t& text) {
    return Scalar(
        [&](Value& value) { value.set_string_value(std::move(text)); });
  }
  bool binary(binary_t&) { return Fail("binary values are not JSON"); }

  bool start_object(size_t) {
    return Open([](Value& value) { value.mutable_struct_value()->Clear(); });
  }
  bool start_array(size_t) {
    return Open([](Value& value) { value.mutable_list_value()->Clear(); });
  }
  bool key(string_t& key) {
    Value& object = *open_.back();
    auto& fields = *object.mutable_struct_value()->mutable_fields();
    if (fields.contains(key)) {
      return Fail("a key comes twice in one object, so a value would be lost");
    }
    next_ = &fields[key];
    return true;
  }
  bool end_object() { return Close(); }
  bool end_array() { return Close(); }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::json::exception& error) {
    constexpr int kNumberOutOfRange = 406;
    return Fail(absl::StrCat(error.id == kNumberOutOfRange
                                 ? "a number is out of range near byte "
                                 : "not valid JSON at byte ",
                             position));
  }

 private:
  bool Fail(absl::string_view message) {
    error_ = absl::InvalidArgumentError(message);
    return false;
  }

  Value& NextSlot() {
    if (open_.empty()) return root_;
    Value& parent = *open_.back();
    if (parent.has_list_value()) {
      return *parent.mutable_list_value()->add_values();
    }
    return *next_;
  }

  template <typename Setter>
  bool Scalar(Setter set) {
    if (open_.empty()) return Fail("not a JSON object");
    set(NextSlot());
    return true;
  }

  bool Number(bool exact, double number, std::string text) {
    return Scalar([&](Value& value) {
      if (typing_ == ValueTyping::kDoubles ||
          (exact && typing_ == ValueTyping::kTyped)) {
        value.set_number_value(number);
      } else {
        value.set_string_value(std::move(text));
      }
    });
  }

  template <typename Setter>
  bool Open(Setter set) {
    if (open_.size() == kMaxDepth) {
      return Fail(absl::StrCat("nested deeper than ", kMaxDepth));
    }
    Value& slot = NextSlot();
    set(slot);
    if (open_.empty() && !slot.has_struct_value()) {
      return Fail("not a JSON object");
    }
    open_.push_back(&slot);
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  const ValueTyping typing_;
  absl::Status error_;
  Value root_;
  // The containers around the present place. A container is not moved while it
  // is open: only the innermost one grows.
  std::vector<Value*> open_;
  Value* next_ = nullptr;  // the slot of the last key
};

// True if `text` is a JSON number that a double holds without loss.
bool IsLosslessNumber(absl::string_view text) {
  absl::ConsumePrefix(&text, "-");
  const auto digits_at_front = [](absl::string_view rest) {
    size_t count = 0;
    while (count < rest.size() &&
           absl::ascii_isdigit(static_cast<unsigned char>(rest[count]))) {
      ++count;
    }
    return count;
  };
  const size_t whole = digits_at_front(text);
  if (whole == 0 || (whole > 1 && text.front() == '0')) return false;
  absl::string_view rest = text.substr(whole);
  size_t fraction = 0;
  if (absl::ConsumePrefix(&rest, ".")) {
    fraction = digits_at_front(rest);
    if (fraction == 0) return false;
    rest.remove_prefix(fraction);
  }
  if (absl::ConsumePrefix(&rest, "e") || absl::ConsumePrefix(&rest, "E")) {
    const bool has_sign =
        absl::ConsumePrefix(&rest, "-") || absl::ConsumePrefix(&rest, "+");
    if (!has_sign && fraction == 0) return false;
    const size_t exponent = digits_at_front(rest);
    if (exponent == 0 || exponent > 3) return false;
    rest.remove_prefix(exponent);
  }
  if (!rest.empty()) return false;
  int significant = 0;
  for (const char c : text.substr(0, whole + (fraction ? fraction + 1 : 0))) {
    if (c == '.' || (c == '0' && significant == 0)) continue;
    ++significant;
  }
  return significant <= kMaxExactDigits;
}

}  // namespace

absl::StatusOr<Struct> ParseJsonObject(absl::string_view text,
                                       ValueTyping typing) {
  StructBuilder builder(typing);
  nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
  return std::move(builder).Take();
}

Value CellValue(absl::string_view cell, ValueTyping typing) {
  Value value;
  if (typing == ValueTyping::kTyped) {
    if (cell == "true" || cell == "false") {
      value.set_bool_value(cell == "true");
      return value;
    }
    double number = 0;
    // Minus zero would become plain zero on its way.
    if (IsLosslessNumber(cell) &&
        absl::from_chars(cell.begin(), cell.end(), number).ec == std::errc() &&
        std::isfinite(number) && !(number == 0 && std::signbit(number))) {
      value.set_number_value(number);
      return value;
    }
  }
  value.set_string_value(std::string(cell));
  return value;
}

}  // namespace heapsync
