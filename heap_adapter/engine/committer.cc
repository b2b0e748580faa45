#include "heap_adapter/engine/committer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

size_t BytesOf(const EncodedChunk& chunk) {
  return chunk.text.size() + chunk.items.size() * sizeof(EncodedChunk::Item);
}

absl::Status SpoolFailed() {
  return absl::DataLossError(
      "the spool failed to write and stores nothing any more; the server must "
      "be "
      "restarted once its disk is well");
}

absl::Status DiskFull() {
  return absl::ResourceExhaustedError("the server's disk is full");
}

// How often a full disk is asked whether it has room again.
constexpr std::chrono::milliseconds kRoomCheck{500};

}  // namespace

Committer::Committer(Spool& spool, const Options& options,
                     const std::vector<StoredLane>& lanes, NoticeSink sink)
    : spool_(spool), options_(options), sink_(std::move(sink)) {
  for (const StoredLane& lane : lanes) {
    Tail& tail = tails_[lane.id];
    tail.next = lane.head;
    tail.lane_bytes = lane.lane_bytes;
  }
}

void Committer::AddLane(LaneId id, LaneKey key) {
  MutexLock lock(mutex_);
  pending_.lanes.push_back({.id = id, .key = std::move(key)});
}

absl::Status Committer::Append(LaneId lane, EncodedChunk chunk, AppendDone done,
                               SettledCallback on_settled, AppendAlong along) {
  if (!healthy()) return SpoolFailed();
  if (disk_full()) return DiskFull();
  const size_t bytes = BytesOf(chunk);
  {
    MutexLock lock(mutex_);
    if (!accepting_) {
      return absl::UnavailableError("the server is shutting down");
    }
    if (pending_.bytes + bytes > options_.max_pending_bytes ||
        pending_.appends.size() >= options_.max_pending_chunks) {
      return absl::ResourceExhaustedError(
          "too much waits for the disk already");
    }
    pending_.bytes += bytes;
    pending_.appends.push_back({.lane = lane,
                                .chunk = std::move(chunk),
                                .done = std::move(done),
                                .on_settled = std::move(on_settled),
                                .along = std::move(along)});
  }
  wake_.NotifyOne();
  return absl::OkStatus();
}

void Committer::Apply(SpoolChange change, uint64_t token) {
  {
    MutexLock lock(mutex_);
    pending_.changes.push_back({.change = std::move(change), .token = token});
  }
  wake_.NotifyOne();
}

absl::Status Committer::Change(SpoolChange change, ChangeDone done) {
  if (!healthy()) return SpoolFailed();
  {
    MutexLock lock(mutex_);
    if (!accepting_) {
      return absl::UnavailableError("the server is shutting down");
    }
    pending_.changes.push_back(
        {.change = std::move(change), .done = std::move(done)});
  }
  wake_.NotifyOne();
  return absl::OkStatus();
}

void Committer::StopAccepting() {
  MutexLock lock(mutex_);
  accepting_ = false;
}

void Committer::Stop() {
  {
    MutexLock lock(mutex_);
    accepting_ = false;
    stopping_ = true;
  }
  wake_.NotifyOne();
}

void Committer::Run() {
  while (true) {
    Pending pending;
    {
      MutexLock lock(mutex_);
      if (disk_full() && !stopping_) wake_.WaitFor(mutex_, kRoomCheck);
      while (pending_.empty() && !stopping_ && !disk_full()) wake_.Wait(mutex_);
      if (pending_.empty() && stopping_) return;
      pending = std::exchange(pending_, {});
    }
    Commit(std::move(pending));
  }
}

bool Committer::CommitPending() {
  Pending pending;
  {
    MutexLock lock(mutex_);
    pending = std::exchange(pending_, {});
  }
  if (pending.empty() && !disk_full()) return false;
  return Commit(std::move(pending));
}

SeqRange Committer::Place(const PendingAppend& append, SpoolChange& change,
                          std::vector<LaneId>& open_blocks) {
  Tail& tail = tails_.at(append.lane);
  const EncodedChunk& chunk = append.chunk;
  if (!tail.block.empty() &&
      (tail.block.items() + chunk.items.size() > options_.max_block_items ||
       tail.block.text_bytes() + chunk.text.size() >
           options_.max_block_bytes)) {
    CloseBlock(append.lane, change);
  }
  if (tail.block.empty()) open_blocks.push_back(append.lane);
  const Seq begin = tail.next;
  absl::string_view text = chunk.text;
  for (const EncodedChunk::Item& item : chunk.items) {
    tail.block.Add({.seq = tail.next++,
                    .accepted_at = chunk.accepted_at,
                    .identity_hash = item.identity_hash,
                    .replays = chunk.replays,
                    .text = text.substr(0, item.size)});
    text.remove_prefix(item.size);
  }
  tail.lane_bytes += chunk.text.size();
  return {begin, tail.next};
}

