#ifndef HEAPSYNC_SERVER_OBSERVE_FLOW_HISTORY_H_
#define HEAPSYNC_SERVER_OBSERVE_FLOW_HISTORY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "heap_adapter/engines.h"
#include "server/observe/compact_count.h"

namespace heapsync {

// Items per second over the last one to two steps of a FlowHistory.
struct FlowRates {
  double accepted = 0;
  double delivered = 0;

  bool operator==(const FlowRates&) const = default;
};

// Counters of a destination at the time of a status.
struct FlowCounts {
  absl::string_view destination;
  uint64_t accepted = 0;
  uint64_t delivered = 0;
};

struct FlowPoint {
  uint64_t accepted = 0;      // items during the step
  uint64_t delivered = 0;     // the same
  uint64_t queued_items = 0;  // the most that was seen in the step
  // The most that was seen of the limit per minute; of all destinations, that
  // of the fullest one. None: unlimited.
  std::optional<uint64_t> allowance_percent;
};

// Points at equal distances, the oldest first; none where nothing was sampled.
struct FlowChart {
  std::vector<std::optional<FlowPoint>> points;
};

struct FlowCharts {
  Duration step{};
  // End of the last point's step; later than the last sample while that step
  // is not over.
  MonotonicTime end;
  FlowChart total;
  // One for each name that was asked for; empty without a history of its own.
  std::vector<FlowChart> destinations;
};

// The flow of all destinations and of each one over the last quarter of an hour
// and the last six hours, for charts. It knows nothing from before the start.
//
// Bounded: a destination takes 1.5 KB from the first sample on in which it is
// not idle, and only the first kMaxDestinations of these do; the others are
// part of the total. Any thread.
class FlowHistory {
 public:
  // Time between samples, and between points of the short range. Smaller: finer
  // charts over a shorter time, more work.
  static constexpr Duration kStep = std::chrono::seconds(10);
  // Number of points of both ranges.
  static constexpr size_t kPoints = 90;
  // Short steps that make a step of the long range.
  static constexpr size_t kLongStep = 24;
  static constexpr size_t kMaxDestinations = 10'000;

  enum class Range { kMinutes, kHours };

  // `start` is that of the process: its counters were zero then.
  explicit FlowHistory(Now start);

  // To be called once in each step, see StepOf(). A step without a call, or in
  // which the wall clock moved otherwise than the monotonic one (it was set, or
  // the machine was suspended), is left empty.
  void Add(const EngineFlows& flows);
  int64_t StepOf(MonotonicTime time) const { return (time - start_) / kStep; }

  FlowCharts Charts(Range range,
                    const std::vector<absl::string_view>& destinations) const;

  // The rates at `now`, for all destinations or each of them. None: less than a
  // second has passed since the start, or there is no history.
  std::optional<FlowRates> TotalRates(const FlowCounts& counts,
                                      MonotonicTime now) const;
  std::vector<std::optional<FlowRates>> RatesOf(
      const std::vector<FlowCounts>& counts, MonotonicTime now) const;

  // Destinations with a history of their own.
  size_t destinations() const;

 private:
  struct Cell {
    CompactCount accepted;
    CompactCount delivered;
    CompactCount queued_items;
    uint16_t allowance_percent = kUnlimited;
  };
  static constexpr uint16_t kUnlimited = 0xFFFF;
  struct Counters {
    uint64_t accepted = 0;
    uint64_t delivered = 0;
  };
  // Cells of points that are not known hold anything.
  struct Series {
    std::array<Cell, kPoints> minutes;
    std::array<Cell, kPoints> hours;
    Counters last;
    Counters before_last;

    // It used nothing of its limit so far.
    void BeginIdle() {
      for (Cell& cell : minutes) cell.allowance_percent = 0;
      for (Cell& cell : hours) cell.allowance_percent = 0;
    }
  };
  static_assert(sizeof(Series) <= 1'500);
  // Numbers of the points that are known, each at its place of the ring.
  using Known = std::array<int64_t, kPoints>;

  static bool Has(const Known& known, int64_t point);
  static FlowPoint PointOf(const Cell& cell);

  void AddTo(Series& series, const DestinationFlow& flow,
             uint64_t allowance_percent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The long step `number`, of as many of its points as are known.
  Cell LongCell(const Series& series, int64_t number, size_t known) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  size_t KnownIn(int64_t long_step) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseLongSteps() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  FlowChart ChartOf(const Series& series, Range range) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<FlowRates> Rates(const Series* series, const FlowCounts& counts,
                                 MonotonicTime now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const MonotonicTime start_;
  mutable Mutex mutex_;
  Now last_ ABSL_GUARDED_BY(mutex_);
  MonotonicTime before_last_ ABSL_GUARDED_BY(mutex_);
  int64_t points_ ABSL_GUARDED_BY(mutex_) = 0;  // of the short range, so far
  int64_t long_points_ ABSL_GUARDED_BY(mutex_) = 0;
  double scale_ ABSL_GUARDED_BY(mutex_) = 1;  // of the running sample
  Known known_ ABSL_GUARDED_BY(mutex_);
  Known long_known_ ABSL_GUARDED_BY(mutex_);
  Series total_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::unique_ptr<Series>> series_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_FLOW_HISTORY_H_
