#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_SEQ_SET_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_SEQ_SET_H_

#include <cstdint>
#include <string>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heapsync {

// The number of an item in its lane, starting at 0; never reused.
using Seq = uint64_t;

// The sequences in [begin, end).
struct SeqRange {
  Seq begin = 0;
  Seq end = 0;
  uint64_t size() const { return end - begin; }
  bool empty() const { return begin >= end; }
  friend bool operator==(const SeqRange&, const SeqRange&) = default;
};

// A set of sequences, stored as disjoint, non-adjacent ranges. Memory is
// proportional to the number of ranges, not of sequences.
class SeqSet {
 public:
  using Ranges = absl::btree_map<Seq, Seq>;  // begin → end

  // Ranges may overlap existing ones; empty ranges change nothing.
  void Add(SeqRange range);
  void Add(Seq seq) { Add(SeqRange{seq, seq + 1}); }
  void Remove(SeqRange range);

  bool Contains(Seq seq) const;
  // The first sequence >= `seq` that is not in the set.
  Seq NextAbsent(Seq seq) const;

  uint64_t size() const { return size_; }
  bool empty() const { return ranges_.empty(); }
  const Ranges& ranges() const { return ranges_; }
  // REQUIRES: not empty.
  Seq front() const { return ranges_.begin()->first; }
  Seq back() const { return ranges_.rbegin()->second - 1; }

  // The stored form. Decode() returns kDataLoss for bytes that Encode() does
  // not write.
  std::string Encode() const;
  static absl::StatusOr<SeqSet> Decode(absl::string_view bytes);

  friend bool operator==(const SeqSet& a, const SeqSet& b) {
    return a.ranges_ == b.ranges_;
  }

 private:
  Ranges ranges_;
  uint64_t size_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_SEQ_SET_H_
