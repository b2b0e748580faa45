#include "server/observe/attempt_metrics.h"

#include <algorithm>
#include <chrono>

namespace heapsync {
namespace {

// Seconds, from a fast response to a backlog of hours: the forecast and the
// alerts need both ends.
const prometheus::Histogram::BucketBoundaries& LatencyBuckets() {
  static const auto& buckets = *new prometheus::Histogram::BucketBoundaries{
      0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14'400, 86'400};
  return buckets;
}

const prometheus::Histogram::BucketBoundaries& RequestBuckets() {
  static const auto& buckets = *new prometheus::Histogram::BucketBoundaries{
      0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};
  return buckets;
}

const prometheus::Histogram::BucketBoundaries& ItemBuckets() {
  static const auto& buckets = *new prometheus::Histogram::BucketBoundaries{
      1, 2, 5, 10, 25, 50, 100, 250, 500, 1'000};
  return buckets;
}

double Seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

AttemptMetrics::AttemptMetrics(MetricDestinations& destinations)
    : destinations_(destinations),
      attempts_(prometheus::BuildCounter()
                    .Name("heapsync_attempts_total")
                    .Help("Requests to Heap, by response class.")
                    .Register(registry_)),
      retries_(prometheus::BuildCounter()
                   .Name("heapsync_retries_total")
                   .Help("Requests to Heap that have to be retried unchanged, "
                         "by response class.")
                   .Register(registry_)),
      batch_items_(prometheus::BuildHistogram()
                       .Name("heapsync_batch_items")
                       .Help("Items in a request to Heap.")
                       .Register(registry_)),
      delivery_latency_(
          prometheus::BuildHistogram()
              .Name("heapsync_delivery_latency_seconds")
              .Help("Time from acceptance to delivery of each item; updates "
                    "coalesced into one count once.")
              .Register(registry_)),
      request_duration_(prometheus::BuildHistogram()
                            .Name("heapsync_request_duration_seconds")
                            .Help("Time from sending a request to Heap to its "
                                  "response or failure.")
                            .Register(registry_)) {}

AttemptMetrics::Rows& AttemptMetrics::RowsOf(const AttemptEvent& event) {
  const std::string label = destinations_.LabelOf(event.destination.name);
  const auto [entry, added] = rows_.try_emplace({label, event.type});
  Rows& rows = entry->second;
  if (!added) return rows;
  const prometheus::Labels labels = {{"destination", label},
                                     {"type", std::string(Name(event.type))}};
  for (size_t i = 1; i < kClasses; ++i) {
    const auto response_class = static_cast<ResponseClass>(i);
    prometheus::Labels with_class = labels;
    with_class.emplace("class", Name(response_class));
    rows.attempts[i] = &attempts_.Add(with_class);
    // Only these classes lead to a retry of the same request.
    if (response_class == ResponseClass::kTransient ||
        response_class == ResponseClass::kThrottled ||
        response_class == ResponseClass::kMisconfigured) {
      rows.retries[i] = &retries_.Add(with_class);
    }
  }
  rows.batch_items = &batch_items_.Add(labels, ItemBuckets());
  rows.delivery_latency = &delivery_latency_.Add(labels, LatencyBuckets());
  rows.request_duration = &request_duration_.Add(labels, RequestBuckets());
  return rows;
}

void AttemptMetrics::OnAttempt(const AttemptEvent& event) {
  MutexLock lock(mutex_);
  Rows& rows = RowsOf(event);
  const auto response_class = static_cast<size_t>(event.verdict.response_class);
  rows.attempts[response_class]->Increment();
  if (event.next_try_in.has_value() &&
      rows.retries[response_class] != nullptr) {
    rows.retries[response_class]->Increment();
  }
  rows.batch_items->Observe(static_cast<double>(event.items.size()));
  rows.request_duration->Observe(Seconds(event.latency));
  if (event.verdict.response_class == ResponseClass::kDelivered) {
    ObserveLatencies(event, *rows.delivery_latency);
  }
}

// Observes all items together, so that the histogram is locked once per
// request.
void AttemptMetrics::ObserveLatencies(const AttemptEvent& event,
                                      prometheus::Histogram& latencies) {
  const prometheus::Histogram::BucketBoundaries& bounds = LatencyBuckets();
  std::vector<double> counts(bounds.size() + 1);
  double sum = 0;
  for (const BatchItem& item : event.items) {
    // The system clock may have been set back.
    const double seconds =
        std::max(0.0, Seconds(event.ended_at - item.accepted_at));
    const auto bucket = std::lower_bound(bounds.begin(), bounds.end(), seconds);
    ++counts[static_cast<size_t>(bucket - bounds.begin())];
    sum += seconds;
  }
  latencies.ObserveMultiple(counts, sum);
}

std::vector<prometheus::MetricFamily> AttemptMetrics::Collect() const {
  return registry_.Collect();
}

}  // namespace heapsync
