#include "heap_adapter/stream/bulk_session.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace heapsync {
namespace {

constexpr size_t kMaxListedWarnings = 100;  // in one answer

}  // namespace

BulkSession::~BulkSession() {
  if (all_unsent_ != nullptr) all_unsent_->Remove(counted_unsent_);
}

void BulkSession::Start(BulkVerdict verdict, MonotonicTime now) {
  Ops ops;
  {
    MutexLock lock(mutex_);
    heard_ = now;
    if (verdict == BulkVerdict::kRefused) Fail(BulkEnd::Reason::kRefused);
    ops = NextOps();
  }
  Perform(std::move(ops));
}

bool BulkSession::MessageReceived(size_t bytes, MonotonicTime now) {
  Ops ops;
  {
    MutexLock lock(mutex_);
    heard_ = now;
    // The end may have been decided while the message was on its way; nothing
    // may be started then that could outlive the call.
    if (phase_ == Phase::kOpen) {
      intake_ = Intake::kTakingIn;
      message_bytes_ = bytes;
      return true;
    }
    intake_ = Intake::kIdle;
    ops = NextOps();
  }
  Perform(std::move(ops));
  return false;
}

void BulkSession::Configure(BulkLevel level, uint64_t start_index) {
  MutexLock lock(mutex_);
  HEAPSYNC_CHECK(!level_.has_value()) << "a stream is configured once";
  level_ = level;
  start_index_ = start_index;
  totals_.durable_position = start_index;
}

void BulkSession::Reject(uint64_t index,
                         const google::protobuf::MessageLite& answer) {
  MutexLock lock(mutex_);
  ++totals_.rejected;
  refusals_.Add(index, answer);
  CountUnsent();
}

bool BulkSession::HasRoom() const {
  if (all_unsent_ == nullptr || !all_unsent_->full()) return true;
  MutexLock lock(mutex_);
  return Unsent() <= limits_.answer_bytes;
}

void BulkSession::DropUnsent() {
  MutexLock lock(mutex_);
  mute_ = true;
  refusals_.Clear();
  previews_.clear();
  preview_bytes_ = 0;
  warned_.clear();
  listed_warnings_ = 0;
  unlisted_warnings_.clear();
  CountUnsent();
}

void BulkSession::Warn(uint64_t index, std::vector<Finding> warnings) {
  MutexLock lock(mutex_);
  const size_t listed =
      std::min(warnings.size(), kMaxListedWarnings - listed_warnings_);
  for (size_t i = listed; i < warnings.size(); ++i) {
    UnlistedWarnings& unlisted = unlisted_warnings_[warnings[i].reason];
    if (unlisted.count++ == 0) unlisted.first_index = index;
    unlisted.last_index = index;
  }
  if (listed == 0) return;
  warnings.resize(listed);
  listed_warnings_ += listed;
  warned_.push_back({.index = index, .warnings = std::move(warnings)});
}

void BulkSession::AddAppend(uint64_t items, uint64_t position, ChunkPart part) {
  MutexLock lock(mutex_);
  ++in_flight_appends_;
  PushChunk({.items = items,
             .position = position,
             .state = ChunkState::kAppended,
             .part = part});
}

void BulkSession::AddWithoutAppend(std::string preview, uint64_t position,
                                   ChunkPart part) {
  MutexLock lock(mutex_);
  if (!preview.empty()) {
    preview_bytes_ += preview.size();
    previews_.push_back(std::move(preview));
    CountUnsent();
  }
  PushChunk({.position = position, .state = ChunkState::kDone, .part = part});
  PopFinishedChunks();
}

void BulkSession::AppendFailed() {
  MutexLock lock(mutex_);
  --in_flight_appends_;
  chunks_.back().state = ChunkState::kLost;
  PopFinishedChunks();
}

void BulkSession::MessageTaken(BulkVerdict verdict) {
  Ops ops;
  {
    MutexLock lock(mutex_);
    if (verdict == BulkVerdict::kRefused) Fail(BulkEnd::Reason::kRefused);
    intake_ = Intake::kIdle;
    ops = NextOps();
  }
  Perform(std::move(ops));
}

void BulkSession::MessageHeld(Duration wait) {
  Ops ops;
  {
    MutexLock lock(mutex_);
    intake_ = Intake::kHeld;
    pause_ = wait;
    ops = NextOps();
  }
  Perform(std::move(ops));
}

void BulkSession::HalfClosed() {
  Ops ops;
  {
    MutexLock lock(mutex_);
    intake_ = Intake::kClosed;
    // A client that has nothing to say gets an answer of zeros.
    if (!level_.has_value()) {
      level_ = BulkLevel::kDurable;
      news_ = true;
    }
    ops = NextOps();
  }
  Perform(std::move(ops));
}

