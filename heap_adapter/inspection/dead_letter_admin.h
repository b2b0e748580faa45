#ifndef HEAPSYNC_HEAP_ADAPTER_INSPECTION_DEAD_LETTER_ADMIN_H_
#define HEAPSYNC_HEAP_ADAPTER_INSPECTION_DEAD_LETTER_ADMIN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "heap_adapter/engine.h"
#include "heap_adapter/spool/receipt.h"

namespace heapsync {

// Which dead letters are meant: those for which everything that is set holds.
struct DeadLetterFilter {
  std::string destination;  // empty: any
  std::optional<ObjectType> type;
  std::optional<DeadLetterReason> reason;
  std::optional<WallTime> since;   // given up then or later
  std::optional<WallTime> until;   // given up before
  std::optional<Receipt> receipt;  // of this spool
};

// Where a dead letter lies; they are gone through in this order.
struct DeadLetterPlace {
  LaneId lane = 0;
  Seq seq = 0;
  friend auto operator<=>(const DeadLetterPlace&,
                          const DeadLetterPlace&) = default;
};

struct FoundDeadLetter {
  LaneId lane = 0;
  LaneKey key;
  DeadLetter letter;
  DeadLetterPlace place() const { return {lane, letter.seq}; }
};

// What became of a dead letter that was to be replayed or discarded.
enum class DeadLetterOutcome {
  kReplayed,
  kDiscarded,
  kReplayedTooOften,
  kDamaged,
  kDestinationGone,
  kNotStored,
};
struct DeadLetterResult {
  DeadLetterPlace place;
  DeadLetterOutcome outcome = DeadLetterOutcome::kNotStored;
  std::optional<Seq> into;  // replayed: the new item, in the same lane
  std::string detail;       // not stored: why
};

// Finds, replays and discards the engine's dead letters.
//
// Belongs to one thread, which must not be one of the engine's: its methods
// wait for the disk. That it is one is what keeps two requests from replaying
// the same letter: a method returns when what it did is stored.
class DeadLetterAdmin {
 public:
  // A letter that was replayed so often is left alone unless forced: something
  // other than time must change for it to get through.
  static constexpr uint32_t kMaxReplays = 3;

  // `engine` must outlive this.
  explicit DeadLetterAdmin(Engine& engine, uint32_t max_replays = kMaxReplays);

  // Whether this destination has, or once had, items.
  bool Knows(absl::string_view destination) const;
  struct Page {
    std::vector<FoundDeadLetter> letters;
    std::optional<DeadLetterPlace> next;  // none: there are no more
  };
  // The next letters from `from` on, at most `most`; fewer where it had to look
  // at many that did not match. Errors: those of reading the spool.
  absl::StatusOr<Page> Find(const DeadLetterFilter& filter,
                            DeadLetterPlace from, size_t most) const;
  // The letter at `place`, if there is one and it matches.
  absl::StatusOr<std::optional<FoundDeadLetter>> FindOne(
      const DeadLetterFilter& filter, DeadLetterPlace place) const;

  struct Rules {
    bool dry_run = false;
    bool force = false;
  };
  // Accepts letters again as new items that keep their idempotency keys.
  // `instead`, if set, replaces the item of the one letter.
  // REQUIRES: they were found since the last call that changed something, and
  // each once. Gives a result for each, in the same order.
  std::vector<DeadLetterResult> Replay(
      std::vector<FoundDeadLetter> letters, const Rules& rules,
      std::optional<EncodedChunk> instead = std::nullopt);
  // Removes letters for good. REQUIRES and gives what Replay does.
  std::vector<DeadLetterResult> Discard(
      const std::vector<FoundDeadLetter>& letters, const Rules& rules);

 private:
  std::optional<DeadLetterOutcome> Obstacle(const FoundDeadLetter& found,
                                            const Rules& rules,
                                            bool edited) const;

  Engine& engine_;
  const uint32_t max_replays_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_INSPECTION_DEAD_LETTER_ADMIN_H_
