#include "client/cli/admin_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "client/cli/utf8.h"

namespace heapsync {
namespace {

using ::testing::HasSubstr;

TEST(AdminTextTest, HeapsAnswerCannotControlTheTerminal) {
  v1::DeadLetter letter;
  letter.set_id("1");
  letter.set_heap_response(
      "<html>\n\x1b[2J\x1b]0;owned\x07\xC2\x9B"
      "31m");
  letter.set_item_json("{\"event\":\"\xE2\x80\xAE\"}");
  const std::string text = DeadLetterText(letter);
  EXPECT_THAT(text, HasSubstr("<html>\n\\x1b[2J\\x1b]0;owned\\x07\\u009b31m"));
  EXPECT_THAT(text, HasSubstr("{\"event\":\"\\u202e\"}"));
}

TEST(AdminTextTest, AnErrorOfTheWayCannotControlTheTerminal) {
  v1::Destination destination;
  destination.set_last_error("502\r\x1b[31m");
  EXPECT_THAT(DestinationText(destination), HasSubstr("502\\x0d\\x1b[31m"));
}

TEST(PrintableTest, TextInAnyScriptStaysAsItIs) {
  EXPECT_EQ(Printable("Zoë 東京 🙂 é"), "Zoë 東京 🙂 é");
  EXPECT_EQ(PrintableLines("a\n\tb"), "a\n\tb");
}

TEST(PrintableTest, WhatAReaderCannotSeeIsEscaped) {
  EXPECT_EQ(Printable("a\nb\x7F"), "a\\x0ab\\x7f");
  EXPECT_EQ(Printable("\xFF\xC3"), "\\xff\\xc3");
  EXPECT_EQ(Printable("\xE2\x80\x8B\xEF\xBB\xBF"), "\\u200b\\ufeff");
  EXPECT_EQ(PrintableJson("{\"\xC2\x9B\x7F\":1}"), "{\"\\u009b\\u007f\":1}");
}

}  // namespace
}  // namespace heapsync
