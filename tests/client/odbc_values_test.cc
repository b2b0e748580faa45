#include "client/cli/odbc_values.h"

#include <gtest/gtest.h>
#include <sql.h>
#include <sqlext.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

std::string Json(OdbcKind kind, absl::string_view text) {
  std::string json;
  AppendOdbcValue(kind, text, json);
  return json;
}

TEST(OdbcValuesTest, IntegersAreNumbersBelowTwoToThe53) {
  EXPECT_EQ(Json(OdbcKind::kInteger, "-42"), "-42");
  EXPECT_EQ(Json(OdbcKind::kInteger, "9007199254740991"), "9007199254740991");
  EXPECT_EQ(Json(OdbcKind::kInteger, "9007199254740992"),
            "\"9007199254740992\"");
}

TEST(OdbcValuesTest, TextInAColumnOfNumbersStaysText) {
  EXPECT_EQ(Json(OdbcKind::kInteger, "abc"), "\"abc\"");
  EXPECT_EQ(Json(OdbcKind::kInteger, "007"), "\"007\"");
  EXPECT_EQ(Json(OdbcKind::kDouble, "abc"), "\"abc\"");
  EXPECT_EQ(Json(OdbcKind::kBoolean, "yes"), "\"yes\"");
}

TEST(OdbcValuesTest, DecimalsAreNumbersWhereADoubleHoldsThem) {
  EXPECT_EQ(Json(OdbcKind::kDecimal, "1.10"), "1.10");
  EXPECT_EQ(Json(OdbcKind::kDecimal, ".5"), "0.5");
  EXPECT_EQ(Json(OdbcKind::kDecimal, "-.5"), "-0.5");
  EXPECT_EQ(Json(OdbcKind::kDecimal, "0.001234567890123"), "0.001234567890123");
  EXPECT_EQ(Json(OdbcKind::kDecimal, "1234567890.123456"),
            "\"1234567890.123456\"");
  EXPECT_EQ(Json(OdbcKind::kDecimal, "NaN"), "\"NaN\"");
}

TEST(OdbcValuesTest, BooleansAreBooleans) {
  EXPECT_EQ(Json(OdbcKind::kBoolean, "1"), "true");
  EXPECT_EQ(Json(OdbcKind::kBoolean, "0"), "false");
  EXPECT_EQ(Json(OdbcKind::kBoolean, "\x01"), "true");
  EXPECT_EQ(Json(OdbcKind::kBoolean, std::string(1, '\0')), "false");
}

TEST(OdbcValuesTest, TimestampsAreRfc3339WithTheirPrecision) {
  EXPECT_EQ(Json(OdbcKind::kTimestamp, "2024-01-15 10:30:00"),
            "\"2024-01-15T10:30:00Z\"");
  EXPECT_EQ(Json(OdbcKind::kTimestamp, "2024-01-15 10:30:00.000"),
            "\"2024-01-15T10:30:00Z\"");
  EXPECT_EQ(Json(OdbcKind::kTimestamp, "2024-01-15T10:30:00.123456789"),
            "\"2024-01-15T10:30:00.123456789Z\"");
  EXPECT_EQ(Json(OdbcKind::kTimestamp, "2024-01-15 10:30:00.5 +0530"),
            "\"2024-01-15T10:30:00.5+05:30\"");
  EXPECT_EQ(Json(OdbcKind::kTimestamp, "2024-01-15 10:30:00-08"),
            "\"2024-01-15T10:30:00-08:00\"");
  EXPECT_EQ(Json(OdbcKind::kTimestamp, "not a time"), "\"not a time\"");
  for (const char* zero : {"0000-00-00 00:00:00", "2024-02-00 00:00:00"}) {
    EXPECT_EQ(Json(OdbcKind::kTimestamp, zero), absl::StrCat("\"", zero, "\""));
  }
}

