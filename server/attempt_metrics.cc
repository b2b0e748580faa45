#include "server/attempt_metrics.h"

#include <chrono>

namespace heapsync {
namespace {

// Seconds. From a quick answer to a backlog of hours: the forecast and the
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

AttemptMetrics::AttemptMetrics()
    : attempts_(prometheus::BuildCounter()
                    .Name("heapsync_attempts_total")
                    .Help("Requests to Heap by the class of their answer.")
                    .Register(registry_)),
      batch_items_(prometheus::BuildHistogram()
                       .Name("heapsync_batch_items")
                       .Help("Items in a request to Heap.")
                       .Register(registry_)),
      delivery_latency_(
          prometheus::BuildHistogram()
              .Name("heapsync_delivery_latency_seconds")
              .Help("Time from acceptance to delivery, of the oldest item in "
                    "each delivered request.")
              .Register(registry_)),
      request_duration_(prometheus::BuildHistogram()
                            .Name("heapsync_request_duration_seconds")
                            .Help("Time from sending a request to Heap to its "
                                  "answer or failure.")
                            .Register(registry_)) {}

AttemptMetrics::Rows& AttemptMetrics::RowsOf(const AttemptEvent& event) {
  const auto [entry, added] =
      rows_.try_emplace({event.destination.name, event.type});
  Rows& rows = entry->second;
  if (!added) return rows;
  const prometheus::Labels labels = {{"destination", event.destination.name},
                                     {"type", std::string(Name(event.type))}};
  for (size_t i = 1; i < kClasses; ++i) {
    prometheus::Labels with_class = labels;
    with_class.emplace("class", Name(static_cast<AnswerClass>(i)));
    rows.attempts[i] = &attempts_.Add(with_class);
  }
  rows.batch_items = &batch_items_.Add(labels, ItemBuckets());
  rows.delivery_latency = &delivery_latency_.Add(labels, LatencyBuckets());
  rows.request_duration = &request_duration_.Add(labels, RequestBuckets());
  return rows;
}

void AttemptMetrics::OnAttempt(const AttemptEvent& event) {
  Rows& rows = RowsOf(event);
  rows.attempts[static_cast<size_t>(event.verdict.answer_class)]->Increment();
  rows.batch_items->Observe(static_cast<double>(event.items));
  rows.request_duration->Observe(Seconds(event.latency));
  if (event.verdict.answer_class == AnswerClass::kDelivered) {
    rows.delivery_latency->Observe(Seconds(event.oldest_item_age));
  }
}

std::vector<prometheus::MetricFamily> AttemptMetrics::Collect() const {
  return registry_.Collect();
}

}  // namespace heapsync
