#include "heap_adapter/encoding/findings.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/encoding/encoded_item.h"

namespace heapsync {
namespace {

TEST(FindingsTest, PathNamesTheIndexOfABulkItem) {
  EXPECT_EQ((ItemPath{.field = "event", .index = {}}).ToString(), "event");
  EXPECT_EQ((ItemPath{.field = "users", .index = 17}).ToString(), "users[17]");
}

TEST(FindingsTest, KeysInPathsAreCutAfter64Characters) {
  EXPECT_EQ(PrintableKey(Repeat("ä", 64)), Repeat("ä", 64));
  EXPECT_EQ(PrintableKey(Repeat("ä", 65)), Repeat("ä", 64) + "…");
}

TEST(FindingsTest, KeysInPathsCarryNoControlCharactersAndAreUtf8) {
  EXPECT_EQ(PrintableKey("a\nb\x7f"), "a\\u000ab\\u007f");
  EXPECT_EQ(PrintableKey("a\u0085\u00a0"), "a\\u0085\u00a0");
  EXPECT_EQ(PrintableKey("a\xff\xc3"), "a\\xff\\xc3");
}

TEST(FindingListTest, ListsExactlyAHundredFaults) {
  v1::AccountProperties account = ValidAccount();
  for (int i = 0; i < 100; ++i) {
    Property(account, absl::StrCat("k", i)).mutable_struct_value();
  }
  const EncodedItem item = Encode(account);
  ASSERT_EQ(item.findings.violations.size(), 100u);
  EXPECT_EQ(item.findings.violations.back().reason, "NESTED_OBJECT");
}

TEST(FindingListTest, SaysThatThereAreMoreThanAHundred) {
  v1::AccountProperties account = ValidAccount();
  for (int i = 0; i < 500; ++i) {
    Property(account, absl::StrCat("k", i)).mutable_struct_value();
  }
  const EncodedItem item = Encode(account);
  ASSERT_EQ(item.findings.violations.size(), 100u);
  EXPECT_EQ(item.violations().back(), "MORE_FINDINGS at account");
  EXPECT_EQ(item.findings.violations[98].reason, "NESTED_OBJECT");
}

}  // namespace
}  // namespace heapsync
