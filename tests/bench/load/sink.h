#ifndef HEAPSYNC_TESTS_BENCH_LOAD_SINK_H_
#define HEAPSYNC_TESTS_BENCH_LOAD_SINK_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>

namespace heapsync::bench {

// An HTTP server in a process of its own that stands where Heap would: it reads
// every body and answers 200. It does as little as it can, because on a small
// machine it takes the cores from what is measured.
class Sink {
 public:
  // What has arrived, in memory that both processes see.
  struct Counters {
    std::atomic<uint64_t> requests;
    std::atomic<uint64_t> bytes;
    // Events, each of which is an object with an object in it (see
    // event_messages.h).
    std::atomic<uint64_t> events;
    // On the steady clock; zero if there was none.
    std::atomic<int64_t> first_arrival_ns;
    std::atomic<int64_t> last_arrival_ns;
  };

  // Forks: call it while this process has no thread beside its first. Exits
  // with a message if it cannot.
  Sink();
  ~Sink();

  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  std::string url() const;
  const Counters& counters() const { return *counters_; }
  // REQUIRES: nobody sends.
  void Reset();
  // User and system time of its process so far, in seconds.
  double CpuSeconds() const;

 private:
  Counters* counters_ = nullptr;
  int port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace heapsync::bench

#endif  // HEAPSYNC_TESTS_BENCH_LOAD_SINK_H_