void BulkSession::Written(WriteResult result, MonotonicTime now) {
  Ops ops;
  {
    MutexLock lock(mutex_);
    heard_ = now;
    writing_ = false;
    if (result == WriteResult::kFailed) client_gone_ = mute_ = true;
    ops = NextOps();
  }
  Perform(std::move(ops));
}

void BulkSession::PauseOver() {
  Ops ops;
  {
    MutexLock lock(mutex_);
    if (intake_ == Intake::kHeld) intake_ = Intake::kDue;
    ops = NextOps();
  }
  Perform(std::move(ops));
}

void BulkSession::Cancelled() {
  Ops ops;
  {
    MutexLock lock(mutex_);
    client_gone_ = mute_ = true;
    Fail(BulkEnd::Reason::kCancelled);
    ops = NextOps();
  }
  Perform(std::move(ops));
}

void BulkSession::End() {
  Ops ops;
  {
    MutexLock lock(mutex_);
    Fail(BulkEnd::Reason::kShuttingDown);
    ops = NextOps();
  }
  Perform(std::move(ops));
}

std::optional<MonotonicTime> BulkSession::SilentSince() {
  MutexLock lock(mutex_);
  if (!IsSilent()) return std::nullopt;
  return heard_;
}

bool BulkSession::EndIfSilent(MonotonicTime time) {
  Ops ops;
  {
    MutexLock lock(mutex_);
    if (!IsSilent() || heard_ > time) return false;
    Fail(BulkEnd::Reason::kSilent);
    abort_ = writing_;
    ops = NextOps();
  }
  Perform(std::move(ops));
  return true;
}

bool BulkSession::IsWaitedFor() const {
  MutexLock lock(mutex_);
  const bool lost =
      phase_ != Phase::kOpen && end_.reason == BulkEnd::Reason::kNotStored;
  return !client_gone_ && !lost;
}

void BulkSession::Durable(const absl::StatusOr<SeqRange>& range) {
  Ops ops;
  {
    MutexLock lock(mutex_);
    --in_flight_appends_;
    Chunk& chunk = OldestAppend();
    if (range.ok()) {
      totals_.accepted += chunk.items;
      if (level_ == BulkLevel::kDelivered) {
        unsettled_ += static_cast<int64_t>(chunk.items);
      }
      chunk.state = ChunkState::kDone;
      AddToReceipt(*range);
    } else {
      chunk.state = ChunkState::kLost;
      Fail(BulkEnd::Reason::kNotStored, range.status());
    }
    PopFinishedChunks();
    ops = NextOps();
  }
  Perform(std::move(ops));
}

void BulkSession::Settled(const Settlement& settlement) {
  Ops ops;
  {
    MutexLock lock(mutex_);
    totals_.delivered += settlement.delivered;
    totals_.dead_lettered += settlement.dead_lettered;
    unsettled_ -=
        static_cast<int64_t>(settlement.delivered + settlement.dead_lettered);
    news_ = true;
    if (settlement.abandoned) Fail(BulkEnd::Reason::kShuttingDown);
    ops = NextOps();
  }
  Perform(std::move(ops));
}

SettledCallback BulkSession::SettledListener() {
  const std::weak_ptr<BulkSession> listener = weak_from_this();
  return {listener, [listener](Settlement settlement) {
            if (auto session = listener.lock()) session->Settled(settlement);
          }};
}

// The call may bring events from within an operation, or on another thread
// before it returns: the count in `performing_` keeps the call from finishing
// until this is done with it.
void BulkSession::Perform(Ops ops) {
  while (ops.any()) {
    if (ops.finish.has_value()) return ops.call->Finish(*ops.finish);
    if (ops.pause > Duration::zero()) ops.call->Pause(ops.pause);
    if (ops.write.has_value()) ops.call->Write(*std::move(ops.write));
    if (ops.take) ops.call->TakeHeld();
    if (ops.abort) ops.call->Abort();
    if (ops.read) ops.call->Read();
    MutexLock lock(mutex_);
    if (ops.pause > Duration::zero()) in_pause_call_ = false;
    --performing_;
    ops = NextOps();
  }
}

BulkSession::Ops BulkSession::NextOps() {
  Ops ops;
  if (phase_ == Phase::kFinished) return ops;
  ops.call = call_;
  if (!writing_ && HasNews() && !mute_) {
    writing_ = true;
    ops.write = TakeAnswer();
  }
  if (MayFinish()) {
    phase_ = Phase::kFinished;
    call_ = nullptr;
    end_.accepted = totals_.accepted;
    ops.finish = std::move(end_);
    return ops;
  }
  ops.abort = std::exchange(abort_, false);
  ops.pause = std::exchange(pause_, Duration::zero());
  if (ops.pause > Duration::zero()) in_pause_call_ = true;
  if (intake_ == Intake::kDue && phase_ == Phase::kOpen && !in_pause_call_) {
    intake_ = Intake::kTakingIn;
    ops.take = true;
  }
  if (MayRead()) {
    intake_ = Intake::kReading;
    ops.read = true;
  }
  if (ops.any()) ++performing_;
  return ops;
}

