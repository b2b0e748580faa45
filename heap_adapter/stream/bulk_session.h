#ifndef HEAPSYNC_HEAP_ADAPTER_STREAM_BULK_SESSION_H_
#define HEAPSYNC_HEAP_ADAPTER_STREAM_BULK_SESSION_H_

#include <google/protobuf/message_lite.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "heap_adapter/encoding/findings.h"
#include "heap_adapter/intake/settlement.h"
#include "heap_adapter/spool/receipt.h"
#include "heap_adapter/stream/bulk_types.h"
#include "heap_adapter/stream/open_streams.h"
#include "heap_adapter/stream/unsent_bytes.h"  // IWYU pragma: export
#include "heap_adapter/stream/unsent_refusals.h"

namespace heapsync {

// One bulk stream, without the transport that carries it: events come in, and
// operations on the call go out. It decides when to read, to write an answer
// and to finish, and holds everything that the next answer will say.
//
// An answer carries running totals, so that everything that happens while one
// is being written goes into the next. The stream finishes when the client has
// half-closed it and everything is durable (or settled, at level kDelivered)
// and said, or after an error once the appends in flight have ended.
//
// Events come from any thread; methods for a message come from the thread that
// takes it in. No lock is held during an operation, and the call stays alive
// until the last one, Finish(), is called. Events after that do nothing, so
// that callbacks may outlive the call. Always owned by a shared_ptr: the
// callbacks of the engine share it with the call.
class BulkSession final : public EndableStream,
                          public std::enable_shared_from_this<BulkSession> {
 public:
  // The operations on one call. Each may bring the next event before it
  // returns, on this or on another thread.
  class Call {
   public:
    virtual ~Call() = default;
    // Reads a message; MessageReceived() or HalfClosed() follows. One at a
    // time.
    virtual void Read() = 0;
    // Writes an answer; Written() follows. One at a time.
    virtual void Write(BulkAnswer answer) = 0;
    // Sets a timer for PauseOver(). One at a time.
    virtual void Pause(Duration duration) = 0;
    // Tries again to take in the message that was held: the methods for a
    // message follow as after MessageReceived().
    virtual void TakeHeld() = 0;
    // Makes an outstanding write fail: the client does not read. Written()
    // follows.
    virtual void Abort() = 0;
    // Ends the call. Once, as the last operation; the call may be gone when it
    // returns. A read may still be outstanding.
    virtual void Finish(const BulkEnd& end) = 0;
  };

  // `call` must live until its Finish(). `all_unsent` counts the unsent bytes
  // of all streams; null: nothing does.
  BulkSession(Call& call, const BulkLimits& limits,
              std::shared_ptr<UnsentBytes> all_unsent = nullptr)
      : limits_(limits), all_unsent_(std::move(all_unsent)), call_(&call) {}
  ~BulkSession() override;

  // Begins: the first event, once. kRefused: nothing is read.
  void Start(BulkVerdict verdict, MonotonicTime now);

  // A message of `bytes` arrived. False: the end is decided, and the message
  // must be dropped. Otherwise the methods below, up to MessageTaken() or
  // MessageHeld(), follow on this thread.
  [[nodiscard]] bool MessageReceived(size_t bytes, MonotonicTime now);

  // Settings of the stream, once, with the first message. Items have the
  // indices from `start_index` on.
  void Configure(BulkLevel level, uint64_t start_index);
  // Adds the refusal of one item. `answer` is an answer with nothing else in
  // it. Indices increase.
  void Reject(uint64_t index, const google::protobuf::MessageLite& answer);
  // False if this stream has more than an answer's worth of unsent refusals and
  // previews while those of all streams take too much. The message must be
  // refused then, after DropUnsent().
  bool HasRoom() const;
  // Drops what is unsent: no answer follows, so that the client knows of
  // nothing that it was not told.
  void DropUnsent();
  // Adds warnings about one item. Those beyond the first 100 that are unsent
  // are only counted, by reason. Indices increase.
  void Warn(uint64_t index, std::vector<Finding> warnings);
  // Adds a chunk of at least one item that is appended next, before the append
  // is made. `position` is the index behind its last item, or behind the
  // rejected ones that follow it. Durable() follows, in the order of these
  // calls, or AppendFailed().
  void AddAppend(uint64_t items, uint64_t position, ChunkPart part);
  // Adds a part of a message that appends nothing: all of it is rejected, or
  // `preview` (may be empty) shows it.
  void AddWithoutAppend(std::string preview, uint64_t position, ChunkPart part);
  // The append of the last AddAppend() failed at once; Durable() will not
  // follow. The message ends as kRefused.
  void AppendFailed();
  // The message is taken in. kRefused: the stream ends with an error that the
  // call knows, unless it ends with another one already.
  void MessageTaken(BulkVerdict verdict);
  // The message cannot be taken in yet. The call keeps it and tries again after
  // `wait`, unless the end is decided by then; nothing else is read meanwhile.
  // REQUIRES: nothing of it was appended.
  void MessageHeld(Duration wait);

  // The client has sent everything. Instead of MessageReceived().
  void HalfClosed();
  void Written(WriteResult result, MonotonicTime now);
  void PauseOver();
  // The client is gone.
  void Cancelled();
  // False once that is known, or the stream ends because something could not be
  // stored: the client sends again what comes behind it. Any thread.
  bool IsWaitedFor() const;
  // The server stops.
  void End() override;

  // Silent: it waits for the client to send something, or to read an answer.
  std::optional<MonotonicTime> SilentSince() override;
  bool EndIfSilent(MonotonicTime time) override;

  // The oldest append in flight became durable, or could not be stored.
  void Durable(const absl::StatusOr<SeqRange>& range);
  // Items of one append were settled, all of them; or nothing more will be
  // known of them, which ends the stream.
  void Settled(const Settlement& settlement);
  // Calls Settled() as long as this session is alive.
  SettledCallback SettledListener();

 private:
  enum class Phase {
    kOpen,
    kFailed,  // the error in `end_` is decided, but not sent
    kFinished,
  };
  enum class Intake {
    kIdle,
    kReading,
    kTakingIn,
    kHeld,
    kDue,     // the message was held for long enough
    kClosed,  // the client has sent everything
  };
  enum class ChunkState { kAppended, kDone, kLost };

  // A message, or the part of it that became one chunk.
  struct Chunk {
    uint64_t items = 0;
    uint64_t position = 0;
    ChunkState state = ChunkState::kDone;
    ChunkPart part = ChunkPart::kMiddle;
    size_t message_bytes = 0;
  };

  // Operations to perform once the lock is released.
  struct Ops {
    Call* call = nullptr;
    bool read = false;
    bool take = false;
    bool abort = false;
    Duration pause = Duration::zero();
    std::optional<BulkAnswer> write;
    std::optional<BulkEnd> finish;
    bool any() const {
      return read || take || abort || pause > Duration::zero() ||
             write.has_value() || finish.has_value();
    }
  };

  void Perform(Ops ops) ABSL_LOCKS_EXCLUDED(mutex_);
  Ops NextOps() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayRead() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayFinish() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasNews() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsSilent() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  BulkAnswer TakeAnswer() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Fail(BulkEnd::Reason reason, absl::Status status = absl::OkStatus())
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PushChunk(Chunk chunk) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Chunk& OldestAppend() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PopFinishedChunks() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddToReceipt(SeqRange range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  size_t Unsent() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CountUnsent() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const BulkLimits limits_;
  // Shared: callbacks may hold a session when its service is gone.
  const std::shared_ptr<UnsentBytes> all_unsent_;

  mutable Mutex mutex_;
  Call* call_ ABSL_GUARDED_BY(mutex_);  // null once finished
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kOpen;
  Intake intake_ ABSL_GUARDED_BY(mutex_) = Intake::kIdle;
  BulkEnd end_ ABSL_GUARDED_BY(mutex_);
  // Threads in Perform(). The call must not finish under them.
  int performing_ ABSL_GUARDED_BY(mutex_) = 0;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool abort_ ABSL_GUARDED_BY(mutex_) = false;  // the write, next
  // When the client last sent something or read an answer.
  MonotonicTime heard_ ABSL_GUARDED_BY(mutex_);
  bool client_gone_ ABSL_GUARDED_BY(mutex_) = false;
  bool mute_ ABSL_GUARDED_BY(mutex_) = false;  // nothing is written any more
  Duration pause_ ABSL_GUARDED_BY(mutex_) = Duration::zero();  // to be set
  // Pause() has not returned. The next one must not begin, so the message stays
  // held.
  bool in_pause_call_ ABSL_GUARDED_BY(mutex_) = false;

  // Unset before the first message.
  std::optional<BulkLevel> level_ ABSL_GUARDED_BY(mutex_);
  uint64_t start_index_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t message_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of the one taken in
  std::deque<Chunk> chunks_ ABSL_GUARDED_BY(mutex_);
  int in_flight_messages_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t in_flight_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int in_flight_appends_ ABSL_GUARDED_BY(mutex_) = 0;

  // Contents of the next answer. `totals_` holds the running totals and the
  // position, which stays before the first lost chunk.
  bool news_ ABSL_GUARDED_BY(mutex_) = false;
  bool lost_ ABSL_GUARDED_BY(mutex_) = false;
  BulkTotals totals_ ABSL_GUARDED_BY(mutex_);
  // Items at level kDelivered. Negative while a settlement overtakes the
  // durability of its append.
  int64_t unsettled_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<SeqRange> receipt_ ABSL_GUARDED_BY(mutex_);
  UnsentRefusals refusals_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> previews_ ABSL_GUARDED_BY(mutex_);
  size_t preview_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t counted_unsent_ ABSL_GUARDED_BY(mutex_) = 0;  // in `all_unsent_`
  std::vector<WarnedItem> warned_ ABSL_GUARDED_BY(mutex_);
  size_t listed_warnings_ ABSL_GUARDED_BY(mutex_) = 0;  // in `warned_`
  std::map<std::string, UnlistedWarnings> unlisted_warnings_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_STREAM_BULK_SESSION_H_