void Committer::CloseBlock(LaneId lane, SpoolChange& change) {
  Tail& tail = tails_.at(lane);
  if (tail.block.empty()) return;
  change.PutBlock(lane, tail.next - 1, tail.block.Take(tail.lane_bytes));
}

absl::Status Committer::Write(const SpoolChange& change) {
  if (disk_full_.load(std::memory_order_relaxed)) {
    if (absl::Status resumed = spool_.Resume(); !resumed.ok()) return resumed;
  }
  if (!change.empty()) {
    absl::Status written = spool_.Commit(change);
    commits_.fetch_add(1, std::memory_order_relaxed);
    if (change.durability() == Durability::kDisk) {
      syncs_.fetch_add(1, std::memory_order_relaxed);
    }
    if (!written.ok()) return written;
  }
  disk_full_.store(false, std::memory_order_release);
  return absl::OkStatus();
}

// What was not written leaves no gap.
void Committer::TakeBack(const std::vector<PendingAppend>& appends,
                         const std::vector<SeqRange>& ranges) {
  for (size_t i = appends.size(); i-- > 0;) {
    Tail& tail = tails_.at(appends[i].lane);
    tail.next = ranges[i].begin;
    tail.lane_bytes -= appends[i].chunk.text.size();
  }
}

bool Committer::Commit(Pending pending) {
  // What waits for room goes first: changes stay in their order.
  SpoolChange change = std::exchange(waiting_change_, {});
  std::vector<PendingChange> changes = std::exchange(waiting_, {});
  for (PendingChange& each : pending.changes) {
    change.Append(std::exchange(each.change, {}));
    changes.push_back(std::move(each));
  }
  pending.changes = std::move(changes);
  std::vector<SeqRange> ranges;
  absl::Status status = absl::OkStatus();
  for (AddedLane& lane : pending.lanes) {
    tails_.try_emplace(lane.id);
    unstored_lanes_.push_back(std::move(lane));
  }
  if (healthy()) {
    for (const AddedLane& lane : unstored_lanes_) {
      change.PutLane(lane.id, lane.key);
    }
    const size_t without_appends = change.size();
    std::vector<LaneId> open_blocks;
    ranges.reserve(pending.appends.size());
    for (PendingAppend& append : pending.appends) {
      ranges.push_back(Place(append, change, open_blocks));
      if (append.along) append.along(ranges.back(), change);
    }
    for (const LaneId lane : open_blocks) CloseBlock(lane, change);
    if (!pending.appends.empty()) change.RequireDisk();
    status = Write(change);
    if (absl::IsResourceExhausted(status)) {
      disk_full_.store(true, std::memory_order_release);
      TakeBack(pending.appends, ranges);
      change.CutTo(without_appends);
      waiting_change_ = std::move(change);
      waiting_ = std::exchange(pending.changes, {});
      status = DiskFull();
    } else if (!status.ok()) {
      {
        MutexLock lock(mutex_);
        failure_ = std::string(status.message());
      }
      healthy_.store(false, std::memory_order_release);
      status = SpoolFailed();
    }
  } else {
    status = SpoolFailed();
  }

  if (!status.ok()) {
    for (PendingAppend& append : pending.appends) append.done(status);
    for (PendingChange& each : pending.changes) {
      if (each.done) each.done(status);
    }
    return true;
  }
  // Callers first: the notices may take work on, the answers only end it.
  Notices notices;
  notices.lanes = std::exchange(unstored_lanes_, {});
  notices.appended.reserve(pending.appends.size());
  for (size_t i = 0; i < pending.appends.size(); ++i) {
    PendingAppend& append = pending.appends[i];
    append.done(ranges[i]);
    notices.appended.push_back({.lane = append.lane,
                                .items = ranges[i],
                                .text_bytes = append.chunk.text.size(),
                                .accepted_at = append.chunk.accepted_at,
                                .trace = append.chunk.trace,
                                .on_settled = std::move(append.on_settled)});
  }
  for (PendingChange& each : pending.changes) {
    if (each.done) {
      each.done(absl::OkStatus());
    } else {
      notices.applied.push_back({.token = each.token});
    }
  }
  sink_(std::move(notices));
  return true;
}

}  // namespace heapsync
