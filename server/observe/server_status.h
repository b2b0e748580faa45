#ifndef HEAPSYNC_SERVER_OBSERVE_SERVER_STATUS_H_
#define HEAPSYNC_SERVER_OBSERVE_SERVER_STATUS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "heap_adapter/engines.h"

namespace heapsync {

struct DestinationStatus {
  DestinationSnapshot snapshot;
  // For each of the snapshot's lanes, the acceptance time of its oldest waiting
  // item. None: nothing waits, or the spool could not be read.
  std::vector<std::optional<WallTime>> oldest_waiting;
};

// Source of the metrics, the JSON and the status page. Contains only what
// everyone who can reach the HTTP port may see.
struct ServerStatus {
  Now now;
  Duration uptime;  // of the reader, which starts with the server
  SpoolFigures spool;
  // Time of the snapshot of the destinations; earlier than `now` while the
  // dispatcher is busy. None: there is no snapshot yet, and `destinations` is
  // empty.
  std::optional<MonotonicTime> taken_at;
  std::vector<DestinationStatus> destinations;
  // See EngineSnapshot: what this server counts of another one's destinations.
  std::vector<DestinationStatus> accepted;
};

// Reads the status of an engine with a bounded wait, however many threads ask:
// all calls within kFresh share one result, and at most one request to the
// dispatcher is pending. Any thread except the engine's own.
class StatusReader {
 public:
  // Maximum age of a status. Larger: less work for the dispatcher, older
  // numbers.
  static constexpr Duration kFresh = std::chrono::milliseconds(250);

  // `engines` must outlive this. `patience` bounds the wait for the dispatcher,
  // after which the previous snapshot of the destinations is used.
  explicit StatusReader(Engines& engines,
                        Duration patience = std::chrono::seconds(2));

  // Never null.
  std::shared_ptr<const ServerStatus> Read();

  bool spool_healthy() const { return engines_.healthy(); }

 private:
  // Receives the dispatcher's snapshot.
  struct Mailbox {
    Mutex mutex;
    CondVar arrived;
    bool asked ABSL_GUARDED_BY(mutex) = false;
    std::optional<EngineSnapshot> answer ABSL_GUARDED_BY(mutex);
  };
  // A lane's oldest item remains the oldest until it is settled, so it is read
  // from the disk only once.
  struct Oldest {
    Seq first_unsettled;
    WallTime accepted_at;
  };

  std::optional<EngineSnapshot> AskDispatcher();
  std::optional<WallTime> OldestOf(const DestinationSnapshot& destination,
                                   const LaneSnapshot& lane);
  std::shared_ptr<const ServerStatus> Make(const ServerStatus* previous);

  Engines& engines_;
  const Duration patience_;
  const MonotonicTime started_;
  // Shared with the engine, which may answer after this is gone.
  const std::shared_ptr<Mailbox> mailbox_;

  Mutex mutex_;
  CondVar read_;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  // Shared with callers that are still writing it.
  std::shared_ptr<const ServerStatus> latest_ ABSL_GUARDED_BY(mutex_);
  // Used only by the thread that set `reading_`.
  absl::flat_hash_map<LaneId, Oldest> oldest_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_SERVER_STATUS_H_
