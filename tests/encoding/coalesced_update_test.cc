#include "heap_adapter/encoding/coalesced_update.h"

#include <algorithm>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "heap_adapter/encoding/property_writer.h"
#include "tests/encoding/encoded_item.h"

namespace heapsync {
namespace {

// All of `texts` in turn; the error of the first that could not be added.
absl::StatusOr<std::string> Coalesced(
    const std::vector<absl::string_view>& texts) {
  CoalescedUpdate update{std::string(texts[0])};
  for (size_t i = 1; i < texts.size(); ++i) {
    if (absl::Status s = update.Add(texts[i]); !s.ok()) return s;
  }
  EXPECT_EQ(update.Text().size(), update.bytes());
  return std::move(update).Text();
}

absl::StatusCode ErrorOf(absl::string_view first, absl::string_view second) {
  return Coalesced({first, second}).status().code();
}

// {"identity":"a","properties":{"<prefix>0":<value>,…}}
std::string Update(size_t properties, absl::string_view prefix,
                   absl::string_view value) {
  std::vector<std::string> keys;
  for (size_t i = 0; i < properties; ++i) {
    keys.push_back(absl::StrCat("\"", prefix, i, "\":", value));
  }
  std::sort(keys.begin(), keys.end());
  std::string text = R"({"identity":"a","properties":{)";
  for (const std::string& key : keys) {
    if (text.back() != '{') text += ',';
    text += key;
  }
  return text + "}}";
}

TEST(CoalescedUpdateTest, TheNewestValueOfAPropertyWins) {
  EXPECT_EQ(
      Coalesced(
          {R"({"identity":"a","properties":{"city":"Bonn","plan":"Pro"}})",
           R"({"identity":"a","properties":{"age":3,"city":"Ulm"}})",
           R"({"identity":"a","properties":{"city":"Köln"}})"})
          .value(),
      R"({"identity":"a","properties":{"age":3,"city":"Köln","plan":"Pro"}})");
}

TEST(CoalescedUpdateTest, TakesAccounts) {
  EXPECT_EQ(Coalesced({R"({"account_id":"a","properties":{"b":1.5}})",
                       R"({"account_id":"a","properties":{"a":"x"}})"})
                .value(),
            R"({"account_id":"a","properties":{"a":"x","b":1.5}})");
}

TEST(CoalescedUpdateTest, AnyMayHaveNoProperties) {
  constexpr absl::string_view kBare = R"({"identity":"a"})";
  constexpr absl::string_view kFull =
      R"({"identity":"a","properties":{"k":"v"}})";
  EXPECT_EQ(Coalesced({kBare, kFull, kBare}).value(), kFull);
  EXPECT_EQ(Coalesced({kFull, kBare}).value(), kFull);
  EXPECT_EQ(Coalesced({kBare, kBare}).value(), kBare);
}

TEST(CoalescedUpdateTest, OneTextAloneStaysAsItIs) {
  CoalescedUpdate update("{no item");
  EXPECT_EQ(update.bytes(), 8);
  EXPECT_EQ(update.Text(), "{no item");
}

TEST(CoalescedUpdateTest, ResultIsWhatTheEncoderWouldWrite) {
  v1::UserProperties older = ValidUser();
  Property(older, "quote\"key").set_string_value("a\\b\n\x01");
  Property(older, "größe").set_number_value(9007199254740991.0);
  Property(older, "line\u2028end").set_string_value("\u2029");
  v1::UserProperties newer = ValidUser();
  Property(newer, "tiny").set_number_value(1e-7);
  Property(newer, "tab\tkey").set_number_value(-1e22 / 1e10);
  Property(newer, "emoji").set_string_value("😀\x7f");
  v1::UserProperties both = older;
  both.MergeFrom(newer);
  EXPECT_EQ(Coalesced({Encode(older).text, Encode(newer).text}).value(),
            Encode(both).text);
}

// Keys around the characters that need escapes, whose escapes would sort
// elsewhere.
TEST(CoalescedUpdateTest, RandomUpdatesGiveWhatTheEncoderWouldWriteForAll) {
  static const char* const kParts[] = {"a",      "b",  "!",      "\"", "#",
                                       "[",      "\\", "]",      "\t", "\u2028",
                                       "\u2029", "ä",  "\u2027", "\n"};
  std::mt19937 random(20240115);
  const auto below = [&](size_t bound) {
    return std::uniform_int_distribution<size_t>(0, bound - 1)(random);
  };
  const auto text_of = [&](size_t parts) {
    std::string text;
    for (size_t i = 0; i < parts; ++i) text += kParts[below(std::size(kParts))];
    return text;
  };
  for (int round = 0; round < 200; ++round) {
    v1::UserProperties all = ValidUser();
    CoalescedUpdate update(Encode(all).text);
    for (int i = 0; i < 20; ++i) {
      v1::UserProperties next = ValidUser();
      for (size_t count = below(5); count > 0; --count) {
        const std::string key = text_of(1 + below(2));
        if (below(2) == 0) {
          Property(next, key).set_string_value(text_of(below(9)));
        } else {
          Property(next, key).set_number_value(
              std::uniform_real_distribution<>(-1e6, 1e6)(random));
        }
      }
      ASSERT_TRUE(Encode(next).findings.ok());
      ASSERT_TRUE(update.Add(Encode(next).text).ok()) << Encode(next).text;
      for (const auto& [key, value] : next.properties().fields()) {
        Property(all, key) = value;
      }
      ASSERT_EQ(update.bytes(), update.Text().size());
    }
    ASSERT_EQ(update.Text(), Encode(all).text);
  }
}

TEST(CoalescedUpdateTest, RefusesOtherSubjects) {
  EXPECT_EQ(ErrorOf(R"({"identity":"a"})", R"({"identity":"A"})"),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrorOf(R"({"identity":"a"})", R"({"account_id":"a"})"),
            absl::StatusCode::kFailedPrecondition);
}

TEST(CoalescedUpdateTest, TextThatIsNoItemIsDataLoss) {
  constexpr absl::string_view kGood = R"({"identity":"a"})";
  for (const absl::string_view bad :
       {"",
        "{",
        "[]",
        "{}",
        "null",
        "{\"identity\":\"a",
        R"({"identity":1})",
        R"({"identity":"a",})",
        R"({"identity":"a"}})",
        R"({"identity":"\x"})",
        R"({"identity":"\u00zz"})",
        R"({"identity":"\ud800"})",
        R"({"identity":"a","properties":[]})",
        R"({"identity":"a","x":1})",
        R"({"identity":"a","properties":{"k"}})",
        R"({"identity":"a","properties":{"k":}})",
        R"({"identity":"a","properties":{"k":-}})",
        R"({"identity":"a","properties":{"k":1.}})",
        R"({"identity":"a","properties":{"k":01}})",
        R"({"identity":"a","properties":{"k":1e}})",
        R"({"identity":"a","properties":{"k":true}})",
        R"({"identity":"a","properties":{"k":{}}})",
        R"({"identity":"a","properties":{"k":1,}})",
        R"({"identity":"a","properties":{"k":1 }})",
        "{\"identity\":\"\xff\"}",
        "{\"identity\":\"\n\"}"}) {
    EXPECT_EQ(ErrorOf(bad, kGood), absl::StatusCode::kDataLoss) << bad;
    EXPECT_EQ(ErrorOf(kGood, bad), absl::StatusCode::kDataLoss) << bad;
  }
}

TEST(CoalescedUpdateTest, WhatIsRefusedChangesNothing) {
  const std::string text = R"({"identity":"a","properties":{"k":1}})";
  CoalescedUpdate update(text);
  for (const absl::string_view bad :
       {"", R"({"identity":"b","properties":{"k":2}})",
        R"({"identity":"a","properties":{"k":2,"l":}})"}) {
    EXPECT_FALSE(update.Add(bad).ok());
  }
  EXPECT_FALSE(
      update.Add(R"({"identity":"a","properties":{"k":22}})", text.size())
          .ok());
  EXPECT_EQ(update.Text(), text);
  EXPECT_EQ(update.bytes(), text.size());
}

TEST(CoalescedUpdateTest, FillsAnItemToItsLastByteAndNotFurther) {
  CoalescedUpdate update(Update(2, "k", "1"));
  const std::string both =
      R"({"identity":"a","properties":{"k0":"long","k1":1,"k2":2}})";
  const std::string next =
      R"({"identity":"a","properties":{"k0":"long","k2":2}})";
  EXPECT_EQ(update.Add(next, both.size() - 1).code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(update.Add(next, both.size()).ok());
  EXPECT_EQ(update.Text(), both);
}

TEST(CoalescedUpdateTest, WhatMakesItNoLongerFitsAlways) {
  CoalescedUpdate update(R"({"identity":"a","properties":{"k":"long"}})");
  EXPECT_TRUE(
      update.Add(R"({"identity":"a","properties":{"k":"tiny"}})", 0).ok());
  EXPECT_EQ(update.Text(), R"({"identity":"a","properties":{"k":"tiny"}})");
}

TEST(CoalescedUpdateTest, RefusesAResultLargerThanAnItemMayBe) {
  const std::string value = absl::StrCat("\"", Repeat("x", 1'000), "\"");
  EXPECT_EQ(ErrorOf(Update(300, "a", value), Update(300, "b", value)),
            absl::StatusCode::kOutOfRange);
}

TEST(CoalescedUpdateTest, HoldsABoundedNumberOfProperties) {
  CoalescedUpdate update(Update(kMaxCoalescedProperties - 1, "k", "1"));
  EXPECT_EQ(update.Add(Update(2, "new", "1")).code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(update.Add(Update(1, "new", "1")).ok());
  EXPECT_EQ(update.Add(Update(1, "other", "1")).code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(update.Add(Update(1'000, "k", "2")).ok());
}

TEST(CoalescedUpdateTest, AnUpdateCostsWhatItHasItself) {
  CoalescedUpdate update(Update(kMaxProperties, "k", "1"));
  EXPECT_EQ(update.properties_read(), 0);
  ASSERT_TRUE(update.Add(Update(1, "k", "2")).ok());
  EXPECT_EQ(update.properties_read(), kMaxProperties + 1);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(update.Add(Update(1, "k", "2")).ok());
  }
  EXPECT_EQ(update.properties_read(), kMaxProperties + 11);
}

}  // namespace
}  // namespace heapsync
