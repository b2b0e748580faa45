#ifndef HEAPSYNC_TESTS_FUZZ_FUZZ_CHECK_H_
#define HEAPSYNC_TESTS_FUZZ_FUZZ_CHECK_H_

#include <cstdio>
#include <cstdlib>

namespace heapsync {

// Ends the process, saying which promise was broken: what libFuzzer looks for.
inline void Check(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", promise);
  std::abort();
}

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_FUZZ_FUZZ_CHECK_H_
