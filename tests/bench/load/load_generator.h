#ifndef HEAPSYNC_TESTS_BENCH_LOAD_LOAD_GENERATOR_H_
#define HEAPSYNC_TESTS_BENCH_LOAD_LOAD_GENERATOR_H_

#include <grpcpp/channel.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "heapsync/v1/heap_sync_service.pb.h"
#include "tests/bench/load/event_messages.h"
#include "tests/bench/load/progress.h"

namespace heapsync::bench {

// What a load saw from outside.
struct LoadResult {
  double seconds = 0;  // from the first call to the last answer
  uint64_t events = 0;
  // Of each unary call, or of each chunk until it was acknowledged, in
  // microseconds; not in order.
  std::vector<float> latencies_us;
  // What went wrong, if something did.
  std::string error;

  double rate() const {
    return seconds > 0 ? static_cast<double>(events) / seconds : 0;
  }
  // The latency that `part` of the calls did not exceed. Sorts.
  double Percentile(double part);
  void Add(LoadResult other);
};

// Sends over connections that stay open. Where a server is the same, so are its
// connections, messages and pacing: two results differ by the server.
class LoadGenerator {
 public:
  // One connection each for up to `connections` callers or streams.
  LoadGenerator(int port, int connections, const EventMessages& messages);
  ~LoadGenerator();

  struct BulkLoad {
    int streams = 4;
    // Chunks of one stream that wait for their acknowledgement.
    uint64_t window = 32;
    // What ends it: a time, or a number of events, whichever is set.
    std::chrono::milliseconds duration{0};
    uint64_t events = 0;
    // Zero: as fast as it goes.
    double events_per_second = 0;
    v1::AckLevel ack_level = v1::ACK_LEVEL_DURABLE;
  };
  LoadResult Bulk(const BulkLoad& load, Progress& progress) const;

  struct UnaryLoad {
    int callers = 64;
    std::chrono::milliseconds duration{0};
  };
  LoadResult Unary(const UnaryLoad& load) const;

  // `streams` short streams one after the other, `at_once` at the same time.
  // The n-th one sends `chunks` messages to destination "d<n % destinations>".
  struct SpreadLoad {
    uint64_t destinations = 1;
    uint64_t streams = 0;
    uint64_t chunks = 1;
    int at_once = 8;
    v1::AckLevel ack_level = v1::ACK_LEVEL_DURABLE;
  };
  LoadResult Spread(const SpreadLoad& load, Progress& progress) const;

 private:
  std::shared_ptr<grpc::Channel> ChannelOf(size_t n) const {
    return channels_[n % channels_.size()];
  }

  const EventMessages& messages_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
};

}  // namespace heapsync::bench

#endif  // HEAPSYNC_TESTS_BENCH_LOAD_LOAD_GENERATOR_H_
