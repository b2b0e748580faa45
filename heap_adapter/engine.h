#ifndef HEAPSYNC_HEAP_ADAPTER_ENGINE_H_
#define HEAPSYNC_HEAP_ADAPTER_ENGINE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "heap_adapter/base/clock.h"
#include "heap_adapter/base/mutex.h"
#include "heap_adapter/config/config.h"
#include "heap_adapter/delivery/dispatcher.h"
#include "heap_adapter/intake/committer.h"
#include "heap_adapter/intake/lane_directory.h"
#include "heap_adapter/spool/disk_space.h"
#include "heap_adapter/spool/space_reclaimer.h"
#include "heap_adapter/transport/transport.h"

namespace heapsync {

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
};

// Takes encoded items, keeps them safe and delivers them: two threads, the
// committer's and the dispatcher's, and what they hand to each other; besides
// them one that keeps space on the disk.
class Engine {
 public:
  // Opens the spool in `store`, and goes on with what it holds. `store`,
  // `transport` and `clock` must outlive the engine; `transport` belongs to its
  // dispatcher's thread, where `events` is called too. Errors: those of reading
  // the spool.
  static absl::StatusOr<std::unique_ptr<Engine>> Start(
      Store& store, Transport& transport, const Clock& clock,
      EngineOptions options, Dispatcher::EventSink events);

  // Stops its threads. What is in flight is left to the next start.
  ~Engine();

  // The destination of this name, or for an empty name the default one; null if
  // there is none. Any thread; lives as long as the engine, but a later call
  // may give another, or none.
  const Destination* FindDestination(absl::string_view name) const;
  // Lives as long as the engine, and is what there was at this call.
  const std::vector<Destination>& destinations() const {
    return Current().config.destinations;
  }

  // From now on these are the destinations. New ones are taken up, and changes
  // count for all that is not in flight. One that is left out gets nothing new;
  // what was accepted for it is still delivered, until the process ends, and
  // then waits in the spool until it is back. Costs some memory for good. One
  // call at a time, not from the engine's own threads. Errors: kUnavailable
  // once the engine stops, those of reading the spool; the old ones stay then.
  absl::Status SetDestinations(DestinationConfig destinations);

  // Where the items of a caller go; see LaneDirectory::FindOrAdd. An empty
  // name: of nobody in particular. Any thread.
  LaneId LaneFor(const Destination& destination, ObjectType type,
                 absl::string_view caller = "");

  // See Committer::Append; besides, Refused() while the disk is nearly full, or
  // too much waits for the destination. `lane` is one of its lanes, of
  // LaneFor(). Any thread.
  absl::Status Append(const Destination& destination, LaneId lane,
                      EncodedChunk chunk, Committer::AppendDone done,
                      SettledCallback on_settled = nullptr,
                      Committer::AppendAlong along = nullptr);
  // What waits for a destination.
  const Backlog& BacklogOf(const Destination& destination) const;

  // The receipt of items that were appended to a lane. Any thread.
  std::string ReceiptOf(LaneId lane, std::vector<SeqRange> items) const;

  // Every lane of the spool, those of destinations that are configured no more
  // included.
  const LaneDirectory& lanes() const { return lanes_; }

  // Runs `command` on the dispatcher's thread. Any thread. After Stop() it
  // never runs and is only destroyed.
  using Command = absl::AnyInvocable<void(Dispatcher&, Now)>;
  void Post(Command command);

  // Runs `question` on the dispatcher's thread and waits until it has. False:
  // the engine stops, and it never ran. Not from the engine's own threads.
  bool Ask(absl::FunctionRef<void(Dispatcher&, Now)> question);

  // Stores `change` and waits until it is stored. Errors: see
  // Committer::Change. Not from the engine's own threads.
  absl::Status Apply(SpoolChange change);

  // As Dispatcher::Flush, for every item whose acceptance was told before this
  // call; `done` is destroyed without a call if the engine stops or its spool
  // fails first. Errors: kNotFound for an unknown destination, and those of
  // Committer::Change. Any thread.
  absl::Status Flush(absl::string_view destination, SettledCallback done);

  // Refuses items from now on. Any thread.
  void StopAccepting() { committer_->StopAccepting(); }
  // Lets what waits for company go, and waits until all is delivered or
  // `timeout` is over; true if it all is. Not from the engine's own threads.
  bool Drain(Duration timeout);

  // False once the spool failed to write. Any thread.
  bool healthy() const { return committer_->healthy(); }
  bool disk_nearly_full() const {
    return disk_.NearlyFull() || committer_->disk_full();
  }

  const Spool& spool() const { return *spool_; }
  const Committer& committer() const { return *committer_; }
  const Clock& clock() const { return clock_; }

 private:
  Engine(Transport& transport, const Clock& clock, EngineOptions options);

  // The destinations of one configuration. Never changes.
  struct Generation {
    explicit Generation(DestinationConfig config_in);
    DestinationConfig config;
    absl::flat_hash_map<std::string, const Destination*> by_name;
    // Of earlier generations, too: calls that are in flight may ask.
    absl::flat_hash_map<std::string, const Backlog*> backlogs;
  };
  const Generation& Current() const {
    return *current_.load(std::memory_order_acquire);
  }

  uint64_t QueuedBytes() const;
  absl::StatusOr<std::vector<StoredLane>> OpenLanes();
  void RunDispatcher();
  void Receive(Committer::Notices notices);

  Transport& transport_;
  const Clock& clock_;
  const EngineOptions options_;
  DiskSpace disk_;
  std::unique_ptr<Spool> spool_;
  LaneDirectory lanes_{LaneDirectory::Bounds()};
  // All that there were: callers hold pointers into them.
  std::vector<std::unique_ptr<Generation>> generations_;
  std::atomic<const Generation*> current_{nullptr};
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<Dispatcher> dispatcher_;

  Mutex mutex_;
  std::vector<Committer::Notices> notices_ ABSL_GUARDED_BY(mutex_);
  std::vector<Command> commands_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread committer_thread_;
  std::thread dispatcher_thread_;
  std::unique_ptr<SpaceReclaimer> space_reclaimer_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENGINE_H_
