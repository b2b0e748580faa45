#include "client/cli/table.h"

#include <gtest/gtest.h>

namespace heapsync {
namespace {

TEST(TableTest, ColumnsLineUpAndLinesDoNotEndInSpaces) {
  Table table({{"NAME"}, {"QUEUED", Table::Align::kRight}, {"REMARK"}});
  EXPECT_TRUE(table.empty());
  table.AddRow({"prod", "12,345", ""});
  table.AddRow({"europe", "0", "fine"});
  EXPECT_FALSE(table.empty());
  EXPECT_EQ(table.ToString(),
            "NAME    QUEUED  REMARK\n"
            "prod    12,345\n"
            "europe       0  fine\n");
}

TEST(TableTest, ControlCharactersAreEscaped) {
  Table table({{"NAME"}, {"N"}});
  table.AddRow({"\x1b]0;x\x07", "1"});
  EXPECT_EQ(table.ToString(), "NAME          N\n\\x1b]0;x\\x07  1\n");
}

TEST(TableTest, ACharacterOfSeveralBytesIsOneColumn) {
  Table table({{"ID"}, {"N"}});
  table.AddRow({"…7890", "1"});
  table.AddRow({"12345", "2"});
  EXPECT_EQ(table.ToString(), "ID     N\n…7890  1\n12345  2\n");
}

}  // namespace
}  // namespace heapsync
