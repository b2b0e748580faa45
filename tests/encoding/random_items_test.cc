// Thousands of random items against a second, plain reading of the rules.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <random>
#include <string>

#include "gtest/gtest.h"
#include "tests/encoding/encoded_item.h"

namespace heapsync {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;
using google::protobuf::Value;

size_t Units(const std::string& utf8) {
  size_t units = 0;
  for (const char c : utf8) {
    const auto byte = static_cast<unsigned char>(c);
    units += (byte & 0xc0) != 0x80;
    units += byte >= 0xf0;
  }
  return units;
}

class RandomItems {
 public:
  explicit RandomItems(uint64_t seed) : random_(seed) {}

  int Below(int bound) {
    return std::uniform_int_distribution<int>(0, bound - 1)(random_);
  }

  std::string Text() {
    static const char* const kCharacters[] = {
        "a", "b", "Z", "0", " ",      "\"",     "\\",   "/",    "\n", "\t",
        "ä", "ß", "€", "😀", "\u2028", "\u2029", "\x01", "\x7f", "|",  "."};
    int length = Below(20);
    if (Below(40) == 0) length = 330 + Below(20);
    if (Below(40) == 0) length = 900 + Below(140);
    std::string text;
    for (int i = 0; i < length; ++i) {
      text += kCharacters[Below(std::size(kCharacters))];
    }
    return text;
  }

  double Number() {
    switch (Below(8)) {
      case 0:
        return Below(1000);
      case 1:
        return -Below(1000);
      case 2:
        return Below(100000) / 100.0;
      case 3:
        return std::ldexp(static_cast<double>(random_()), -Below(70));
      case 4:
        return 9007199254740992.0 + 2 * (Below(3) - 1);
      case 5:
        return Below(20) == 0 ? std::nan("") : 1e-7;
      default:
        return std::uniform_real_distribution<double>(-1e6, 1e6)(random_);
    }
  }

  void Fill(Value& value, int depth) {
    switch (Below(12)) {
      case 0:
        value.set_null_value({});
        return;
      case 1:
        value.set_bool_value(Below(2) == 0);
        return;
      case 2:
      case 3:
        value.set_number_value(Number());
        return;
      case 4: {
        ListValue& list = *value.mutable_list_value();
        for (int i = Below(5); i > 0; --i) Fill(*list.add_values(), depth + 1);
        return;
      }
      case 5:
        if (depth < 3) {
          Fill(*value.mutable_struct_value(), depth + 1);
          return;
        }
        [[fallthrough]];
      default:
        value.set_string_value(Text());
    }
  }

  void Fill(Struct& object, int depth = 0) {
    for (int i = Below(6); i > 0; --i) {
      Fill((*object.mutable_fields())[Text()], depth);
    }
  }

 private:
  std::mt19937_64 random_;
};

// What the rules make of a value: nothing if it is refused.
std::optional<Json> Scalar(const Value& value) {
  if (value.kind_case() == Value::kBoolValue) {
    return value.bool_value() ? "true" : "false";
  }
  if (value.kind_case() == Value::kStringValue) {
    if (Units(value.string_value()) > 1'023) return std::nullopt;
    return value.string_value();
  }
  if (value.kind_case() == Value::kNumberValue) {
    const double number = value.number_value();
    if (!(std::abs(number) < 9007199254740992.0)) return std::nullopt;
    return number;
  }
  return std::nullopt;
}

std::string NumberText(double number) {
  if (number == std::trunc(number)) {
    return std::to_string(static_cast<int64_t>(number));
  }
  for (int digits = 1; digits <= 17; ++digits) {
    char text[40];
    std::snprintf(text, sizeof(text), "%.*g", digits, number);
    if (std::strtod(text, nullptr) == number) return text;
  }
  return "";
}

// Numbers are compared by what they say: 1e-07 and 0.0000001 are the same.
bool SameList(const std::string& joined, const ListValue& list) {
  size_t at = 0;
  bool first = true;
  for (const Value& element : list.values()) {
    if (element.kind_case() == Value::kNullValue) continue;
    if (!first) {
      if (joined.compare(at, 2, "||") != 0) return false;
      at += 2;
    }
    first = false;
    if (element.kind_case() == Value::kNumberValue) {
      char* end;
      if (std::strtod(joined.c_str() + at, &end) != element.number_value()) {
        return false;
      }
      at = static_cast<size_t>(end - joined.c_str());
    } else {
      const std::string text = Scalar(element)->get<std::string>();
      if (joined.compare(at, text.size(), text) != 0) return false;
      at += text.size();
    }
  }
  return at == joined.size();
}

enum class Verdict { kRefused, kSame, kDifferent };

// The alphabet has no control characters beyond ASCII.
bool HasForbiddenControl(const std::string& key) {
  return std::any_of(key.begin(), key.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' &&
            c != '\r') ||
           c == '\x7f';
  });
}

