// Fields of items, and what a chunk holds. Properties: property_rules_test.cc.
#include "heap_adapter/encoding/chunk_encoder.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/encoding/encoded_item.h"

namespace heapsync {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

TEST(ChunkEncoderTest, WritesTheFieldsOfAnEventInAFixedOrder) {
  v1::TrackEvent event = ValidEvent();
  event.mutable_timestamp()->set_seconds(1'705'314'600);
  Property(event, "currency").set_string_value("USD");
  Property(event, "amount").set_string_value("49.99");
  event.set_session_id("s-1");
  event.set_idempotency_key("order-1234");
  EXPECT_EQ(Encode(event).text,
            R"({"identity":"user@example.com","event":"Purchase Completed",)"
            R"("timestamp":"2024-01-15T10:30:00Z",)"
            R"("properties":{"amount":"49.99","currency":"USD"},)"
            R"("session_id":"s-1","idempotency_key":"order-1234"})");
}

TEST(ChunkEncoderTest, FixesTimestampAndKeyOfAnEventThatBringsNone) {
  EXPECT_EQ(Encode(ValidEvent()).text,
            R"({"identity":"user@example.com","event":"Purchase Completed",)"
            R"("timestamp":"2024-01-15T10:30:00Z",)"
            R"("idempotency_key":"00000000-0000-5000-8000-000000000001"})");
}

TEST(ChunkEncoderTest, WritesUsersAndAccounts) {
  v1::UserProperties user = ValidUser();
  Property(user, "plan").set_string_value("Enterprise");
  EXPECT_EQ(
      Encode(user).text,
      R"({"identity":"user@example.com","properties":{"plan":"Enterprise"}})");
  v1::AccountProperties account = ValidAccount();
  Property(account, "arr").set_number_value(150000);
  EXPECT_EQ(Encode(account).text,
            R"({"account_id":"acme-corp","properties":{"arr":150000}})");
}

TEST(ChunkEncoderTest, NamesEveryMissingField) {
  EXPECT_THAT(
      Encode(v1::TrackEvent()).violations(),
      ElementsAre("REQUIRED at event.identity", "REQUIRED at event.event"));
  EXPECT_THAT(Encode(v1::UserProperties()).violations(),
              ElementsAre("REQUIRED at user.identity"));
  EXPECT_THAT(Encode(v1::AccountProperties()).violations(),
              ElementsAre("REQUIRED at account.account_id"));
}

TEST(ChunkEncoderTest, FindsAllFaultsOfAnItemAtOnce) {
  v1::TrackEvent event;
  event.set_identity("NULL");
  event.set_user_id("-1");
  event.mutable_timestamp()->set_nanos(-1);
  event.set_session_id(Repeat("s", 1'024));
  event.set_idempotency_key("short");
  Property(event, "").set_string_value("x");
  Property(event, "list").mutable_list_value()->add_values();
  Property(event, "nested").mutable_struct_value();
  EXPECT_THAT(Encode(event).violations(),
              UnorderedElementsAre("IDENTITY_AND_USER_ID at event.user_id",
                                   "IDENTITY_DENIED at event.identity",
                                   "USER_ID_INVALID at event.user_id",
                                   "REQUIRED at event.event",
                                   "TIMESTAMP_OUT_OF_RANGE at event.timestamp",
                                   "VALUE_TOO_LONG at event.session_id",
                                   "VALUE_TOO_SHORT at event.idempotency_key",
                                   "KEY_EMPTY at event.properties.",
                                   "VALUE_UNSET at event.properties.list[0]",
                                   "NESTED_OBJECT at event.properties.nested"));
}

TEST(ChunkEncoderTest, DescriptionsNeverCarryTheValue) {
  v1::UserProperties user;
  user.set_identity("secret" + Repeat("x", 300));
  user.set_email("secret" + Repeat("x", 2'000));
  Property(user, "plan").set_string_value("secret" + Repeat("x", 2'000));
  Property(user, "list")
      .mutable_list_value()
      ->add_values()
      ->set_string_value("secret" + Repeat("x", 2'000));
  for (const Finding& finding : Encode(user).findings.violations) {
    EXPECT_THAT(finding.field + finding.description, Not(HasSubstr("secret")));
  }
}

// A field, and the fewest and most UTF-16 units that it may have.
struct Bounds {
  const char* field;
  size_t min;
  size_t max;
};

class FieldBoundsTest : public testing::TestWithParam<Bounds> {
 protected:
  static EncodedItem EncodeWith(const std::string& text) {
    const std::string field = GetParam().field;
    if (field == "account.account_id") {
      v1::AccountProperties account;
      account.set_account_id(text);
      return Encode(account);
    }
    if (field == "user.identity" || field == "user.email") {
      v1::UserProperties user = ValidUser();
      (field == "user.email" ? *user.mutable_email()
                             : *user.mutable_identity()) = text;
      return Encode(user);
    }
    v1::TrackEvent event = ValidEvent();
    if (field == "event.identity") event.set_identity(text);
    if (field == "event.event") event.set_event(text);
    if (field == "event.session_id") event.set_session_id(text);
    if (field == "event.idempotency_key") event.set_idempotency_key(text);
    return Encode(event);
  }
};

TEST_P(FieldBoundsTest, TakesTheLongest) {
  const size_t max = GetParam().max;
  EXPECT_THAT(EncodeWith(Repeat("x", max)).violations(), IsEmpty());
  EXPECT_THAT(EncodeWith(Repeat("€", max)).violations(), IsEmpty());
  EXPECT_THAT(EncodeWith(Repeat("😀", max / 2)).violations(), IsEmpty());
}

TEST_P(FieldBoundsTest, RefusesOneMore) {
  const size_t max = GetParam().max;
  const auto refused =
      ElementsAre(std::string("VALUE_TOO_LONG at ") + GetParam().field);
  EXPECT_THAT(EncodeWith(Repeat("x", max + 1)).violations(), refused);
  EXPECT_THAT(EncodeWith(Repeat("€", max + 1)).violations(), refused);
  EXPECT_THAT(EncodeWith(Repeat("😀", max / 2 + 1)).violations(), refused);
  EXPECT_THAT(EncodeWith(Repeat("x", 1'000'000)).violations(), refused);
}

TEST_P(FieldBoundsTest, TakesTheShortestAndRefusesOneLess) {
  const size_t min = GetParam().min;
  EXPECT_THAT(EncodeWith(Repeat("x", min)).violations(), IsEmpty());
  if (min > 1) {
    EXPECT_THAT(
        EncodeWith(Repeat("x", min - 1)).violations(),
        ElementsAre(std::string("VALUE_TOO_SHORT at ") + GetParam().field));
  }
}

TEST_P(FieldBoundsTest, RefusesBadUtf8) {
  EXPECT_THAT(EncodeWith("abcdefgh\xff").violations(),
              ElementsAre(std::string("INVALID_UTF8 at ") + GetParam().field));
}

INSTANTIATE_TEST_SUITE_P(AllFields, FieldBoundsTest,
                         testing::Values(Bounds{"event.identity", 1, 255},
                                         Bounds{"event.event", 1, 1'024},
                                         Bounds{"event.session_id", 1, 1'023},
                                         Bounds{"event.idempotency_key", 8,
                                                255},
                                         Bounds{"user.identity", 1, 255},
                                         Bounds{"user.email", 1, 1'023},
                                         Bounds{"account.account_id", 1, 255}));

TEST(ChunkEncoderTest, RefusesDeniedIdentitiesInAnyCasing) {
  for (const char* identity : {"null", "NULL", "Undefined", "0", " ", "\t\n"}) {
    v1::UserProperties user;
    user.set_identity(identity);
    EXPECT_THAT(Encode(user).violations(),
                ElementsAre("IDENTITY_DENIED at user.identity"))
        << identity;
  }
}

TEST(ChunkEncoderTest, SendsIdentitiesUnchanged) {
  for (const char* identity : {"User@Example.COM", " padded ", "nullable"}) {
    v1::UserProperties user;
    user.set_identity(identity);
    EXPECT_EQ(Encode(user).json()["identity"], identity);
  }
}

TEST(ChunkEncoderTest, DenyListIsTheDestinations) {
  const EncodingRules rules = {.denied_identities = {"system"},
                               .allowed_identities = {"null"}};
  v1::UserProperties user;
  user.set_identity("null");
  EXPECT_TRUE(Encode(user, rules).findings.ok());
  user.set_identity("System");
  EXPECT_FALSE(Encode(user, rules).findings.ok());
}

EncodedItem EventAt(int64_t seconds, int32_t nanos = 0) {
  v1::TrackEvent event = ValidEvent();
  event.mutable_timestamp()->set_seconds(seconds);
  event.mutable_timestamp()->set_nanos(nanos);
  return Encode(event);
}

TEST(ChunkEncoderTest, WarnsOfImplausibleTimesAndSendsThem) {
  constexpr int64_t kAccepted = 1'705'314'600;
  constexpr int64_t kDay = 86'400;
  struct Case {
    int64_t seconds;
    const char* text;
  };
  for (const Case& c : {Case{0, "1970-01-01T00:00:00Z"},
                        Case{-62135596800, "0001-01-01T00:00:00Z"},
                        Case{253402300799, "9999-12-31T23:59:59Z"},
                        Case{-1, "1969-12-31T23:59:59Z"},
                        Case{946'684'799, "1999-12-31T23:59:59Z"},
                        Case{kAccepted + kDay + 1, "2024-01-16T10:30:01Z"}}) {
    const EncodedItem item = EventAt(c.seconds);
    EXPECT_EQ(item.json()["timestamp"], c.text);
    EXPECT_THAT(item.warnings(),
                ElementsAre("TIMESTAMP_IMPLAUSIBLE at event.timestamp"));
  }
  EXPECT_EQ(EventAt(-1, 999'000'000).json()["timestamp"],
            "1969-12-31T23:59:59.999Z");
  for (const int64_t seconds :
       {int64_t{946'684'800}, kAccepted, kAccepted + kDay}) {
    EXPECT_THAT(EventAt(seconds).warnings(), IsEmpty()) << seconds;
  }
}

TEST(ChunkEncoderTest, AnEmptyTimestampIsTheStartOf1970) {
  v1::TrackEvent event = ValidEvent();
  event.mutable_timestamp();
  EXPECT_EQ(Encode(event).json()["timestamp"], "1970-01-01T00:00:00Z");
  EXPECT_THAT(Encode(event).warnings(),
              ElementsAre("TIMESTAMP_IMPLAUSIBLE at event.timestamp"));
}

TEST(ChunkEncoderTest, RefusesTimesOutOfRange) {
  const auto refused = ElementsAre("TIMESTAMP_OUT_OF_RANGE at event.timestamp");
  EXPECT_THAT(EventAt(-62135596801).violations(), refused);
  EXPECT_THAT(EventAt(253402300800).violations(), refused);
  EXPECT_THAT(EventAt(0, -1).violations(), refused);
  EXPECT_THAT(EventAt(0, 1'000'000'000).violations(), refused);
}

TEST(ChunkEncoderTest, TakesUserIdsUpTo2To53MinusOne) {
  for (const char* id : {"0", "1", "9007199254740991"}) {
    v1::TrackEvent event = ValidEvent();
    event.clear_identity();
    event.set_user_id(id);
    const Json json = Encode(event).json();
    EXPECT_EQ(json["user_id"], id);
    EXPECT_FALSE(json.contains("identity"));
  }
}

TEST(ChunkEncoderTest, RefusesOtherUserIds) {
  for (const char* id : {"9007199254740992", "18446744073709551616", "-1", "+1",
                         "01", "00", "1.0", "1e3", " 1", "1 ", "abc", "１"}) {
    v1::TrackEvent event = ValidEvent();
    event.clear_identity();
    event.set_user_id(id);
    EXPECT_THAT(Encode(event).violations(),
                ElementsAre("USER_ID_INVALID at event.user_id"))
        << id;
  }
}

TEST(ChunkEncoderTest, RefusesIdentityTogetherWithUserId) {
  v1::TrackEvent event = ValidEvent();
  event.set_user_id("17");
  EXPECT_THAT(Encode(event).violations(),
              ElementsAre("IDENTITY_AND_USER_ID at event.user_id"));
}

TEST(ChunkEncoderTest, EmailFillsTheProperty) {
  v1::UserProperties user = ValidUser();
  user.set_email("a\"b@example.com");
  Property(user, "a").set_number_value(1);
  Property(user, "z").set_number_value(2);
  EXPECT_THAT(Encode(user).text,
              HasSubstr(R"({"a":1,"email":"a\"b@example.com","z":2})"));
}

TEST(ChunkEncoderTest, EmailMayBeGivenTwiceIfItIsTheSame) {
  v1::UserProperties user = ValidUser();
  user.set_email("a@example.com");
  Property(user, "email").set_string_value("a@example.com");
  EXPECT_EQ(Encode(user).properties(), Json({{"email", "a@example.com"}}));
  Property(user, "email").set_null_value({});
  EXPECT_EQ(Encode(user).properties(), Json({{"email", "a@example.com"}}));
}

TEST(ChunkEncoderTest, RefusesTwoDifferentEmails) {
  v1::UserProperties user = ValidUser();
  user.set_email("a@example.com");
  Property(user, "email").set_string_value("A@example.com");
  EXPECT_THAT(Encode(user).violations(),
              ElementsAre("EMAIL_CONFLICT at user.email"));
  Property(user, "email").set_number_value(1);
  EXPECT_THAT(Encode(user).violations(),
              ElementsAre("EMAIL_CONFLICT at user.email"));
}

TEST(ChunkEncoderTest, ARefusedItemLeavesTheChunkAsItWas) {
  const EncodingRules rules;
  ChunkEncoder encoder(rules, kTestAcceptedAt);
  const ItemPath path = {.field = "users", .index = 0};
  ASSERT_TRUE(encoder.Add(ValidUser(), path).ok());
  const size_t size = encoder.text_size();

  v1::UserProperties bad = ValidUser();
  Property(bad, "good").set_string_value("x");
  Property(bad, "worse").mutable_struct_value();
  EXPECT_FALSE(encoder.Add(bad, path).ok());

  EXPECT_EQ(encoder.size(), 1u);
  EXPECT_EQ(encoder.text_size(), size);
  ASSERT_TRUE(encoder.Add(ValidUser(), path).ok());
  const std::string one = R"({"identity":"user@example.com"})";
  EXPECT_EQ(encoder.Take().text, one + one);
}

TEST(ChunkEncoderTest, ChunkKnowsItsItems) {
  const EncodingRules rules;
  ChunkEncoder encoder(rules, kTestAcceptedAt);
  const ItemPath path = {.field = "events", .index = 0};
  v1::TrackEvent by_user_id = ValidEvent();
  by_user_id.clear_identity();
  by_user_id.set_user_id("17");
  ASSERT_TRUE(encoder.Add(ValidEvent(), path, kTestKey).ok());
  ASSERT_TRUE(encoder.Add(by_user_id, path, kTestKey).ok());

  const EncodedChunk chunk = encoder.Take();
  EXPECT_EQ(chunk.accepted_at, kTestAcceptedAt);
  ASSERT_EQ(chunk.items.size(), 2u);
  EXPECT_EQ(chunk.text.substr(0, chunk.items[0].size),
            Encode(ValidEvent()).text);
  EXPECT_EQ(chunk.text.substr(chunk.items[0].size), Encode(by_user_id).text);
  EXPECT_EQ(chunk.items[0].identity_hash, HashIdentity("user@example.com"));
  EXPECT_EQ(chunk.items[1].identity_hash, HashUserId("17"));
}

TEST(ChunkEncoderTest, IsEmptyAfterTakeAndGoesOn) {
  const EncodingRules rules;
  ChunkEncoder encoder(rules, kTestAcceptedAt);
  const ItemPath path = {.field = "accounts", .index = 0};
  encoder.Reserve(10, 1'000);
  ASSERT_TRUE(encoder.Add(ValidAccount(), path).ok());
  const EncodedChunk first = encoder.Take();
  EXPECT_EQ(encoder.size(), 0u);
  EXPECT_EQ(encoder.text_size(), 0u);
  ASSERT_TRUE(encoder.Add(ValidAccount(), path).ok());
  const EncodedChunk second = encoder.Take();
  EXPECT_EQ(second.text, first.text);
  EXPECT_EQ(second.accepted_at, first.accepted_at);
}

// The hashes are stored on disk: these values must never change.
TEST(ChunkEncoderTest, HashesAreStable) {
  EXPECT_EQ(HashIdentity("user@example.com"), 177853267088771956u);
  EXPECT_EQ(HashUserId("17"), 704678328753344541u);
  EXPECT_NE(HashUserId("17"), HashIdentity("17"));
}

TEST(ChunkEncoderTest, RefusesAnItemOfMoreThan512Kibibytes) {
  v1::AccountProperties account = ValidAccount();
  for (int i = 0; i < 1'000; ++i) {
    Property(account, absl::StrCat(i)).set_string_value(Repeat("x", 500));
  }
  EXPECT_TRUE(Encode(account).findings.ok());
  for (int i = 0; i < 1'000; ++i) {
    Property(account, absl::StrCat(i)).set_string_value(Repeat("x", 1'000));
  }
  EXPECT_THAT(Encode(account).violations(),
              ElementsAre("ITEM_TOO_LARGE at account"));
}

}  // namespace
}  // namespace heapsync
