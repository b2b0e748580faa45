#include "server/access/token.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

TEST(TokenTest, TheHashIsSha256) {
  EXPECT_EQ(ToHex(HashOf("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(TokenTest, AHashIsReadInEitherCase) {
  const std::string hex = ToHex(HashOf("abc"));
  EXPECT_EQ(ParseTokenHash(hex), HashOf("abc"));
  EXPECT_EQ(ParseTokenHash(absl::AsciiStrToUpper(hex)), HashOf("abc"));
}

TEST(TokenTest, WhatIsNoHashIsNotRead) {
  const std::string hex = ToHex(HashOf("abc"));
  EXPECT_EQ(ParseTokenHash(""), std::nullopt);
  EXPECT_EQ(ParseTokenHash(hex.substr(1)), std::nullopt);
  EXPECT_EQ(ParseTokenHash(hex + "0"), std::nullopt);
  EXPECT_EQ(ParseTokenHash("g" + hex.substr(1)), std::nullopt);
}

TEST(TokenTest, HashesAreEqualOnlyWhereEveryByteIs) {
  const TokenHash hash = HashOf("abc");
  EXPECT_TRUE(Equal(hash, hash));
  for (size_t i = 0; i < hash.size(); ++i) {
    TokenHash other = hash;
    other[i] ^= 1;
    EXPECT_FALSE(Equal(hash, other)) << i;
  }
}

TEST(TokenTest, NewTokensDifferAndFitIntoAHeader) {
  const std::string token = NewToken().value();
  EXPECT_EQ(token.substr(0, 4), "hst_");
  EXPECT_EQ(token.size(), 47U);
  EXPECT_TRUE(std::all_of(token.begin(), token.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_';
  }));
  EXPECT_NE(token, NewToken().value());
}

}  // namespace
}  // namespace heapsync
