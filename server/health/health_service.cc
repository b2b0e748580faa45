#include "server/health/health_service.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/mutex.h"
#include "server/wire/rich_status.h"
#include "server/wire/wire_message.h"

namespace heapsync {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

namespace {

// The maximum of a request, inflated: it is the name of a service.
constexpr size_t kMaxRequestBytes = 4'096;

CallError TooManyWatches() {
  CallError error = TooManyCalls();
  error.message = "too many health watches are open on this server already";
  return error;
}

grpc::ByteBuffer Encoded(HealthCheckResponse::ServingStatus status) {
  HealthCheckResponse response;
  response.set_status(status);
  return ToByteBuffer(response);
}

class Watcher;

}  // namespace

// The status of each service, and the calls that watch it. Any thread.
class HealthBoard {
 public:
  explicit HealthBoard(uint32_t max_watches) : max_watches_(max_watches) {}

  // SERVICE_UNKNOWN for a name that was never set.
  HealthCheckResponse::ServingStatus StatusOf(const std::string& name) const {
    MutexLock lock(mutex_);
    const auto found = statuses_.find(name);
    return found == statuses_.end() ? HealthCheckResponse::SERVICE_UNKNOWN
                                    : found->second;
  }

  // Returns the watchers to notify.
  [[nodiscard]] std::vector<std::shared_ptr<Watcher>> Set(
      const std::string& name, HealthCheckResponse::ServingStatus status) {
    MutexLock lock(mutex_);
    statuses_[name] = status;
    return {watchers_.begin(), watchers_.end()};
  }

  // Returns the error if the watcher may not stay.
  std::optional<CallError> Add(std::shared_ptr<Watcher> watcher) {
    MutexLock lock(mutex_);
    if (ended_) return ShuttingDown();
    if (watchers_.size() >= max_watches_) return TooManyWatches();
    watchers_.insert(std::move(watcher));
    return std::nullopt;
  }
  void Remove(const std::shared_ptr<Watcher>& watcher) {
    MutexLock lock(mutex_);
    watchers_.erase(watcher);
  }

  // Returns the watchers to end.
  [[nodiscard]] std::vector<std::shared_ptr<Watcher>> End() {
    MutexLock lock(mutex_);
    ended_ = true;
    return {watchers_.begin(), watchers_.end()};
  }

 private:
  const uint32_t max_watches_;
  mutable Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<std::string, HealthCheckResponse::ServingStatus> statuses_
      ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::shared_ptr<Watcher>> watchers_
      ABSL_GUARDED_BY(mutex_);
};

namespace {

// One Watch call: writes the status whenever it differs from the last one
// written. gRPC holds it until OnDone().
class Watcher final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                      public std::enable_shared_from_this<Watcher> {
 public:
  explicit Watcher(HealthBoard& board) : board_(board) {}

  void Start(const grpc::ByteBuffer& bytes) {
    self_ = shared_from_this();
    HealthCheckRequest request;
    std::optional<CallError> error =
        ReadRequest(bytes, kMaxRequestBytes, &request);
    service_ = request.service();
    if (!error.has_value()) error = board_.Add(self_);
    if (error.has_value()) return End(error->ToStatus());
    Notify();
  }

  // Call it when the status may have changed.
  void Notify() {
    {
      MutexLock lock(mutex_);
      if (phase_ != Phase::kIdle) return;
      const auto status = board_.StatusOf(service_);
      if (status == last_) return;
      last_ = status;
      outgoing_ = Encoded(status);
      phase_ = Phase::kWriting;
    }
    StartWrite(&outgoing_);
  }

  // Ends the call, after the write in flight if there is one.
  void End(const grpc::Status& status) {
    {
      MutexLock lock(mutex_);
      if (end_.has_value()) return;
      end_ = status;
      if (phase_ == Phase::kWriting) return;
      phase_ = Phase::kFinished;
    }
    Finish(status);
  }

 private:
  enum class Phase { kIdle, kWriting, kFinished };

  void OnWriteDone(bool ok) override {
    std::optional<grpc::Status> end;
    {
      MutexLock lock(mutex_);
      if (!ok && !end_.has_value()) end_ = grpc::Status::CANCELLED;
      end = end_;
      phase_ = end.has_value() ? Phase::kFinished : Phase::kIdle;
    }
    if (end.has_value()) return Finish(*end);
    Notify();
  }
  void OnCancel() override { End(grpc::Status::CANCELLED); }
  void OnDone() override {
    board_.Remove(self_);
    self_.reset();
  }

  HealthBoard& board_;
  std::string service_;
  std::shared_ptr<Watcher> self_;  // until OnDone()
  Mutex mutex_;
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kIdle;
  std::optional<HealthCheckResponse::ServingStatus> last_
      ABSL_GUARDED_BY(mutex_);
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
  grpc::ByteBuffer outgoing_;  // belongs to the write in flight
};

}  // namespace

HealthService::HealthService(uint32_t max_watches)
    : board_(std::make_unique<HealthBoard>(max_watches)) {}

HealthService::~HealthService() = default;

void HealthService::SetServing(const std::string& name, bool serving) {
  const auto watchers =
      board_->Set(name, serving ? HealthCheckResponse::SERVING
                                : HealthCheckResponse::NOT_SERVING);
  for (const auto& watcher : watchers) watcher->Notify();
}

void HealthService::EndWatches() {
  for (const auto& watcher : board_->End()) {
    watcher->End(ShuttingDown().ToStatus());
  }
}

grpc::ServerUnaryReactor* HealthService::Check(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  HealthCheckRequest parsed;
  if (auto error = ReadRequest(*request, kMaxRequestBytes, &parsed)) {
    reactor->Finish(error->ToStatus());
    return reactor;
  }
  const auto status = board_->StatusOf(parsed.service());
  if (status == HealthCheckResponse::SERVICE_UNKNOWN) {
    reactor->Finish({grpc::StatusCode::NOT_FOUND, "unknown service"});
    return reactor;
  }
  Checked(*context);
  *response = Encoded(status);
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

void HealthService::Checked(const grpc::CallbackServerContext& context) const {
  if (on_checked_ != nullptr) on_checked_(context.peer());
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* HealthService::Watch(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  Checked(*context);
  const auto watcher = std::make_shared<Watcher>(*board_);
  watcher->Start(*request);
  return watcher.get();
}

}  // namespace heapsync
