#include "heap_adapter/delivery/lane.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "heap_adapter/delivery/plan_reader.h"
#include "heap_adapter/encoding/coalesced_update.h"
#include "heap_adapter/model/object_type.h"

namespace heapsync {
namespace {

// Marks say when items arrived; beyond this many the newest share one.
constexpr size_t kMaxMarks = 64;
constexpr size_t kForgottenAtOnce = 64;

}  // namespace

Lane::Lane(const Spool& spool, const StoredLane& stored,
           const std::vector<DeferredIdentity>& deferred)
    : spool_(spool),
      id_(stored.id),
      key_(stored.key),
      coalesces_(PolicyOf(stored.key.type).coalesces),
      head_(stored.head),
      lane_bytes_(stored.lane_bytes),
      cursor_(stored.progress.low_watermark),
      progress_(stored.progress),
      deferred_(deferred),
      overtakers_(head_) {
  queued_items_ =
      head_ - cursor_ - progress_.settled.size() + deferred_.items();
  queued_bytes_ = stored.lane_bytes - stored.settled_bytes;
  waiting_bytes_ = queued_bytes_;
  flush_below_ = head_;
  if (cursor_ < head_) marks_.push_back({head_, MonotonicTime()});
}

absl::Status Lane::Restore(AttemptId id, const PlanRecord& record) {
  BatchPlan plan{.stored_as = id, .main = {}, .deferred = {}};
  for (const auto& [begin, end] : record.main.ranges()) {
    for (Seq seq = begin; seq < end; ++seq) {
      if (!progress_.IsSettled(seq) && seq < head_) plan.main.Add(seq);
    }
  }
  for (const auto& [begin, end] : plan.main.ranges()) {
    ahead_.Add(SeqRange{begin, end});
    for (Seq seq = begin; seq < end;) {
      auto block = spool_.ReadBlock(id_, seq);
      if (!block.ok()) return block.status();
      if (!block->has_value()) break;
      const BlockReader reader((*block)->value, (*block)->last);
      for (const StoredItem& item : reader.items()) {
        if (item.seq >= seq && item.seq < end) {
          in_flight_.insert(item.identity_hash);
        }
      }
      seq = (*block)->last + 1;
    }
  }
  for (const auto& [hash, seq] : record.deferred) {
    auto item = spool_.deferred().FindDeferred(id_, seq);
    if (!item.ok()) return item.status();
    if (!item->has_value() || !deferred_.Claim(hash, seq)) continue;
    in_flight_.insert(hash);
    plan.deferred.emplace_back(hash, seq);
  }
  retries_.push_back(std::move(plan));
  return absl::OkStatus();
}

absl::Status Lane::RestoreIsolated(const IsolatedItem& item,
                                   MonotonicTime next_try) {
  auto deferred = spool_.deferred().FindDeferred(id_, item.seq);
  if (!deferred.ok()) return deferred.status();
  if (!deferred->has_value()) return absl::OkStatus();
  if (!deferred_.Claim(item.identity_hash, item.seq)) return absl::OkStatus();
  if (coalesces_) in_flight_.insert(item.identity_hash);
  isolated_items_.insert(item.seq);
  isolated_.Add({.part = true,
                 .standing = Standing::kIsolated,
                 .failures = static_cast<int>(item.failures),
                 .main = {},
                 .deferred = {{item.identity_hash, item.seq}}},
                next_try);
  return absl::OkStatus();
}

void Lane::OnAppended(Appended appended, MonotonicTime now,
                      const OvertakingBounds& bounds,
                      Overtakers::Memory& memory) {
  if (appended.accepted_here) counts_.appended += appended.items.size();
  if (appended.items.end > head_) {
    const uint64_t added = appended.items.end - head_;
    const uint64_t own = appended.accepted_here ? appended.items.size() : 0;
    counts_.appended_elsewhere += added - std::min(added, own);
    if (coalesces_) {
      overtakers_.OnAppended(appended.items, appended.caller,
                             appended.identities, cursor_, bounds, memory);
    }
    const uint64_t bytes = appended.lane_bytes - lane_bytes_;
    queued_items_ += appended.items.end - head_;
    queued_bytes_ += bytes;
    waiting_bytes_ += bytes;
    head_ = appended.items.end;
    lane_bytes_ = appended.lane_bytes;
    if (marks_.size() < kMaxMarks) {
      marks_.push_back({head_, now});
    } else {
      marks_.back().end = head_;
    }
  }
  if (appended.on_settled) {
    waiters_.WaitForItems(appended.items, std::move(appended.on_settled));
  }
}

std::optional<MonotonicTime> Lane::ReadyAt(const BatchRules& rules,
                                           const Trials& trials) const {
  MonotonicTime ready = TrustedReadyAt(rules).value_or(MonotonicTime::max());
  if (!suspected_.empty()) ready = std::min(ready, trials.suspected);
  if (const auto next_try = isolated_.NextTry(); next_try.has_value()) {
    ready = std::min(ready, std::max(*next_try, trials.isolated));
  }
  if (ready == MonotonicTime::max()) return std::nullopt;
  return ready;
}

std::optional<MonotonicTime> Lane::TrustedReadyAt(
    const BatchRules& rules) const {
  if (!retries_.empty() || deferred_.HasReady()) return MonotonicTime();
  if (cursor_ == head_) return std::nullopt;
  if (head_ - cursor_ >= rules.max_items || waiting_bytes_ >= rules.max_bytes ||
      cursor_ < flush_below_) {
    return MonotonicTime();
  }
  return marks_.front().since + rules.max_wait;
}

void Lane::OnFreed(uint64_t identity_hash) {
  while (!held_.empty()) {
    if (held_.front().standing == Standing::kTrusted) {
      retries_.push_back(std::move(held_.front()));
    } else {
      Requeue(std::move(held_.front()));
    }
    held_.pop_front();
  }
  deferred_.MakeReady(identity_hash);
}

void Lane::StorePlan(BatchPlan& plan, AttemptId id, SpoolChange& change) const {
  // An isolated item has a record of its own, and travels with no other.
  if (!coalesces_ || plan.standing == Standing::kIsolated) return;
  plan.stored_as = id;
  change.PutPlan(id,
                 {.lane = id_, .main = plan.main, .deferred = plan.deferred});
}

void Lane::Requeue(BatchPlan plan) {
  switch (plan.standing) {
    case Standing::kTrusted:
      return retries_.push_front(std::move(plan));
    case Standing::kSuspected:
      return suspected_.push_front(std::move(plan));
    case Standing::kIsolated:
      return isolated_.Add(std::move(plan), MonotonicTime());
  }
}

void Lane::TryLater(BatchPlan plan) {
  suspected_next_ = false;
  suspected_.push_back(std::move(plan));
}

void Lane::ReturnPart(BatchPlan part, AttemptId id, Place place,
                      SpoolChange& change) {
  StorePlan(part, id, change);
  if (place == Place::kLast && part.standing == Standing::kSuspected) {
    return TryLater(std::move(part));
  }
  Requeue(std::move(part));
}

absl::Status Lane::Isolate(const Batch& batch, WallTime now,
                           MonotonicTime next_try, SpoolChange& change) {
  const BatchItem& item = batch.items.front();
  absl::StatusOr<DeferredItem> whole = WholeOf(item);
  if (!whole.ok()) return whole.status();
  for (const Seq seq : item.coalesced) {
    change.PutForwarding(id_, {.kind = Forwarding::Kind::kCoalesced,
                               .from = {seq, seq + 1},
                               .into = item.seq,
                               .at = now});
    waiters_.Forward(seq, item.seq);
    progress_.Settle({seq, seq + 1});
  }
  counts_.coalesced += item.coalesced.size();
  const uint64_t bytes = std::min<uint64_t>(item.bytes, whole->text.size());
  Dequeue(item.coalesced.size(), item.bytes - bytes);
  if (!item.deferred) {
    progress_.Settle({item.seq, item.seq + 1});
    deferred_.Add(item.identity_hash, item.seq);
    deferred_.Claim(item.identity_hash, item.seq);
  }
  change.PutDeferred(id_, *whole);
  StoreProgress(change);
  // No later update may overtake it, whatever a crash makes forgotten.
  if (coalesces_) change.RequireDisk();
  isolated_items_.insert(item.seq);
  ++counts_.isolated;
  BatchPlan plan = batch.PlanOf(0, 0);
  plan.part = true;
  plan.standing = Standing::kIsolated;
  plan.failures = 1;
  plan.deferred.emplace_back(item.identity_hash, item.seq);
  if (plan.stored_as != 0) change.DeletePlan(plan.stored_as);
  plan.stored_as = 0;
  WaitAlone(std::move(plan), next_try, change);
  return absl::OkStatus();
}

void Lane::WaitAlone(BatchPlan plan, MonotonicTime next_try,
                     SpoolChange& change) {
  const auto& [hash, seq] = plan.deferred.front();
  change.PutIsolated(id_, {.seq = seq,
                           .identity_hash = hash,
                           .failures = static_cast<uint32_t>(plan.failures)});
  isolated_.Add(std::move(plan), next_try);
}

void Lane::Release(uint64_t identity_hash) {
  if (!coalesces_) return;
  in_flight_.erase(identity_hash);
  deferred_.MakeReady(identity_hash);
}

void Lane::Dequeue(uint64_t items, uint64_t bytes) {
  queued_items_ -= std::min(items, queued_items_);
  queued_bytes_ -= std::min(bytes, queued_bytes_);
  if (queued_items_ == 0) queued_bytes_ = 0;
}

void Lane::PassSettledBlocks() {
  while (cursor_ < progress_.low_watermark) {
    const auto block = spool_.ReadBlock(id_, cursor_);
    if (!block.ok() || !block->has_value()) return;
    const Seq last = (*block)->last;
    if (last >= progress_.low_watermark) return;
    const BlockReader reader((*block)->value, last);
    for (const StoredItem& item : reader.items()) {
      if (item.seq < cursor_) continue;
      waiting_bytes_ -= std::min<uint64_t>(waiting_bytes_, item.text.size());
    }
    if (read_blocks_.empty() || read_blocks_.back() < last) {
      read_blocks_.push_back(last);
    }
    cursor_ = last + 1;
  }
}

void Lane::StoreProgress(SpoolChange& change) {
  // Blocks behind the watermark that is stored would never be read again, and
  // so never be deleted.
  PassSettledBlocks();
  change.PutProgress(id_, progress_);
  while (!read_blocks_.empty() &&
         read_blocks_.front() < progress_.low_watermark) {
    change.DeleteBlock(id_, read_blocks_.front());
    read_blocks_.pop_front();
  }
}

void Lane::EndItem(const BatchItem& item, bool delivered, SpoolChange& change) {
  if (item.deferred) {
    change.DeleteDeferred(id_, item.identity_hash, item.seq);
    deferred_.End(item.identity_hash, item.seq);
  } else {
    progress_.Settle({item.seq, item.seq + 1});
  }
  waiters_.End(item.seq, delivered);
  for (const Seq seq : item.coalesced) {
    progress_.Settle({seq, seq + 1});
    waiters_.End(seq, delivered);
  }
  if (isolated_items_.erase(item.seq) > 0) change.DeleteIsolated(id_, item.seq);
  const uint64_t items = 1 + item.coalesced.size();
  Dequeue(items, item.bytes);
  (delivered ? counts_.delivered : counts_.dead_lettered) += items;
  counts_.coalesced += item.coalesced.size();
  Release(item.identity_hash);
}

void Lane::Deliver(const Batch& batch, SpoolChange& change) {
  const bool plain = !coalesces_ && waiters_.empty();
  for (size_t i = 0; i < batch.items.size();) {
    const BatchItem& item = batch.items[i];
    if (!plain || item.deferred) {
      EndItem(item, true, change);
      ++i;
      continue;
    }
    // Events mostly come in runs, and a run costs what one of them costs.
    const size_t begin = i;
    uint64_t bytes = 0;
    for (; i < batch.items.size() && !batch.items[i].deferred &&
           batch.items[i].seq == item.seq + (i - begin);
         ++i) {
      bytes += batch.items[i].bytes;
    }
    progress_.Settle({item.seq, item.seq + (i - begin)});
    Dequeue(i - begin, bytes);
    counts_.delivered += i - begin;
  }
  StoreProgress(change);
  if (batch.stored_as != 0) change.DeletePlan(batch.stored_as);
  // A later update of the same identity may go out once this is stored; were it
  // forgotten, the older one would be sent again after the newer.
  if (coalesces_) change.RequireDisk();
}

absl::Status Lane::MoveToDeadLetters(const BatchItem& item, DeadLetter letter,
                                     SpoolChange& change) {
  absl::StatusOr<DeferredItem> whole = WholeOf(item);
  if (!whole.ok() && !absl::IsDataLoss(whole.status())) return whole.status();
  letter.seq = item.seq;
  letter.accepted_at = item.accepted_at;
  letter.identity_hash = item.identity_hash;
  letter.replays = item.replays;
  if (whole.ok()) letter.text = std::move(whole->text);
  change.PutDeadLetter(id_, letter);
  for (const Seq seq : item.coalesced) {
    change.PutForwarding(id_, {.kind = Forwarding::Kind::kCoalesced,
                               .from = {seq, seq + 1},
                               .into = item.seq,
                               .at = letter.dead_lettered_at});
  }
  counts_.dead_lettered_for[static_cast<size_t>(letter.reason)] +=
      1 + item.coalesced.size();
  EndItem(item, false, change);
  StoreProgress(change);
  return absl::OkStatus();
}

absl::Status Lane::ForgetForwardings(WallTime before, SpoolChange& change) {
  std::vector<Forwarding> old;
  absl::Status status = spool_.VisitForwardings(
      id_, next_forwarding_, [&](const Forwarding& forwarding) {
        if (forwarding.at >= before || old.size() == kForgottenAtOnce) {
          return false;
        }
        old.push_back(forwarding);
        return true;
      });
  for (const Forwarding& forwarding : old) {
    if (!status.ok()) break;
    next_forwarding_ = forwarding.from.end;
    // A discarded item must never be reported as delivered.
    if (forwarding.kind == Forwarding::Kind::kDiscarded) continue;
    if (!progress_.IsSettled(forwarding.into)) continue;
    const auto deferred = spool_.deferred().FindDeferred(id_, forwarding.into);
    const auto letter = spool_.FindDeadLetter(id_, forwarding.into);
    const auto further = spool_.FindForwarding(id_, forwarding.into);
    status.Update(deferred.status());
    status.Update(letter.status());
    status.Update(further.status());
    if (!status.ok() || deferred->has_value() || letter->has_value() ||
        further->has_value()) {
      continue;
    }
    change.DeleteForwarding(id_, forwarding.from);
  }
  return status;
}

// The item with all that is coalesced into it. Errors: storage that cannot be
// read; kDataLoss if a record is damaged or missing.
absl::StatusOr<DeferredItem> Lane::WholeOf(const BatchItem& item) const {
  BatchPlan plan{.main = {}, .deferred = {}};
  plan.Add(item);
  absl::StatusOr<std::vector<PlanItem>> parts = ReadPlan(spool_, id_, plan);
  if (!parts.ok()) return parts.status();
  if (parts->size() != 1 + item.coalesced.size()) {
    return absl::DataLossError(
        absl::StrCat("item ", item.seq, " cannot be read"));
  }
  DeferredItem whole{.seq = item.seq,
                     .accepted_at = item.accepted_at,
                     .identity_hash = item.identity_hash,
                     .replays = item.replays,
                     .text = {}};
  std::optional<CoalescedUpdate> update;
  for (PlanItem& part : *parts) {
    if (part.lost) {
      return absl::DataLossError(
          absl::StrCat("item ", part.item.seq, " cannot be read"));
    }
    whole.accepted_at = std::max(whole.accepted_at, part.item.accepted_at);
    if (!update.has_value()) {
      update.emplace(std::move(part.text));
    } else if (absl::Status s = update->Add(part.text); !s.ok()) {
      return s;
    }
  }
  whole.text = std::move(*update).Text();
  return whole;
}

}  // namespace heapsync
