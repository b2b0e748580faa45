#include "client/cli/csv_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;

// Each row as "line:cell|cell" or "line!REASON:raw", or "line!!REASON" where
// it ends the input.
std::vector<std::string> ReadAs(const CsvDialect& dialect,
                                absl::string_view text, size_t piece = 1 << 20,
                                size_t limit = 1 << 20) {
  CsvReader reader(dialect, limit);
  std::vector<std::string> rows;
  const auto drain = [&] {
    while (const Row* row = reader.Next()) {
      if (!row->fault) {
        rows.push_back(
            absl::StrCat(row->line, ":", absl::StrJoin(row->cells, "|")));
      } else if (row->fault->extent == RowFault::Extent::kRow) {
        rows.push_back(
            absl::StrCat(row->line, "!", row->fault->reason, ":", row->raw));
      } else {
        rows.push_back(absl::StrCat(row->line, "!!", row->fault->reason));
      }
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

std::vector<std::string> Read(absl::string_view text, size_t piece = 1 << 20,
                              char delimiter = ',', size_t limit = 1 << 20) {
  return ReadAs({.delimiter = delimiter}, text, piece, limit);
}

constexpr CsvDialect kDoubled{.escape = CsvEscape::kDoubled};
constexpr CsvDialect kBackslash{.escape = CsvEscape::kBackslash};

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

TEST(CsvReaderTest, RowsEndWithLfOrCrlf) {
  EXPECT_THAT(Read("a\r\nb\nc\r\nd"), ElementsAre("1:a", "2:b", "3:c", "4:d"));
}

TEST(CsvReaderTest, RowsEndWithCrWhereTheFirstDoes) {
  EXPECT_THAT(Read("a\rb\rc"), ElementsAre("1:a", "2:b", "3:c"));
  EXPECT_THAT(Read("a,b\nc,d\re,f\n"), ElementsAre("1:a|b", "2:c|d\re|f"));
  EXPECT_THAT(Read("a,b\rc,d\ne,f\r"), ElementsAre("1:a|b", "2:c|d\ne|f"));
}

TEST(CsvReaderTest, RowsOfDelimitersOnlyAreSkippedLikeEmptyLines) {
  EXPECT_THAT(Read(",,\na,b,\n,,\n,,\r\n\"\",,\nc,,\n,,"),
              ElementsAre("2:a|b|", "5:||", "6:c||"));
  EXPECT_THAT(Read("   \na,b\n\t\n , \n\" \",\n  c, \n  "),
              ElementsAre("2:a|b", "5: |", "6:  c| "));
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
  EXPECT_THAT(Read("1,5\" pipe\n2,\"\",\"quoted, \"\"cell\"\"\"\n3,z\n"),
              ElementsAre("1!BAD_QUOTING:1,5\" pipe", "2:2||quoted, \"cell\"",
                          "3:3|z"));
  EXPECT_THAT(
      Read("1,say \"hi\" now,\"two\nlines\"\n2,x,y\n"),
      ElementsAre("1!BAD_QUOTING:1,say \"hi\" now,\"two\nlines\"", "3:2|x|y"));
}

TEST(CsvReaderTest, NothingIsReadBehindAQuoteInAPlainCellThatMayBeOpen) {
  EXPECT_THAT(Read("a,said \"hi\nb,forged\nend\"\nc,ok\n"),
              ElementsAre("1!!AMBIGUOUS_QUOTE"));
  EXPECT_THAT(Read("a,said \"hi\nb,forged\nend\" and so on\nc,ok\n"),
              ElementsAre("1!!AMBIGUOUS_QUOTE"));
  EXPECT_THAT(Read("a,5\" x,y\nb,z\n0123456789", 99, ',', 10),
              ElementsAre("1!!AMBIGUOUS_QUOTE"));
}

TEST(CsvReaderTest, NothingIsReadBehindAQuoteAfterWhiteSpace) {
  EXPECT_THAT(Read("a, \"hi\nb,forged\nend\"\nc,ok\n"),
              ElementsAre("1!!AMBIGUOUS_QUOTE"));
  EXPECT_THAT(Read("a,\t\"hi\"\nc,ok\n"), ElementsAre("1!!AMBIGUOUS_QUOTE"));
}

TEST(CsvReaderTest, NothingIsReadBehindTextAfterAClosingQuote) {
  EXPECT_THAT(Read("ok,x\n\"a\"b,c\nd,e\n"),
              ElementsAre("1:ok|x", "2!!BAD_QUOTING"));
  EXPECT_THAT(Read("\"a\" ,c\nd,e\n"), ElementsAre("1!!BAD_QUOTING"));
  EXPECT_THAT(Read("a,b\n\"c\"\rd,e\n"),
              ElementsAre("1:a|b", "2!!BAD_QUOTING"));
  EXPECT_THAT(Read("1,\"open\n2,\"fine\",x\n3,y,z\n"),
              ElementsAre("1!!BAD_QUOTING"));
}

TEST(CsvReaderTest, NothingIsReadBehindAQuoteThatIsNeverClosed) {
  EXPECT_THAT(Read("1,\"open\n2,b\n3,c"), ElementsAre("1!!UNCLOSED_QUOTE"));
  EXPECT_THAT(Read("\"open\nab\ncd\nef\ngh\n", 99, ',', 8),
              ElementsAre("1!!UNCLOSED_QUOTE"));
}

TEST(CsvReaderTest, NothingIsReadBehindAQuoteThatABackslashMayEscape) {
  // What Spark writes for: he said "hi", a line of another row, end".
  EXPECT_THAT(Read("a,\"he said \\\"hi\\\"\nb,forged\nend\"\nc,ok\n"),
              ElementsAre("1!!AMBIGUOUS_ESCAPE"));
  EXPECT_THAT(Read("a,\"x\\\",\nb,forged\n\\\"end\"\nc,ok\n"),
              ElementsAre("1!!AMBIGUOUS_ESCAPE"));
  EXPECT_THAT(Read("a,\"he said \\\"\"\nb,x,\"y\\\"\"\nc,ok\n"),
              ElementsAre("1!!AMBIGUOUS_ESCAPE"));
  EXPECT_THAT(Read("a,\"C:\\\"\n"), ElementsAre("1!!AMBIGUOUS_ESCAPE"));
  EXPECT_THAT(Read("a,\"C:\\"), ElementsAre("1!!UNCLOSED_QUOTE"));
}

TEST(CsvReaderTest, NothingIsReadBehindALineEndThatABackslashMayEscape) {
  // What MySQL writes for a line break in a cell that is not quoted.
  EXPECT_THAT(Read("a,x\\\nb,forged\nc,ok\n"),
              ElementsAre("1!!AMBIGUOUS_ESCAPE"));
  EXPECT_THAT(Read("a,x\\\\\nb,ok\n"), ElementsAre("1:a|x\\\\", "2:b|ok"));
}

TEST(CsvReaderTest, BackslashesThatChangeNoEndAreText) {
  EXPECT_THAT(Read("\"C:\\dir\\\\\",\\N,a\\b\n"),
              ElementsAre("1:C:\\dir\\\\|\\N|a\\b"));
  // JSON with a quote in a string, as RFC 4180 writes it.
  EXPECT_THAT(Read("\"{\"\"a\"\":\"\"x\\\"\",\\\"\"\"\"}\",b\n"),
              ElementsAre("1:{\"a\":\"x\\\",\\\"\"}|b"));
}

TEST(CsvReaderTest, WithDoubledQuotesABackslashIsText) {
  EXPECT_THAT(ReadAs(kDoubled, "\"C:\\\",x\\\n\"a\\\"\"\",b\n"),
              ElementsAre("1:C:\\|x\\", "2:a\\\"|b"));
}

TEST(CsvReaderTest, WithBackslashesQuotesDelimitersAndLineBreaksAreEscaped) {
  EXPECT_THAT(
      ReadAs(kBackslash,
             "a,\"he said \\\"hi\\\"\nb,forged\nend\"\nc,x\\\ny\\,z\\\\\n"
             "\\N,\"\",\"C:\\dir\\\\\"\r\nd,e\\\r\nf,\\"),
      ElementsAre("1:a|he said \"hi\"\nb,forged\nend", "4:c|x\ny,z\\",
                  "6:\\N||C:\\dir\\", "7:d|e\r\nf|\\"));
  EXPECT_THAT(ReadAs(kBackslash, "\"a\"\"b\"\nc\n"),
              ElementsAre("1!!BAD_QUOTING"));
}

// As Spark writes: only what needs quotes has escapes.
TEST(CsvReaderTest, SparkEscapesWithinQuotesOnly) {
  EXPECT_THAT(
      ReadAs({.escape = CsvEscape::kSpark},
             "0,\"a, b\\\\\",z\n1,\"q\\\"\\\\\",z\n2,\"\\\\\\\"\",z\n"
             "3,\\,z\n4,a\\\\b,z\n5,C:\\dir\\,\\\n6,\"\",\\N\n"),
      ElementsAre("1:0|a, b\\|z", "2:1|q\"\\|z", "3:2|\\\"|z", "4:3|\\|z",
                  "5:4|a\\\\b|z", "6:5|C:\\dir\\|\\", "7:6||\\N"));
}

// As PostgreSQL's COPY and mysql --batch write.
TEST(CsvReaderTest, WithoutQuotesLettersBehindBackslashesAreControlCharacters) {
  EXPECT_THAT(ReadAs({.delimiter = '\t',
                      .escape = CsvEscape::kBackslash,
                      .quoting = CsvQuoting::kNone},
                     "a\tone\\ntwo\\tthree\t\\N\tC:\\\\new\t\"\n"),
              ElementsAre("1:a|one\ntwo\tthree|\\N|C:\\new|\""));
}

TEST(CsvReaderTest, WithoutQuotingAQuoteIsText) {
  EXPECT_THAT(ReadAs({.quoting = CsvQuoting::kNone}, "\"a,5\" x\nb\",\"\n"),
              ElementsAre("1:\"a|5\" x", "2:b\"|\""));
}

TEST(CsvReaderTest, ALongRowIsCutAndTheNextOneIsRead) {
  EXPECT_THAT(Read("12345678\nab\n", 99, ',', 8),
              ElementsAre("1:12345678", "2:ab"));
  EXPECT_THAT(Read("123456789\nab\n", 99, ',', 8),
              ElementsAre("1!ROW_TOO_LONG:12345678", "2:ab"));
  EXPECT_THAT(Read("12345678901234567890\r\nab\n", 99, ',', 8),
              ElementsAre("1!ROW_TOO_LONG:12345678", "2:ab"));
}

TEST(CsvReaderTest, LinesOfALongCellAreNotReadAsRows) {
  EXPECT_THAT(Read("a,\"1234567890\nb,forged\nend\",\"\nx\"\ncd\n", 99, ',', 8),
              ElementsAre("1!ROW_TOO_LONG:a,\"12345", "5:cd"));
}

TEST(CsvReaderTest, RawIsTheTextOfTheRow) {
  CsvReader reader({}, 100);
  reader.Feed("\"a\nb\",c\r\n");
  EXPECT_EQ(reader.Next()->raw, "\"a\nb\",c");
}

// Stands in for a fuzzer's most useful property: no crash, and no dependence on
// how the input was cut.
TEST(CsvReaderTest, RowsDoNotDependOnWhereTheTextIsCut) {
  std::mt19937 random(7);
  const std::string alphabet = "ab,, \"\"\"\n\n\r\\";
  for (int round = 0; round < 6'000; ++round) {
    std::string text;
    for (size_t length = random() % 60; length > 0; --length) {
      text += alphabet[random() % alphabet.size()];
    }
    const size_t limit = 4 + random() % 20;
    const CsvDialect dialect{.escape = static_cast<CsvEscape>(random() % 4)};
    const auto whole = ReadAs(dialect, text, 1'000, limit);
    ASSERT_EQ(ReadAs(dialect, text, 1, limit), whole) << text;
    ASSERT_EQ(ReadAs(dialect, text, 1 + random() % 9, limit), whole) << text;
  }
}

// A writer of either dialect never has the inside of a cell read as a row: as
// far as rows are given, they are the ones that were written.
TEST(CsvReaderTest, RowsOfEitherDialectAreReadAsWrittenOrNotAtAll) {
  std::mt19937 random(11);
  const std::string alphabet = "ab,\"\"\n\\\\ ";
  int complete = 0;
  for (int round = 0; round < 6'000; ++round) {
    const bool backslash = round % 2 == 0;
    std::string text;
    std::vector<std::string> written;
    for (int row = 0; row < 3; ++row) {
      std::vector<std::string> cells;
      for (int cell = 0; cell < 2; ++cell) {
        std::string value, quoted;
        for (size_t length = 1 + random() % 6; length > 0; --length) {
          const char byte = alphabet[random() % alphabet.size()];
          value += byte;
          if (byte == '"') quoted += backslash ? '\\' : '"';
          if (byte == '\\' && backslash) quoted += '\\';
          quoted += byte;
        }
        absl::StrAppend(&text, cell > 0 ? "," : "", "\"", quoted, "\"");
        cells.push_back(value);
      }
      text += "\n";
      written.push_back(absl::StrJoin(cells, "|"));
    }
    std::vector<std::string> rows = Read(text);
    const bool stopped = absl::StrContains(rows.back(), "!!");
    if (stopped) rows.pop_back();
    complete += stopped ? 0 : 1;
    ASSERT_TRUE(stopped || rows.size() == written.size()) << text;
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::string cells = rows[i].substr(rows[i].find(':') + 1);
      // Backslashes aside, which a writer may have doubled.
      ASSERT_EQ(absl::StrReplaceAll(cells, {{"\\", ""}}),
                absl::StrReplaceAll(written[i], {{"\\", ""}}))
          << text;
    }
    // Told which dialect it is, the reader takes all of it.
    const auto told = ReadAs(backslash ? kBackslash : kDoubled, text);
    if (backslash) {
      ASSERT_EQ(ReadAs({.escape = CsvEscape::kSpark}, text), told) << text;
    }
    ASSERT_EQ(told.size(), written.size()) << text;
    for (size_t i = 0; i < told.size(); ++i) {
      ASSERT_EQ(told[i].substr(told[i].find(':') + 1), written[i]) << text;
    }
  }
  EXPECT_GT(complete, 100);
}

}  // namespace
}  // namespace heapsync
