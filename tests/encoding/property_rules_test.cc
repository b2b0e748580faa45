// Keys and values of properties, at both sides of every limit.
#include <cmath>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "heap_adapter/encoding/property_writer.h"
#include "tests/encoding/encoded_item.h"

namespace heapsync {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

void AddText(ListValue& list, absl::string_view text) {
  list.add_values()->set_string_value(std::string(text));
}

Struct& Nested(Struct& object, absl::string_view key) {
  return *(*object.mutable_fields())[std::string(key)].mutable_struct_value();
}

const EncodingRules kFlatten = {.flatten_nested = true};

TEST(PropertyRulesTest, TakesValuesOf1023UnitsAndRefuses1024) {
  for (const auto& [longest, too_long] :
       {std::pair(Repeat("x", 1'023), Repeat("x", 1'024)),
        std::pair(Repeat("\"", 1'023), Repeat("\"", 1'024)),
        std::pair(Repeat("€", 1'023), Repeat("€", 1'024)),
        std::pair(Repeat("😀", 511) + "x", Repeat("😀", 512))}) {
    v1::TrackEvent event = ValidEvent();
    Property(event, "k").set_string_value(longest);
    EXPECT_EQ(Encode(event).properties()["k"], longest);
    Property(event, "k").set_string_value(too_long);
    EXPECT_THAT(Encode(event).violations(),
                ElementsAre("VALUE_TOO_LONG at event.properties.k"));
  }
}

TEST(PropertyRulesTest, TakesKeysOf1023UnitsAndRefuses1024) {
  for (const absl::string_view unit : {"k", "ä"}) {
    v1::UserProperties user = ValidUser();
    Property(user, Repeat(unit, 1'023)).set_number_value(1);
    EXPECT_THAT(Encode(user).violations(), IsEmpty());
    Property(user, Repeat(unit, 1'024)).set_number_value(1);
    EXPECT_THAT(Encode(user).violations(),
                ElementsAre("KEY_TOO_LONG at user.properties." +
                            Repeat(unit, 64) + "…"));
  }
}

TEST(PropertyRulesTest, RefusesEmptyKeys) {
  v1::UserProperties user = ValidUser();
  Property(user, "").set_number_value(1);
  EXPECT_THAT(Encode(user).violations(),
              ElementsAre("KEY_EMPTY at user.properties."));
}

TEST(PropertyRulesTest, RefusesBadUtf8) {
  v1::UserProperties user = ValidUser();
  Property(user, "k\xff").set_number_value(1);
  Property(user, "value").set_string_value("\xff");
  AddText(*Property(user, "list").mutable_list_value(), "a\xff");
  EXPECT_THAT(Encode(user).violations(),
              UnorderedElementsAre("INVALID_UTF8 at user.properties.k\\xff",
                                   "INVALID_UTF8 at user.properties.value",
                                   "INVALID_UTF8 at user.properties.list[0]"));
}

TEST(PropertyRulesTest, WritesBoolsAsText) {
  v1::TrackEvent event = ValidEvent();
  Property(event, "yes").set_bool_value(true);
  Property(event, "no").set_bool_value(false);
  EXPECT_EQ(Encode(event).properties(),
            Json({{"yes", "true"}, {"no", "false"}}));
}

TEST(PropertyRulesTest, NullsLeaveTheirKeyOut) {
  v1::TrackEvent event = ValidEvent();
  Property(event, "a").set_null_value({});
  Property(event, "b").set_number_value(1);
  EXPECT_EQ(Encode(event).properties(), Json({{"b", 1}}));
}

TEST(PropertyRulesTest, LeavesPropertiesOutWhereNothingIsLeft) {
  v1::TrackEvent event = ValidEvent();
  event.mutable_properties();
  EXPECT_FALSE(Encode(event).json().contains("properties"));
  Property(event, "a").set_null_value({});
  EXPECT_FALSE(Encode(event).json().contains("properties"));
}

TEST(PropertyRulesTest, WritesNumbersAsNumbers) {
  v1::AccountProperties account = ValidAccount();
  Property(account, "a").set_number_value(150000);
  Property(account, "b").set_number_value(-0.5);
  Property(account, "c").set_number_value(9007199254740991.0);
  Property(account, "d").set_number_value(-9007199254740991.0);
  EXPECT_EQ(Encode(account).text,
            R"({"account_id":"acme-corp","properties":{"a":150000,"b":-0.5,)"
            R"("c":9007199254740991,"d":-9007199254740991}})");
}

TEST(PropertyRulesTest, RefusesNumbersFrom2To53On) {
  // 2^53 + 1 has no double: it arrives as 2^53.
  for (const double number :
       {9007199254740992.0, 9007199254740993.0, -9007199254740993.0,
        9007199254740994.0, -9007199254740994.0, 1e300}) {
    v1::AccountProperties account = ValidAccount();
    Property(account, "n").set_number_value(number);
    EXPECT_THAT(Encode(account).violations(),
                ElementsAre("NUMBER_TOO_LARGE at account.properties.n"));
  }
}

TEST(PropertyRulesTest, RefusesNanAndInfinity) {
  for (const double number : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    v1::TrackEvent event = ValidEvent();
    Property(event, "n").set_number_value(number);
    AddText(*Property(event, "list").mutable_list_value(), "a");
    Property(event, "list")
        .mutable_list_value()
        ->add_values()
        ->set_number_value(number);
    EXPECT_THAT(Encode(event).violations(),
                ElementsAre("NUMBER_NOT_FINITE at event.properties.list[1]",
                            "NUMBER_NOT_FINITE at event.properties.n"));
  }
}

TEST(PropertyRulesTest, RefusesValuesWithoutAKind) {
  v1::TrackEvent event = ValidEvent();
  Property(event, "k");
  EXPECT_THAT(Encode(event).violations(),
              ElementsAre("VALUE_UNSET at event.properties.k"));
}

TEST(PropertyRulesTest, JoinsListsByTwoPipes) {
  v1::UserProperties user = ValidUser();
  ListValue& list = *Property(user, "tags").mutable_list_value();
  AddText(list, "red");
  list.add_values()->set_null_value({});
  list.add_values()->set_number_value(2.5);
  list.add_values()->set_bool_value(true);
  AddText(list, "\"x\"");
  EXPECT_EQ(Encode(user).properties(),
            Json({{"tags", "red||2.5||true||\"x\""}}));
}

TEST(PropertyRulesTest, AnEmptyListIsAnEmptyText) {
  v1::UserProperties user = ValidUser();
  Property(user, "none").mutable_list_value();
  Property(user, "nulls")
      .mutable_list_value()
      ->add_values()
      ->set_null_value({});
  EXPECT_EQ(Encode(user).properties(), Json({{"none", ""}, {"nulls", ""}}));
}

TEST(PropertyRulesTest, RefusesListsAndObjectsInLists) {
  v1::UserProperties user = ValidUser();
  ListValue& list = *Property(user, "tags").mutable_list_value();
  AddText(list, "a");
  list.add_values()->mutable_struct_value();
  list.add_values()->mutable_list_value();
  const auto refused = ElementsAre("NESTED_OBJECT at user.properties.tags[1]",
                                   "NESTED_LIST at user.properties.tags[2]");
  EXPECT_THAT(Encode(user).violations(), refused);
  EXPECT_THAT(Encode(user, kFlatten).violations(), refused);
}

// 1,023 units joined, and 1,024.
ListValue LongestList() {
  ListValue list;
  AddText(list, Repeat("x", 500));
  AddText(list, Repeat("€", 521));
  return list;
}

ListValue TooLongList() {
  ListValue list = LongestList();
  list.mutable_values(0)->mutable_string_value()->push_back('x');
  list.add_values()->set_null_value({});
  list.add_values()->set_number_value(1);
  list.add_values()->set_bool_value(true);
  return list;
}

TEST(PropertyRulesTest, RefusesAListOfAUserOrAccountThatIsTooLongAsText) {
  v1::UserProperties user = ValidUser();
  *Property(user, "tags").mutable_list_value() = LongestList();
  EXPECT_EQ(Encode(user).properties()["tags"],
            Repeat("x", 500) + "||" + Repeat("€", 521));
  *Property(user, "tags").mutable_list_value() = TooLongList();
  EXPECT_THAT(Encode(user).violations(),
              ElementsAre("VALUE_TOO_LONG at user.properties.tags"));
  v1::AccountProperties account = ValidAccount();
  *account.mutable_properties() = user.properties();
  EXPECT_THAT(Encode(account).violations(),
              ElementsAre("VALUE_TOO_LONG at account.properties.tags"));
}

TEST(PropertyRulesTest, SendsAListOfAnEventThatIsTooLongAsTextForHeapToCut) {
  v1::TrackEvent event = ValidEvent();
  *Property(event, "tags").mutable_list_value() = LongestList();
  EXPECT_EQ(Encode(event).properties()["tags"],
            Repeat("x", 500) + "||" + Repeat("€", 521));
  *Property(event, "tags").mutable_list_value() = TooLongList();
  const EncodedItem item = Encode(event);
  EXPECT_THAT(item.warnings(),
              ElementsAre("LIST_CUT at event.properties.tags"));
  EXPECT_EQ(item.properties()["tags"],
            Json({Repeat("x", 501), Repeat("€", 521), 1, "true"}));
}

TEST(PropertyRulesTest, RefusesAListElementThatIsTooLongByItself) {
  v1::TrackEvent event = ValidEvent();
  ListValue& list = *Property(event, "tags").mutable_list_value();
  AddText(list, "a");
  AddText(list, Repeat("x", 1'024));
  EXPECT_THAT(Encode(event).violations(),
              ElementsAre("VALUE_TOO_LONG at event.properties.tags[1]"));
}

TEST(PropertyRulesTest, AnEndlessListIsRefusedAsTooLarge) {
  v1::TrackEvent event = ValidEvent();
  ListValue& list = *Property(event, "tags").mutable_list_value();
  for (int i = 0; i < 200'000; ++i) AddText(list, "abcdef");
  EXPECT_THAT(Encode(event).violations(),
              ElementsAre("ITEM_TOO_LARGE at event"));
}

TEST(PropertyRulesTest, RefusesNestedObjects) {
  v1::TrackEvent event = ValidEvent();
  Property(event, "cart").mutable_struct_value();
  Nested(Nested(*event.mutable_properties(), "address"), "city");
  EXPECT_THAT(Encode(event).violations(),
              ElementsAre("NESTED_OBJECT at event.properties.address",
                          "NESTED_OBJECT at event.properties.cart"));
}

TEST(PropertyRulesTest, FlattensNestedObjectsWhereAsked) {
  v1::TrackEvent event = ValidEvent();
  Struct& a = Nested(*event.mutable_properties(), "a");
  (*a.mutable_fields())["b"].set_number_value(1);
  (*a.mutable_fields())["none"].set_null_value({});
  (*Nested(a, "c").mutable_fields())["d"].set_string_value("x");
  Nested(*event.mutable_properties(), "empty");
  Property(event, "a-z").set_number_value(2);
  EXPECT_EQ(Encode(event, kFlatten).properties().dump(),
            R"({"a-z":2,"a.b":1,"a.c.d":"x"})");
}

TEST(PropertyRulesTest, RefusesFlattenedKeysThatCollide) {
  v1::TrackEvent event = ValidEvent();
  (*Nested(*event.mutable_properties(), "a").mutable_fields())["b"]
      .set_number_value(1);
  Property(event, "a.b").set_number_value(2);
  EXPECT_THAT(Encode(event, kFlatten).violations(),
              ElementsAre("KEY_COLLISION at event.properties.a.b"));
  Property(event, "a.b").set_null_value({});
  EXPECT_TRUE(Encode(event, kFlatten).findings.ok());
}

TEST(PropertyRulesTest, RefusesEmptyAndTooLongFlattenedKeys) {
  v1::TrackEvent event = ValidEvent();
  Struct& a = Nested(*event.mutable_properties(), "a");
  (*a.mutable_fields())[Repeat("k", 1'021)].set_number_value(1);
  EXPECT_TRUE(Encode(event, kFlatten).findings.ok());
  (*a.mutable_fields())[Repeat("k", 1'022)].set_number_value(1);
  (*a.mutable_fields())[""].set_number_value(1);
  EXPECT_THAT(Encode(event, kFlatten).violations(),
              UnorderedElementsAre("KEY_EMPTY at event.properties.a.",
                                   "KEY_TOO_LONG at event.properties.a." +
                                       Repeat("k", 62) + "…"));
}

TEST(PropertyRulesTest, FlattensSixteenLevelsAndRefusesSeventeen) {
  v1::TrackEvent event = ValidEvent();
  Struct* innermost = event.mutable_properties();
  for (int level = 2; level <= 16; ++level)
    innermost = &Nested(*innermost, "k");
  (*innermost->mutable_fields())["k"].set_number_value(1);
  EXPECT_EQ(Encode(event, kFlatten).properties().begin().key(),
            Repeat("k.", 15) + "k");
  Nested(*innermost, "k");
  EXPECT_THAT(Encode(event, kFlatten).violations(),
              ElementsAre("NESTED_TOO_DEEP at event.properties." +
                          Repeat("k.", 15) + "k"));
}

TEST(PropertyRulesTest, RefusesTheUserPropertyIdInAnyCasing) {
  for (const absl::string_view key : {"id", "ID", "Id", "iD"}) {
    v1::UserProperties user = ValidUser();
    Property(user, key).set_string_value("x");
    EXPECT_THAT(
        Encode(user).violations(),
        ElementsAre(absl::StrCat("KEY_RESERVED at user.properties.", key)));
  }
}

TEST(PropertyRulesTest, OnlyUsersHaveAReservedKey) {
  v1::TrackEvent event = ValidEvent();
  Property(event, "id").set_string_value("x");
  Property(event, "Email").set_string_value("x");
  EXPECT_TRUE(Encode(event).findings.ok());
  EXPECT_THAT(Encode(event).warnings(), IsEmpty());
  v1::AccountProperties account = ValidAccount();
  *account.mutable_properties() = event.properties();
  EXPECT_TRUE(Encode(account).findings.ok());
  EXPECT_THAT(Encode(account).warnings(), IsEmpty());
}

TEST(PropertyRulesTest, WarnsOfEmailInAnotherCasing) {
  v1::UserProperties user = ValidUser();
  Property(user, "Email").set_string_value("a@example.com");
  Property(user, "email").set_string_value("a@example.com");
  const EncodedItem item = Encode(user);
  EXPECT_TRUE(item.findings.ok());
  EXPECT_THAT(item.warnings(),
              ElementsAre("EMAIL_CASING at user.properties.Email"));
  EXPECT_EQ(item.properties().size(), 2u);
}

TEST(PropertyRulesTest, WarnsOfKeysThatDifferOnlyInCase) {
  v1::TrackEvent event = ValidEvent();
  for (const absl::string_view key : {"Plan", "plan", "seats", "PLAN"}) {
    Property(event, key).set_number_value(1);
  }
  const EncodedItem item = Encode(event);
  EXPECT_TRUE(item.findings.ok());
  EXPECT_THAT(item.warnings(),
              ElementsAre("KEY_CASING at event.properties.Plan",
                          "KEY_CASING at event.properties.plan"));
  EXPECT_EQ(item.findings.warnings[1].description,
            "differs only in case from PLAN; Heap keeps them as two "
            "properties");
  EXPECT_EQ(item.properties().size(), 4u);
}

TEST(PropertyRulesTest, KnowsTheCaseOfLongKeysAndOfLettersBeyondAscii) {
  for (const auto& [key, other] :
       {std::pair("customer_lifetime_value", "customer_lifetime_Value"),
        std::pair("prénom", "PRÉNOM"), std::pair("Größe", "größe"),
        std::pair("σχέδιο", "Σχέδιο"), std::pair("тариф", "ТАРИФ"),
        std::pair("ёлка", "Ёлка")}) {
    v1::UserProperties user = ValidUser();
    Property(user, key).set_number_value(1);
    Property(user, other).set_number_value(2);
    EXPECT_THAT(Encode(user).warnings(), testing::SizeIs(1)) << key;
  }
}

TEST(PropertyRulesTest, KeysThatDifferInMoreThanCaseGetNoWarning) {
  v1::AccountProperties account = ValidAccount();
  for (const absl::string_view key :
       {"plan", "plan_", "plan?", "planA", "plan[", "plan{", "@", "`", "é", "è",
        "×", "÷", "\n", "*", "J"}) {
    Property(account, key).set_number_value(1);
  }
  EXPECT_THAT(Encode(account).warnings(), IsEmpty());
}

TEST(PropertyRulesTest, NestedKeysAreComparedAsTheyAreSent) {
  v1::UserProperties user = ValidUser();
  (*Nested(*user.mutable_properties(), "Plan").mutable_fields())["name"]
      .set_string_value("Pro");
  Property(user, "plan.name").set_string_value("Free");
  EXPECT_THAT(Encode(user, kFlatten).warnings(),
              ElementsAre("KEY_CASING at user.properties.plan.name"));
}

TEST(PropertyRulesTest, KeysAreInTheOrderOfTheirBytes) {
  v1::TrackEvent event = ValidEvent();
  for (const absl::string_view key :
       {"b", "a", "ab", "aa", "same-start-2", "same-start-1", "same-sta", "Z",
        "ä", "0"}) {
    Property(event, key).set_number_value(1);
  }
  EXPECT_EQ(Encode(event).properties().dump(),
            R"({"0":1,"Z":1,"a":1,"aa":1,"ab":1,"b":1,)"
            R"("same-sta":1,"same-start-1":1,"same-start-2":1,"ä":1})");
  const std::string text = Encode(event).text;
  EXPECT_LT(text.find("\"same-start-1\""), text.find("\"same-start-2\""));
  EXPECT_LT(text.find("\"Z\""), text.find("\"a\""));
}

TEST(PropertyRulesTest, Takes1024PropertiesAndRefusesOneMore) {
  v1::AccountProperties account = ValidAccount();
  for (size_t i = 0; i < kMaxProperties; ++i) {
    Property(account, absl::StrCat(i)).set_number_value(1);
  }
  EXPECT_EQ(Encode(account).properties().size(), 1'024u);
  Property(account, "one more").set_number_value(1);
  EXPECT_THAT(Encode(account).violations(),
              ElementsAre("TOO_MANY_PROPERTIES at account.properties"));
}

}  // namespace
}  // namespace heapsync
