#include "heap_adapter/intake/committer.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <tuple>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "heap_adapter/model/object_type.h"

namespace heapsync {
namespace {

constexpr size_t kMaxSpareBuilders = 4;

size_t BytesOf(const EncodedChunk& chunk) {
  return chunk.text.size() + chunk.items.size() * sizeof(EncodedChunk::Item);
}

absl::Status SpoolFailed() {
  return absl::DataLossError(
      "the spool failed to write, and nothing more is accepted; fix the disk "
      "and restart the server");
}

absl::Status DiskFull() {
  return absl::ResourceExhaustedError("the server's disk is full");
}

// Interval at which a full disk is checked for space.
constexpr std::chrono::milliseconds kSpaceCheckInterval{500};

}  // namespace

Committer::Committer(Spool& spool, const Options& options,
                     const std::vector<StoredLane>& lanes, NoticeSink sink,
                     WakeSink wake)
    : spool_(spool),
      options_(options),
      notifier_(std::move(sink), std::move(wake)) {
  for (const StoredLane& lane : lanes) {
    Tail& tail = tails_[lane.id];
    tail.next = lane.head;
    tail.lane_bytes = lane.lane_bytes;
    tail.tells_identities = PolicyOf(lane.key.type).coalesces;
  }
}

void Committer::AddLane(LaneId id, LaneKey key) {
  MutexLock lock(mutex_);
  pending_.lanes.push_back({.id = id, .key = std::move(key)});
}

absl::Status Committer::Append(LaneId lane, EncodedChunk chunk, AppendDone done,
                               SettledCallback on_settled,
                               StillWanted still_wanted, AppendAlong along,
                               Backlog::Reservation reservation) {
  if (!healthy()) return SpoolFailed();
  if (disk_full()) return DiskFull();
  const size_t bytes = BytesOf(chunk);
  PauseWatch::Time queued_at{};
  if (options_.pauses != nullptr) queued_at = options_.pauses->Now();
  bool wake = false;
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
                                .still_wanted = std::move(still_wanted),
                                .along = std::move(along),
                                .reservation = std::move(reservation),
                                .queued_at = queued_at});
    wake = pending_.appends.size() == wanted_appends_;
  }
  if (wake) wake_.NotifyOne();
  return absl::OkStatus();
}

