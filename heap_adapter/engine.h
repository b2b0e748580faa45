#ifndef HEAPSYNC_HEAP_ADAPTER_ENGINE_H_
#define HEAPSYNC_HEAP_ADAPTER_ENGINE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "heap_adapter/config/config.h"
#include "heap_adapter/delivery/accepted_items.h"
#include "heap_adapter/delivery/dispatcher.h"
#include "heap_adapter/delivery/dispatcher_thread.h"
#include "heap_adapter/delivery/owner_publisher.h"
#include "heap_adapter/delivery/snapshot.h"
#include "heap_adapter/encoding/chunk_encoder.h"  // IWYU pragma: export
#include "heap_adapter/encoding/findings.h"       // IWYU pragma: export
#include "heap_adapter/inspection/dead_letter_admin.h"
#include "heap_adapter/inspection/delivery_lookup.h"
#include "heap_adapter/intake/admission.h"
#include "heap_adapter/intake/committer.h"
#include "heap_adapter/intake/dead_letter_usage.h"
#include "heap_adapter/intake/lane_directory.h"
#include "heap_adapter/intake/settlement.h"
#include "heap_adapter/model/destination.h"  // IWYU pragma: export
#include "heap_adapter/model/object_type.h"  // IWYU pragma: export
#include "heap_adapter/sharing/sharing.h"
#include "heap_adapter/spool/disk_space.h"
#include "heap_adapter/spool/receipt.h"
#include "heap_adapter/spool/records.h"
#include "heap_adapter/spool/space_reclaimer.h"
#include "heap_adapter/transport/transport.h"

namespace heapsync {

// A change that another server, or this one, has asked for in a shared spool.
struct ObeyedCommand {
  const CommandRecord& command;
  const absl::Status& status;
};

// The person or program that asks for a change, for the log, and the time for
// which they wait. That matters where another server has to make the change.
struct Asker {
  std::string caller;
  Duration patience = std::chrono::seconds(30);
};

struct EngineOptions {
  DestinationConfig destinations;
  DeliveryRules delivery;
  Committer::Options commit;
  // Folder of the spool, for watching the disk; empty: it is not watched.
  std::string spool_path;
  // New items are refused while the disk has less than this; what was accepted
  // still drains, which needs some space. Smaller: more of the disk is used,
  // but a neighbour that writes quickly may fill it before it is noticed.
  uint64_t min_free_disk_bytes = 256 << 20;
  // Hears how long each step of the dispatcher took, between which it turns to
  // other work; on the dispatcher's thread. May be empty.
  std::function<void(Duration)> on_step;
  // For a shared spool: the name under which this server is shown, and asks
  // others.
  std::string server_name;
  // Hears what this engine has done because another server asked; on a thread
  // of its own. May be empty.
  std::function<void(const ObeyedCommand&)> on_command;
};

// Destinations, each at a moment not long before `taken_at`.
struct EngineSnapshot {
  Now taken_at;
  std::vector<DestinationSnapshot> destinations;
  // The same with nothing but what was accepted here, if this engine does not
  // deliver: each fact is counted by one server.
  std::vector<DestinationSnapshot> accepted;
};

// The same of their flows. Destinations that are no longer configured are there
// while the dispatcher has them.
struct EngineFlows {
  Now taken_at;
  std::vector<DestinationFlow> destinations;
};

// The state of the spool, and its counters since the start.
struct SpoolFigures {
  bool healthy = true;  // false once a write failed
  bool disk_nearly_full = false;
  uint64_t commits = 0;
  uint64_t syncs = 0;
};

// Takes encoded items, keeps them safe and delivers them. This is the only way
// into heap_adapter for a server: this header brings the types of everything
// that the engine takes or gives, and what its threads own stays inside.
//
// An engine that is only opened takes items, and answers where they are, as far
// as that is stored. Deliver() begins to deliver; where the spool is shared, in
// one server at a time, and StopDelivering() ends it, so that another may go
// on. The others do everything all the same: they wait for what that one
// stores, show what it publishes, and ask it, by an entry of the spool, for
// what only it can do; see Sharing.
//
// It has two threads, the committer's and the dispatcher's, and what they hand
// to each other; a third one keeps space on the disk, and a shared spool has
// those of Sharing. Every method may be called from any thread unless it says
// otherwise. Those that wait for the engine, as their comments say, must not be
// called from its own threads, which are the ones that run its callbacks.
class Engine {
 public:
  // Opens the spool in `store`. `store`, `transport` and `clock` must outlive
  // the engine; `transport` belongs to its dispatcher's thread, where
  // `attempts` and `expired` are called too. Errors: those of reading the
  // spool.
  static absl::StatusOr<std::unique_ptr<Engine>> Open(
      Store& store, Transport& transport, const Clock& clock,
      EngineOptions options, AttemptSink attempts,
      ExpirySink expired = nullptr);
  // Opens it and delivers.
  static absl::StatusOr<std::unique_ptr<Engine>> Start(
      Store& store, Transport& transport, const Clock& clock,
      EngineOptions options, AttemptSink attempts,
      ExpirySink expired = nullptr);

