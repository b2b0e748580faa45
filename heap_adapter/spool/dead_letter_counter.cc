#include "heap_adapter/spool/dead_letter_counter.h"

#include <string>

#include "heap_adapter/spool/layout.h"

namespace heapsync {
namespace {

using layout::Key;
using layout::LaneOf;
using layout::PrefixEnd;
using layout::Table;

// Adds one dead letter to `delta`, or with a `sign` of -1 subtracts it.
void Count(absl::string_view key, absl::string_view letter, int64_t sign,
           DeadLetterDelta& delta) {
  delta.letters += sign;
  delta.bytes += sign * static_cast<int64_t>(key.size() + letter.size());
  delta.by_reason[DeadLetter::ReasonNumber(letter)] += sign;
}

}  // namespace

void DeadLetterCounter::Add(const Deltas& deltas) {
  if (deltas.empty()) return;
  MutexLock lock(mutex_);
  for (const auto& [lane, delta] : deltas) {
    DeadLetterDelta& sum = deltas_[lane];
    sum.letters += delta.letters;
    sum.bytes += delta.bytes;
    for (size_t i = 0; i < sum.by_reason.size(); ++i) {
      sum.by_reason[i] += delta.by_reason[i];
    }
  }
}

absl::Status DeadLetterCounter::Measure() {
  const std::string prefix = Key(Table::kDeadLetter);
  const auto cursor = store_.Scan(prefix, PrefixEnd(prefix));
  MutexLock lock(mutex_);
  deltas_.clear();
  for (; cursor->Valid(); cursor->Next()) {
    Count(cursor->key(), cursor->value(), 1, deltas_[LaneOf(cursor->key())]);
  }
  return cursor->status();
}

// A letter is put once and deleted once, so that only one that is deleted has
// to be looked up. One that cannot be read counts until the next
// start.
DeadLetterCounter::Deltas DeadLetterCounter::In(const StoreBatch& batch) const {
  Deltas deltas;
  for (const StoreBatch::Change& change : batch.changes()) {
    if (change.key.front() != static_cast<char>(Table::kDeadLetter)) continue;
    DeadLetterDelta& delta = deltas[LaneOf(change.key)];
    if (change.value.has_value()) {
      Count(change.key, *change.value, 1, delta);
      continue;
    }
    const auto stored = store_.Get(change.key);
    if (!stored.ok() || !stored->has_value()) continue;
    Count(change.key, **stored, -1, delta);
  }
  return deltas;
}

std::vector<DeadLetterDelta> DeadLetterCounter::Take() {
  std::vector<DeadLetterDelta> taken;
  MutexLock lock(mutex_);
  for (auto& [lane, delta] : deltas_) {
    delta.lane = lane;
    taken.push_back(delta);
  }
  deltas_.clear();
  return taken;
}

}  // namespace heapsync
