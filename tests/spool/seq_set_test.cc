#include "heap_adapter/spool/seq_set.h"

#include <iterator>
#include <random>
#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "heap_adapter/spool/coding.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

// The same set, one sequence at a time.
class PlainSet {
 public:
  void Add(SeqRange range) {
    for (Seq s = range.begin; s < range.end; ++s) seqs_.insert(s);
  }
  void Remove(SeqRange range) {
    for (Seq s = range.begin; s < range.end; ++s) seqs_.erase(s);
  }
  bool Contains(Seq seq) const { return seqs_.contains(seq); }
  Seq NextAbsent(Seq seq) const {
    while (Contains(seq)) ++seq;
    return seq;
  }
  const std::set<Seq>& seqs() const { return seqs_; }

 private:
  std::set<Seq> seqs_;
};

std::set<Seq> Expand(const SeqSet& set) {
  std::set<Seq> seqs;
  for (const auto& [begin, end] : set.ranges()) {
    for (Seq s = begin; s < end; ++s) seqs.insert(s);
  }
  return seqs;
}

class SeqSetModelTest : public ::testing::TestWithParam<unsigned> {};

TEST_P(SeqSetModelTest, AgreesWithAPlainSetUnderRandomOperations) {
  std::mt19937 random(GetParam());
  const auto below = [&](Seq bound) { return random() % bound; };
  SeqSet set;
  PlainSet plain;
  for (int step = 0; step < 400; ++step) {
    SeqRange range{below(60), 0};
    range.end = range.begin + below(12);
    if (below(3) == 0) {
      set.Remove(range);
      plain.Remove(range);
    } else {
      set.Add(range);
      plain.Add(range);
    }
    ASSERT_EQ(Expand(set), plain.seqs()) << "step " << step;
    ASSERT_EQ(set.size(), plain.seqs().size());
    ASSERT_EQ(set.empty(), plain.seqs().empty());
    const Seq at = below(80);
    ASSERT_EQ(set.Contains(at), plain.Contains(at));
    ASSERT_EQ(set.NextAbsent(at), plain.NextAbsent(at));
    if (!set.empty()) {
      ASSERT_EQ(set.front(), *plain.seqs().begin());
      ASSERT_EQ(set.back(), *plain.seqs().rbegin());
    }
    const auto copy = SeqSet::Decode(set.Encode());
    ASSERT_TRUE(copy.ok());
    ASSERT_EQ(*copy, set);
    ASSERT_EQ(copy->size(), set.size());
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SeqSetModelTest,
                         ::testing::Range<unsigned>(1, 21));

TEST(SeqSetTest, JoinsRangesThatTouch) {
  SeqSet set;
  set.Add(SeqRange{0, 3});
  set.Add(SeqRange{5, 8});
  set.Add(SeqRange{3, 5});
  EXPECT_THAT(set.ranges(), ElementsAre(Pair(0, 8)));
}

TEST(SeqSetTest, HoldsAMillionSequencesInOneRange) {
  SeqSet set;
  for (Seq s = 0; s < 1'000'000; ++s) set.Add(s);
  EXPECT_EQ(set.ranges().size(), 1);
  EXPECT_EQ(set.size(), 1'000'000);
}

TEST(SeqSetTest, RefusesBytesThatEncodeDoesNotWrite) {
  const auto bytes = [](std::initializer_list<uint64_t> numbers) {
    std::string text;
    for (const uint64_t number : numbers) AppendVarint(text, number);
    return text;
  };
  for (const std::string& hostile :
       {std::string(), bytes({1}), bytes({1, 5}), bytes({1, 5, 0}),
        bytes({2, 0, 3, 0, 3}), bytes({1, 0, 3, 9}), bytes({1, UINT64_MAX, 2}),
        bytes({UINT64_MAX, 1, 1}), bytes({2, 5, UINT64_MAX - 5, 7, 1}),
        std::string("\x81\0\1\1", 4)}) {
    EXPECT_EQ(SeqSet::Decode(hostile).status().code(),
              absl::StatusCode::kDataLoss);
  }
}

}  // namespace
}  // namespace heapsync
