#ifndef HEAPSYNC_TESTS_BENCH_LOAD_SYNC_PROBE_H_
#define HEAPSYNC_TESTS_BENCH_LOAD_SYNC_PROBE_H_

#include <string>

namespace heapsync::bench {

struct SyncTimes {
  double p50_us = 0;
  double p99_us = 0;
};

// How long the disk under `folder` takes to append 20 kB and sync them: what
// every durable answer waits for.
SyncTimes ProbeSyncs(const std::string& folder);

}  // namespace heapsync::bench

#endif  // HEAPSYNC_TESTS_BENCH_LOAD_SYNC_PROBE_H_
