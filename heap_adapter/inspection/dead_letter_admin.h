#ifndef HEAPSYNC_HEAP_ADAPTER_INSPECTION_DEAD_LETTER_ADMIN_H_
#define HEAPSYNC_HEAP_ADAPTER_INSPECTION_DEAD_LETTER_ADMIN_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "heap_adapter/intake/committer.h"
#include "heap_adapter/model/object_type.h"
#include "heap_adapter/spool/receipt.h"
#include "heap_adapter/spool/records.h"
#include "heap_adapter/spool/spool.h"

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

// The place of a dead letter in the order in which they are visited.
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

// The beginning of a page of dead letters.
struct DeadLetterStart {
  DeadLetterPlace from;
  // Letters of items that entered the lane of `from` here or later are left
  // out; zero: this is the first page with letters of that lane.
  Seq end = 0;
  friend bool operator==(const DeadLetterStart&,
                         const DeadLetterStart&) = default;
};

// The changes meanwhile that the pages of one request show.
enum class DeadLetterScope {
  kLive,  // all that is there
  // Nothing of items that entered a lane after its first page: a replay that
  // comes back would be replayed for ever.
  kFixed
};

struct DeadLetterPage {
  std::vector<FoundDeadLetter> letters;
  std::optional<DeadLetterStart> next;  // none: there are no more
};

// Options for replaying or discarding dead letters.
struct DeadLetterRules {
  bool dry_run = false;  // nothing changes, the results tell what would happen
  bool force = false;    // replays those that were replayed too often
};

// Result for a dead letter that was to be replayed or discarded.
enum class DeadLetterOutcome {
  kReplayed,
  kDiscarded,
  kReplayedTooOften,
  kDamaged,
  kDestinationGone,
  kNotStored,
  kNotFound,  // it is no longer there
};
struct DeadLetterResult {
  DeadLetterPlace place;
  DeadLetterOutcome outcome = DeadLetterOutcome::kNotStored;
  std::optional<Seq> into;  // replayed: the new item, in the same lane
  std::string detail;       // not stored: why
};

struct DeadLetterOrder;

// Finds, replays and discards the spool's dead letters.
//
// Its methods wait for the disk: not for the committer's thread or the
// dispatcher's. Those that change something belong to one thread, which keeps
// two requests from replaying the same letter: they return when what they did
// is stored.
class DeadLetterAdmin {
 public:
  // A letter that was replayed so often is left alone unless forced: something
  // other than time must change for it to get through.
  static constexpr uint32_t kMaxReplays = 3;

  // The way to change the spool. Its functions are called from the thread that
  // this belongs to.
  struct Writer {
    std::function<bool(absl::string_view destination)> is_configured;
    // As Committer::Append, to a lane that `key` describes.
    std::function<absl::Status(const LaneKey& key, LaneId lane,
                               EncodedChunk chunk, Committer::AppendDone done,
                               Committer::AppendAlong along)>
        append;
    // Waits until the change is stored.
    std::function<absl::Status(SpoolChange change)> store;
  };

  // Which lanes there are. Any thread. Errors: those of reading the spool.
  struct Lanes {
    using Keys = std::vector<std::pair<LaneId, LaneKey>>;  // by id
    std::function<absl::StatusOr<Keys>()> all;
    std::function<std::optional<LaneKey>(LaneId)> key_of;
  };

  // Everything given by reference must outlive this.
  DeadLetterAdmin(const Spool& spool, const Clock& clock, Lanes lanes,
                  Writer writer);

  // True if this destination has, or once had, items; false also if that
  // cannot be read.
  bool Knows(absl::string_view destination) const;
  // The next letters from `start` on, at most `max`; fewer where they are long,
  // or where it had to look at many that did not match. Errors: those of
  // reading the spool.
  absl::StatusOr<DeadLetterPage> Find(const DeadLetterFilter& filter,
                                      DeadLetterStart start, size_t max,
                                      DeadLetterScope scope) const;
  // The letter at `place`, if there is one and it matches.
  absl::StatusOr<std::optional<FoundDeadLetter>> FindOne(
      const DeadLetterFilter& filter, DeadLetterPlace place) const;

  // Accepts letters again as new items that keep their idempotency keys.
  // `instead`, if set, replaces the item of the one letter.
  // REQUIRES: they were found since the last call that changed something, and
  // each once. Gives a result for each, in the same order.
  std::vector<DeadLetterResult> Replay(
      std::vector<FoundDeadLetter> letters, const DeadLetterRules& rules,
      std::optional<EncodedChunk> instead = std::nullopt) {
    return Replay(std::move(letters), rules, std::move(instead), 0);
  }
  // Removes letters permanently. REQUIRES and gives what Replay does.
  std::vector<DeadLetterResult> Discard(
      const std::vector<FoundDeadLetter>& letters,
      const DeadLetterRules& rules) {
    return Discard(letters, rules, 0);
  }

  // The same with the letters of an order, where they still are: command `by`
  // says so. What an earlier owner of the spool has done of the same command is
  // not done again, and its results are given. Errors: those of reading the
  // spool.
  absl::StatusOr<std::vector<DeadLetterResult>> Replay(DeadLetterOrder order,
                                                       CommandId by);
  absl::StatusOr<std::vector<DeadLetterResult>> Discard(
      const DeadLetterOrder& order, CommandId by);

 private:
  std::vector<DeadLetterResult> Replay(std::vector<FoundDeadLetter> letters,
                                       const DeadLetterRules& rules,
                                       std::optional<EncodedChunk> instead,
                                       CommandId by);
  std::vector<DeadLetterResult> Discard(
      const std::vector<FoundDeadLetter>& letters, const DeadLetterRules& rules,
      CommandId by);
  // The letters of an order, and a result for each that is not there.
  struct Ordered {
    std::vector<FoundDeadLetter> letters;
    std::vector<DeadLetterResult> missing;
  };
  absl::StatusOr<Ordered> FindOrdered(const DeadLetterOrder& order,
                                      CommandId by) const;
  std::optional<DeadLetterOutcome> Obstacle(const FoundDeadLetter& found,
                                            const DeadLetterRules& rules,
                                            bool edited) const;

  const Spool& spool_;
  const Clock& clock_;
  const Lanes lanes_;
  const Writer writer_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_INSPECTION_DEAD_LETTER_ADMIN_H_
