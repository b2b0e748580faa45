#include "heap_adapter/encoding/merge_properties.h"

#include <string>

#include "gtest/gtest.h"
#include "heap_adapter/encoding/property_writer.h"
#include "tests/encoding/encoded_item.h"

namespace heapsync {
namespace {

TEST(MergePropertiesTest, TheNewerValueOfAKeyWins) {
  EXPECT_EQ(MergeProperties(
                R"({"identity":"a","properties":{"city":"Bonn","plan":"Pro"}})",
                R"({"identity":"a","properties":{"age":3,"city":"Köln"}})")
                .value(),
            R"({"identity":"a","properties":)"
            R"({"age":3,"city":"Köln","plan":"Pro"}})");
}

TEST(MergePropertiesTest, MergesAccounts) {
  EXPECT_EQ(MergeProperties(R"({"account_id":"a","properties":{"b":1.5}})",
                            R"({"account_id":"a","properties":{"a":"x"}})")
                .value(),
            R"({"account_id":"a","properties":{"a":"x","b":1.5}})");
}

TEST(MergePropertiesTest, EitherMayHaveNoProperties) {
  constexpr absl::string_view kBare = R"({"identity":"a"})";
  constexpr absl::string_view kFull =
      R"({"identity":"a","properties":{"k":"v"}})";
  EXPECT_EQ(MergeProperties(kBare, kFull).value(), kFull);
  EXPECT_EQ(MergeProperties(kFull, kBare).value(), kFull);
  EXPECT_EQ(MergeProperties(kBare, kBare).value(), kBare);
}

TEST(MergePropertiesTest, ResultIsWhatTheEncoderWouldWrite) {
  v1::UserProperties older = ValidUser();
  Property(older, "quote\"key").set_string_value("a\\b\n\x01");
  Property(older, "größe").set_number_value(9007199254740991.0);
  v1::UserProperties newer = ValidUser();
  Property(newer, "tiny").set_number_value(1e-7);
  Property(newer, "emoji").set_string_value("😀");
  v1::UserProperties both = older;
  both.MergeFrom(newer);
  EXPECT_EQ(MergeProperties(Encode(older).text, Encode(newer).text).value(),
            Encode(both).text);
}

TEST(MergePropertiesTest, RefusesOtherSubjects) {
  const auto code = [](absl::string_view a, absl::string_view b) {
    return MergeProperties(a, b).status().code();
  };
  EXPECT_EQ(code(R"({"identity":"a"})", R"({"identity":"A"})"),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(code(R"({"identity":"a"})", R"({"account_id":"a"})"),
            absl::StatusCode::kFailedPrecondition);
}

TEST(MergePropertiesTest, TextThatIsNoItemIsDataLoss) {
  constexpr absl::string_view kGood = R"({"identity":"a"})";
  for (const absl::string_view bad :
       {"", "{", "[]", "{}", "null", R"({"identity":1})",
        R"({"identity":"a","properties":[]})", R"({"identity":"a","x":1})",
        "{\"identity\":\"\xff\"}"}) {
    EXPECT_EQ(MergeProperties(bad, kGood).status().code(),
              absl::StatusCode::kDataLoss);
    EXPECT_EQ(MergeProperties(kGood, bad).status().code(),
              absl::StatusCode::kDataLoss);
  }
}

TEST(MergePropertiesTest, RefusesAResultLargerThanAnItemMayBe) {
  v1::UserProperties older = ValidUser();
  v1::UserProperties newer = ValidUser();
  for (int i = 0; i < 300; ++i) {
    Property(older, absl::StrCat("a", i)).set_string_value(Repeat("x", 1000));
    Property(newer, absl::StrCat("b", i)).set_string_value(Repeat("x", 1000));
  }
  EXPECT_EQ(
      MergeProperties(Encode(older).text, Encode(newer).text).status().code(),
      absl::StatusCode::kOutOfRange);
}

}  // namespace
}  // namespace heapsync
