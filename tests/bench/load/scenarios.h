#ifndef HEAPSYNC_TESTS_BENCH_LOAD_SCENARIOS_H_
#define HEAPSYNC_TESTS_BENCH_LOAD_SCENARIOS_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "tests/bench/load/event_messages.h"
#include "tests/bench/load/progress.h"
#include "tests/bench/load/report.h"
#include "tests/bench/load/sink.h"

namespace heapsync::bench {

struct BenchOptions {
  std::string self;           // this program
  std::string server_binary;  // heapsync-server
  std::string folder;         // on the disk that is to be measured
  std::string ghz;            // the load generator of that name; may be empty
  std::string proto_folder;   // where heapsync/v1 is, for ghz

  int rounds = 3;  // each server in turn
  std::chrono::milliseconds round{4'000};
  int connections = 4;
  int streams = 4;
  int callers = 64;
  uint64_t path_events = 4'000'000;
  uint64_t spread_streams = 10'000;
  uint64_t spread_chunks = 5;
  uint64_t backlog_events = 10'000'000;
  std::chrono::milliseconds steady{20'000};
};

// The measurements. Each starts its own servers, adds its rows and leaves
// nothing behind.
class Scenarios {
 public:
  Scenarios(const BenchOptions& options, const EventMessages& messages,
            Sink& sink, Progress& progress, Report& report);

  void Bulk();
  void Unary();
  void WholePath();
  void Destinations();
  // Idle memory, a long backlog, a start with it, and its drain.
  void Backlog();
  void Steady();
  // Unary calls by a load generator that is not ours.
  void Ghz();

 private:
  // Events of the whole path a second, from an empty start.
  struct PathRates {
    double whole_path = 0;
    double bare_bulk = 0;
    double cpu_ratio = 0;
  };
  const PathRates& MeasurePath();
  // Waits until the sink has so many events; false if for ten seconds none
  // came.
  bool WaitForSink(uint64_t events);
  double SpreadRate(uint64_t destinations);
  struct GhzResult {
    double calls = 0;
    double seconds = 0;
    double p50_us = 0;  // of the worst round
    double p99_us = 0;
    double rate() const { return calls / seconds; }
  };
  void RunGhz(int port, const std::string& folder, GhzResult& sum);

  const BenchOptions options_;
  const EventMessages& messages_;
  Sink& sink_;
  Progress& progress_;
  Report& report_;
  std::optional<PathRates> path_;
};

}  // namespace heapsync::bench

#endif  // HEAPSYNC_TESTS_BENCH_LOAD_SCENARIOS_H_