// Checks `sent`, the encoder's properties, if the rules take `properties`.
Verdict Compare(const Struct& properties, const Json& sent) {
  size_t left = 0;
  bool same = true;
  for (const auto& [key, value] : properties.fields()) {
    if (value.kind_case() == Value::kNullValue) continue;
    ++left;
    if (key.empty() || Units(key) > 1'023 || HasForbiddenControl(key)) {
      return Verdict::kRefused;
    }
    if (value.kind_case() == Value::kListValue) {
      size_t units = 0;
      size_t count = 0;
      for (const Value& element : value.list_value().values()) {
        if (element.kind_case() == Value::kNullValue) continue;
        const std::optional<Json> scalar = Scalar(element);
        if (!scalar.has_value()) return Verdict::kRefused;
        units += scalar->is_string() ? Units(scalar->get<std::string>())
                                     : NumberText(scalar->get<double>()).size();
        units += count++ == 0 ? 0 : 2;
      }
      if (units > 1'023) return Verdict::kRefused;
      same = same && sent.contains(key) &&
             SameList(sent[key].get<std::string>(), value.list_value());
      continue;
    }
    const std::optional<Json> scalar = Scalar(value);
    if (!scalar.has_value()) return Verdict::kRefused;
    same = same && sent.contains(key) && sent[key] == *scalar;
  }
  return same && sent.size() == left ? Verdict::kSame : Verdict::kDifferent;
}

size_t CountLeaves(const Struct& object) {
  size_t leaves = 0;
  for (const auto& [key, value] : object.fields()) {
    if (value.kind_case() == Value::kStructValue) {
      leaves += CountLeaves(value.struct_value());
    } else {
      leaves += value.kind_case() != Value::kNullValue;
    }
  }
  return leaves;
}

TEST(RandomItemsTest, AccountsAreSentAsTheRulesSay) {
  RandomItems random(1);
  int sent = 0;
  int refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    v1::AccountProperties account = ValidAccount();
    random.Fill(*account.mutable_properties());
    const EncodedItem item = Encode(account);
    const Json properties =
        item.findings.ok() ? item.json().value("properties", Json::object())
                           : Json::object();
    const Verdict verdict = Compare(account.properties(), properties);
    if (item.findings.ok()) {
      ASSERT_EQ(verdict, Verdict::kSame) << account.DebugString() << "\n"
                                         << item.text;
      ++sent;
    } else {
      ASSERT_EQ(verdict, Verdict::kRefused)
          << account.DebugString() << item.violations()[0];
      ASSERT_EQ(item.text, "");
      ++refused;
    }
  }
  EXPECT_GT(sent, 2'000);
  EXPECT_GT(refused, 2'000);
}

TEST(RandomItemsTest, FlatteningNeverLosesOrRepeatsAKey) {
  RandomItems random(2);
  const EncodingRules flatten = {.flatten_nested = true};
  int sent = 0;
  for (int i = 0; i < 20'000; ++i) {
    v1::TrackEvent event = ValidEvent();
    random.Fill(*event.mutable_properties());
    const EncodedItem item = Encode(event, flatten);
    if (!item.findings.ok()) continue;
    ++sent;
    int keys = 0;
    const Json json = Json::parse(
        item.text, [&keys](int depth, Json::parse_event_t part, Json&) {
          keys += depth == 2 && part == Json::parse_event_t::key;
          return true;
        });
    const Json properties = json.value("properties", Json::object());
    ASSERT_EQ(keys, static_cast<int>(properties.size())) << item.text;
    ASSERT_EQ(properties.size(), CountLeaves(event.properties())) << item.text;
    for (const auto& [key, value] : properties.items()) {
      ASSERT_FALSE(value.is_object()) << item.text;
      ASSERT_LE(Units(key), 1'023u) << item.text;
    }
  }
  EXPECT_GT(sent, 2'000);
}

TEST(RandomItemsTest, TheSameItemAlwaysGivesTheSameText) {
  RandomItems random(3);
  for (int i = 0; i < 5'000; ++i) {
    v1::UserProperties user = ValidUser();
    random.Fill(*user.mutable_properties());
    v1::UserProperties copy;
    copy.ParseFromString(user.SerializeAsString());
    ASSERT_EQ(Encode(user).text, Encode(copy).text);
  }
}

TEST(RandomItemsTest, NeighboursOfRefusedItemsAreUnharmed) {
  RandomItems random(4);
  const EncodingRules rules;
  ChunkEncoder encoder(rules, kTestAcceptedAt);
  std::string expected;
  for (int i = 0; i < 5'000; ++i) {
    v1::TrackEvent event = ValidEvent();
    event.set_event(random.Text());
    random.Fill(*event.mutable_properties());
    const EncodedItem alone = Encode(event);
    const Findings findings =
        encoder.Add(event, {.field = "event", .index = {}}, kTestKey);
    ASSERT_EQ(findings.ok(), alone.findings.ok());
    expected += alone.text;
  }
  EXPECT_EQ(encoder.Take().text, expected);
}

}  // namespace
}  // namespace heapsync
