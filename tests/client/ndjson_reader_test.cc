#include "client/cli/ndjson_reader.h"

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
  NdjsonReader reader(limit);
  std::vector<std::string> rows;
  const auto drain = [&] {
    while (const Row* row = reader.Next()) {
      rows.push_back(absl::StrCat(row->line, row->fault ? "!" : ":", row->raw));
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

TEST(NdjsonReaderTest, SplitsLinesWhereverTheTextIsCut) {
  for (const size_t piece : {1, 2, 3, 5, 100}) {
    EXPECT_THAT(Read("\xEF\xBB\xBF{1}\r\n\n \t\n{2}\n{3}", piece),
                ElementsAre("1:{1}", "4:{2}", "5:{3}"));
  }
}

TEST(NdjsonReaderTest, ALongLineIsCutAndTheNextOneIsRead) {
  for (const size_t piece : {1, 2, 3, 5, 100}) {
    EXPECT_THAT(Read("12345\n123456\n1234567890123\nab\n", piece, 5),
                ElementsAre("1:12345", "2!12345", "3!12345", "4:ab"));
  }
}

TEST(NdjsonReaderTest, EmptyTextHasNoRows) {
  EXPECT_THAT(Read("", 1), ElementsAre());
  EXPECT_THAT(Read("\n\n", 1), ElementsAre());
}

}  // namespace
}  // namespace heapsync
