#include "server/data/unsent_refusals.h"

#include <algorithm>
#include <string>

#include "gtest/gtest.h"
#include "heapsync/v1/heap_sync_service.pb.h"

namespace heapsync {
namespace {

using Answer = v1::BulkTrackEventsResponse;

void Add(UnsentRefusals& refusals, uint64_t index) {
  Answer answer;
  v1::RejectedItem& refusal = *answer.add_rejected_items();
  refusal.set_index(index);
  refusal.add_violations()->set_description(std::string(index % 50, 'x'));
  refusals.Add(index, answer);
}

TEST(UnsentRefusalsTest, TellsEachOnceInOrderInAnswersOfTheSizeThatIsAsked) {
  constexpr size_t kMost = 500;
  UnsentRefusals refusals;
  uint64_t added = 0;
  uint64_t told = 0;
  while (told < 10'000) {
    // Some come while others are told already.
    for (int i = 0; i < 100 && added < 10'000; ++i) Add(refusals, added++);
    ASSERT_EQ(refusals.first(), told);
    const size_t before = refusals.bytes();
    const std::string fields = refusals.Take(kMost);
    ASSERT_EQ(refusals.bytes(), before - fields.size());
    ASSERT_GE(fields.size(), std::min(kMost, before));
    ASSERT_LT(fields.size(), kMost + 100);
    Answer answer;
    answer.set_received(7);
    ASSERT_TRUE(answer.ParseFromString(answer.SerializeAsString() + fields));
    ASSERT_EQ(answer.received(), 7);
    for (const v1::RejectedItem& refusal : answer.rejected_items()) {
      ASSERT_EQ(refusal.index(), told);
      ASSERT_EQ(refusal.violations(0).description().size(), told % 50);
      ++told;
    }
  }
  EXPECT_TRUE(refusals.empty());
  EXPECT_EQ(refusals.bytes(), 0);
}

}  // namespace
}  // namespace heapsync
