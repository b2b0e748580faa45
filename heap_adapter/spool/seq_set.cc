#include "heap_adapter/spool/seq_set.h"

#include <algorithm>
#include <iterator>

#include "heap_adapter/spool/coding.h"

namespace heapsync {

void SeqSet::Add(SeqRange range) {
  if (range.empty()) return;
  auto it = ranges_.upper_bound(range.begin);
  if (it != ranges_.begin() && std::prev(it)->second >= range.begin) --it;
  while (it != ranges_.end() && it->first <= range.end) {
    range.begin = std::min(range.begin, it->first);
    range.end = std::max(range.end, it->second);
    size_ -= it->second - it->first;
    it = ranges_.erase(it);
  }
  ranges_.emplace(range.begin, range.end);
  size_ += range.size();
}

void SeqSet::Remove(SeqRange range) {
  if (range.empty()) return;
  while (true) {
    auto it = ranges_.lower_bound(range.end);
    if (it == ranges_.begin()) return;
    --it;
    const SeqRange old{it->first, it->second};
    if (old.end <= range.begin) return;
    ranges_.erase(it);
    size_ -= old.size();
    const SeqRange before{old.begin, std::min(old.end, range.begin)};
    const SeqRange behind{std::max(old.begin, range.end), old.end};
    for (const SeqRange& rest : {before, behind}) {
      if (rest.empty()) continue;
      ranges_.emplace(rest.begin, rest.end);
      size_ += rest.size();
    }
  }
}

bool SeqSet::Contains(Seq seq) const { return NextAbsent(seq) != seq; }

Seq SeqSet::NextAbsent(Seq seq) const {
  auto it = ranges_.upper_bound(seq);
  if (it == ranges_.begin()) return seq;
  --it;
  return it->second > seq ? it->second : seq;
}

std::string SeqSet::Encode() const {
  std::string bytes;
  AppendVarint(bytes, ranges_.size());
  Seq previous = 0;
  for (const auto& [begin, end] : ranges_) {
    AppendVarint(bytes, begin - previous);
    AppendVarint(bytes, end - begin);
    previous = end;
  }
  return bytes;
}

absl::StatusOr<SeqSet> SeqSet::Decode(absl::string_view bytes) {
  Reader reader(bytes);
  const uint64_t count = reader.Varint();
  SeqSet set;
  Seq previous = 0;
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    const uint64_t gap = reader.Varint();
    const uint64_t length = reader.Varint();
    const Seq begin = previous + gap;
    if (length == 0 || begin < previous || begin + length < begin ||
        (i > 0 && gap == 0)) {
      return absl::DataLossError("sequence set: ranges out of order");
    }
    set.ranges_.emplace_hint(set.ranges_.end(), begin, begin + length);
    set.size_ += length;
    previous = begin + length;
  }
  if (!reader.AtEnd()) return absl::DataLossError("sequence set: bad length");
  return set;
}

}  // namespace heapsync
