#ifndef HEAPSYNC_TESTS_FAKE_HEAP_HEAP_SIMULATOR_H_
#define HEAPSYNC_TESTS_FAKE_HEAP_HEAP_SIMULATOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "heap_adapter/model/destination.h"
#include "tests/fake_heap/fault_script.h"
#include "tests/fake_heap/heap_state.h"
#include "tests/fake_heap/limit_meter.h"
#include "tests/fake_heap/request_log.h"

namespace heapsync::fake_heap {

// An HTTP answer.
struct Reply {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

// The response that the client sees.
struct Reaction {
  enum class Way { kAnswer, kCutResponse, kGarbage, kHang, kReset };
  Way way = Way::kAnswer;
  Duration delay{0};
  Reply reply;  // kAnswer, kCutResponse
  Fault::Cut cut = Fault::Cut::kInBody;
  size_t garbage_bytes = 0;
};

// A request to Heap. What it views must live during the call only.
struct IncomingRequest {
  Region region;
  uint64_t connection = 0;  // number of it
  absl::string_view method = "POST";
  absl::string_view path;
  absl::string_view content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;  // all of them
  absl::string_view body;
};

struct SimulatorOptions {
  HeapState::Options state;
  PublishedLimits limits;
  // Answer 429 to what would break a limit, instead of only noting it. A
  // refused request uses nothing.
  bool enforce_limits = false;
  // Number of the most recent requests that are remembered.
  size_t keep_requests = 1000;
  bool keep_bodies = false;
};

// Heap without a socket: takes requests and returns their outcome, by its
// schema, its limits and the script of faults. It reads no clock and draws its
// random numbers from the script's seed. One thread at a time.
class HeapSimulator {
 public:
  explicit HeapSimulator(SimulatorOptions options);

  // The headers of a request to Heap are there; true: reset the connection and
  // don't read on.
  bool ResetsBeforeBody(const IncomingRequest& request, const Now& now);

  // The body is larger than the server takes; it was not read.
  Reply RefuseSize(const IncomingRequest& request, const Now& now);

  // The whole request is there. It arrives `now` for all limits.
  Reaction Take(const IncomingRequest& request, const Now& now);

  // A client came (+1) or went (-1).
  void CountConnection(Region region, int change);

  void SetFaults(FaultScript script) { faults_ = std::move(script); }

  // Forgets what was taken, measured and counted; the script and its counters
  // stay, open connections too.
  void Clear();

  struct Connections {
    uint64_t accepted = 0;
    uint64_t open = 0;
  };
  // Requests by what became of them: a status ("200"), or "hang", "reset",
  // "garbage", "cut".
  using Outcomes = std::map<std::string, uint64_t>;
  // By path, of one region. Every path that Heap doesn't have is "other".
  using PathOutcomes = std::map<std::string, Outcomes>;
  struct RegionTally {
    Connections connections;
    uint64_t requests = 0;
    uint64_t body_bytes = 0;
  };
  struct AppTally {
    std::array<PathOutcomes, 2> outcomes;  // by region
  };

  const HeapState& state() const { return state_; }
  const LimitMeter& meter() const { return meter_; }
  const FaultScript& faults() const { return faults_; }
  const RequestLog& log() const { return log_; }
  const RegionTally& tally(Region region) const;
  // By app id; "unknown" where there was none to read.
  const std::map<std::string, AppTally>& apps() const { return apps_; }
  const SimulatorOptions& options() const { return options_; }

 private:
  Reaction Judge(const IncomingRequest& request, const PostBody& body,
                 ObjectType type, const std::optional<Fault>& fault,
                 const Now& now);
  void Note(const IncomingRequest& request, absl::string_view app_id,
            size_t items, const std::string& outcome, absl::string_view rule,
            const Now& now);
  RegionTally& tally(Region region);

  const SimulatorOptions options_;
  HeapState state_;
  LimitMeter meter_;
  FaultScript faults_;
  RequestLog log_;
  std::array<RegionTally, 2> tallies_;
  std::map<std::string, AppTally> apps_;
  uint64_t requests_ = 0;
};

}  // namespace heapsync::fake_heap

#endif  // HEAPSYNC_TESTS_FAKE_HEAP_HEAP_SIMULATOR_H_
