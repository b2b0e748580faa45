#include "heap_adapter/encoding/idempotency_key.h"

#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/encoding/encoded_item.h"

namespace heapsync {
namespace {

// Bytes 0 to 15.
ContentDigest Counting() {
  ContentDigest digest;
  std::iota(digest.bytes.begin(), digest.bytes.end(), uint8_t{0});
  return digest;
}

std::string Derived(const KeyScope& scope, uint64_t index,
                    const ContentDigest& content = Counting()) {
  return std::string(DerivedKeys(scope).At(index, content).view());
}

KeyScope Scope(absl::string_view request_id) {
  return {.caller = "shop", .destination = "prod", .request_id = request_id};
}

// Expected: SHA-1 of the namespace, the three names, the index and the digest,
// with a zero byte behind each but the first and the last, as a version 5 UUID.
TEST(IdempotencyKeyTest, DerivedKeysAreNameBasedUuids) {
  EXPECT_EQ(
      Derived({.caller = "", .destination = "default", .request_id = "a"}, 0),
      "07ef562b-ce8f-54f0-bb85-75fe80f69bf3");
  EXPECT_EQ(Derived({.caller = "checkout",
                     .destination = "prod",
                     .request_id = "nightly-2024-01-15"},
                    17),
            "d9a26975-d7b7-50da-ba1c-ed7ddc5f1319");
  EXPECT_EQ(Derived({.caller = "größe",
                     .destination = "0-test_2",
                     .request_id = "7d444840-9dc0-11d1-b245-5ffdce74fad2"},
                    18446744073709551615u),
            "176f6579-ba40-5f9f-9ea9-739b8fdc25c8");
  EXPECT_EQ(Derived({.caller = std::string(64, 'x'),
                     .destination = "prod",
                     .request_id = std::string(255, 'y')},
                    1),
            "bd8ebf5d-0f14-5f56-ae68-85ed06e5e0a4");
}

TEST(IdempotencyKeyTest, TheSameScopeIndexAndContentGiveTheSameKey) {
  DerivedKeys keys(Scope("request"));
  const IdempotencyKey first = keys.At(7, Counting());
  keys.At(8, Counting());
  EXPECT_EQ(keys.At(7, Counting()), first);
  EXPECT_EQ(DerivedKeys(Scope("request")).At(7, Counting()), first);
}

TEST(IdempotencyKeyTest, OtherRequestsIndexesAndContentsGiveOtherKeys) {
  std::set<std::string> keys;
  for (uint64_t index = 0; index < 1'000; ++index) {
    keys.insert(Derived(Scope("a"), index));
    keys.insert(Derived(Scope("b"), index));
    keys.insert(Derived(Scope("a"), index, DigestContent("other", "")));
  }
  EXPECT_EQ(keys.size(), 3'000u);
}

TEST(IdempotencyKeyTest, PartsOfAScopeAreNeverMixedUp) {
  const std::set<std::string> keys = {
      Derived({.caller = "ab", .destination = "c", .request_id = "d"}, 1),
      Derived({.caller = "a", .destination = "bc", .request_id = "d"}, 1),
      Derived({.caller = "a", .destination = "b", .request_id = "cd"}, 1),
      Derived({.caller = "", .destination = "abc", .request_id = "d"}, 1),
      Derived({.caller = "abc", .destination = "", .request_id = "d"}, 1),
      Derived({.caller = "ab", .destination = "c", .request_id = "d1"}, 1),
      Derived({.caller = "ab", .destination = "c", .request_id = "d"}, 11)};
  EXPECT_EQ(keys.size(), 7u);
}

// The key of `event` as item `index` of a request that is accepted at `now`.
std::string KeyOf(const v1::TrackEvent& event, const KeyScope& scope,
                  uint64_t index = 0, WallTime now = kTestAcceptedAt) {
  const EncodingRules rules;
  ChunkEncoder encoder(rules, now);
  DerivedKeys keys(scope);
  std::optional<IdempotencyKey> key;
  const Findings findings = encoder.Add(
      event, {.field = "event", .index = {}}, [&](const EventContent& content) {
        key = keys.At(index, content.Digest());
        return key->view();
      });
  EXPECT_TRUE(findings.ok());
  return Json::parse(encoder.Take().text)["idempotency_key"];
}

v1::TrackEvent Purchase(absl::string_view identity, int64_t seconds) {
  v1::TrackEvent event = ValidEvent();
  event.set_identity(std::string(identity));
  event.mutable_timestamp()->set_seconds(seconds);
  Property(event, "amount").set_number_value(49.99);
  Property(event, "plan").set_string_value("Pro");
  return event;
}

TEST(DerivedKeyTest, AnExactRepetitionHasTheSameKey) {
  const v1::TrackEvent event = Purchase("ada@example.com", 1'705'314'600);
  EXPECT_EQ(KeyOf(event, Scope("nightly")), KeyOf(event, Scope("nightly")));
}

TEST(DerivedKeyTest, TuesdaysFileUnderMondaysRequestIdHasOtherKeys) {
  const v1::TrackEvent monday = Purchase("ada@example.com", 1'705'314'600);
  v1::TrackEvent tuesday = Purchase("ada@example.com", 1'705'401'000);
  EXPECT_NE(KeyOf(monday, Scope("nightly")), KeyOf(tuesday, Scope("nightly")));

  tuesday = monday;
  tuesday.set_identity("bob@example.com");
  EXPECT_NE(KeyOf(monday, Scope("nightly")), KeyOf(tuesday, Scope("nightly")));
  tuesday = monday;
  tuesday.set_event("Refunded");
  EXPECT_NE(KeyOf(monday, Scope("nightly")), KeyOf(tuesday, Scope("nightly")));
  tuesday = monday;
  tuesday.set_session_id("s-2");
  EXPECT_NE(KeyOf(monday, Scope("nightly")), KeyOf(tuesday, Scope("nightly")));
  tuesday = monday;
  Property(tuesday, "plan").set_string_value("Free");
  EXPECT_NE(KeyOf(monday, Scope("nightly")), KeyOf(tuesday, Scope("nightly")));
  tuesday = monday;
  tuesday.clear_timestamp();
  EXPECT_NE(KeyOf(monday, Scope("nightly")), KeyOf(tuesday, Scope("nightly")));
}

TEST(DerivedKeyTest, EqualItemsOfOneRequestHaveDifferentKeys) {
  const v1::TrackEvent event = Purchase("ada@example.com", 1'705'314'600);
  EXPECT_NE(KeyOf(event, Scope("nightly"), 0),
            KeyOf(event, Scope("nightly"), 1));
}

TEST(DerivedKeyTest, CallersAndDestinationsNeverShareAKey) {
  const v1::TrackEvent event = Purchase("ada@example.com", 1'705'314'600);
  const std::string key = KeyOf(
      event, {.caller = "a", .destination = "prod", .request_id = "nightly"});
  EXPECT_NE(key, KeyOf(event, {.caller = "b",
                               .destination = "prod",
                               .request_id = "nightly"}));
  EXPECT_NE(key, KeyOf(event, {.caller = "a",
                               .destination = "eu",
                               .request_id = "nightly"}));
}

TEST(DerivedKeyTest, TheOrderOfPropertiesDoesNotMatter) {
  v1::TrackEvent forward = ValidEvent();
  v1::TrackEvent backward = ValidEvent();
  for (int i = 0; i < 50; ++i) {
    Property(forward, absl::StrCat("p", i)).set_number_value(i);
    Property(backward, absl::StrCat("p", 49 - i)).set_number_value(49 - i);
  }
  EXPECT_EQ(KeyOf(forward, Scope("nightly")),
            KeyOf(backward, Scope("nightly")));
}

TEST(DerivedKeyTest, AMissingTimestampIsTheSameAtEveryAcceptance) {
  v1::TrackEvent event = Purchase("ada@example.com", 0);
  event.clear_timestamp();
  const std::string key = KeyOf(event, Scope("nightly"));
  for (const auto later : {std::chrono::microseconds(1),
                           std::chrono::microseconds(86'400'000'000)}) {
    EXPECT_EQ(KeyOf(event, Scope("nightly"), 0, kTestAcceptedAt + later), key);
  }
  // Though not the same as a timestamp that reads alike.
  event.mutable_timestamp()->set_seconds(1'705'314'600);
  EXPECT_NE(KeyOf(event, Scope("nightly")), key);
}

TEST(DerivedKeyTest, WhatIsLeftOutDoesNotCount) {
  v1::TrackEvent event = Purchase("ada@example.com", 1'705'314'600);
  const std::string key = KeyOf(event, Scope("nightly"));
  event.set_session_id("null");
  Property(event, "gone").set_null_value({});
  EXPECT_EQ(KeyOf(event, Scope("nightly")), key);
}

TEST(IdempotencyKeyTest, RandomKeysAreVersionFourUuids) {
  const std::string key(IdempotencyKey::Random().view());
  EXPECT_THAT(key, testing::MatchesRegex(
                       "[0-9a-f]+-[0-9a-f]+-4[0-9a-f]+-[89ab][0-9a-f]+-"
                       "[0-9a-f]+"));
  EXPECT_EQ(key.size(), 36u);
}

TEST(IdempotencyKeyTest, RandomKeysDifferAcrossThreads) {
  constexpr int kThreads = 4;
  constexpr int kKeys = 1'000;
  std::vector<std::vector<std::string>> made(kThreads);
  std::vector<std::thread> threads;
  for (std::vector<std::string>& keys : made) {
    threads.emplace_back([&keys] {
      for (int i = 0; i < kKeys; ++i) {
        keys.emplace_back(IdempotencyKey::Random().view());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::string> all;
  for (const auto& keys : made) all.insert(keys.begin(), keys.end());
  EXPECT_EQ(all.size(), size_t{kThreads * kKeys});
}

}  // namespace
}  // namespace heapsync
