#ifndef HEAPSYNC_SERVER_OBSERVE_FLOW_SAMPLER_H_
#define HEAPSYNC_SERVER_OBSERVE_FLOW_SAMPLER_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "heap_adapter/engines.h"
#include "server/observe/flow_history.h"

namespace heapsync {

// Adds a sample of the engine's flows to a history once in each of its steps.
// Never waits for the dispatcher: while that is busy, steps stay empty. One
// thread.
class FlowSampler {
 public:
  // Both must outlive this.
  FlowSampler(Engines& engines, FlowHistory& history);

  // To be called several times in each step.
  void Tick(MonotonicTime now);

 private:
  // Receives the dispatcher's answer.
  struct Mailbox {
    Mutex mutex;
    bool asked ABSL_GUARDED_BY(mutex) = false;
    std::optional<EngineFlows> answer ABSL_GUARDED_BY(mutex);
  };

  Engines& engines_;
  FlowHistory& history_;
  // Shared with the engine, which may answer after this is gone.
  const std::shared_ptr<Mailbox> mailbox_;
  int64_t asked_in_step_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_FLOW_SAMPLER_H_
