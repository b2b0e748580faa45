#include "server/net/connection_guard.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <chrono>
#include <utility>

#include "server/net/peer_name.h"

namespace heapsync {
namespace {

// A call given up later than this was worth its while to the server.
constexpr Duration kShortLife = std::chrono::seconds(1);

MonotonicTime MonotonicNow() { return SystemClock().Read().monotonic; }

}  // namespace

// Lives as long as its call.
class ConnectionGuard::Interceptor final
    : public grpc::experimental::Interceptor {
 public:
  Interceptor(ConnectionGuard& guard, grpc::ServerContextBase& context)
      : guard_(guard),
        context_(context),
        peer_(PeerName(context.peer())),
        began_(MonotonicNow()) {
    MutexLock lock(guard_.mutex_);
    held_ = guard_.rules_.CallBegan(peer_, began_);
  }
  ~Interceptor() override {
    End(true);
    MutexLock lock(guard_.mutex_);
    if (held_ != nullptr) guard_.rules_.CallFreed(*held_);
  }

  void Intercept(
      grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            grpc::experimental::InterceptionHookPoints::PRE_SEND_STATUS)) {
      End(context_.IsCancelled());
    } else if (methods->QueryInterceptionHookPoint(
                   grpc::experimental::InterceptionHookPoints::
                       POST_RECV_MESSAGE)) {
      Count(methods->GetRecvMessage());
    }
    methods->Proceed();
  }

 private:
  // Every service of the server takes its messages as they came.
  void Count(const void* message) {
    if (message == nullptr) return;
    const size_t bytes =
        static_cast<const grpc::ByteBuffer*>(message)->Length();
    MutexLock lock(guard_.mutex_);
    guard_.rules_.MessageArrived(peer_, bytes);
  }

  void End(bool cancelled) {
    if (std::exchange(ended_, true)) return;
    const MonotonicTime now = MonotonicNow();
    const bool given_up = cancelled && now - began_ < kShortLife;
    MutexLock lock(guard_.mutex_);
    guard_.rules_.CallEnded(peer_,
                            given_up ? ConnectionRules::CallEnd::kGivenUp
                                     : ConnectionRules::CallEnd::kAnswered,
                            now);
  }

  ConnectionGuard& guard_;
  grpc::ServerContextBase& context_;
  const std::string peer_;
  const MonotonicTime began_;
  // Guarded by the guard's mutex.
  std::shared_ptr<ConnectionRules::HeldCalls> held_;
  bool ended_ = false;
};

class ConnectionGuard::Factory final
    : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit Factory(ConnectionGuard& guard) : guard_(guard) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    return new Interceptor(guard_, *info->server_context());
  }

 private:
  ConnectionGuard& guard_;
};

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
ConnectionGuard::NewInterceptorFactory() {
  return std::make_unique<Factory>(*this);
}

ConnectionGuard::Admission ConnectionGuard::Admitted(
    const std::string& grpc_peer, absl::string_view caller) {
  const std::string peer = PeerName(grpc_peer);
  MutexLock lock(mutex_);
  return rules_.Admitted(peer, caller);
}

void ConnectionGuard::HealthChecked(const std::string& grpc_peer) {
  const std::string peer = PeerName(grpc_peer);
  MutexLock lock(mutex_);
  rules_.Probed(peer);
}

ConnectionGuard::Counts ConnectionGuard::Read() const {
  MutexLock lock(mutex_);
  return {.arriving = arriving_,
          .strangers = rules_.Count(Trust::kStranger),
          .probes = rules_.Count(Trust::kProbe),
          .known = rules_.Count(Trust::kKnown),
          .unproven_calls = rules_.unproven_calls(),
          .ended = ended_};
}

bool ConnectionGuard::HasPlace(bool loud) const {
  MutexLock lock(mutex_);
  return rules_.HasPlace(loud);
}

std::optional<ConnectionGuard::Closing> ConnectionGuard::MakePlace(
    absl::string_view network, bool loud, MonotonicTime now) {
  MutexLock lock(mutex_);
  const std::optional<Id> id = rules_.MakePlace(network, loud, now);
  if (!id.has_value()) return std::nullopt;
  Count(ClosingReason::kGaveWay);
  return Closing{.id = *id, .reason = ClosingReason::kGaveWay};
}

size_t ConnectionGuard::CountUnproven(absl::string_view network) const {
  MutexLock lock(mutex_);
  return rules_.CountUnproven(network);
}

void ConnectionGuard::SetArriving(size_t count) {
  MutexLock lock(mutex_);
  arriving_ = count;
}

void ConnectionGuard::CountEnded(ClosingReason reason) {
  MutexLock lock(mutex_);
  Count(reason);
}

void ConnectionGuard::Opened(Id id, absl::string_view peer, MonotonicTime now) {
  MutexLock lock(mutex_);
  rules_.Opened(id, peer, now);
}

bool ConnectionGuard::Left(Id id) {
  MutexLock lock(mutex_);
  return rules_.Left(id);
}

void ConnectionGuard::Closed(Id id) {
  MutexLock lock(mutex_);
  rules_.Closed(id);
}

bool ConnectionGuard::HasUnproven() const {
  MutexLock lock(mutex_);
  return !rules_.unproven().empty();
}

std::vector<ConnectionGuard::Id> ConnectionGuard::ToLookAt(MonotonicTime now) {
  MutexLock lock(mutex_);
  return rules_.ToLookAt(now);
}

void ConnectionGuard::Progressed(Id id, const TcpProgress& progress,
                                 MonotonicTime now) {
  MutexLock lock(mutex_);
  rules_.Progressed(id, progress, now);
}

std::vector<ConnectionGuard::Closing> ConnectionGuard::Due(MonotonicTime now,
                                                           uint64_t growth) {
  MutexLock lock(mutex_);
  rules_.SetGrowth(growth);
  std::vector<Closing> due = rules_.Due(now);
  for (const Closing& closing : due) Count(closing.reason);
  return due;
}

void ConnectionGuard::Count(ClosingReason reason) {
  ++ended_[static_cast<size_t>(reason)];
}

}  // namespace heapsync
