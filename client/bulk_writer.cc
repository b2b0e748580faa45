#include "heapsync/client/bulk_writer.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <algorithm>
#include <memory>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/connect_until.h"
#include "client/grpc_status.h"
#include "client/random_id.h"
#include "client/unacknowledged_window.h"
#include "heapsync/v1/heap_sync_service.grpc.pb.h"

namespace heapsync {
namespace {

// Differences between the bulk streams: the messages, the name of the repeated
// field, and the method.
template <typename Item>
struct BulkTraits;

template <>
struct BulkTraits<v1::TrackEvent> {
  using Item = v1::TrackEvent;
  using Request = v1::BulkTrackEventsRequest;
  using Response = v1::BulkTrackEventsResponse;
  static auto& Items(Request& request) { return *request.mutable_events(); }
  static std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> Open(
      v1::HeapSyncService::Stub& stub, grpc::ClientContext* context) {
    return stub.BulkTrackEvents(context);
  }
};

template <>
struct BulkTraits<v1::UserProperties> {
  using Item = v1::UserProperties;
  using Request = v1::BulkUserPropertiesRequest;
  using Response = v1::BulkUserPropertiesResponse;
  static auto& Items(Request& request) { return *request.mutable_users(); }
  static std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> Open(
      v1::HeapSyncService::Stub& stub, grpc::ClientContext* context) {
    return stub.BulkUserProperties(context);
  }
};

template <>
struct BulkTraits<v1::AccountProperties> {
  using Item = v1::AccountProperties;
  using Request = v1::BulkAccountPropertiesRequest;
  using Response = v1::BulkAccountPropertiesResponse;
  static auto& Items(Request& request) { return *request.mutable_accounts(); }
  static std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> Open(
      v1::HeapSyncService::Stub& stub, grpc::ClientContext* context) {
    return stub.BulkAccountProperties(context);
  }
};

}  // namespace

// One job: the state between the caller's thread, the sender (which owns the
// streams, one after the other) and the reader of the present stream.
template <typename Item>
class BulkWriter<Item>::Session {
 public:
  Session(const Client& client, BulkWriterOptions options)
      : options_(WithRequestId(std::move(options))),
        channel_(client.channel()),
        stub_(channel_),
        window_({.max_items = options_.max_unacknowledged_items,
                 .max_bytes = options_.max_unacknowledged_bytes,
                 .max_chunk_items = options_.max_chunk_items,
                 .max_chunk_bytes = options_.max_chunk_bytes},
                options_.start_index),
        reported_position_(options_.start_index) {
    totals_.ack_level = options_.ack_level;
    sender_ = std::thread([this] { Send(); });
  }

  ~Session() {
    {
      absl::MutexLock lock(&mutex_);
      cancelled_ = true;
      if (context_ != nullptr) context_->TryCancel();
      sender_wakes_.Signal();
    }
    sender_.join();
  }

  absl::StatusOr<bool> AddFor(Item& item, absl::Duration patience)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    const size_t bytes = item.ByteSizeLong();
    bool added = false;
    absl::Status status;
    {
      absl::MutexLock lock(&mutex_);
      const absl::Time deadline = absl::Now() + patience;
      while (!ended_ && !window_.HasSpace(bytes)) {
        SealNow();
        if (caller_wakes_.WaitWithDeadline(&mutex_, deadline)) break;
      }
      if (ended_) {
        status = result_.ok()
                     ? absl::FailedPreconditionError("the job is finished")
                     : result_;
      } else if (closed_) {
        status = absl::FailedPreconditionError("the job is being finished");
      } else if (window_.HasSpace(bytes)) {
        if (!window_.HasOpenChunk()) {
          chunk_opened_ = absl::Now();
          sender_wakes_.Signal();
        }
        window_.Add(std::move(item), bytes);
        if (window_.HasSealedToSend()) sender_wakes_.Signal();
        ++totals_.added;
        added = true;
      }
    }
    Report();
    if (!status.ok()) return status;
    return added;
  }

