#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "heap_adapter/delivery/lane.h"
#include "heap_adapter/delivery/plan_reader.h"
#include "heap_adapter/delivery/work.h"
#include "heap_adapter/encoding/coalesced_update.h"
#include "heap_adapter/model/object_type.h"

namespace heapsync {
namespace {

// The part of a batch that items deferred may take while others wait.
constexpr uint32_t kDeferredPart = 2;

// The same for items that overtake the others.
constexpr uint32_t kOvertakingPart = 2;

// While a lane's settled items have this many gaps, nothing is overtaken, which
// would make more: all are written with each change.
constexpr size_t kMaxGaps = 512;

// Lost items that become dead letters at once.
constexpr uint64_t kMaxLostAtOnce = 1'000;

}  // namespace

// One call of Lane::Next.
class Lane::Puller {
 public:
  Puller(Lane& lane, const PullRules& rules, uint32_t max_items,
         size_t max_bytes, SpoolChange& change)
      : lane_(lane),
        rules_(rules),
        change_(change),
        max_items_(max_items),
        builder_(rules.destination.app_id, lane.key_.type, max_items,
                 max_bytes) {}

  absl::Status FromPlan(BatchPlan plan);
  absl::Status FromDeferred();
  absl::Status FromOvertakers();
  absl::Status FromBlocks();
  // True if there is something for Finish() to report.
  bool touched() const {
    return progressed_ || builder_.size() > 0 || !change_.empty() ||
           !over_limit_.empty() || !plan_deferred_.empty() ||
           !set_deferred_.empty();
  }
  Pull Finish();

 private:
  enum class Source { kBlock, kDeferred, kPlanBlock, kPlanDeferred };
  enum class Offered { kTaken, kGone, kFull, kBlocked, kHeld };
  // A deferred update to which further ones may be added.
  struct OpenItem {
    DeferredItem item;  // without its text
    CoalescedUpdate update;
  };

  BatchBuilder::Added AddToBatch(const StoredItem& item, bool deferred);
  bool Coalesce(const StoredItem& item, OpenItem& older);
  void PutDeferred(const OpenItem& open);
  absl::StatusOr<Offered> Offer(const StoredItem& item, Source source);
  bool MayGo(const StoredItem& item, Source source);
  uint32_t Allowance(uint64_t identity_hash) const;
  absl::Status Defer(const StoredItem& item, Source source);
  absl::StatusOr<bool> CoalesceIntoDeferred(const StoredItem& item);
  bool CoalesceIntoPlanItem(const StoredItem& item);
  void RecordCoalesced(const StoredItem& item, Seq into);
  void GiveUp(const StoredItem& item, Source source, DeadLetterReason reason);
  void PassLost(Seq end);
  void DeadLetterLost(SeqRange range);

  void BeginAttempt(Batch& batch);
  void WatchIdentities();

