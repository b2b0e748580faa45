#ifndef HEAPSYNC_SERVER_OBSERVE_SLOT_METRICS_H_
#define HEAPSYNC_SERVER_OBSERVE_SLOT_METRICS_H_

#include <prometheus/collectable.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "server/access/call_slots.h"

namespace heapsync {

// The open calls of each kind and those that were refused, by reason, with the
// silent streams that gave up their places. Any thread.
class SlotMetrics final : public prometheus::Collectable {
 public:
  struct Kind {
    std::string name;
    const CallSlots& slots;
  };

  // All must outlive this. `silent_streams_ended` is called by any thread.
  SlotMetrics(std::vector<Kind> kinds,
              std::function<uint64_t()> silent_streams_ended)
      : kinds_(std::move(kinds)),
        silent_streams_ended_(std::move(silent_streams_ended)) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const std::vector<Kind> kinds_;
  const std::function<uint64_t()> silent_streams_ended_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_SLOT_METRICS_H_