void Committer::Apply(SpoolChange change, Applied done) {
  {
    MutexLock lock(mutex_);
    pending_.changes.push_back(
        {.change = std::move(change), .applied = std::move(done)});
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

absl::Status Committer::Barrier(ChangeDone done) {
  if (!healthy()) return SpoolFailed();
  {
    MutexLock lock(mutex_);
    if (stopping_) return absl::UnavailableError("the server is shutting down");
    pending_.changes.push_back({.change = {}, .done = std::move(done)});
  }
  wake_.NotifyOne();
  return absl::OkStatus();
}

void Committer::LookForAppends(Look look) {
  {
    MutexLock lock(mutex_);
    if (pending_.look != Look::kAll) pending_.look = look;
  }
  wake_.NotifyOne();
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
  std::thread answering([this] { notifier_.Run(); });
  size_t last_appends = 0;
  while (true) {
    std::optional<Pending> pending = Gather(last_appends);
    if (!pending.has_value()) break;
    last_appends = pending->appends.size();
    if (pending->look.has_value())
      notifier_.Notify(FindAppends(*pending->look));
    notifier_.Notify(Commit(*std::move(pending)));
  }
  notifier_.Close();
  answering.join();
}

std::optional<Committer::Pending> Committer::Gather(size_t last_appends) {
  MutexLock lock(mutex_);
  wanted_appends_ = 1;
  if (disk_full() && !stopping_) wake_.WaitFor(mutex_, kSpaceCheckInterval);
  while (pending_.empty() && !stopping_ && !disk_full()) wake_.Wait(mutex_);
  if (pending_.empty() && stopping_) return std::nullopt;
  wanted_appends_ = last_appends / 2;
  const auto deadline =
      std::chrono::steady_clock::now() + options_.max_gather_delay;
  while (pending_.appends.size() < wanted_appends_ && !stopping_) {
    const auto rest = deadline - std::chrono::steady_clock::now();
    if (rest <= std::chrono::steady_clock::duration::zero()) break;
    wake_.WaitFor(mutex_, rest);
  }
  return std::exchange(pending_, {});
}

std::vector<uint64_t> Committer::IdentitiesOf(
    const PendingAppend& append) const {
  std::vector<uint64_t> identities;
  const auto tail = tails_.find(append.lane);
  if (tail == tails_.end() || !tail->second.tells_identities) return identities;
  identities.reserve(append.chunk.items.size());
  for (const EncodedChunk::Item& item : append.chunk.items) {
    identities.push_back(item.identity_hash);
  }
  return identities;
}

Committer::Tail& Committer::TailOf(LaneId lane) {
  const auto it = tails_.find(lane);
  HEAPSYNC_CHECK(it != tails_.end()) << "lane " << lane;
  return it->second;
}

SeqRange Committer::Place(const PendingAppend& append, SpoolChange& change,
                          std::vector<LaneId>& open_blocks) {
  Tail& tail = TailOf(append.lane);
  const EncodedChunk& chunk = append.chunk;
  if (!tail.block.empty() &&
      (tail.block.items() + chunk.items.size() > options_.max_block_items ||
       tail.block.text_bytes() + chunk.text.size() >
           options_.max_block_bytes)) {
    CloseBlock(append.lane, change);
  }
  if (tail.block.empty()) {
    open_blocks.push_back(append.lane);
    if (!spare_builders_.empty()) {
      tail.block = std::move(spare_builders_.back());
      spare_builders_.pop_back();
    }
  }
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
  Tail& tail = TailOf(lane);
  if (tail.block.empty()) return;
  change.PutBlock(lane, tail.next - 1, tail.block.Take(tail.lane_bytes));
  BlockBuilder used = std::exchange(tail.block, {});
  if (spare_builders_.size() < kMaxSpareBuilders) {
    spare_builders_.push_back(std::move(used));
  }
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

// Items that were not written leave no gap.
void Committer::TakeBack(const std::vector<Appended>& appended) {
  for (size_t i = appended.size(); i-- > 0;) {
    Tail& tail = TailOf(appended[i].lane);
    tail.next = appended[i].items.begin;
    tail.lane_bytes -= appended[i].text_bytes;
  }
}

void Committer::AddAppends(std::vector<PendingAppend>& appends,
                           SpoolChange& change,
                           Notifier::Committed& committed) {
  for (const AddedLane& lane : unstored_lanes_) {
    change.PutLane(lane.id, lane.key);
  }
  std::vector<LaneId> open_blocks;
  for (size_t i = 0; i < appends.size(); ++i) {
    PendingAppend& append = appends[i];
    if (!committed.appends[i].refused.ok()) continue;
    const SeqRange items = Place(append, change, open_blocks);
    if (append.along) append.along(items, change);
    committed.appends[i].items = items;
    Appended& appended = committed.notices.appended[i];
    appended.items = items;
    appended.lane_bytes = TailOf(append.lane).lane_bytes;
    // The block has a copy; two of each would be kept during the sync.
    if (!spool_.shared()) append.chunk = {};
  }
  for (const LaneId lane : open_blocks) CloseBlock(lane, change);
  if (!appends.empty()) change.RequireDisk();
}

absl::Status Committer::WhyUnwanted(const PendingAppend& append) const {
  if (!append.still_wanted) return absl::OkStatus();
  if (options_.pauses != nullptr &&
      options_.pauses->PausedSince(append.queued_at)) {
    return absl::AbortedError(
        "the server was stopped for a moment, and nothing was stored; repeat "
        "the call");
  }
  if (append.still_wanted()) return absl::OkStatus();
  return absl::CancelledError("the caller gave up, and nothing was stored");
}

absl::Status Committer::WriteAtEnds(std::vector<PendingAppend>& appends,
                                    SpoolChange& change,
                                    Notifier::Committed& committed) {
  if (disk_full_.load(std::memory_order_relaxed)) {
    if (absl::Status resumed = spool_.Resume(); !resumed.ok()) return resumed;
  }
  const size_t changes_alone = change.size();
  // In this order all servers lock them.
  absl::btree_map<LaneId, std::pair<Seq, uint64_t>> known;
  absl::btree_map<LaneId, const LaneKey*> unstored;
  for (const AddedLane& lane : unstored_lanes_) unstored[lane.id] = &lane.key;
  std::vector<LaneId> new_lanes;
  for (const auto& [lane, key] : unstored) {
    known[lane] = {};
    new_lanes.push_back(lane);
  }
  for (const PendingAppend& append : appends) known[append.lane] = {};
  std::vector<LaneId> lanes;
  for (auto& [lane, end] : known) {
    const Tail& tail = TailOf(lane);
    end = {tail.next, tail.lane_bytes};
    lanes.push_back(lane);
  }
  absl::Status refused;
  const SpoolChange nothing;
  absl::Status written = spool_.CommitAtEnds(
      lanes, new_lanes,
      [&](const std::vector<std::optional<LaneEnd>>& ends,
          const std::vector<std::optional<LaneKey>>& keys)
          -> const SpoolChange& {
        refused = absl::OkStatus();
        change.CutTo(changes_alone);
        for (size_t i = 0; i < lanes.size(); ++i) {
          Tail& tail = TailOf(lanes[i]);
          const LaneEnd end = ends[i].value_or(LaneEnd());
          tail.next = end.next;
          tail.lane_bytes = end.lane_bytes;
        }
        for (size_t i = 0; i < new_lanes.size(); ++i) {
          if (!keys[i].has_value() || *keys[i] == *unstored[new_lanes[i]]) {
            continue;
          }
          refused = absl::AbortedError(
              "another server gave the number of a new lane to another lane; a "
              "restart reads it");
        }
        if (!refused.ok()) return nothing;
        bool adds = changes_alone > 0 || !unstored_lanes_.empty();
        for (size_t i = 0; i < appends.size(); ++i) {
          absl::Status& why_not = committed.appends[i].refused;
          why_not.Update(WhyUnwanted(appends[i]));
          adds |= why_not.ok();
        }
        if (!adds) return nothing;
        AddAppends(appends, change, committed);
        for (const LaneId lane : lanes) {
          const Tail& tail = TailOf(lane);
          change.PutEnd(lane,
                        {.next = tail.next, .lane_bytes = tail.lane_bytes});
        }
        return change;
      });
  commits_.fetch_add(1, std::memory_order_relaxed);
  syncs_.fetch_add(1, std::memory_order_relaxed);
  written.Update(refused);
  if (written.ok()) {
    disk_full_.store(false, std::memory_order_release);
    for (const Notifier::Append& append : committed.appends) {
      if (append.refused.ok()) known.erase(append.lane);
    }
  }
  // Where nothing was appended the sink is not notified of the items of others:
  // a look finds them.
  for (const auto& [lane, end] : known) {
    Tail& tail = TailOf(lane);
    std::tie(tail.next, tail.lane_bytes) = end;
  }
  return written;
}

// Entries that cannot be read now are found by a later look.
Notifier::Committed Committer::FindAppends(Look look) {
  if (std::exchange(look_failed_, false)) look = Look::kAll;
  Notifier::Committed found;
  const auto add = [&found](LaneId lane, Tail& tail, const LaneEnd& end) {
    found.notices.appended.push_back(
        {.lane = lane,
         .items = {std::min(tail.next, end.next), end.next},
         .text_bytes =
             end.lane_bytes - std::min(tail.lane_bytes, end.lane_bytes),
         .lane_bytes = end.lane_bytes,
         .accepted_here = false,
         .on_settled = nullptr});
    tail.next = end.next;
    tail.lane_bytes = end.lane_bytes;
  };
  std::vector<std::pair<LaneId, LaneEnd>> unknown;
  const absl::Status read =
      spool_.VisitEnds([&](LaneId lane, const LaneEnd& end) {
        const auto tail = tails_.find(lane);
        if (tail == tails_.end()) {
          unknown.emplace_back(lane, end);
        } else if (end.next > tail->second.next || look == Look::kAll) {
          add(lane, tail->second, end);
        }
      });
  look_failed_ = look == Look::kAll && !read.ok();
  if (look == Look::kAll) {
    auto keys = spool_.LaneKeys();
    if (!keys.ok()) {
      look_failed_ = true;
      return found;
    }
    for (auto& [lane, key] : *keys) {
      found.notices.lanes.push_back({.id = lane, .key = std::move(key)});
    }
  }
  for (const auto& [lane, end] : unknown) {
    auto key = spool_.ReadLaneKey(lane);
    if (!key.ok() || !key->has_value()) continue;
    Tail& tail = tails_[lane];
    tail.tells_identities = PolicyOf((*key)->type).coalesces;
    found.notices.lanes.push_back({.id = lane, .key = **std::move(key)});
    add(lane, tail, end);
  }
  return found;
}

Notifier::Committed Committer::Commit(Pending pending) {
  // Changes that wait for space go first, so that all changes stay in order.
  SpoolChange change = std::exchange(waiting_change_, {});
  std::vector<PendingChange> changes = std::exchange(waiting_, {});
  for (PendingChange& each : pending.changes) {
    change.Append(std::exchange(each.change, {}));
    changes.push_back(std::move(each));
  }
  Notifier::Committed committed;
  const auto release = [&changes, &committed] {
    for (PendingChange& each : changes) {
      if (each.done) {
        committed.changes.push_back(std::move(each.done));
      } else if (each.applied) {
        committed.notices.applied.push_back(std::move(each.applied));
      }
    }
  };
  for (AddedLane& lane : pending.lanes) {
    tails_[lane.id].tells_identities = PolicyOf(lane.key.type).coalesces;
    unstored_lanes_.push_back(std::move(lane));
  }
  committed.appends.reserve(pending.appends.size());
  for (PendingAppend& append : pending.appends) {
    committed.appends.push_back(
        {.lane = append.lane, .done = std::move(append.done), .items = {}});
  }
  if (!healthy()) {
    committed.status = SpoolFailed();
    release();
    return committed;
  }
  // If there is no space, everything after these changes is built again with
  // the next commit.
  const size_t changes_alone = change.size();
  std::vector<Appended>& appended = committed.notices.appended;
  appended.reserve(pending.appends.size());
  for (PendingAppend& append : pending.appends) {
    appended.push_back({.lane = append.lane,
                        .items = {},
                        .text_bytes = append.chunk.text.size(),
                        .caller = append.chunk.caller,
                        .identities = IdentitiesOf(append),
                        .accepted_at = append.chunk.accepted_at,
                        .trace = append.chunk.trace,
                        .on_settled = std::move(append.on_settled),
                        .reservation = std::move(append.reservation)});
  }
  absl::Status written;
  const bool adds = !pending.appends.empty() || !unstored_lanes_.empty();
  if (spool_.shared() && adds) {
    written = WriteAtEnds(pending.appends, change, committed);
  } else {
    AddAppends(pending.appends, change, committed);
    written = Write(change);
    if (absl::IsResourceExhausted(written)) TakeBack(appended);
  }
  if (written.ok()) {
    committed.notices.lanes = std::exchange(unstored_lanes_, {});
  } else if (absl::IsResourceExhausted(written)) {
    disk_full_.store(true, std::memory_order_release);
    change.CutTo(changes_alone);
    waiting_change_ = std::move(change);
    waiting_ = std::exchange(changes, {});
    committed.status = DiskFull();
  } else {
    {
      MutexLock lock(mutex_);
      failure_ = std::string(written.message());
    }
    healthy_.store(false, std::memory_order_release);
    committed.status = SpoolFailed();
  }
  release();
  return committed;
}

}  // namespace heapsync
