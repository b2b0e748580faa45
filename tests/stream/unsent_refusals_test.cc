#include "heap_adapter/stream/unsent_refusals.h"

#include <google/protobuf/struct.pb.h>

#include <algorithm>
#include <string>

#include "gtest/gtest.h"
#include "tests/stream/refusal_list.h"

namespace heapsync {
namespace {

TEST(UnsentRefusalsTest, SendsEachOnceInOrderInAnswersOfTheSizeThatIsAsked) {
  constexpr size_t kMax = 500;
  UnsentRefusals refusals;
  uint64_t added = 0;
  uint64_t sent = 0;
  while (sent < 10'000) {
    // Some come while others are sent already.
    for (int i = 0; i < 100 && added < 10'000; ++i, ++added) {
      refusals.Add(added, RefusalOf(added, added % 50));
    }
    ASSERT_EQ(refusals.first(), sent);
    const size_t before = refusals.bytes();
    const std::string fields = refusals.Take(kMax);
    ASSERT_EQ(refusals.bytes(), before - fields.size());
    ASSERT_GE(fields.size(), std::min(kMax, before));
    ASSERT_LT(fields.size(), kMax + 100);
    // They continue an answer that has fields of its own.
    google::protobuf::ListValue answer = RefusalOf(7);
    ASSERT_TRUE(answer.ParseFromString(answer.SerializeAsString() + fields));
    ASSERT_EQ(answer.values(0).string_value(), "7:");
    for (int i = 1; i < answer.values_size(); ++i) {
      ASSERT_EQ(answer.values(i).string_value(),
                std::to_string(sent) + ":" + std::string(sent % 50, 'x'));
      ++sent;
    }
  }
  EXPECT_TRUE(refusals.empty());
  EXPECT_EQ(refusals.bytes(), 0);
}

}  // namespace
}  // namespace heapsync
