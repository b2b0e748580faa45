#include "server/observe/flow_history.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace heapsync {
namespace {

// A long step is known if this many of its points are.
constexpr size_t kEnoughOfLongStep = FlowHistory::kLongStep / 2;
// Shorter times give no useful rate.
constexpr Duration kMinRateTime = std::chrono::seconds(1);

size_t PlaceOf(int64_t point) {
  return static_cast<size_t>(point) % FlowHistory::kPoints;
}

uint64_t Since(uint64_t now, uint64_t before) {
  return now > before ? now - before : 0;
}

uint64_t Scaled(uint64_t count, double scale) {
  return static_cast<uint64_t>(
      std::llround(static_cast<double>(count) * scale));
}

double Seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

FlowHistory::FlowHistory(Now start)
    : start_(start.monotonic), last_(start), before_last_(start.monotonic) {
  MutexLock lock(mutex_);
  known_.fill(-1);
  long_known_.fill(-1);
}

size_t FlowHistory::destinations() const {
  MutexLock lock(mutex_);
  return series_.size();
}

bool FlowHistory::Has(const Known& known, int64_t point) {
  return known[PlaceOf(point)] == point;
}

FlowPoint FlowHistory::PointOf(const Cell& cell) {
  FlowPoint point{.accepted = cell.accepted.value(),
                  .delivered = cell.delivered.value(),
                  .queued_items = cell.queued_items.value(),
                  .allowance_percent = std::nullopt};
  if (cell.allowance_percent != kUnlimited) {
    point.allowance_percent = cell.allowance_percent;
  }
  return point;
}

void FlowHistory::Add(const EngineFlows& flows) {
  MutexLock lock(mutex_);
  const Now now = flows.taken_at;
  const int64_t points = StepOf(now.monotonic);
  if (points <= points_) return;
  const Duration passed = now.monotonic - last_.monotonic;
  const Duration drift = (now.wall - last_.wall) - passed;
  if (points == points_ + 1 && std::chrono::abs(drift) < kStep) {
    known_[PlaceOf(points_)] = points_;
  }
  // Samples come a little early or late.
  scale_ = Seconds(kStep) / Seconds(passed);
  points_ = points;
  DestinationFlow total;
  uint64_t fullest = kUnlimited;
  for (const DestinationFlow& flow : flows.destinations) {
    total.accepted += flow.accepted;
    total.delivered += flow.delivered;
    total.queued_items += flow.queued_items;
    uint64_t percent = kUnlimited;
    if (flow.allowance_total > 0) {
      percent = std::min<uint64_t>(
          100 * flow.allowance_used / flow.allowance_total, kUnlimited - 1);
      fullest = fullest == kUnlimited ? percent : std::max(fullest, percent);
    }
    auto found = series_.find(flow.destination->name);
    if (found == series_.end()) {
      const bool idle = flow.accepted == 0 && flow.delivered == 0 &&
                        flow.queued_items == 0 && flow.allowance_used == 0;
      if (idle || series_.size() >= kMaxDestinations) continue;
      found =
          series_.emplace(flow.destination->name, std::make_unique<Series>())
              .first;
      if (percent != kUnlimited) found->second->BeginIdle();
    }
    AddTo(*found->second, flow, percent);
  }
  AddTo(total_, total, fullest);
  before_last_ = std::exchange(last_, now).monotonic;
  CloseLongSteps();
}

void FlowHistory::AddTo(Series& series, const DestinationFlow& flow,
                        uint64_t allowance_percent) {
  const Counters before = series.last;
  series.before_last = before;
  series.last = {.accepted = flow.accepted, .delivered = flow.delivered};
  if (!Has(known_, points_ - 1)) return;
  series.minutes[PlaceOf(points_ - 1)] = {
      .accepted =
          CompactCount(Scaled(Since(flow.accepted, before.accepted), scale_)),
      .delivered =
          CompactCount(Scaled(Since(flow.delivered, before.delivered), scale_)),
      .queued_items = CompactCount(flow.queued_items),
      .allowance_percent = static_cast<uint16_t>(allowance_percent)};
}

size_t FlowHistory::KnownIn(int64_t long_step) const {
  size_t known = 0;
  for (size_t i = 0; i < kLongStep; ++i) {
    known +=
        Has(known_, long_step * int64_t{kLongStep} + static_cast<int64_t>(i))
            ? 1
            : 0;
  }
  return known;
}

FlowHistory::Cell FlowHistory::LongCell(const Series& series, int64_t number,
                                        size_t known) const {
  uint64_t accepted = 0;
  uint64_t delivered = 0;
  uint64_t queued_items = 0;
  uint16_t percent = kUnlimited;
  for (size_t i = 0; i < kLongStep; ++i) {
    const int64_t point = number * int64_t{kLongStep} + static_cast<int64_t>(i);
    if (!Has(known_, point)) continue;
    const Cell& cell = series.minutes[PlaceOf(point)];
    accepted += cell.accepted.value();
    delivered += cell.delivered.value();
    queued_items = std::max(queued_items, cell.queued_items.value());
    if (cell.allowance_percent == kUnlimited) continue;
    percent = percent == kUnlimited ? cell.allowance_percent
                                    : std::max(percent, cell.allowance_percent);
  }
  const double scale =
      static_cast<double>(kLongStep) / static_cast<double>(known);
  return {.accepted = CompactCount(Scaled(accepted, scale)),
          .delivered = CompactCount(Scaled(delivered, scale)),
          .queued_items = CompactCount(queued_items),
          .allowance_percent = percent};
}

void FlowHistory::CloseLongSteps() {
  const int64_t over = points_ / int64_t{kLongStep};
  // Earlier ones are no longer in the ring.
  long_points_ = std::max(long_points_, over - int64_t{kPoints});
  for (; long_points_ < over; ++long_points_) {
    const size_t known = KnownIn(long_points_);
    if (known < kEnoughOfLongStep) continue;
    long_known_[PlaceOf(long_points_)] = long_points_;
    total_.hours[PlaceOf(long_points_)] = LongCell(total_, long_points_, known);
    for (auto& [name, series] : series_) {
      series->hours[PlaceOf(long_points_)] =
          LongCell(*series, long_points_, known);
    }
  }
}

FlowChart FlowHistory::ChartOf(const Series& series, Range range) const {
  const bool hours = range == Range::kHours;
  const int64_t end = hours ? long_points_ : points_;
  const Known& known = hours ? long_known_ : known_;
  FlowChart chart;
  const size_t running = hours && points_ % int64_t{kLongStep} != 0 ? 1 : 0;
  const int64_t most = static_cast<int64_t>(kPoints - running);
  for (int64_t i = std::max<int64_t>(0, end - most); i < end; ++i) {
    auto& point = chart.points.emplace_back();
    if (!Has(known, i)) continue;
    point = PointOf((hours ? series.hours : series.minutes)[PlaceOf(i)]);
  }
  if (running > 0) {
    auto& point = chart.points.emplace_back();
    const size_t count = KnownIn(long_points_);
    if (count > 0) point = PointOf(LongCell(series, long_points_, count));
  }
  return chart;
}

FlowCharts FlowHistory::Charts(
    Range range, const std::vector<absl::string_view>& destinations) const {
  MutexLock lock(mutex_);
  FlowCharts charts{.step = kStep,
                    .end = start_ + points_ * kStep,
                    .total = ChartOf(total_, range),
                    .destinations = {}};
  if (range == Range::kHours) {
    const auto steps = int64_t{kLongStep};
    charts.step = kStep * steps;
    charts.end = start_ + (points_ + steps - 1) / steps * charts.step;
  }
  charts.destinations.reserve(destinations.size());
  for (const absl::string_view name : destinations) {
    const auto found = series_.find(name);
    charts.destinations.push_back(
        found == series_.end() ? FlowChart() : ChartOf(*found->second, range));
  }
  return charts;
}

std::optional<FlowRates> FlowHistory::Rates(const Series* series,
                                            const FlowCounts& counts,
                                            MonotonicTime now) const {
  const Duration passed = now - before_last_;
  if (passed < kMinRateTime) return std::nullopt;
  // It was idle until the last sample, unless there was no place for it.
  if (series == nullptr && series_.size() >= kMaxDestinations) {
    return std::nullopt;
  }
  const Counters before = series == nullptr ? Counters() : series->before_last;
  return FlowRates{
      .accepted = static_cast<double>(Since(counts.accepted, before.accepted)) /
                  Seconds(passed),
      .delivered =
          static_cast<double>(Since(counts.delivered, before.delivered)) /
          Seconds(passed)};
}

std::optional<FlowRates> FlowHistory::TotalRates(const FlowCounts& counts,
                                                 MonotonicTime now) const {
  MutexLock lock(mutex_);
  return Rates(&total_, counts, now);
}

std::vector<std::optional<FlowRates>> FlowHistory::RatesOf(
    const std::vector<FlowCounts>& counts, MonotonicTime now) const {
  std::vector<std::optional<FlowRates>> rates;
  rates.reserve(counts.size());
  MutexLock lock(mutex_);
  for (const FlowCounts& each : counts) {
    const auto found = series_.find(each.destination);
    rates.push_back(Rates(
        found == series_.end() ? nullptr : found->second.get(), each, now));
  }
  return rates;
}

}  // namespace heapsync
