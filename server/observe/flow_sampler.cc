#include "server/observe/flow_sampler.h"

#include <utility>

namespace heapsync {

FlowSampler::FlowSampler(Engines& engines, FlowHistory& history)
    : engines_(engines),
      history_(history),
      mailbox_(std::make_shared<Mailbox>()) {}

void FlowSampler::Tick(MonotonicTime now) {
  std::optional<EngineFlows> answer;
  bool ask = false;
  {
    MutexLock lock(mailbox_->mutex);
    answer = std::exchange(mailbox_->answer, std::nullopt);
    ask = !mailbox_->asked && history_.StepOf(now) > asked_in_step_;
    if (ask) mailbox_->asked = true;
  }
  if (answer.has_value()) history_.Add(*answer);
  if (!ask) return;
  asked_in_step_ = history_.StepOf(now);
  engines_.RequestFlows([mailbox = mailbox_](EngineFlows flows) {
    MutexLock lock(mailbox->mutex);
    mailbox->asked = false;
    mailbox->answer = std::move(flows);
  });
}

}  // namespace heapsync
