// What becomes of fields that name or join and say nothing.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/encoding/encoded_item.h"

namespace heapsync {
namespace {

using std::string_literals::operator""s;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kNobody[] = {"null",
                                   "N/A",
                                   "-1",
                                   " ",
                                   "\u200b",
                                   "\ufeff",
                                   "\u00a0",
                                   "\u2060",
                                   "0.0",
                                   "<nil>",
                                   "(null)",
                                   "<NA>",
                                   "#N/A",
                                   "(not set)",
                                   "[]",
                                   "{}",
                                   "NaT",
                                   "\\N",
                                   "not_authenticated",
                                   "email",
                                   "\"null \"",
                                   "{{user.id}}",
                                   "${user_id}",
                                   "00000000-0000-0000-0000-000000000000"};

EncodedItem UserWith(const std::string& identity) {
  v1::UserProperties user;
  user.set_identity(identity);
  return Encode(user);
}

EncodedItem AccountWith(const std::string& account_id) {
  v1::AccountProperties account;
  account.set_account_id(account_id);
  return Encode(account);
}

EncodedItem EventWithSession(const std::string& session_id) {
  v1::TrackEvent event = ValidEvent();
  event.set_session_id(session_id);
  return Encode(event);
}

EncodedItem EventWithKey(const std::string& key) {
  v1::TrackEvent event = ValidEvent();
  event.set_idempotency_key(key);
  return Encode(event);
}

TEST(NameFieldsTest, NobodyIsNoIdentity) {
  for (const char* nobody : kNobody) {
    v1::TrackEvent event = ValidEvent();
    event.set_identity(nobody);
    EXPECT_THAT(Encode(event).violations(),
                ElementsAre("IDENTITY_DENIED at event.identity"))
        << nobody;
    EXPECT_THAT(UserWith(nobody).violations(),
                ElementsAre("IDENTITY_DENIED at user.identity"))
        << nobody;
  }
}

TEST(NameFieldsTest, NobodyIsNoAccount) {
  for (const char* nobody : kNobody) {
    EXPECT_THAT(AccountWith(nobody).violations(),
                ElementsAre("IDENTITY_DENIED at account.account_id"))
        << nobody;
  }
}

TEST(NameFieldsTest, ASessionThatSaysNoneIsLeftOut) {
  for (const char* none : kNobody) {
    const EncodedItem item = EventWithSession(none);
    EXPECT_THAT(item.violations(), IsEmpty()) << none;
    EXPECT_THAT(item.warnings(),
                ElementsAre("PLACEHOLDER_LEFT_OUT at event.session_id"))
        << none;
    EXPECT_EQ(item.text, Encode(ValidEvent()).text) << none;
  }
  EXPECT_THAT(EventWithSession("1.23457E+11").warnings(),
              ElementsAre("PLACEHOLDER_LEFT_OUT at event.session_id"));
  EXPECT_THAT(EventWithSession("0").warnings(),
              ElementsAre("PLACEHOLDER_LEFT_OUT at event.session_id"));
  EXPECT_THAT(EventWithSession("1705314600").warnings(), IsEmpty());
}

TEST(NameFieldsTest, AKeyThatSaysNoneIsRefused) {
  for (const char* none :
       {"undefined", "Undefined", "anonymous", "{{order.id}}", "order-${id}",
        "00000000-0000-0000-0000-000000000000", "        ",
        "\u200b\u200b\u200b\u200b\u200b\u200b\u200b\u200b", "[object Object]",
        "(not set)", "????????", "0.000000"}) {
    EXPECT_THAT(EventWithKey(none).violations(),
                ElementsAre("IDEMPOTENCY_KEY_DENIED at event.idempotency_key"))
        << none;
  }
  EXPECT_THAT(EventWithKey("1.23457E+11").violations(),
              ElementsAre("ID_MANGLED at event.idempotency_key"));
  EXPECT_THAT(EventWithKey("order-1234").violations(), IsEmpty());
}

TEST(NameFieldsTest, AnEmailThatSaysNoneIsLeftOut) {
  for (const char* none : kNobody) {
    v1::UserProperties user = ValidUser();
    user.set_email(none);
    EncodedItem item = Encode(user);
    EXPECT_EQ(item.text, Encode(ValidUser()).text) << none;
    EXPECT_THAT(item.warnings(),
                ElementsAre("PLACEHOLDER_LEFT_OUT at user.email"))
        << none;

    user.clear_email();
    Property(user, "email").set_string_value(none);
    item = Encode(user);
    EXPECT_EQ(item.text, Encode(ValidUser()).text) << none;
    EXPECT_THAT(item.warnings(),
                ElementsAre("PLACEHOLDER_LEFT_OUT at user.properties.email"))
        << none;
  }
}

TEST(NameFieldsTest, AnEmailIsNotInConflictWithOneThatSaysNone) {
  v1::UserProperties user = ValidUser();
  user.set_email("a@example.com");
  Property(user, "email").set_string_value("null");
  EncodedItem item = Encode(user);
  EXPECT_THAT(item.violations(), IsEmpty());
  EXPECT_EQ(item.properties(), Json({{"email", "a@example.com"}}));

  user.set_email("null");
  Property(user, "email").set_string_value("a@example.com");
  item = Encode(user);
  EXPECT_THAT(item.violations(), IsEmpty());
  EXPECT_EQ(item.properties(), Json({{"email", "a@example.com"}}));
}

TEST(NameFieldsTest, AnEmptyEmailClearsTheProperty) {
  v1::UserProperties user = ValidUser();
  Property(user, "email").set_string_value("");
  EXPECT_EQ(Encode(user).properties(), Json({{"email", ""}}));
  EXPECT_THAT(Encode(user).warnings(), IsEmpty());
}

TEST(NameFieldsTest, PlaceholdersInOtherPropertiesAreValues) {
  v1::UserProperties user = ValidUser();
  Property(user, "plan").set_string_value("null");
  EXPECT_EQ(Encode(user).properties(), Json({{"plan", "null"}}));
  v1::TrackEvent event = ValidEvent();
  Property(event, "email").set_string_value("null");
  EXPECT_EQ(Encode(event).properties(), Json({{"email", "null"}}));
}

TEST(NameFieldsTest, ExponentFormIsNoId) {
  EXPECT_THAT(UserWith("1.23457E+11").violations(),
              ElementsAre("ID_MANGLED at user.identity"));
  EXPECT_THAT(AccountWith("1.23457E+11").violations(),
              ElementsAre("ID_MANGLED at account.account_id"));
}

TEST(NameFieldsTest, DoubtfulIdsAreSentWithAWarning) {
  for (const char* id : {"123.0", " padded ", "\ufeffada@example.com"}) {
    const EncodedItem user = UserWith(id);
    EXPECT_EQ(user.json()["identity"], id);
    EXPECT_THAT(user.warnings(), ElementsAre("ID_LOOKS_MANGLED at "
                                             "user.identity"));
    const EncodedItem account = AccountWith(id);
    EXPECT_EQ(account.json()["account_id"], id);
    EXPECT_THAT(account.warnings(), ElementsAre("ID_LOOKS_MANGLED at "
                                                "account.account_id"));
  }
  EXPECT_THAT(UserWith("{customer}").warnings(),
              ElementsAre("PLACEHOLDER_SUSPECTED at user.identity"));
  v1::TrackEvent event = ValidEvent();
  event.clear_identity();
  event.set_user_id("0");
  EXPECT_EQ(Encode(event).json()["user_id"], "0");
  EXPECT_THAT(Encode(event).warnings(),
              ElementsAre("PLACEHOLDER_SUSPECTED at event.user_id"));
}

TEST(NameFieldsTest, WhatNamesThingsHasNoControlCharacters) {
  for (const std::string& control :
       {"abcdefgh\0"s, "\0abcdefgh"s, "abcd\x1b[31m"s, "abcdefgh\x7f"s,
        "abcdefgh\u0080"s, "abcdefgh\n"s}) {
    EXPECT_THAT(UserWith(control).violations(),
                ElementsAre("CONTROL_CHARACTER at user.identity"));
    EXPECT_THAT(AccountWith(control).violations(),
                ElementsAre("CONTROL_CHARACTER at account.account_id"));
    EXPECT_THAT(EventWithSession(control).violations(),
                ElementsAre("CONTROL_CHARACTER at event.session_id"));
    EXPECT_THAT(EventWithKey(control).violations(),
                ElementsAre("CONTROL_CHARACTER at event.idempotency_key"));
    v1::TrackEvent event = ValidEvent();
    event.set_event(control);
    EXPECT_THAT(Encode(event).violations(),
                ElementsAre("CONTROL_CHARACTER at event.event"));
    v1::UserProperties user = ValidUser();
    user.set_email(control);
    EXPECT_EQ(Encode(user).properties()["email"], control);
    EXPECT_THAT(Encode(user).warnings(),
                ElementsAre("CONTROL_CHARACTER at user.email"));
  }
}

TEST(NameFieldsTest, KeysOfPropertiesMayHaveLineBreaksOnly) {
  v1::TrackEvent event = ValidEvent();
  Property(event, "Total\r\nAmount\t").set_number_value(1);
  EXPECT_EQ(Encode(event).properties(), Json({{"Total\r\nAmount\t", 1}}));
  const std::pair<std::string, const char*> refused[] = {
      {"a\0"s, "a\\u0000"},
      {"\x7f"s, "\\u007f"},
      {"total amount\x7f"s, "total amount\\u007f"},
      {"total\x1b"
       "amount"s,
       "total\\u001bamount"},
      {"total amount\u0085"s, "total amount\\u0085"}};
  for (const auto& [key, shown] : refused) {
    v1::TrackEvent with = event;
    Property(with, key).set_number_value(1);
    EXPECT_THAT(Encode(with).violations(),
                ElementsAre(absl::StrCat(
                    "CONTROL_CHARACTER at event.properties.", shown)));
  }
}

TEST(NameFieldsTest, ABlankEventNameIsNone) {
  for (const char* blank : {" ", "\u200b", "\ufeff \t"}) {
    v1::TrackEvent event = ValidEvent();
    event.set_event(blank);
    EXPECT_THAT(Encode(event).violations(),
                ElementsAre("REQUIRED at event.event"));
  }
  v1::TrackEvent event = ValidEvent();
  event.set_event("Test");
  EXPECT_THAT(Encode(event).warnings(), IsEmpty());
}

TEST(NameFieldsTest, TheListIsTheDestinations) {
  const EncodingRules rules = {.denied_identities = {"system"},
                               .allowed_identities = {"null"}};
  v1::AccountProperties account;
  account.set_account_id("null");
  EXPECT_TRUE(Encode(account, rules).findings.ok());
  account.set_account_id("<System>");
  EXPECT_FALSE(Encode(account, rules).findings.ok());
}

}  // namespace
}  // namespace heapsync
