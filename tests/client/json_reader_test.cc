#include "client/cli/json_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Read(absl::string_view text, size_t piece,
                              size_t limit = 100) {
  JsonReader reader(limit);
  std::vector<std::string> rows;
  const auto drain = [&] {
    while (const Row* row = reader.Next()) {
      const bool stops =
          row->fault && row->fault->extent == RowFault::Extent::kRestOfInput;
      rows.push_back(absl::StrCat(
          row->line, stops ? "!!" : (row->fault ? "!" : ":"), row->raw));
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

TEST(JsonReaderTest, SplitsLinesWhereverTheTextIsCut) {
  for (const size_t piece : {1, 2, 3, 5, 100}) {
    EXPECT_THAT(Read("\xEF\xBB\xBF{1}\r\n\n \t\n{2}\n{3}", piece),
                ElementsAre("1:{1}", "4:{2}", "5:{3}"));
  }
}

TEST(JsonReaderTest, ALongLineIsCutAndTheNextOneIsRead) {
  for (const size_t piece : {1, 2, 3, 5, 100}) {
    EXPECT_THAT(Read("12345\n123456\n1234567890123\nab\n", piece, 5),
                ElementsAre("1:12345", "2!12345", "3!12345", "4:ab"));
  }
}

TEST(JsonReaderTest, EmptyTextHasNoRows) {
  for (const char* text : {"", "\n\n", "\xEF\xBB\xBF", "[]", " [\n] \n"}) {
    EXPECT_THAT(Read(text, 1), ElementsAre()) << text;
  }
}

TEST(JsonReaderTest, ObjectsNeedNoLineBreaksBetween) {
  for (const size_t piece : {1, 2, 3, 5, 100}) {
    EXPECT_THAT(
        Read(R"({"a":"}{"}{"b":2} {"c":[{}]})", piece),
        ElementsAre(R"(1:{"a":"}{"})", R"(1:{"b":2})", R"(1:{"c":[{}]})"));
  }
}

TEST(JsonReaderTest, RecordSeparatorsMayStandBetweenObjects) {
  for (const size_t piece : {1, 2, 3, 5, 100}) {
    EXPECT_THAT(Read("\x1e{\"a\":1}\n\x1e{\"b\":\"\x1e\"}\n\x1e", piece),
                ElementsAre("1:{\"a\":1}", "2:{\"b\":\"\x1e\"}"));
  }
}

TEST(JsonReaderTest, AnArrayOfObjectsIsRead) {
  for (const size_t piece : {1, 2, 3, 5, 100}) {
    EXPECT_THAT(
        Read("\xEF\xBB\xBF[{\"a\":1},\n {\"b\":2}\n,{\"c\":3}]\n", piece),
        ElementsAre(R"(1:{"a":1})", R"(2:{"b":2})", R"(3:{"c":3})"));
  }
}

TEST(JsonReaderTest, ObjectsMaySpanLines) {
  for (const size_t piece : {1, 2, 3, 5, 100}) {
    EXPECT_THAT(
        Read("{\n  \"a\": [\n{\"x\":1}\n]\n}\n{\r\n\"b\":NaN\r\n}\n{\"c\":3}",
             piece),
        ElementsAre("1:{\n  \"a\": [\n{\"x\":1}\n]\n}", "6:{\r\n\"b\":NaN\r\n}",
                    "9:{\"c\":3}"));
    EXPECT_THAT(
        Read("[\n  {\n    \"a\": 1\n  },\n  {\n    \"b\": 2\n  }\n]", piece),
        ElementsAre("2:{\n    \"a\": 1\n  }", "5:{\n    \"b\": 2\n  }"));
  }
}

TEST(JsonReaderTest, ABadLineCostsItselfAlone) {
  for (const size_t piece : {1, 2, 3, 5, 100}) {
    EXPECT_THAT(
        Read("{\"a\":1} x\n42\n{a:1}\n{\"a\" 1}\n{\"b\":{\"c\":\n{\"d\":1}\n"
             "{\"e\":[1,\n{\"f\":1}\n{\"g\":\"cut\n{\"h\":1}\n{\"i\":\"cu",
             piece),
        ElementsAre("1:{\"a\":1} x", "2:42", "3:{a:1}", "4:{\"a\" 1}",
                    "5:{\"b\":{\"c\":", "6:{\"d\":1}", "7:{\"e\":[1,",
                    "8:{\"f\":1}", "9:{\"g\":\"cut", "10:{\"h\":1}",
                    "11:{\"i\":\"cu"));
  }
}

TEST(JsonReaderTest, NothingIsReadBehindWhatMayBeTheInsideOfAnObject) {
  for (const size_t piece : {1, 2, 3, 5, 100}) {
    EXPECT_THAT(Read("{\"a\" 1,\"b\":[\n{\"c\":1}\n]}\n", piece),
                ElementsAre("1!!"));
    EXPECT_THAT(Read("{\n\"a\" 1,\n\"b\":[\n{\"c\":1}\n]}\n", piece),
                ElementsAre("1!!"));
    EXPECT_THAT(Read("{\"a\":[\n{\"b\":1},\n{\"c\":2},\n", piece),
                ElementsAre("1!!"));
    EXPECT_THAT(Read("{\"a\":1}\n]\n{\"b\":2}\n", piece),
                ElementsAre("1:{\"a\":1}", "2!!"));
    EXPECT_THAT(Read("[{\"a\":1},{\"b\" 2},{\"c\":3}]", piece),
                ElementsAre("1:{\"a\":1}", "1!!"));
    EXPECT_THAT(Read("[{\"a\":1}]{\"b\":2}", piece),
                ElementsAre("1:{\"a\":1}", "1!!"));
    EXPECT_THAT(Read("[{\"a\":1},\n{\"b\":2}", piece),
                ElementsAre("1:{\"a\":1}", "2:{\"b\":2}", "2!!"));
  }
}

TEST(JsonReaderTest, LinesOfALongObjectAreNotReadAsRows) {
  for (const size_t piece : {1, 2, 3, 5, 100}) {
    EXPECT_THAT(Read("{\"a\":[\n{\"b\":1},\n{\"c\":2}]}\n{}\n", piece, 10),
                ElementsAre("1!{\"a\":[\n{\"b", "4:{}"));
  }
}

}  // namespace
}  // namespace heapsync