  // Begins to deliver what the spool holds and what comes. By the thread of
  // SetDestinations(), while it does not deliver. Errors: those of reading the
  // spool; it does not deliver then, and may be asked again if the spool is
  // shared.
  absl::Status Deliver();
  bool delivers() const { return delivers_.load(std::memory_order_acquire); }
  // The same of one destination.
  bool DeliversTo(absl::string_view /*destination*/) const {
    return delivers();
  }

  // For a shared spool, of which another server is to go on. StopSending():
  // from now on no request begins. IsAtRest(): since then, none is in flight
  // any more. GoOnSending() takes it back. Any thread.
  void StopSending() { thread_.Rest(); }
  bool IsAtRest() const { return thread_.IsAtRest(); }
  void GoOnSending() { thread_.GoOn(); }
  // Ends what Deliver() began: when this returns, all that was delivered is
  // stored, and nothing of it is written any more. Those that wait for the
  // delivery of items go on waiting for what the next owner stores; flushes
  // hear that they are abandoned. Waits for the dispatcher and the disk. By the
  // thread of SetDestinations(). REQUIRES: IsAtRest(). Errors: those of
  // Barrier(); the engine is of no use then.
  absl::Status StopDelivering();

  // For a shared spool. Takes up what others have appended, and obeys what they
  // ask; they may have if their writes say so. Does not wait.
  void LookAtOthers();
  // For an engine that does not deliver. Reads what the one that does has
  // published of backlogs and dead letters, which bound what is accepted. By
  // the thread of SetDestinations(). Errors: those of reading the spool.
  absl::Status ReadFigures();

  // Stops its threads. What is in flight is left to the next start.
  ~Engine();
  // The same for an engine that another one replaces, while calls may still
  // have this one: they get errors from now on, and those that wait for
  // deliveries hear that they are abandoned. What is stored can be read. The
  // transport is not used any more when this returns. Waits for the disk. Not
  // at the same time as SetDestinations(). Later calls have no effect.
  void Stop();

  // The destination of this name, or for an empty name the default one; null if
  // there is none. Any thread; lives as long as the engine, but a later call
  // may give another, or none.
  const Destination* FindDestination(absl::string_view name) const;
  // The present configuration. The references are valid as long as the
  // engine.
  const DestinationConfig& configuration() const { return Current().config; }
  const std::vector<Destination>& destinations() const {
    return configuration().destinations;
  }

  // From now on these are the destinations. New ones are taken up, and changes
  // count for all that is not in flight. One that is left out gets nothing new;
  // what was accepted for it is still delivered, until the process ends, and
  // then waits in the spool until it is back. Costs some memory permanently.
  // One call at a time, not from the engine's own threads. Errors: kUnavailable
  // once the engine stops, those of reading the spool; the old ones stay then.
  absl::Status SetDestinations(DestinationConfig destinations);

  // The lane for a caller's items; see LaneDirectory::FindOrAdd. An empty
  // name means no particular caller. Any thread.
  LaneId LaneFor(const Destination& destination, ObjectType type,
                 absl::string_view caller = "");
  // False: Append() must not be called for this destination, which it has never
  // had. Any thread.
  bool Knows(absl::string_view destination) const {
    return Current().backlogs.contains(destination);
  }

  // See Committer::Append; besides, kResourceExhausted with the limit that was
  // reached while the disk is nearly full, too much waits for the destination
  // or it has too many dead letters. `lane` is one of its lanes, of LaneFor().
  Admission Append(const Destination& destination, LaneId lane,
                   EncodedChunk chunk, Committer::AppendDone done,
                   SettledCallback on_settled = nullptr,
                   Committer::StillWanted still_wanted = nullptr);

  // Receipts. That of items which were appended to a lane:
  std::string ReceiptOf(LaneId lane, std::vector<SeqRange> items) const;
  // Receipt::spool_id of every receipt that this engine gives.
  uint64_t spool_id() const { return spool_->id(); }
  // The destination, type and caller of a lane; none for an id that no receipt
  // of this spool has. Lanes of destinations that are no longer configured are
  // found, too. Of a shared spool, the store is asked for those that others
  // have added.
  std::optional<LaneKey> FindLane(LaneId lane) const;
  // See LookUpDeliveries(). Waits for the dispatcher and reads the spool.
  // Errors: kCancelled if the engine stops, and those of LookUpDeliveries().
  absl::StatusOr<std::vector<ItemDelivery>> LookUp(
      LaneId lane, const std::vector<SeqRange>& items);

