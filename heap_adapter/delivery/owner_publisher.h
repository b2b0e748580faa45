#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_OWNER_PUBLISHER_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_OWNER_PUBLISHER_H_

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/clock.h"
#include "heap_adapter/delivery/dispatcher.h"
#include "heap_adapter/delivery/snapshot.h"
#include "heap_adapter/intake/dead_letter_usage.h"
#include "heap_adapter/intake/lane_directory.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/spool/spool_change.h"

namespace heapsync {

// The server that delivers from a shared spool tells the others by this:
// figures that bound what they accept, and snapshots of the destinations. Only
// what has changed is written. Belongs to the dispatcher's thread.
class OwnerPublisher {
 public:
  // Adds to a snapshot what the dispatcher does not know.
  using Complete = std::function<void(DestinationSnapshot&)>;

  // Everything given by reference must outlive this.
  OwnerPublisher(const LaneDirectory& directory,
                 const DeadLetterUsage& dead_letters, Complete complete)
      : directory_(directory),
        dead_letters_(dead_letters),
        complete_(std::move(complete)) {}

  // Another server may have published meanwhile: everything is written again.
  void Restart() {
    figures_.clear();
    snapshots_.clear();
  }

  // The change to store: the figures of `destinations` that have changed, and
  // the snapshots of some that the dispatcher has.
  SpoolChange Next(const std::vector<Destination>& destinations,
                   const Dispatcher& dispatcher, Now now);

 private:
  void PutFigures(const std::vector<Destination>& destinations,
                  const Dispatcher& dispatcher, SpoolChange& change);
  void PutSnapshots(const Dispatcher& dispatcher, Now now, SpoolChange& change);

  const LaneDirectory& directory_;
  const DeadLetterUsage& dead_letters_;
  const Complete complete_;
  // As they were published last.
  absl::flat_hash_map<std::string, OwnerFigures> figures_;
  absl::flat_hash_map<std::string, std::string> snapshots_;
  size_t next_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_OWNER_PUBLISHER_H_