TEST(OdbcValuesTest, JsonIsEmbeddedOnOneLine) {
  EXPECT_EQ(Json(OdbcKind::kJson, "{\"a\":\n[1, \"x\\ny\"]}"),
            "{\"a\": [1, \"x\\ny\"]}");
  EXPECT_EQ(Json(OdbcKind::kJson, "\"x\""), "\"x\"");
  EXPECT_EQ(Json(OdbcKind::kJson, "{broken"), "\"{broken\"");
}

TEST(OdbcValuesTest, ObjectsAndListsOfAnUnknownTypeAreJson) {
  EXPECT_EQ(Json(OdbcKind::kUnknown, "{\"a\": 1}"), "{\"a\": 1}");
  EXPECT_EQ(Json(OdbcKind::kUnknown, "[1, 2]"), "[1, 2]");
  EXPECT_EQ(Json(OdbcKind::kUnknown, "{1,2}"), "\"{1,2}\"");
  EXPECT_EQ(Json(OdbcKind::kUnknown, "5"), "\"5\"");
}

TEST(OdbcValuesTest, TextIsEscapedAndOtherwiseUnchanged) {
  EXPECT_EQ(Json(OdbcKind::kText, std::string("a\"\\\n\t\x01\0é", 9)),
            "\"a\\\"\\\\\\n\\t\\u0001\\u0000é\"");
  EXPECT_EQ(Json(OdbcKind::kText, "\xff"), "\"\xff\"");
}

TEST(OdbcValuesTest, KindsFollowTheTypeUnlessItsNameSaysJson) {
  EXPECT_EQ(KindOf(SQL_BIGINT, "int8"), OdbcKind::kInteger);
  EXPECT_EQ(KindOf(SQL_VARCHAR, "JSON"), OdbcKind::kJson);
  EXPECT_EQ(KindOf(SQL_VARCHAR, "unknown"), OdbcKind::kUnknown);
  EXPECT_EQ(KindOf(SQL_WLONGVARCHAR, "text"), OdbcKind::kText);
  EXPECT_EQ(KindOf(SQL_LONGVARBINARY, "bytea"), OdbcKind::kBinary);
  EXPECT_EQ(KindOf(SQL_TYPE_DATE, "date"), OdbcKind::kText);
}

TEST(OdbcValuesTest, ZonesAreSeenInTheNamesOfTypes) {
  for (const char* zoned : {"timestamptz", "TIMESTAMP_TZ", "TIMESTAMP_LTZ",
                            "timestamp with time zone", "datetimeoffset",
                            "TIMESTAMP WITH LOCAL TIME ZONE"}) {
    EXPECT_TRUE(HasTimeZone(zoned, "psqlodbcw.so")) << zoned;
  }
  for (const char* plain :
       {"timestamp", "timestamp without time zone", "datetime2", "text"}) {
    EXPECT_FALSE(HasTimeZone(plain, "psqlodbcw.so")) << plain;
  }
  EXPECT_TRUE(HasTimeZone("timestamp", "libmaodbc.so"));
  EXPECT_FALSE(HasTimeZone("datetime", "libmaodbc.so"));
}

TEST(OdbcValuesTest, ConnectionStringsAreSplitAtSemicolonsOutsideOfBraces) {
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(ConnectionAttributes("Driver={A; B};PWD={p}}w};UID=me;"),
            (Pairs{{"Driver", "A; B"}, {"PWD", "p}w"}, {"UID", "me"}}));
  EXPECT_EQ(ConnectionAttributes("DSN=warehouse"),
            (Pairs{{"DSN", "warehouse"}}));
}

TEST(OdbcValuesTest, SecretsAreKnownByTheirNames) {
  for (const char* secret : {"PWD", "Password", "AccessToken",
                             "Auth_Client_"
                             "Secret",
                             "PRIV_KEY_PWD", "ApiKey"}) {
    EXPECT_TRUE(IsSecretAttribute(secret)) << secret;
  }
  for (const char* plain : {"DSN", "UID", "Server", "PRIV_KEY_FILE"}) {
    EXPECT_FALSE(IsSecretAttribute(plain)) << plain;
  }
}

}  // namespace
}  // namespace heapsync
