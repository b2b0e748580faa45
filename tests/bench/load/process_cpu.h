#ifndef HEAPSYNC_TESTS_BENCH_LOAD_PROCESS_CPU_H_
#define HEAPSYNC_TESTS_BENCH_LOAD_PROCESS_CPU_H_

#include <sys/types.h>

namespace heapsync::bench {

// User and system time of all threads of a process so far, in seconds; zero if
// there is no such process.
double CpuSecondsOf(pid_t process);

}  // namespace heapsync::bench

#endif  // HEAPSYNC_TESTS_BENCH_LOAD_PROCESS_CPU_H_
