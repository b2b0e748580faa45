#include "client/cli/csv_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;

// Each row as "line:cell|cell", or "line!REASON:raw".
std::vector<std::string> Read(absl::string_view text, size_t piece = 1 << 20,
                              char delimiter = ',', size_t limit = 1 << 20) {
  CsvReader reader(delimiter, limit);
  std::vector<std::string> rows;
  const auto drain = [&] {
    while (const Row* row = reader.Next()) {
      rows.push_back(
          row->fault
              ? absl::StrCat(row->line, "!", row->fault->reason, ":", row->raw)
              : absl::StrCat(row->line, ":", absl::StrJoin(row->cells, "|")));
    }
  };
  while (!text.empty()) {
    reader.Feed(text.substr(0, piece));
    text.remove_prefix(std::min(piece, text.size()));
    drain();
  }
  reader.FinishInput();
  drain();
  return rows;
}

TEST(CsvReaderTest, SplitsRowsAndCells) {
  EXPECT_THAT(Read("a,b,c\n1,,3\n"), ElementsAre("1:a|b|c", "2:1||3"));
}

TEST(CsvReaderTest, LastRowNeedsNoLineBreak) {
  EXPECT_THAT(Read("a\nb"), ElementsAre("1:a", "2:b"));
}

TEST(CsvReaderTest, QuotedCellsHoldDelimitersQuotesAndLineBreaks) {
  EXPECT_THAT(Read("\"a,b\",\"say \"\"hi\"\"\",\"two\r\nlines\"\nnext,,\n"),
              ElementsAre("1:a,b|say \"hi\"|two\r\nlines", "3:next||"));
}

TEST(CsvReaderTest, RowsEndWithLfCrlfOrCr) {
  EXPECT_THAT(Read("a\r\nb\rc\nd"), ElementsAre("1:a", "2:b", "3:c", "4:d"));
}

TEST(CsvReaderTest, ByteOrderMarkIsSkippedEvenBeforeAQuote) {
  EXPECT_THAT(Read("\xEF\xBB\xBF\"a\",b\n"), ElementsAre("1:a|b"));
}

TEST(CsvReaderTest, EmptyLinesAreSkippedButCounted) {
  EXPECT_THAT(Read("\n\na\n\r\n\nb\n"), ElementsAre("3:a", "6:b"));
}

TEST(CsvReaderTest, AnEmptyQuotedCellIsARow) {
  EXPECT_THAT(Read("\"\"\n"), ElementsAre("1:"));
}

TEST(CsvReaderTest, EmptyTextHasNoRows) {
  EXPECT_THAT(Read(""), ElementsAre());
  EXPECT_THAT(Read("\xEF\xBB\xBF"), ElementsAre());
}

TEST(CsvReaderTest, TakesOtherDelimiters) {
  EXPECT_THAT(Read("a;b,c;\"d;e\"\n", 99, ';'), ElementsAre("1:a|b,c|d;e"));
}

TEST(CsvReaderTest, QuoteInsideAPlainCellCostsThatLine) {
  EXPECT_THAT(Read("1,5\" pipe,x\n2,ok,y\n"),
              ElementsAre("1!BAD_QUOTING:1,5\" pipe,x", "2:2|ok|y"));
}

TEST(CsvReaderTest, TextAfterAClosingQuoteCostsThatLine) {
  EXPECT_THAT(Read("\"a\"b,c\nd,e\n"),
              ElementsAre("1!BAD_QUOTING:\"a\"b,c", "2:d|e"));
}

TEST(CsvReaderTest, AForgottenQuoteCostsItsOwnLineAndNotTheNextOnes) {
  EXPECT_THAT(Read("1,\"open\n2,\"fine\",x\n3,y,z\n"),
              ElementsAre("1!BAD_QUOTING:1,\"open", "2:2|fine|x", "3:3|y|z"));
}

TEST(CsvReaderTest, AQuoteOpenAtTheEndCostsItsOwnLine) {
  EXPECT_THAT(Read("1,\"open\n2,b\n3,c"),
              ElementsAre("1!UNCLOSED_QUOTE:1,\"open", "2:2|b", "3:3|c"));
}

TEST(CsvReaderTest, LinesOfAGoodCellBeforeABadOneAreNotReadAsRows) {
  EXPECT_THAT(Read("1,\"a\nb,c\nd\",5\"x\n2,e,f\n"),
              ElementsAre("1!BAD_QUOTING:1,\"a\nb,c\nd\",5\"x", "4:2|e|f"));
}

TEST(CsvReaderTest, ALongRowIsCutAndTheNextOneIsRead) {
  EXPECT_THAT(Read("12345678\nab\n", 99, ',', 8),
              ElementsAre("1:12345678", "2:ab"));
  EXPECT_THAT(Read("123456789\nab\n", 99, ',', 8),
              ElementsAre("1!ROW_TOO_LONG:123456789", "2:ab"));
  EXPECT_THAT(Read("12345678901234567890\r\nab\n", 99, ',', 8),
              ElementsAre("1!ROW_TOO_LONG:1234567890", "2:ab"));
}

TEST(CsvReaderTest, AQuoteLeftOpenBeyondTheLimitCostsItsOwnLine) {
  EXPECT_THAT(
      Read("\"open\nab\ncd\nef\ngh\n", 99, ',', 8),
      ElementsAre("1!ROW_TOO_LONG:\"open", "2:ab", "3:cd", "4:ef", "5:gh"));
}

TEST(CsvReaderTest, RawIsTheTextOfTheRow) {
  CsvReader reader(',', 100);
  reader.Feed("\"a\nb\",c\r\n");
  EXPECT_EQ(reader.Next()->raw, "\"a\nb\",c");
}

// Stands in for a fuzzer's most useful property: no crash, and no dependence on
// how the input was cut.
TEST(CsvReaderTest, RowsDoNotDependOnWhereTheTextIsCut) {
  std::mt19937 random(7);
  const std::string alphabet = "ab,,\"\"\"\n\n\r";
  for (int round = 0; round < 3'000; ++round) {
    std::string text;
    for (size_t length = random() % 60; length > 0; --length) {
      text += alphabet[random() % alphabet.size()];
    }
    const size_t limit = 4 + random() % 20;
    const auto whole = Read(text, 1'000, ',', limit);
    ASSERT_EQ(Read(text, 1, ',', limit), whole) << absl::StrCat(text);
    ASSERT_EQ(Read(text, 1 + random() % 9, ',', limit), whole) << text;
  }
}

}  // namespace
}  // namespace heapsync