  absl::StatusOr<bool> WaitDurableFor(uint64_t position,
                                      absl::Duration patience)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    bool reached = false;
    absl::Status status;
    {
      absl::MutexLock lock(&mutex_);
      const absl::Time deadline = absl::Now() + patience;
      SealNow();
      while (!ended_ && window_.durable_position() < position) {
        if (caller_wakes_.WaitWithDeadline(&mutex_, deadline)) break;
      }
      reached = window_.durable_position() >= position;
      if (!reached) status = result_;
    }
    Report();
    if (!status.ok()) return status;
    return reached;
  }

  std::optional<absl::StatusOr<BulkTotals>> FinishFor(absl::Duration patience)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      const absl::Time deadline = absl::Now() + patience;
      closed_ = true;
      SealNow();
      while (!ended_) {
        if (caller_wakes_.WaitWithDeadline(&mutex_, deadline)) break;
      }
    }
    Report();
    absl::MutexLock lock(&mutex_);
    if (!ended_) return std::nullopt;
    if (!result_.ok()) return absl::StatusOr<BulkTotals>(result_);
    return absl::StatusOr<BulkTotals>(TotalsLocked());
  }

  uint64_t durable_position() const { return reported_position_; }

  BulkTotals totals() const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return TotalsLocked();
  }

  const std::string& request_id() const { return options_.request_id; }

 private:
  using Traits = BulkTraits<Item>;
  using Request = typename Traits::Request;
  using Response = typename Traits::Response;
  using Chunk = typename UnacknowledgedWindow<Traits>::Chunk;

  static BulkWriterOptions WithRequestId(BulkWriterOptions options) {
    if (options.request_id.empty()) options.request_id = RandomId();
    return options;
  }

  // Hands news over to the caller, on the caller's thread.
  void Report() ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<v1::RejectedItem> rejected;
    std::vector<v1::WarnedItem> warned;
    std::vector<v1::UnlistedWarnings> unlisted;
    uint64_t position;
    {
      absl::MutexLock lock(&mutex_);
      rejected.swap(unreported_rejected_);
      warned.swap(unreported_warned_);
      unlisted.swap(unreported_unlisted_);
      position = window_.durable_position();
    }
    if (options_.on_rejected) {
      for (const v1::RejectedItem& item : rejected) options_.on_rejected(item);
    }
    if (options_.on_warned) {
      for (const v1::WarnedItem& item : warned) options_.on_warned(item);
    }
    if (options_.on_unlisted_warnings) {
      for (const auto& each : unlisted) options_.on_unlisted_warnings(each);
    }
    reported_position_ = position;
  }

  void SealNow() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    window_.Seal();
    sender_wakes_.Signal();
  }

  bool AllDurable() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return window_.durable_position() == window_.end_position();
  }

  // The sender: one stream after the other until the job has ended.
  void Send() ABSL_LOCKS_EXCLUDED(mutex_) {
    int failures = 0;
    absl::Time failing_since = absl::InfiniteFuture();
    while (WaitForWork()) {
      const uint64_t before = ReadPosition();
      const absl::Status status = RunStream();
      absl::Time next;
      {
        absl::MutexLock lock(&mutex_);
        if (status.ok() || cancelled_ || !IsRetryable(status)) {
          EndLocked(status);
          return;
        }
        // All is durable, so there is no stream left to ask about deliveries.
        if (closed_ && AllDurable()) {
          totals_.ack_level = v1::ACK_LEVEL_DURABLE;
          EndLocked(absl::OkStatus());
          return;
        }
        const absl::Time now = absl::Now();
        if (window_.durable_position() > before) {
          failures = 0;
          failing_since = absl::InfiniteFuture();
        }
        failing_since = std::min(failing_since, now);
        ++failures;
        const absl::Duration delay = absl::FromChrono(
            BackoffDelay(options_.retry, failures,
                         DetailsOf(status).retry_delay, RandomFraction()));
        if (now + delay - failing_since >
            absl::FromChrono(options_.give_up_after)) {
          EndLocked(status);
          return;
        }
        ++totals_.reconnects;
        totals_.outage = status;
        next = now + delay;
      }
      Pause(next);
    }
    absl::MutexLock lock(&mutex_);
    EndLocked(cancelled_ ? absl::CancelledError("the writer was destroyed")
                         : absl::OkStatus());
  }

  // Waits until `end`, or the writer's destruction, and lets the channel
  // connect meanwhile.
  void Pause(absl::Time end) ABSL_LOCKS_EXCLUDED(mutex_) {
    // Only `sender_wakes_` hears of a destruction.
    constexpr absl::Duration kSlice = absl::Milliseconds(50);
    while (absl::Now() < end) {
      const bool connected = ConnectUntil(
          *channel_, absl::ToChronoTime(std::min(end, absl::Now() + kSlice)));
      absl::MutexLock lock(&mutex_);
      if (cancelled_) return;
      if (connected) sender_wakes_.WaitWithDeadline(&mutex_, end);
    }
  }

  // Waits until there is something to open a stream for; false if the job ended
  // before.
  bool WaitForWork() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    while (!cancelled_ && AllDurable()) {
      if (closed_) return false;
      sender_wakes_.Wait(&mutex_);
    }
    return !cancelled_;
  }

  uint64_t ReadPosition() const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return window_.durable_position();
  }

  // OK: every item of the job is durable, and the server ended the stream.
  absl::Status RunStream() ABSL_LOCKS_EXCLUDED(mutex_) {
    grpc::ClientContext context;
    uint64_t start_index;
    {
      absl::MutexLock lock(&mutex_);
      if (cancelled_) return absl::CancelledError("");
      context_ = &context;
      stream_over_ = false;
      window_.Rewind();
      start_index = window_.durable_position();
      delivered_before_ = totals_.delivered;
      dead_lettered_before_ = totals_.dead_lettered;
    }
    const auto stream = Traits::Open(stub_, &context);
    std::thread reader([&] {
      Response response;
      while (stream->Read(&response)) TakeAnswer(response);
      absl::MutexLock lock(&mutex_);
      stream_over_ = true;
      sender_wakes_.Signal();
    });
    bool first = true;
    while (const std::shared_ptr<Chunk> chunk = NextChunk()) {
      if (first) WriteHead(start_index, chunk->request);
      const bool written = stream->Write(chunk->request);
      if (first) ClearHead(chunk->request);
      first = false;
      if (!written) break;
    }
    stream->WritesDone();
    reader.join();
    const absl::Status status = ToAbslStatus(stream->Finish());
    absl::MutexLock lock(&mutex_);
    context_ = nullptr;
    const bool finished = status.ok() && closed_ && AllDurable();
    // No later stream reports on what this one has left undelivered.
    const BulkTotals known = TotalsLocked();
    if (!finished && known.delivered + known.dead_lettered < known.accepted) {
      totals_.ack_level = v1::ACK_LEVEL_DURABLE;
    }
    if (status.ok() && !finished) {
      return absl::UnavailableError("the server ended the stream early");
    }
    // Neither is our own doing: a peer or proxy reset the stream, or ended it
    // because nothing was added for long.
    if ((absl::IsCancelled(status) || absl::IsDeadlineExceeded(status)) &&
        !cancelled_) {
      return absl::UnavailableError("the stream was reset");
    }
    return status;
  }

  // The next message of the stream; null when there will be none.
  std::shared_ptr<Chunk> NextChunk() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    while (!cancelled_ && !stream_over_) {
      if (window_.HasSealedToSend()) return window_.TakeNextToSend();
      if (closed_) return nullptr;
      if (!window_.HasOpenChunk()) {
        sender_wakes_.Wait(&mutex_);
        continue;
      }
      const absl::Time due = chunk_opened_ + absl::FromChrono(options_.linger);
      if (absl::Now() >= due) {
        window_.Seal();
      } else {
        sender_wakes_.WaitWithDeadline(&mutex_, due);
      }
    }
    return nullptr;
  }

  void WriteHead(uint64_t start_index, Request& request) const {
    request.set_destination(options_.destination);
    request.set_ack_level(options_.ack_level);
    request.set_validate_only(options_.validate_only);
    request.set_request_id(options_.request_id);
    request.set_start_index(start_index);
  }

  static void ClearHead(Request& request) {
    request.clear_destination();
    request.clear_ack_level();
    request.clear_validate_only();
    request.clear_request_id();
    request.clear_start_index();
  }

  void TakeAnswer(Response& response) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    totals_.outage.reset();
    for (v1::RejectedItem& item : *response.mutable_rejected_items()) {
      // Below the durable position it was reported on an earlier stream.
      if (item.index() < window_.durable_position() ||
          item.index() >= window_.end_position() ||
          !rejected_ahead_.insert(item.index()).second) {
        continue;
      }
      ++totals_.rejected;
      unreported_rejected_.push_back(std::move(item));
    }
    TakeWarnings(response);
    window_.Acknowledge(response.durable_position());
    rejected_ahead_.erase(
        rejected_ahead_.begin(),
        rejected_ahead_.lower_bound(window_.durable_position()));
    totals_.delivered = delivered_before_ + response.delivered();
    totals_.dead_lettered = dead_lettered_before_ + response.dead_lettered();
    caller_wakes_.SignalAll();
  }

  // A stream warns of its items in order, so that those below the last one that
  // was reported come again from another stream.
  void TakeWarnings(Response& response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    uint64_t position = warned_position_;
    for (v1::WarnedItem& item : *response.mutable_warned_items()) {
      if (item.index() < warned_position_) continue;
      position = std::max(position, item.index() + 1);
      unreported_warned_.push_back(std::move(item));
    }
    for (auto& unlisted : *response.mutable_unlisted_warnings()) {
      if (unlisted.last_index() < warned_position_) continue;
      position = std::max(position, unlisted.last_index() + 1);
      if (unlisted.first_index() < warned_position_) {
        unlisted.set_count(1);
        unlisted.set_first_index(unlisted.last_index());
        totals_.warnings_are_partial = true;
      }
      unreported_unlisted_.push_back(std::move(unlisted));
    }
    warned_position_ = position;
  }

  BulkTotals TotalsLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    BulkTotals totals = totals_;
    const uint64_t known = window_.durable_position() - options_.start_index;
    totals.accepted = known - (totals.rejected - rejected_ahead_.size());
    return totals;
  }

  void EndLocked(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ended_ = true;
    result_ = std::move(status);
    caller_wakes_.SignalAll();
  }

  const BulkWriterOptions options_;
  // Shared with the client and with calls that outlive it.
  const std::shared_ptr<grpc::Channel> channel_;
  v1::HeapSyncService::Stub stub_;

  mutable absl::Mutex mutex_;
  absl::CondVar caller_wakes_;
  absl::CondVar sender_wakes_;
  UnacknowledgedWindow<Traits> window_ ABSL_GUARDED_BY(mutex_);
  absl::Time chunk_opened_ ABSL_GUARDED_BY(mutex_);
  BulkTotals totals_ ABSL_GUARDED_BY(mutex_);
  uint64_t delivered_before_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t dead_lettered_before_ ABSL_GUARDED_BY(mutex_) = 0;
  // Refused items at or above the durable position: a new stream sends these
  // again, and the server refuses them again.
  std::set<uint64_t> rejected_ahead_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::RejectedItem> unreported_rejected_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::WarnedItem> unreported_warned_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::UnlistedWarnings> unreported_unlisted_
      ABSL_GUARDED_BY(mutex_);
  // No item below it has a warning that is still to be reported, of those that
  // a stream has answered for.
  uint64_t warned_position_ ABSL_GUARDED_BY(mutex_) = 0;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool stream_over_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;     // no item follows
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;  // the writer goes away
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status result_ ABSL_GUARDED_BY(mutex_);

  uint64_t reported_position_;  // the caller's thread only
  std::thread sender_;
};

