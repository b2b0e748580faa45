#ifndef HEAPSYNC_TESTS_ENGINE_RUN_WORLDS_H_
#define HEAPSYNC_TESTS_ENGINE_RUN_WORLDS_H_

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"

namespace heapsync {

// The number of worlds to run: that of HEAPSYNC_WORLDS, or else `ordinary`.
inline uint64_t Worlds(uint64_t ordinary) {
  uint64_t worlds = 0;
  const char* wanted = std::getenv("HEAPSYNC_WORLDS");
  return wanted != nullptr && absl::SimpleAtoi(wanted, &worlds) ? worlds
                                                                : ordinary;
}

// Calls `run` with the seeds from 1 to `worlds`, until it gives broken
// promises, with which the test fails.
template <typename Run>
void RunSeeds(uint64_t worlds, Run run) {
  for (uint64_t seed = 1; seed <= worlds; ++seed) {
    const std::vector<std::string> broken = run(seed);
    ASSERT_TRUE(broken.empty())
        << "seed " << seed << ":\n"
        << absl::StrJoin(broken.begin(),
                         broken.begin() + std::min<size_t>(8, broken.size()),
                         "\n");
  }
}

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_ENGINE_RUN_WORLDS_H_
