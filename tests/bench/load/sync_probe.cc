#include "tests/bench/load/sync_probe.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

namespace heapsync::bench {

SyncTimes ProbeSyncs(const std::string& folder) {
  constexpr size_t kSyncs = 200;
  std::string path = folder + "/heapsync_bench_sync.XXXXXX";
  const int file = mkstemp(path.data());
  if (file < 0) {
    std::perror(path.c_str());
    std::exit(1);
  }
  unlink(path.c_str());
  const std::string bytes(20'000, 'x');
  std::vector<double> times;
  for (size_t i = 0; i < kSyncs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    if (write(file, bytes.data(), bytes.size()) < 0 || fdatasync(file) != 0) {
      std::perror(path.c_str());
      std::exit(1);
    }
    times.push_back(std::chrono::duration<double, std::micro>(
                        std::chrono::steady_clock::now() - start)
                        .count());
  }
  close(file);
  std::sort(times.begin(), times.end());
  return {.p50_us = times[kSyncs / 2], .p99_us = times[kSyncs * 99 / 100]};
}

}  // namespace heapsync::bench