  Lane& lane_;
  const PullRules& rules_;
  SpoolChange& change_;
  const uint32_t max_items_;
  BatchBuilder builder_;
  Pull pull_;
  // Identities that the ledger did not let go.
  std::vector<uint64_t> over_limit_;
  bool progressed_ = false;
  // Work done, but for the objects of the batch, whose number and size are
  // bounded otherwise.
  uint64_t work_ = 0;
  uint64_t batch_work_ = 0;
  absl::flat_hash_map<uint64_t, uint32_t> taken_;  // units per identity
  // Items of a plan that are deferred again, by identity: what travelled
  // together stays together.
  absl::flat_hash_map<uint64_t, OpenItem> plan_deferred_;
  // Items deferred in this pull, by identity: not yet in the spool.
  absl::flat_hash_map<uint64_t, OpenItem> set_deferred_;
  BatchPlan plan_;  // that the pull is from; only what is said of it
  BatchPlan held_;  // the part of it that must wait
};

absl::StatusOr<Lane::Pull> Lane::Next(const PullRules& rules,
                                      SpoolChange& change) {
  uint32_t max_items =
      std::min(rules.destination.batch.max_items, rules.max_items);
  if (rules.ledger != nullptr &&
      PolicyOf(key_.type).limit.unit == LimitedUnit::kItems) {
    max_items = std::min(max_items, rules.ledger->TotalAllowance());
  }
  if (max_items == 0) return Pull{};
  size_t max_bytes = rules.destination.batch.max_bytes;
  std::optional<BatchPlan> plan = TakePlan(rules);
  if (coalesces_ && plan.has_value()) {
    // It fitted when it was made, and must not be cut.
    max_items = std::numeric_limits<uint32_t>::max();
    max_bytes = std::numeric_limits<size_t>::max();
  }
  Puller puller(*this, rules, max_items, max_bytes, change);
  absl::Status status;
  if (plan.has_value()) {
    status = puller.FromPlan(*std::move(plan));
  } else {
    status = puller.FromDeferred();
    if (status.ok()) status = puller.FromOvertakers();
    if (status.ok()) status = puller.FromBlocks();
  }
  // Work done before an error is kept; the next pull meets the error again.
  if (!status.ok() && !puller.touched()) return status;
  return puller.Finish();
}

// The plan whose turn it is; none if it is that of items without one.
std::optional<BatchPlan> Lane::TakePlan(const PullRules& rules) {
  const MonotonicTime now = rules.now.monotonic;
  const auto next_try = isolated_.NextTry();
  if (next_try.has_value() &&
      std::max(*next_try, rules.trials.isolated) <= now) {
    return isolated_.Take();
  }
  const auto take_first = [](std::list<BatchPlan>& plans) {
    BatchPlan plan = std::move(plans.front());
    plans.pop_front();
    return plan;
  };
  if (!suspected_.empty() && rules.trials.suspected <= now) {
    const auto trusted = TrustedReadyAt(rules.destination.batch);
    const bool others_wait = trusted.has_value() && *trusted <= now;
    if (suspected_next_ || !others_wait) {
      suspected_next_ = false;
      return take_first(suspected_);
    }
    suspected_next_ = true;
  }
  if (retries_.empty()) return std::nullopt;
  return take_first(retries_);
}

uint32_t Lane::Puller::Allowance(uint64_t identity_hash) const {
  if (rules_.ledger == nullptr) return UsageLedger::kUnlimited;
  const uint32_t allowed = rules_.ledger->IdentityAllowance(identity_hash);
  if (allowed == UsageLedger::kUnlimited) return allowed;
  const auto it = taken_.find(identity_hash);
  const uint32_t taken = it == taken_.end() ? 0 : it->second;
  return allowed > taken ? allowed - taken : 0;
}

bool Lane::Puller::MayGo(const StoredItem& item, Source source) {
  const uint64_t hash = item.identity_hash;
  if (source == Source::kBlock && lane_.deferred_.Waits(hash)) return false;
  if (lane_.coalesces_) {
    if (taken_.contains(hash)) return true;  // it is coalesced, or conflicts
    if ((source == Source::kBlock || source == Source::kDeferred) &&
        lane_.in_flight_.contains(hash)) {
      return false;
    }
  }
  if (Allowance(hash) > 0) return true;
  over_limit_.push_back(hash);
  return false;
}

absl::StatusOr<Lane::Puller::Offered> Lane::Puller::Offer(
    const StoredItem& item, Source source) {
  if (item.text.empty()) {
    GiveUp(item, source, DeadLetterReason::kDamaged);
    return Offered::kGone;
  }
  if (plan_.expires_before.has_value() &&
      item.accepted_at < *plan_.expires_before) {
    GiveUp(item, source, DeadLetterReason::kExpired);
    ++pull_.expired;
    return Offered::kGone;
  }
  BatchBuilder::Added added = BatchBuilder::Added::kConflict;
  if (MayGo(item, source)) {
    const bool deferred =
        source == Source::kDeferred || source == Source::kPlanDeferred;
    added = AddToBatch(item, deferred);
  } else {
    work_ += Work::kItem + item.text.size();
  }
  switch (added) {
    case BatchBuilder::Added::kYes:
      if (lane_.coalesces_) {
        taken_[item.identity_hash] = 1;
      } else if (rules_.ledger != nullptr &&
                 rules_.ledger->limits_identities()) {
        ++taken_[item.identity_hash];
      }
      return Offered::kTaken;
    case BatchBuilder::Added::kFull:
      return Offered::kFull;
    case BatchBuilder::Added::kConflict:
      break;
  }
  if (source == Source::kDeferred) return Offered::kBlocked;
  if (plan_.part) return Offered::kHeld;
  if (source == Source::kBlock && !rules_.may_defer) {
    pull_.waits_for_space = true;
    return Offered::kFull;
  }
  if (absl::Status status = Defer(item, source); !status.ok()) return status;
  return Offered::kGone;
}

BatchBuilder::Added Lane::Puller::AddToBatch(const StoredItem& item,
                                             bool deferred) {
  const uint64_t coalescing = builder_.work();
  const size_t size = builder_.size();
  const BatchBuilder::Added added = builder_.Add(item, deferred);
  (builder_.size() > size ? batch_work_ : work_) +=
      Work::kItem + item.text.size();
  work_ += builder_.work() - coalescing;
  return added;
}

void Lane::Puller::RecordCoalesced(const StoredItem& item, Seq into) {
  change_.PutForwarding(lane_.id_, {.kind = Forwarding::Kind::kCoalesced,
                                    .from = {item.seq, item.seq + 1},
                                    .into = into,
                                    .at = rules_.now.wall});
  lane_.waiters_.Forward(item.seq, into);
  ++lane_.counts_.coalesced;
  lane_.Dequeue(1, item.text.size());
}

bool Lane::Puller::Coalesce(const StoredItem& item, OpenItem& older) {
  const uint64_t read = older.update.properties_read();
  const bool added = older.update.Add(item.text).ok();
  work_ += (older.update.properties_read() - read) * Work::kProperty;
  if (!added) return false;
  // It is as young as what is newest in it: that must not expire early.
  older.item.accepted_at = std::max(older.item.accepted_at, item.accepted_at);
  RecordCoalesced(item, older.item.seq);
  return true;
}

void Lane::Puller::PutDeferred(const OpenItem& open) {
  DeferredItem item = open.item;
  item.text = open.update.Text();
  work_ += item.text.size();
  change_.PutDeferred(lane_.id_, item);
}

bool Lane::Puller::CoalesceIntoPlanItem(const StoredItem& item) {
  const auto open = plan_deferred_.find(item.identity_hash);
  return open != plan_deferred_.end() && Coalesce(item, open->second);
}

absl::StatusOr<bool> Lane::Puller::CoalesceIntoDeferred(
    const StoredItem& item) {
  const uint64_t hash = item.identity_hash;
  if (const auto open = set_deferred_.find(hash); open != set_deferred_.end()) {
    return Coalesce(item, open->second);
  }
  auto stored = lane_.spool_.deferred().FindDeferred(
      lane_.id_, lane_.deferred_.LastOf(hash));
  if (!stored.ok()) return stored.status();
  work_ += Work::kRecord;
  if (!stored->has_value()) return false;
  work_ += 2 * (*stored)->text.size();
  CoalescedUpdate update(std::exchange((*stored)->text, {}));
  OpenItem older{.item = **std::move(stored), .update = std::move(update)};
  if (!Coalesce(item, older)) return false;
  set_deferred_.emplace(hash, std::move(older));
  return true;
}

absl::Status Lane::Puller::Defer(const StoredItem& item, Source source) {
  const uint64_t hash = item.identity_hash;
  pull_.awaits_change = true;
  const bool of_plan =
      source == Source::kPlanBlock || source == Source::kPlanDeferred;
  if (of_plan) lane_.in_flight_.erase(hash);
  if (source != Source::kPlanDeferred) {
    bool coalesced = lane_.coalesces_ && of_plan && CoalesceIntoPlanItem(item);
    if (lane_.coalesces_ && !of_plan && lane_.deferred_.Waits(hash)) {
      absl::StatusOr<bool> into_deferred = CoalesceIntoDeferred(item);
      if (!into_deferred.ok()) return into_deferred.status();
      coalesced = *into_deferred;
    }
    progressed_ = true;
    lane_.progress_.Settle({item.seq, item.seq + 1});
    if (coalesced) return absl::OkStatus();
  }
  if (source == Source::kPlanDeferred) {
    lane_.deferred_.PutBack(hash, item.seq);
  } else {
    lane_.deferred_.Add(hash, item.seq);
    ++lane_.counts_.deferred;
  }
  DeferredItem stored{.seq = item.seq,
                      .accepted_at = item.accepted_at,
                      .identity_hash = hash,
                      .replays = item.replays,
                      .text = {}};
  if (!lane_.coalesces_) {
    if (source == Source::kPlanDeferred) return absl::OkStatus();
    stored.text = std::string(item.text);
    change_.PutDeferred(lane_.id_, stored);
    return absl::OkStatus();
  }
  // Kept open for further updates in this pull; an earlier one of the same
  // identity that could not be coalesced is complete.
  auto& open_items = of_plan ? plan_deferred_ : set_deferred_;
  if (auto open = open_items.find(hash); open != open_items.end()) {
    PutDeferred(open->second);
  }
  open_items.insert_or_assign(
      hash, OpenItem{.item = std::move(stored),
                     .update = CoalescedUpdate(std::string(item.text))});
  return absl::OkStatus();
}

void Lane::Puller::GiveUp(const StoredItem& item, Source source,
                          DeadLetterReason reason) {
  const bool deferred =
      source == Source::kDeferred || source == Source::kPlanDeferred;
  DeadLetter letter{.seq = item.seq,
                    .reason = reason,
                    .accepted_at = item.accepted_at,
                    .dead_lettered_at = rules_.now.wall,
                    .identity_hash = item.identity_hash,
                    .replays = item.replays,
                    .heap_response = {},
                    .text = std::string(item.text)};
  change_.PutDeadLetter(lane_.id_, letter);
  work_ += Work::kItem + item.text.size();
  ++lane_.counts_.dead_lettered_for[static_cast<size_t>(reason)];
  progressed_ = true;
  const bool was_in_flight =
      source == Source::kPlanBlock || source == Source::kPlanDeferred;
  const bool still_blocked =
      !was_in_flight && lane_.in_flight_.contains(item.identity_hash);
  lane_.EndItem({.seq = item.seq,
                 .identity_hash = item.identity_hash,
                 .bytes = static_cast<uint32_t>(item.text.size()),
                 .deferred = deferred,
                 .coalesced = {}},
                false, change_);
  if (still_blocked) lane_.in_flight_.insert(item.identity_hash);
}

void Lane::Puller::DeadLetterLost(SeqRange range) {
  for (Seq seq = range.begin; seq < range.end; ++seq) {
    if (lane_.progress_.IsSettled(seq)) continue;
    change_.PutDeadLetter(lane_.id_, {.seq = seq,
                                      .reason = DeadLetterReason::kDamaged,
                                      .accepted_at = rules_.now.wall,
                                      .dead_lettered_at = rules_.now.wall,
                                      .heap_response = {},
                                      .text = {}});
    work_ += Work::kItem;
    lane_.progress_.Settle({seq, seq + 1});
    lane_.waiters_.End(seq, false);
    lane_.Dequeue(1, 0);
    ++lane_.counts_.dead_lettered;
    ++lane_.counts_
          .dead_lettered_for[static_cast<size_t>(DeadLetterReason::kDamaged)];
    progressed_ = true;
  }
}

absl::Status Lane::Puller::FromDeferred() {
  DeferredItems& deferred = lane_.deferred_;
  const bool others_wait = lane_.cursor_ < lane_.head_;
  const uint32_t max = others_wait
                           ? std::max<uint32_t>(1, max_items_ / kDeferredPart)
                           : max_items_;
  const uint64_t max_work =
      others_wait ? rules_.max_work / kDeferredPart : rules_.max_work;
  while (builder_.size() < max && work_ < max_work) {
    const std::optional<uint64_t> first = deferred.FirstReady();
    if (!first.has_value()) break;
    const uint64_t hash = *first;
    work_ += Work::kIdentity;
    if (lane_.coalesces_ &&
        (lane_.in_flight_.contains(hash) || taken_.contains(hash))) {
      deferred.PopReady();
      continue;
    }
    uint64_t limit = Allowance(hash);
    if (limit == 0) {
      over_limit_.push_back(hash);
      deferred.PopReady();
      continue;
    }
    limit = std::min<uint64_t>(limit, max - builder_.size());
    if (lane_.coalesces_) limit = 1;
    // Items in flight are still in the spool, and are passed over.
    auto items = lane_.spool_.deferred().ReadDeferred(
        lane_.id_, hash, deferred.NextOf(hash),
        limit + deferred.InFlightOf(hash).size());
    if (!items.ok()) return items.status();
    work_ += Work::kRecord;
    uint64_t offered_items = 0;
    for (const DeferredItem& item : *items) {
      work_ += Work::kPassedItem + item.text.size();
      if (deferred.InFlightOf(hash).Contains(item.seq)) continue;
      if (offered_items++ == limit) break;
      absl::StatusOr<Offered> offered = Offer({.seq = item.seq,
                                               .accepted_at = item.accepted_at,
                                               .identity_hash = hash,
                                               .replays = item.replays,
                                               .text = item.text},
                                              Source::kDeferred);
      if (!offered.ok()) return offered.status();
      if (*offered == Offered::kFull || *offered == Offered::kBlocked) {
        return absl::OkStatus();
      }
      deferred.Pass(hash, item.seq,
                    *offered == Offered::kTaken
                        ? DeferredItems::Passed::kTaken
                        : DeferredItems::Passed::kEnded);
    }
    // The spool has fewer than was counted: there is nothing to wait for.
    if (offered_items == 0) deferred.ForgetWaiting(hash);
    if (!deferred.Waits(hash)) deferred.PopReady();
  }
  return absl::OkStatus();
}

absl::Status Lane::Puller::FromOvertakers() {
  if (!lane_.coalesces_) return absl::OkStatus();
  const uint64_t max =
      builder_.size() +
      std::max<uint64_t>(1, (max_items_ - builder_.size()) / kOvertakingPart);
  const uint64_t max_work = (work_ + rules_.max_work) / kOvertakingPart;
  const size_t max_bytes =
      (builder_.bytes() + rules_.destination.batch.max_bytes) / kOvertakingPart;
  std::optional<StoredBlock> block;
  std::optional<BlockReader> reader;
  while (builder_.size() < max && work_ < max_work &&
         builder_.bytes() < max_bytes &&
         lane_.progress_.settled.ranges().size() < kMaxGaps) {
    const std::optional<Seq> seq = lane_.overtakers_.Next(lane_.cursor_);
    if (!seq.has_value()) break;
    if (!block.has_value() || block->last < *seq) {
      reader.reset();
      auto read = lane_.spool_.ReadBlock(lane_.id_, *seq);
      work_ += Work::kBlock;
      // What cannot be read must not hold up what comes before it.
      if (!read.ok() || !read->has_value()) break;
      block = *std::move(read);
      work_ += block->value.size();
      reader.emplace(block->value, block->last);
    }
    const std::vector<StoredItem>& items = reader->items();
    const auto item = std::lower_bound(
        items.begin(), items.end(), *seq,
        [](const StoredItem& each, Seq wanted) { return each.seq < wanted; });
    // What is damaged is noticed when its turn comes.
    if (item != items.end() && item->seq == *seq &&
        !lane_.progress_.IsSettled(*seq) && !lane_.ahead_.Contains(*seq)) {
      absl::StatusOr<Offered> offered = Offer(*item, Source::kBlock);
      if (!offered.ok()) return offered.status();
      if (*offered == Offered::kFull) break;
      if (*offered == Offered::kTaken) lane_.ahead_.Add(*seq);
    }
    lane_.overtakers_.Pop();
  }
  return absl::OkStatus();
}

absl::Status Lane::Puller::FromBlocks() {
  while (lane_.cursor_ < lane_.head_ && !builder_.full() &&
         work_ < rules_.max_work) {
    auto block = lane_.spool_.ReadBlock(lane_.id_, lane_.cursor_);
    if (!block.ok()) return block.status();
    work_ += Work::kBlock;
    if (!block->has_value()) {
      PassLost(lane_.head_);
      continue;
    }
    work_ += (*block)->value.size();
    const Seq last = (*block)->last;
    if (lane_.read_blocks_.empty() || lane_.read_blocks_.back() < last) {
      lane_.read_blocks_.push_back(last);
    }
    const BlockReader reader((*block)->value, last);
    const Seq first =
        reader.items().empty() ? last + 1 : reader.items().front().seq;
    if (first > lane_.cursor_) {
      PassLost(std::min(first, lane_.head_));
      if (first > lane_.cursor_) continue;
    }
    for (const StoredItem& item : reader.items()) {
      if (item.seq < lane_.cursor_) continue;
      if (item.seq >= lane_.head_) break;
      work_ += Work::kPassedItem;
      if (!lane_.progress_.IsSettled(item.seq) &&
          !lane_.ahead_.Contains(item.seq)) {
        absl::StatusOr<Offered> offered = Offer(item, Source::kBlock);
        if (!offered.ok()) return offered.status();
        if (*offered == Offered::kFull) return absl::OkStatus();
      }
      lane_.cursor_ = item.seq + 1;
      lane_.waiting_bytes_ -=
          std::min<uint64_t>(lane_.waiting_bytes_, item.text.size());
      if (work_ >= rules_.max_work) break;
    }
  }
  return absl::OkStatus();
}

// The items from the cursor to `end` are lost. Passes some of them.
void Lane::Puller::PassLost(Seq end) {
  end = std::min(end, lane_.cursor_ + kMaxLostAtOnce);
  for (; lane_.cursor_ < end; ++lane_.cursor_) {
    if (lane_.ahead_.Contains(lane_.cursor_)) continue;
    DeadLetterLost({lane_.cursor_, lane_.cursor_ + 1});
  }
}

absl::Status Lane::Puller::FromPlan(BatchPlan plan) {
  // All is read before anything is decided: a plan is taken whole or not at
  // all.
  absl::StatusOr<std::vector<PlanItem>> items =
      ReadPlan(lane_.spool_, lane_.id_, plan);
  if (!items.ok()) {
    lane_.Requeue(std::move(plan));
    return items.status();
  }
  plan_ = {.id = plan.id,
           .tries = plan.tries,
           .part = plan.part,
           .standing = plan.standing,
           .failures = plan.failures,
           .deliveries = plan.deliveries,
           .expires_before = plan.expires_before,
           .main = {},
           .deferred = {}};
  held_ = plan_;
  // The batch, or the rest, replaces it.
  if (plan.stored_as != 0) change_.DeletePlan(plan.stored_as);
  BatchPlan rest = plan_;
  const auto put_into = [](BatchPlan& target, const PlanItem& each) {
    if (each.deferred) {
      target.deferred.emplace_back(each.item.identity_hash, each.item.seq);
    } else {
      target.main.Add(each.item.seq);
    }
  };
  for (const PlanItem& each : *items) {
    if (!rest.empty()) {
      put_into(rest, each);
      continue;
    }
    if (each.lost) {
      DeadLetterLost({each.item.seq, each.item.seq + 1});
      continue;
    }
    StoredItem item = each.item;
    item.text = each.text;
    absl::StatusOr<Offered> offered =
        Offer(item, each.deferred ? Source::kPlanDeferred : Source::kPlanBlock);
    if (!offered.ok()) return offered.status();
    if (*offered == Offered::kFull) put_into(rest, each);
    if (*offered == Offered::kHeld) put_into(held_, each);
  }
  if (!rest.empty()) lane_.Requeue(std::move(rest));
  return absl::OkStatus();
}

Lane::Pull Lane::Puller::Finish() {
  for (const auto* open_items : {&plan_deferred_, &set_deferred_}) {
    for (const auto& [hash, open] : *open_items) PutDeferred(open);
  }
  if (progressed_) lane_.StoreProgress(change_);
  while (!lane_.marks_.empty() && lane_.marks_.front().end <= lane_.cursor_) {
    lane_.marks_.pop_front();
  }
  lane_.ahead_.Remove({0, lane_.cursor_});
  // Damaged blocks do not tell their sizes.
  if (lane_.cursor_ == lane_.head_) lane_.waiting_bytes_ = 0;
  pull_.batch = std::move(builder_).Finish();
  // A part that was held back is stored before the batch is.
  if (!held_.empty()) {
    lane_.StorePlan(held_, rules_.next_id(), change_);
    lane_.held_.push_back(std::move(held_));
  }
  // A pull that only dead-letters or defers waits for its change, too, so that
  // a long backlog of such items neither piles up changes nor keeps the thread.
  pull_.awaits_change = pull_.awaits_change || lane_.deferred_.TakeEnded() ||
                        (!pull_.batch.has_value() && !change_.empty());
  if (pull_.batch.has_value()) BeginAttempt(*pull_.batch);
  WatchIdentities();
  pull_.work = work_ + batch_work_;
  return std::move(pull_);
}

// Stores which updates travel in the batch and what it takes from the limits:
// both must be known after a crash of the machine, too.
void Lane::Puller::BeginAttempt(Batch& batch) {
  pull_.attempt = rules_.next_id();
  batch.id = plan_.id == 0 ? pull_.attempt : plan_.id;
  batch.tries = plan_.tries + 1;
  batch.part = plan_.part;
  batch.standing = plan_.standing;
  batch.failures = plan_.failures;
  batch.deliveries = plan_.deliveries;
  UsageLedger* ledger = rules_.ledger;
  if (lane_.coalesces_) {
    for (const BatchItem& item : batch.items) {
      lane_.in_flight_.insert(item.identity_hash);
    }
    BatchPlan plan = batch.PlanOf(0, batch.items.size());
    lane_.StorePlan(plan, pull_.attempt, change_);
    batch.stored_as = plan.stored_as;
  }
  if (ledger != nullptr) {
    Usage usage;
    if (ledger->limits_identities()) {
      usage.assign(taken_.begin(), taken_.end());
    } else {
      usage.emplace_back(0, static_cast<uint32_t>(batch.items.size()));
    }
    change_.PutUsage(pull_.attempt, {.lane = lane_.id_, .identities = usage});
    ledger->Begin(pull_.attempt, std::move(usage), lane_.id_);
  }
  if (lane_.coalesces_ || (ledger != nullptr && ledger->limits())) {
    change_.RequireDisk();
  }
}

void Lane::Puller::WatchIdentities() {
  for (const uint64_t hash : over_limit_) {
    if (rules_.ledger != nullptr &&
        rules_.ledger->IdentityAllowance(hash) == 0) {
      rules_.ledger->Watch(hash);
    } else {
      lane_.OnFreed(hash);
    }
  }
}

}  // namespace heapsync
