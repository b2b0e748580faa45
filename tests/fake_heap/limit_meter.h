#ifndef HEAPSYNC_TESTS_FAKE_HEAP_LIMIT_METER_H_
#define HEAPSYNC_TESTS_FAKE_HEAP_LIMIT_METER_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "heap_adapter/model/object_type.h"
#include "tests/fake_heap/sliding_sum.h"

namespace heapsync::fake_heap {

// The limits of Heap's reference, all per app id.
enum class LimitKind : size_t {
  kAppEvents,             // events in bulk requests
  kIdentityEvents,        // the same, of one identity
  kIdentityUserRequests,  // user property requests that name an identity
  kIdentityTrackRequests  // single (not bulk) track requests of an identity
};
inline constexpr size_t kLimitKinds = 4;

// "app_events", "identity_events", "identity_user_requests",
// "identity_track_requests".
absl::string_view Name(LimitKind kind);

// A limit holds in every half-open window of this length, wherever it starts:
// two arrivals exactly one window apart do not share one.
struct Limit {
  uint32_t most;  // zero: no limit, only measured
  Duration window;
};

struct PublishedLimits {
  Limit app_events{15'000, std::chrono::seconds(60)};
  Limit identity_events{1'000, std::chrono::seconds(60)};
  Limit identity_user_requests{30, std::chrono::seconds(30)};
  Limit identity_track_requests{30, std::chrono::seconds(30)};

  const Limit& Of(LimitKind kind) const;
};

// Load of one request.
struct Load {
  ObjectType type;
  bool bulk;
  absl::string_view app_id;
  size_t items;
  // Identities of the items, repeated if several items have the same one. Empty
  // ones are not counted.
  std::vector<absl::string_view> identities;
};

// All that one identity (or app id) took too much of one limit.
struct Violation {
  LimitKind kind;
  std::string app_id;
  std::string identity;    // empty with kAppEvents
  uint64_t requests = 0;   // arrivals that found, or made, a window too full
  uint32_t worst_use = 0;  // in one window
  WallTime first;
  WallTime last;
};

// The fullest window that there was.
struct HighestUse {
  uint32_t used = 0;
  WallTime time;         // of the arrival that filled it
  std::string identity;  // of which; empty with kAppEvents
};

// Measures published limits as Heap could: by what arrives and when, in every
// sliding window, exactly. One thread at a time. Time must not run backwards
// between calls.
class LimitMeter {
 public:
  explicit LimitMeter(PublishedLimits limits) : limits_(limits) {}

  // The limit that this request would break, if any. Records nothing.
  std::optional<LimitKind> WouldBreak(const Load& load, MonotonicTime now);

  void Record(const Load& load, const Now& now);

  // In the order of their beginning, of all app ids.
  std::vector<Violation> Violations() const;
  // Sum of Violation::requests, of one app id or all.
  uint64_t CountViolations(absl::string_view app_id) const;
  uint64_t CountViolations() const;

  HighestUse Highest(absl::string_view app_id, LimitKind kind) const;

  const PublishedLimits& limits() const { return limits_; }

  void Clear();

 private:
  struct IdentityWindows {
    absl::flat_hash_map<std::string, SlidingSum> sums;
    size_t sweep_at = 1024;
  };
  struct AppWindows {
    SlidingSum events;
    std::array<IdentityWindows, kLimitKinds> identities;
    std::array<HighestUse, kLimitKinds> highest;
    std::map<std::pair<LimitKind, std::string>, Violation> violations;
    uint64_t violating_requests = 0;
  };

  void Take(AppWindows& app, absl::string_view app_id, LimitKind kind,
            absl::string_view identity, uint32_t used, const Now& now);

  const PublishedLimits limits_;
  std::map<std::string, AppWindows, std::less<>> apps_;
};

}  // namespace heapsync::fake_heap

#endif  // HEAPSYNC_TESTS_FAKE_HEAP_LIMIT_METER_H_