  // Dead letters; see DeadLetterAdmin. All of these wait for the disk. Those
  // that change something belong to one thread of the caller's.
  bool HasLanes(absl::string_view destination) const {
    return letters_->Knows(destination);
  }
  absl::StatusOr<DeadLetterPage> FindDeadLetters(const DeadLetterFilter& filter,
                                                 DeadLetterStart start,
                                                 size_t max,
                                                 DeadLetterScope scope) const {
    return letters_->Find(filter, start, max, scope);
  }
  absl::StatusOr<std::optional<FoundDeadLetter>> FindDeadLetter(
      const DeadLetterFilter& filter, DeadLetterPlace place) const {
    return letters_->FindOne(filter, place);
  }
  // `done` gets a result for each letter, in any order, or kDeadlineExceeded if
  // nobody who could do it has answered in time. It is called at once, or from
  // a thread of the engine's; destroyed without a call if the engine stops.
  using DeadLettersDone =
      absl::AnyInvocable<void(absl::StatusOr<std::vector<DeadLetterResult>>)>;
  void Replay(std::vector<FoundDeadLetter> letters,
              const DeadLetterRules& rules, std::optional<EncodedChunk> instead,
              const Asker& asker, DeadLettersDone done);
  void Discard(const std::vector<FoundDeadLetter>& letters,
               const DeadLetterRules& rules, const Asker& asker,
               DeadLettersDone done);
  // What to replay instead of a letter, from `json` under the rules of the
  // letter's destination; see EncodeEditedItem(). An empty chunk if that is no
  // longer configured. Any thread.
  std::variant<EncodedChunk, std::vector<Finding>> EncodeEdited(
      const FoundDeadLetter& letter, absl::string_view json,
      absl::string_view field) const;

  // Hands the state of every destination to `done`, on the dispatcher's thread,
  // or at once without one, which reads the spool: it must not block. If the
  // engine stops first, `done` is destroyed without a call.
  void RequestSnapshot(absl::AnyInvocable<void(EngineSnapshot)> done);
  // The items that were accepted here: all that is known without the store
  // while this engine does not deliver.
  EngineSnapshot AcceptedHere() const;
  // The same as RequestSnapshot() with flows only, which cost the dispatcher a
  // tenth.
  void RequestFlows(absl::AnyInvocable<void(EngineFlows)> done);
  // The state of the named destinations, without those that are unknown. Waits
  // for the dispatcher, or reads the spool. Errors: kCancelled if the engine
  // stops, and those of reading.
  absl::StatusOr<EngineSnapshot> SnapshotOf(
      const std::vector<absl::string_view>& destinations);
  // See heapsync::OldestWaiting(). Reads the spool.
  absl::StatusOr<std::optional<WallTime>> OldestWaiting(
      const LaneSnapshot& lane) const {
    return heapsync::OldestWaiting(*spool_, lane);
  }

  // Stops and resumes sending to a destination. Kept over restarts, and stored
  // when `done` is called: at once, after waiting for the dispatcher and the
  // disk, or from a thread of the engine's; destroyed without a call if the
  // engine stops. Errors: kNotFound for an unknown destination,
  // kDeadlineExceeded if nobody who could do it has answered in time, and those
  // of Barrier().
  using PauseDone = absl::AnyInvocable<void(absl::Status)>;
  void Pause(absl::string_view destination, const Asker& asker,
             PauseDone done) {
    SetPaused(destination, true, asker, std::move(done));
  }
  void Resume(absl::string_view destination, const Asker& asker,
              PauseDone done) {
    SetPaused(destination, false, asker, std::move(done));
  }

  // Waits until everything that was handed over before this call is stored, its
  // callers have their answers, and the dispatcher is notified of it. Errors:
  // kUnavailable if the engine stops, kDataLoss once the spool failed,
  // kDeadlineExceeded after `timeout`; none: it waits for as long as it takes.
  absl::Status Barrier(std::optional<Duration> timeout = std::nullopt);

  // Calls `done` once every item that was appended before this call, to one
  // destination or with an empty name to all, is delivered or dead-lettered;
  // none of them waits for a fuller batch. `done` is destroyed without a call
  // if the engine stops or its spool fails first. Errors: kNotFound for an
  // unknown destination, and those of Barrier(). `caller` is for the log of
  // the server that does it. If another server takes over meanwhile, what
  // `done` gets counts what that one has delivered.
  absl::Status Flush(absl::string_view destination, SettledCallback done,
                     absl::string_view caller = "");

