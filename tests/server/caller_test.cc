#include "server/caller.h"

#include <string>

#include "gtest/gtest.h"

namespace heapsync {
namespace {

TEST(CallerTest, TheNameIsTheOneInTheMetadata) {
  EXPECT_EQ(CallerByMetadata({{"heapsync-caller", "checkout.eu-1"}}).name,
            "checkout.eu-1");
}

TEST(CallerTest, WhoSaysNothingHasNoName) {
  EXPECT_EQ(CallerByMetadata({{"user-agent", "grpc"}}).name, "");
}

TEST(CallerTest, WhoSaysTwoNamesHasNone) {
  EXPECT_EQ(
      CallerByMetadata({{"heapsync-caller", "a"}, {"heapsync-caller", "b"}})
          .name,
      "");
}

TEST(CallerTest, WhatIsNotANameCountsAsNone) {
  const std::string longest(64, 'x');
  EXPECT_EQ(CallerByMetadata({{"heapsync-caller", longest}}).name, longest);
  const std::string too_long(65, 'x');
  for (const std::string& name :
       {std::string(), std::string("Shop"), std::string("a b"),
        std::string("a/b"), std::string("k\xC3\xA4se"), std::string("a\n"),
        too_long}) {
    EXPECT_EQ(CallerByMetadata({{"heapsync-caller", name}}).name, "") << name;
  }
}

}  // namespace
}  // namespace heapsync
