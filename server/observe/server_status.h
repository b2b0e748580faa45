#ifndef HEAPSYNC_SERVER_OBSERVE_SERVER_STATUS_H_
#define HEAPSYNC_SERVER_OBSERVE_SERVER_STATUS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "heap_adapter/base/mutex.h"
#include "heap_adapter/engine.h"

namespace heapsync {

struct DestinationStatus {
  DestinationSnapshot snapshot;
  // For each of the snapshot's lanes, when its oldest waiting item was
  // accepted. None: nothing waits, or the spool could not be read.
  std::vector<std::optional<WallTime>> oldest_waiting;
};

// What metrics, JSON and status page show. It holds nothing that may not be
// shown to everybody who can reach the HTTP port.
struct ServerStatus {
  Now now;
  Duration uptime;  // of the reader, which starts with the server
  SpoolFigures spool;
  // When the destinations were looked at; before `now` while the dispatcher is
  // busy. None: it never had the time yet, and there are no destinations here.
  std::optional<MonotonicTime> taken_at;
  std::vector<DestinationStatus> destinations;
};

// Reads the status of an engine without ever waiting long for it, however many
// ask: answers are shared by all who ask within kFresh, and at most one
// question is in flight to the dispatcher. Any thread, except the engine's own.
class StatusReader {
 public:
  // How old a status may be. Larger: less work for the dispatcher, older
  // numbers.
  static constexpr Duration kFresh = std::chrono::milliseconds(250);

  // `engine` must outlive this. `patience` bounds the wait for the dispatcher;
  // after it the destinations are shown as they were last seen.
  explicit StatusReader(Engine& engine,
                        Duration patience = std::chrono::seconds(2));

  // Never null.
  std::shared_ptr<const ServerStatus> Read();

  bool spool_healthy() const { return engine_.healthy(); }

 private:
  // Where the dispatcher leaves its answer.
  struct Mailbox {
    Mutex mutex;
    CondVar arrived;
    bool asked ABSL_GUARDED_BY(mutex) = false;
    std::optional<EngineSnapshot> answer ABSL_GUARDED_BY(mutex);
  };
  // The oldest item of a lane stays the oldest until it is settled, so the disk
  // is read for it once.
  struct Oldest {
    Seq first_unsettled;
    WallTime accepted_at;
  };

  std::optional<EngineSnapshot> AskDispatcher();
  std::optional<WallTime> OldestOf(const LaneSnapshot& lane);
  std::shared_ptr<const ServerStatus> Make(const ServerStatus* previous);

  Engine& engine_;
  const Duration patience_;
  const MonotonicTime started_;
  // Shared with the engine, which may answer after this is gone.
  const std::shared_ptr<Mailbox> mailbox_;

  Mutex mutex_;
  CondVar read_;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  // Shared with those who still write it out.
  std::shared_ptr<const ServerStatus> latest_ ABSL_GUARDED_BY(mutex_);
  // Belongs to the thread that set `reading_`.
  absl::flat_hash_map<LaneId, Oldest> oldest_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_SERVER_STATUS_H_