template <typename Item>
BulkWriter<Item>::BulkWriter(const Client& client, BulkWriterOptions options)
    : session_(std::make_unique<Session>(client, std::move(options))) {}

template <typename Item>
BulkWriter<Item>::~BulkWriter() = default;

template <typename Item>
absl::Status BulkWriter<Item>::Add(Item item) {
  return session_->AddFor(item, absl::InfiniteDuration()).status();
}

template <typename Item>
absl::StatusOr<bool> BulkWriter<Item>::AddFor(
    Item& item, std::chrono::milliseconds patience) {
  return session_->AddFor(item, absl::FromChrono(patience));
}

template <typename Item>
absl::StatusOr<bool> BulkWriter<Item>::WaitDurableFor(
    uint64_t position, std::chrono::milliseconds patience) {
  return session_->WaitDurableFor(position, absl::FromChrono(patience));
}

template <typename Item>
absl::StatusOr<BulkTotals> BulkWriter<Item>::Finish() {
  // In steps, so that refused items are reported while they come in.
  while (true) {
    auto result = session_->FinishFor(absl::Milliseconds(500));
    if (result.has_value()) return *std::move(result);
  }
}

template <typename Item>
std::optional<absl::StatusOr<BulkTotals>> BulkWriter<Item>::FinishFor(
    std::chrono::milliseconds patience) {
  return session_->FinishFor(absl::FromChrono(patience));
}

template <typename Item>
uint64_t BulkWriter<Item>::durable_position() const {
  return session_->durable_position();
}

template <typename Item>
BulkTotals BulkWriter<Item>::totals() const {
  return session_->totals();
}

template <typename Item>
const std::string& BulkWriter<Item>::request_id() const {
  return session_->request_id();
}

template class BulkWriter<v1::TrackEvent>;
template class BulkWriter<v1::UserProperties>;
template class BulkWriter<v1::AccountProperties>;

}  // namespace heapsync