bool BulkSession::MayRead() const {
  return phase_ == Phase::kOpen && intake_ == Intake::kIdle &&
         in_flight_messages_ < limits_.max_in_flight_messages &&
         in_flight_bytes_ < limits_.max_in_flight_bytes &&
         Unsent() < limits_.max_unsent_bytes &&
         receipt_.size() < limits_.max_receipt_ranges;
}

// A read that waits for a client with nothing to say does not hold up the end;
// a message that is being taken in does.
bool BulkSession::MayFinish() const {
  const bool failed = phase_ == Phase::kFailed;
  const bool all_received = intake_ == Intake::kClosed || failed;
  const bool all_sent = mute_ || (!HasNews() && (unsettled_ == 0 || failed));
  return all_received && all_sent && !writing_ &&
         intake_ != Intake::kTakingIn && in_flight_appends_ == 0 &&
         performing_ == 0;
}

bool BulkSession::HasNews() const {
  return news_ || !refusals_.empty() || !previews_.empty();
}

bool BulkSession::IsSilent() const {
  const bool waits_for_message = intake_ == Intake::kIdle ||
                                 intake_ == Intake::kReading ||
                                 intake_ == Intake::kClosed;
  return phase_ == Phase::kOpen && waits_for_message && unsettled_ == 0 &&
         in_flight_appends_ == 0;
}

BulkAnswer BulkSession::TakeAnswer() {
  BulkAnswer answer{.totals = totals_, .level = *level_};
  if (unsettled_ != 0) answer.level = BulkLevel::kDurable;
  const size_t ranges = std::min(receipt_.size(), kMaxReceiptRanges);
  answer.receipt.assign(receipt_.begin(), receipt_.begin() + ranges);
  receipt_.erase(receipt_.begin(), receipt_.begin() + ranges);
  answer.refusals = refusals_.Take(limits_.answer_bytes);
  // A client that continues from this position on another stream never hears of
  // a refusal below it, so refusals that do not fit this answer hold it back.
  if (!refusals_.empty()) {
    answer.totals.durable_position =
        std::min(totals_.durable_position, refusals_.first());
  }
  size_t bytes = answer.refusals.size();
  while (!previews_.empty() && bytes < limits_.answer_bytes) {
    bytes += previews_.front().size();
    preview_bytes_ -= previews_.front().size();
    answer.previews.push_back(std::move(previews_.front()));
    previews_.pop_front();
  }
  answer.warned = std::exchange(warned_, {});
  listed_warnings_ = 0;
  answer.unlisted = std::exchange(unlisted_warnings_, {});
  news_ = !receipt_.empty();
  CountUnsent();
  return answer;
}

size_t BulkSession::Unsent() const {
  return refusals_.bytes() + preview_bytes_;
}

void BulkSession::CountUnsent() {
  if (all_unsent_ == nullptr) return;
  const size_t now = Unsent();
  all_unsent_->Add(now - counted_unsent_);  // wraps where there are fewer
  counted_unsent_ = now;
}

void BulkSession::Fail(BulkEnd::Reason reason, absl::Status status) {
  if (phase_ != Phase::kOpen) return;
  phase_ = Phase::kFailed;
  end_ = {.reason = reason, .status = std::move(status)};
}

void BulkSession::PushChunk(Chunk chunk) {
  if (chunk.part == ChunkPart::kEndOfMessage) {
    ++in_flight_messages_;
    in_flight_bytes_ += message_bytes_;
    chunk.message_bytes = message_bytes_;
    totals_.received = chunk.position - start_index_;
  }
  chunks_.push_back(chunk);
}

BulkSession::Chunk& BulkSession::OldestAppend() {
  const auto oldest = std::find_if(
      chunks_.begin(), chunks_.end(),
      [](const Chunk& chunk) { return chunk.state == ChunkState::kAppended; });
  HEAPSYNC_CHECK(oldest != chunks_.end()) << "no append is in flight";
  return *oldest;
}

// Moves the position past everything at the front that is durable, rejected or
// was only previewed, up to the first chunk that was not stored.
void BulkSession::PopFinishedChunks() {
  while (!chunks_.empty() && chunks_.front().state != ChunkState::kAppended) {
    const Chunk& chunk = chunks_.front();
    lost_ = lost_ || chunk.state == ChunkState::kLost;
    if (!lost_) totals_.durable_position = chunk.position;
    if (chunk.part == ChunkPart::kEndOfMessage) {
      --in_flight_messages_;
      in_flight_bytes_ -= chunk.message_bytes;
    }
    chunks_.pop_front();
    news_ = true;
  }
}

void BulkSession::AddToReceipt(SeqRange range) {
  if (!receipt_.empty() && receipt_.back().end == range.begin) {
    receipt_.back().end = range.end;
  } else {
    receipt_.push_back(range);
  }
}

}  // namespace heapsync
