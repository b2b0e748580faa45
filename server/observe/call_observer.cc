#include "server/observe/call_observer.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_interceptor.h>

#include <memory>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace heapsync {
namespace {

using grpc::experimental::InterceptionHookPoints;

MonotonicTime MonotonicNow() { return SystemClock().Read().monotonic; }

// Lives as long as its call.
class Observer final : public grpc::experimental::Interceptor {
 public:
  Observer(ConnectionGuard& guard, const CallMetrics* metrics,
           grpc::experimental::ServerRpcInfo& info)
      : context_(*info.server_context()),
        began_(MonotonicNow()),
        call_(guard, context_.peer(), began_) {
    if (metrics != nullptr) method_ = metrics->Begin(info.method());
  }
  // A call that ended without a status was cancelled.
  ~Observer() override { End(true, grpc::StatusCode::CANCELLED); }

  void Intercept(
      grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            InterceptionHookPoints::PRE_SEND_STATUS)) {
      End(context_.IsCancelled(), methods->GetSendStatus().error_code());
    } else if (methods->QueryInterceptionHookPoint(
                   InterceptionHookPoints::POST_RECV_MESSAGE)) {
      // Every service of the server takes its messages as they came.
      const auto* const message =
          static_cast<const grpc::ByteBuffer*>(methods->GetRecvMessage());
      if (message != nullptr) call_.MessageArrived(message->Length());
    }
    methods->Proceed();
  }

 private:
  void End(bool cancelled, grpc::StatusCode code) {
    if (std::exchange(ended_, true)) return;
    const MonotonicTime now = MonotonicNow();
    call_.End(cancelled, now);
    if (method_ != nullptr) CallMetrics::End(*method_, code, now - began_);
  }

  grpc::ServerContextBase& context_;
  const MonotonicTime began_;
  ConnectionGuard::Call call_;
  CallMetrics::Method* method_ = nullptr;
  bool ended_ = false;
};

class Factory final
    : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  Factory(ConnectionGuard& guard, const CallMetrics* metrics)
      : guard_(guard), metrics_(metrics) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    return new Observer(guard_, metrics_, *info);
  }

 private:
  ConnectionGuard& guard_;
  const CallMetrics* const metrics_;
};

}  // namespace

void ObserveCalls(ConnectionGuard& guard, const CallMetrics* metrics,
                  grpc::ServerBuilder& builder) {
  std::vector<
      std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
      factories;
  factories.push_back(std::make_unique<Factory>(guard, metrics));
  builder.experimental().SetInterceptorCreators(std::move(factories));
}

}  // namespace heapsync
