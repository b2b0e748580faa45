#include "heap_adapter/delivery/batch.h"

#include <algorithm>

#include "heap_adapter/delivery/work.h"
#include "heap_adapter/model/object_type.h"

namespace heapsync {

void BatchPlan::Add(const BatchItem& item) {
  if (item.deferred) {
    deferred.emplace_back(item.identity_hash, item.seq);
  } else {
    main.Add(item.seq);
  }
  for (const Seq seq : item.coalesced) main.Add(seq);
}

BatchPlan Batch::PlanOf(size_t begin, size_t end) const {
  BatchPlan plan{.id = id,
                 .tries = tries,
                 .stored_as = stored_as,
                 .part = part,
                 .standing = standing,
                 .failures = failures,
                 .deliveries = deliveries,
                 .main = {},
                 .deferred = {}};
  for (size_t i = begin; i < end; ++i) plan.Add(items[i]);
  return plan;
}

SeqSet Batch::Seqs() const {
  SeqSet seqs;
  // Runs are added whole: one look for each, not for each item.
  SeqRange run;
  const auto add = [&](Seq seq) {
    if (seq != run.end || run.empty()) {
      seqs.Add(run);
      run = {seq, seq};
    }
    ++run.end;
  };
  for (const BatchItem& item : items) {
    add(item.seq);
    for (const Seq seq : item.coalesced) add(seq);
  }
  seqs.Add(run);
  return seqs;
}

BatchBuilder::BatchBuilder(const AppId& app_id, ObjectType type,
                           uint32_t max_items, size_t max_bytes)
    : coalesces_(PolicyOf(type).coalesces),
      max_items_(max_items),
      max_bytes_(max_bytes),
      body_(app_id, type) {}

BatchBuilder::Added BatchBuilder::Add(const StoredItem& item, bool deferred) {
  if (coalesces_) {
    const auto it = by_identity_.find(item.identity_hash);
    if (it != by_identity_.end()) return Coalesce(it->second, item);
  }
  if (full() ||
      (!items_.empty() && BodyBytes() + 1 + item.text.size() > max_bytes_)) {
    return Added::kFull;
  }
  if (coalesces_) {
    by_identity_.emplace(item.identity_hash, items_.size());
    objects_.emplace_back(std::string(item.text));
    text_bytes_ += item.text.size();
  } else {
    body_.AppendItem(item.text);
  }
  items_.push_back({.seq = item.seq,
                    .identity_hash = item.identity_hash,
                    .accepted_at = item.accepted_at,
                    .replays = item.replays,
                    .bytes = static_cast<uint32_t>(item.text.size()),
                    .deferred = deferred,
                    .coalesced = {}});
  return Added::kYes;
}

size_t BatchBuilder::BodyBytes() const {
  if (!coalesces_ || items_.empty()) return body_.size();
  return body_.size() + text_bytes_ + items_.size() - 1;
}

BatchBuilder::Added BatchBuilder::Coalesce(size_t index,
                                           const StoredItem& item) {
  CoalescedUpdate& object = objects_[index];
  const size_t before = object.bytes();
  const size_t body = BodyBytes();
  const size_t max_bytes = std::min(
      kMaxItemBytes, before + (max_bytes_ > body ? max_bytes_ - body : 0));
  work_ += item.text.size();
  if (item.seq > items_[index].seq) {
    const uint64_t read = object.properties_read();
    const bool added = object.Add(item.text, max_bytes).ok();
    work_ += (object.properties_read() - read) * Work::kProperty;
    if (!added) return Added::kConflict;
  } else {
    // Rare: an older one comes second.
    CoalescedUpdate older{std::string(item.text)};
    work_ += before + object.properties_read() * Work::kProperty;
    if (!older.Add(object.Text(), max_bytes).ok() ||
        older.bytes() > std::max(before, max_bytes)) {
      return Added::kConflict;
    }
    object = std::move(older);
  }
  text_bytes_ += object.bytes() - before;
  items_[index].coalesced.push_back(item.seq);
  items_[index].bytes += static_cast<uint32_t>(item.text.size());
  return Added::kYes;
}

std::optional<Batch> BatchBuilder::Finish() && {
  if (items_.empty()) return std::nullopt;
  if (coalesces_) {
    body_.Reserve(objects_.size(), text_bytes_);
    for (CoalescedUpdate& each : objects_) {
      body_.AppendItem(std::move(each).Text());
    }
  }
  return Batch{.items = std::move(items_), .body = std::move(body_).Finish()};
}

}  // namespace heapsync