  // Refuses items from now on, and waits for no other server.
  void StopAccepting();
  // Flushes every destination and waits for that, at most `timeout`. False if
  // something is left, or may be since the spool failed.
  bool Drain(Duration timeout);

  // False once the spool failed to write.
  bool healthy() const { return committer_->healthy(); }
  // The error of the storage that failed; empty while healthy.
  std::string failure() const { return committer_->failure(); }
  SpoolFigures spool_figures() const {
    return {.healthy = healthy(),
            .disk_nearly_full = disk_.NearlyFull() || committer_->disk_full(),
            .commits = committer_->commits(),
            .syncs = committer_->syncs()};
  }

  const Clock& clock() const { return clock_; }

 private:
  Engine(Transport& transport, const Clock& clock, EngineOptions options);

  DispatcherThread::Hooks Hooks();

  // The destinations of one configuration. Never changes.
  struct Generation {
    explicit Generation(DestinationConfig config_in);
    DestinationConfig config;
    absl::flat_hash_map<std::string, const Destination*> by_name;
    // Of earlier generations, too: calls that are in flight may ask.
    absl::flat_hash_map<std::string, std::shared_ptr<Backlog>> backlogs;
  };
  const Generation& Current() const {
    return *current_.load(std::memory_order_acquire);
  }

  // Waits until `change` is stored. Errors: see Committer::Change.
  absl::Status Apply(SpoolChange change);
  void SetPaused(absl::string_view destination, bool paused, const Asker& asker,
                 PauseDone done);
  // These do it here.
  absl::Status SetPausedHere(absl::string_view destination, bool paused);
  absl::Status FlushHere(absl::string_view destination, SettledCallback done);
  void Obey(const StoredCommand& stored, std::weak_ptr<const void> wanted,
            CommandRunner::Answer answer);
  CommandRecord NewCommand(CommandRecord::Kind kind,
                           absl::string_view destination,
                           absl::string_view caller) const;
  absl::Status StartDispatcher();
  void DropDispatcher();
  void StopThreads();
  DeadLetterAdmin::Writer DeadLetterWriter();
  // Append() without a bound on dead letters: a replay removes one.
  Admission AppendQueued(const Destination& destination, LaneId lane,
                         EncodedChunk chunk, Committer::AppendDone done,
                         SettledCallback on_settled,
                         Committer::StillWanted still_wanted,
                         Committer::AppendAlong along);
  using SnapshotDone = absl::AnyInvocable<void(EngineSnapshot)>;
  void ContinueSnapshot(EngineSnapshot snapshot,
                        std::shared_ptr<SnapshotDone> done);
  void CountDeadLetters();
  // Publishes what ReadFigures() reads elsewhere. On the dispatcher's thread.
  void PublishFigures();
  // Publishes the backlogs of the generation that is next.
  void Renew(std::unique_ptr<Generation> generation);
  // What the owner has published.
  EngineSnapshot SnapshotOfOthers() const;
  EngineFlows FlowsOfOthers() const;
  DeadLetterAdmin::Lanes LanesOfSpool() const;
  // Adds what the dispatcher does not know.
  void Complete(DestinationSnapshot& snapshot) const;

  Backlog& BacklogOf(const Destination& destination) const;
  uint64_t QueuedBytes() const;
  void SetBacklogs(Generation& generation);
  void Receive(Committer::Notices notices);

  Transport& transport_;
  const Clock& clock_;
  const EngineOptions options_;
  DiskSpace disk_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<LaneDirectory> directory_;
  DeadLetterUsage dead_letters_;
  // All that there were: callers hold pointers into them.
  std::vector<std::unique_ptr<Generation>> generations_;
  std::atomic<const Generation*> current_{nullptr};
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::unique_ptr<DeadLetterAdmin> letters_;
  AttemptSink attempts_;
  ExpirySink expired_;
  // Lanes of an embedded spool, from Open() to Deliver().
  std::vector<StoredLane> opened_lanes_;
  // While nothing is delivered.
  absl::flat_hash_map<std::string, std::shared_ptr<Backlog>>
      accepting_backlogs_;
  std::atomic<bool> delivers_{false};
  bool stopped_ = false;                       // see StopThreads()
  std::unique_ptr<OwnerPublisher> publisher_;  // the dispatcher's
  AcceptedItems accepted_;
  DispatcherThread thread_;

  std::thread committer_thread_;
  std::unique_ptr<SpaceReclaimer> space_reclaimer_;
  std::unique_ptr<Sharing> sharing_;  // null unless the spool is shared
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENGINE_H_
