#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_LAYOUT_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_LAYOUT_H_

#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/spool/coding.h"
#include "heap_adapter/spool/records.h"
#include "heap_adapter/spool/store.h"

// The keys of a spool, for what reads and writes it; see docs/spool_format.md.
namespace heapsync::layout {

// The first byte of a key: the table that it belongs to.
enum class Table : char {
  kMeta = 'M',           // name → value
  kLane = 'L',           // lane → LaneKey
  kProgress = 'P',       // lane → LaneProgress
  kBlock = 'B',          // lane, last sequence → block
  kDeferred = 'A',       // lane, identity hash, sequence → DeferredItem
  kDeferredIndex = 'a',  // lane, sequence → identity hash
  kIsolated = 'I',       // lane, sequence → IsolatedItem
  kDeadLetter = 'D',     // lane, sequence → DeadLetter
  kForwarding = 'F',     // lane, last sequence → Forwarding
  kAttempt = 'T',        // attempt → AttemptRecord
  kHistory = 'H',        // lane, last sequence, attempt → first sequence
  kUsage = 'U',          // attempt → UsageRecord
  kPlan = 'O',           // attempt → PlanRecord
  kPaused = 'S',         // destination → nothing
  kEnd = 'E',            // lane → LaneEnd
  kFigures = 'Q',        // destination → OwnerFigures
  kSnapshot = 'q',       // destination → the encoded DestinationSnapshot
  kCommand = 'C',        // command, part → CommandRecord or CommandAnswer
};

inline constexpr Seq kEndOfSeqs = std::numeric_limits<Seq>::max();

std::string Key(Table table);
std::string Key(Table table, uint32_t lane);
std::string Key(Table table, uint32_t lane, uint64_t a);
std::string Key(Table table, uint32_t lane, uint64_t a, uint64_t b);
std::string AttemptKey(Table table, AttemptId id);

// A command and its answer stand together, so that one scan sees both.
enum class CommandPart : char { kAnswer = 'a', kCommand = 'c' };

std::string CommandKey(CommandId id, CommandPart part);

// The range of one key.
Store::KeyRange Only(std::string key);

// The smallest key that is greater than every key with this prefix.
std::string PrefixEnd(std::string prefix);

// The numbers that follow the table and lane in a key.
struct Tail {
  explicit Tail(absl::string_view key) : reader(key.substr(5)) {}
  uint64_t Next() { return reader.BigEndian64(); }
  Reader reader;
};

LaneId LaneOf(absl::string_view key);
AttemptId AttemptOf(absl::string_view key);

// The error of a damaged record, with the place of the record.
absl::Status Located(const absl::Status& status, absl::string_view where);

}  // namespace heapsync::layout

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_LAYOUT_H_
