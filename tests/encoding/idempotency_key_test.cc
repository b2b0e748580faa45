#include "heap_adapter/encoding/idempotency_key.h"

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

std::string Derived(absl::string_view request_id, uint64_t index) {
  return std::string(DerivedKeys(request_id).At(index).view());
}

// Expected: Python's uuid.uuid5(uuid.UUID(kIdempotencyNamespace), name).
TEST(IdempotencyKeyTest, DerivedKeysAreNameBasedUuids) {
  EXPECT_EQ(Derived("a", 0), "9bbf43d5-b33d-59a1-80f4-0df29bc28dff");
  EXPECT_EQ(Derived("nightly-2024-01-15", 17),
            "780eef0a-30f0-5575-957c-229f63e3f9bb");
  EXPECT_EQ(Derived("7d444840-9dc0-11d1-b245-5ffdce74fad2", 999999),
            "39f009d0-5682-58be-aa05-48e23e916b62");
  EXPECT_EQ(Derived("größe", 18446744073709551615u),
            "84d6ad1d-8a97-5efb-a4c9-56fb11edc2a4");
  EXPECT_EQ(Derived(std::string(255, 'x'), 1),
            "fce88328-5dff-51f9-a7d2-65ad57e22f05");
}

TEST(IdempotencyKeyTest, TheSameRequestAndIndexGiveTheSameKey) {
  DerivedKeys keys("request");
  const IdempotencyKey first = keys.At(7);
  keys.At(8);
  EXPECT_EQ(keys.At(7), first);
  EXPECT_EQ(DerivedKeys("request").At(7), first);
}

TEST(IdempotencyKeyTest, OtherRequestsAndIndexesGiveOtherKeys) {
  std::set<std::string> keys;
  for (uint64_t index = 0; index < 1'000; ++index) {
    keys.insert(Derived("a", index));
    keys.insert(Derived("b", index));
  }
  EXPECT_EQ(keys.size(), 2'000u);
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
