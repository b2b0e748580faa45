#include "server/observe/call_metrics.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/observe/metric_rows.h"

namespace heapsync {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr const char* kCodeNames[] = {"OK",
                                      "Canceled",
                                      "Unknown",
                                      "InvalidArgument",
                                      "DeadlineExceeded",
                                      "NotFound",
                                      "AlreadyExists",
                                      "PermissionDenied",
                                      "ResourceExhausted",
                                      "FailedPrecondition",
                                      "Aborted",
                                      "OutOfRange",
                                      "Unimplemented",
                                      "Internal",
                                      "Unavailable",
                                      "DataLoss",
                                      "Unauthenticated"};

const char* TypeOf(const google::protobuf::MethodDescriptor& method) {
  if (method.client_streaming()) {
    return method.server_streaming() ? "bidi_stream" : "client_stream";
  }
  return method.server_streaming() ? "server_stream" : "unary";
}

}  // namespace

// Lives as long as its call.
class CallMetrics::Interceptor final : public grpc::experimental::Interceptor {
 public:
  explicit Interceptor(Method& method)
      : method_(method), began_(std::chrono::steady_clock::now()) {
    method_.started.fetch_add(1, std::memory_order_relaxed);
  }
  // A call that ended without a status was cancelled.
  ~Interceptor() override { End(grpc::StatusCode::CANCELLED); }

  void Intercept(
      grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            grpc::experimental::InterceptionHookPoints::PRE_SEND_STATUS)) {
      End(methods->GetSendStatus().error_code());
    }
    methods->Proceed();
  }

 private:
  void End(grpc::StatusCode code) {
    if (std::exchange(ended_, true)) return;
    method_.End(code, std::chrono::steady_clock::now() - began_);
  }

  Method& method_;
  const std::chrono::steady_clock::time_point began_;
  bool ended_ = false;
};

class CallMetrics::Factory final
    : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit Factory(CallMetrics& metrics) : metrics_(metrics) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    const auto method =
        metrics_.methods_.find(absl::string_view(info->method()));
    if (method == metrics_.methods_.end()) return nullptr;
    return new Interceptor(*method->second);
  }

 private:
  CallMetrics& metrics_;
};

void CallMetrics::Method::End(grpc::StatusCode code,
                              std::chrono::nanoseconds duration) {
  auto index = static_cast<size_t>(code);
  if (index >= kCodes) index = static_cast<size_t>(grpc::StatusCode::UNKNOWN);
  handled[index].fetch_add(1, std::memory_order_relaxed);
  const double seconds = std::chrono::duration<double>(duration).count();
  const auto bucket =
      std::lower_bound(kBuckets.begin(), kBuckets.end(), seconds);
  durations[static_cast<size_t>(bucket - kBuckets.begin())].fetch_add(
      1, std::memory_order_relaxed);
  microseconds.fetch_add(
      static_cast<uint64_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(duration)
              .count()),
      std::memory_order_relaxed);
}

CallMetrics::CallMetrics(const std::vector<std::string>& services) {
  const auto& pool = *google::protobuf::DescriptorPool::generated_pool();
  for (const std::string& name : services) {
    const auto* service = pool.FindServiceByName(name);
    if (service == nullptr) continue;
    for (int i = 0; i < service->method_count(); ++i) {
      const auto& descriptor = *service->method(i);
      auto method = std::make_unique<Method>();
      method->service = name;
      method->name = descriptor.name();
      method->type = TypeOf(descriptor);
      methods_.emplace(absl::StrCat("/", name, "/", descriptor.name()),
                       std::move(method));
    }
  }
}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
CallMetrics::NewInterceptorFactory() {
  return std::make_unique<Factory>(*this);
}

std::vector<MetricFamily> CallMetrics::Collect() const {
  MetricFamily started = NewFamily(
      MetricType::Counter, "grpc_server_started_total", "Calls started.");
  MetricFamily handled = NewFamily(
      MetricType::Counter, "grpc_server_handled_total",
      "Calls completed, by code. Codes other than OK appear with their "
      "first call.");
  MetricFamily durations =
      NewFamily(MetricType::Histogram, "grpc_server_handling_seconds",
                "Time from the start of a call to its status.");
  for (const auto& [_, method] : methods_) {
    const MetricLabels labels = {{"grpc_service", method->service},
                                 {"grpc_method", method->name},
                                 {"grpc_type", method->type}};
    AddRow(started, static_cast<double>(method->started.load()), labels);
    for (size_t code = 0; code < kCodes; ++code) {
      const uint64_t calls = method->handled[code].load();
      if (calls == 0 && code != grpc::StatusCode::OK) continue;
      MetricLabels with_code = labels;
      with_code.push_back({"grpc_code", kCodeNames[code]});
      AddRow(handled, static_cast<double>(calls), std::move(with_code));
    }
    prometheus::ClientMetric& row = durations.metric.emplace_back();
    row.label = labels;
    row.histogram.sample_sum =
        static_cast<double>(method->microseconds.load()) / 1e6;
    for (size_t i = 0; i <= kBuckets.size(); ++i) {
      row.histogram.sample_count += method->durations[i].load();
      row.histogram.bucket.push_back(
          {row.histogram.sample_count,
           i < kBuckets.size() ? kBuckets[i]
                               : std::numeric_limits<double>::infinity()});
    }
  }
  return {std::move(started), std::move(handled), std::move(durations)};
}

}  // namespace heapsync
