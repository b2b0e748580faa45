#include "heap_adapter/intake/notifier.h"

#include <cstddef>
#include <utility>

namespace heapsync {

void Notifier::Notify(Committed committed) {
  if (committed.status.ok()) {
    std::vector<Appended>& all = committed.notices.appended;
    size_t kept = 0;
    for (size_t i = 0; i < committed.appends.size(); ++i) {
      if (!committed.appends[i].refused.ok()) continue;
      if (kept != i) all[kept] = std::move(all[i]);
      Appended& appended = all[kept++];
      if (!appended.on_settled) continue;
      committed.appends[i].gate =
          std::make_shared<SettlementGate>(std::move(appended.on_settled));
      appended.on_settled = SettlementGate::Through(committed.appends[i].gate);
    }
    all.erase(all.begin() + static_cast<ptrdiff_t>(kept),
              all.begin() + static_cast<ptrdiff_t>(committed.appends.size()));
    sink_(std::exchange(committed.notices, {}));
  } else {
    committed.notices = {};
  }
  if (committed.appends.empty() && committed.changes.empty()) {
    return WakeSink();
  }
  {
    MutexLock lock(mutex_);
    queued_.push_back(std::move(committed));
  }
  wake_.NotifyOne();
}

void Notifier::Close() {
  {
    MutexLock lock(mutex_);
    closed_ = true;
  }
  wake_.NotifyOne();
}

void Notifier::Run() {
  // Fewer: those of a new commit get their turn sooner, at the price of looking
  // for one more often.
  constexpr size_t kAnswersAtOnce = 16;
  while (true) {
    if (AnswerSome(kAnswersAtOnce)) continue;
    MutexLock lock(mutex_);
    while (queued_.empty() && !closed_) wake_.Wait(mutex_);
    if (queued_.empty()) return;
  }
}

bool Notifier::AnswerSome(size_t max) {
  std::vector<Committed> queued;
  {
    MutexLock lock(mutex_);
    queued = std::exchange(queued_, {});
  }
  for (Committed& committed : queued) {
    Group& group = groups_.emplace_back();
    group.committed = std::move(committed);
    group.unanswered = group.committed.appends.size();
    for (size_t i = 0; i < group.unanswered; ++i) {
      answers_.Add(group.committed.appends[i].lane,
                   {.group = &group, .append = i});
    }
  }
  if (groups_.empty()) return false;
  if (!queued.empty() && !std::exchange(sink_sleeps_, true)) {
    answers_since_notice_ = 0;
  }
  for (; max > 0 && !answers_.empty(); --max) {
    AnswerNext();
    ++answers_since_notice_;
  }
  if (answers_.empty() || answers_since_notice_ >= kAnswersFirst) {
    if (std::exchange(sink_sleeps_, false)) WakeSink();
  }
  while (!groups_.empty() && groups_.front().unanswered == 0) {
    Committed& committed = groups_.front().committed;
    for (ChangeDone& done : committed.changes) done(committed.status);
    groups_.pop_front();
  }
  return true;
}

void Notifier::AnswerNext() {
  const Answer answer = answers_.Next();
  Committed& committed = answer.group->committed;
  Append& append = committed.appends[answer.append];
  if (!committed.status.ok()) {
    append.done(committed.status);
  } else if (!append.refused.ok()) {
    append.done(append.refused);
  } else {
    append.done(append.items);
  }
  if (append.gate != nullptr) append.gate->Open();
  --answer.group->unanswered;
}

}  // namespace heapsync
