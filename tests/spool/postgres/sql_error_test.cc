#include "heap_adapter/spool/postgres/sql_error.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

absl::StatusCode CodeOf(absl::string_view sql_state) {
  return SqlError(sql_state, "text").code();
}

TEST(SqlErrorTest, WhatPassesByItselfIsTriedAgain) {
  for (const char* state :
       {"", "08006", "57P01", "57P02", "57P03", "57014", "40001", "40P01",
        "40003", "25006", "53300", "55P03"}) {
    EXPECT_EQ(CodeOf(state), absl::StatusCode::kUnavailable) << state;
  }
}

TEST(SqlErrorTest, ShortageOfSpaceOrMemoryIsAFullSpool) {
  for (const char* state : {"53000", "53100", "53200", "53400"}) {
    EXPECT_EQ(CodeOf(state), absl::StatusCode::kResourceExhausted) << state;
  }
}

TEST(SqlErrorTest, AWrongSetUpIsNamed) {
  for (const char* state :
       {"28P01", "28000", "3D000", "42501", "42P01", "0A000"}) {
    EXPECT_EQ(CodeOf(state), absl::StatusCode::kFailedPrecondition) << state;
  }
  EXPECT_THAT(std::string(SqlError("28P01", "no such user").message()),
              HasSubstr("no such user"));
}

TEST(SqlErrorTest, WhatMayQuoteAnEntryIsNotQuoted) {
  for (const char* state : {"22021", "22P03", "23505", "XX000", "P0001"}) {
    const absl::Status error = SqlError(state, "key user@example.com");
    EXPECT_EQ(error.code(), absl::StatusCode::kInternal) << state;
    EXPECT_THAT(std::string(error.message()), Not(HasSubstr("example.com")));
    EXPECT_THAT(std::string(error.message()), HasSubstr(state));
  }
}

TEST(SqlErrorTest, TheSqlStateIsFoundWhateverTheLanguage) {
  EXPECT_EQ(SqlStateIn("connection to server failed: FATAL:  28P01\n"),
            "28P01");
  EXPECT_EQ(SqlStateIn("FATAL:  57P03\nFATAL:  3D000\n"), "3D000");
  EXPECT_EQ(SqlStateIn("connection to server at \"db\" failed: refused"), "");
  EXPECT_EQ(SqlStateIn("connection to server at \"db\", port 53100 failed"),
            "");
}

}  // namespace
}  // namespace heapsync
