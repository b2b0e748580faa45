#include "server/observe/call_metrics.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <atomic>
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

struct CallMetrics::Method {
  std::string service;
  std::string name;
  std::string type;
  std::atomic<uint64_t> started{0};
  std::array<std::atomic<uint64_t>, kCodes> handled{};
  std::array<std::atomic<uint64_t>, kBuckets.size() + 1> durations{};
  std::atomic<uint64_t> microseconds{0};
};

CallMetrics::~CallMetrics() = default;

CallMetrics::Method* CallMetrics::Begin(absl::string_view method) const {
  const auto found = methods_.find(method);
  if (found == methods_.end()) return nullptr;
  found->second->started.fetch_add(1, std::memory_order_relaxed);
  return found->second.get();
}

void CallMetrics::End(Method& method, grpc::StatusCode code,
                      std::chrono::nanoseconds duration) {
  auto index = static_cast<size_t>(code);
  if (index >= kCodes) index = static_cast<size_t>(grpc::StatusCode::UNKNOWN);
  method.handled[index].fetch_add(1, std::memory_order_relaxed);
  const double seconds = std::chrono::duration<double>(duration).count();
  const auto bucket =
      std::lower_bound(kBuckets.begin(), kBuckets.end(), seconds);
  method.durations[static_cast<size_t>(bucket - kBuckets.begin())].fetch_add(
      1, std::memory_order_relaxed);
  method.microseconds.fetch_add(
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
