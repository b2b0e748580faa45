#include "heap_adapter/encoding/occurrences.h"

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

ContentDigest Content(uint64_t number) {
  return DigestContent(absl::StrCat("content ", number), "");
}

TEST(OccurrencesTest, EqualContentsAreNumbered) {
  Occurrences occurrences;
  EXPECT_EQ(occurrences.Next(Content(1)), 0u);
  EXPECT_EQ(occurrences.Next(Content(2)), 0u);
  EXPECT_EQ(occurrences.Next(Content(1)), 1u);
  EXPECT_EQ(occurrences.Next(Content(1)), 2u);
  EXPECT_EQ(occurrences.Next(Content(2)), 1u);
}

TEST(OccurrencesTest, TheOrderOfContentsChangesNoNumbers) {
  std::vector<uint64_t> contents;
  for (uint64_t i = 0; i < 100'000; ++i) contents.push_back(i % 60'000);
  std::set<std::pair<uint64_t, uint64_t>> numbered[2];
  for (auto& each : numbered) {
    std::shuffle(contents.begin(), contents.end(), std::mt19937(7));
    Occurrences occurrences;
    for (const uint64_t content : contents) {
      each.emplace(content, *occurrences.Next(Content(content)));
    }
  }
  EXPECT_EQ(numbered[0].size(), 100'000u);
  EXPECT_EQ(numbered[0], numbered[1]);
}

TEST(OccurrencesTest, AFullFilterGivesNoNumberTwice) {
  Occurrences occurrences(1 << 10);
  std::set<std::pair<uint64_t, uint64_t>> numbered;
  for (uint64_t i = 0; i < 50'000; ++i) {
    const uint64_t content = i % 20'000;
    EXPECT_TRUE(
        numbered.emplace(content, *occurrences.Next(Content(content))).second);
  }
}

TEST(OccurrencesTest, MoreRepetitionsThanAreCountedGetNoNumber) {
  Occurrences occurrences(1 << 20, 2);
  for (uint64_t content = 0; content < 3; ++content) {
    EXPECT_EQ(occurrences.Next(Content(content)), 0u);
  }
  EXPECT_EQ(occurrences.Next(Content(0)), 1u);
  EXPECT_EQ(occurrences.Next(Content(1)), 1u);
  EXPECT_EQ(occurrences.Next(Content(2)), std::nullopt);
  EXPECT_EQ(occurrences.Next(Content(0)), 2u);
}

// As a default filter with eight million contents, at a 32nd of both.
TEST(OccurrencesTest, FewContentsAreTakenForRepeatedOnes) {
  Occurrences occurrences(1 << 20);
  uint64_t mistaken = 0;
  for (uint64_t i = 0; i < 250'000; ++i) {
    mistaken += *occurrences.Next(Content(i)) > 0 ? 1 : 0;
  }
  EXPECT_LE(mistaken, 10u);
}

}  // namespace
}  // namespace heapsync
