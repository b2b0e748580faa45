#ifndef HEAPSYNC_TESTS_BENCH_LOAD_CHILD_PROCESS_H_
#define HEAPSYNC_TESTS_BENCH_LOAD_CHILD_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace heapsync::bench {

// A program that is measured from outside. It ends with its owner, or with this
// process.
class ChildProcess {
 public:
  // Starts `argv` with its standard error in the file `log`. Exits this process
  // with a message if that fails.
  ChildProcess(std::vector<std::string> argv, std::string log);
  ~ChildProcess();

  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Waits for the log line that tells the port. Exits this process, with the
  // log's end, if the child ends first or takes more than two minutes.
  int WaitForPort();

  // Sends the signal and waits for the end.
  void End(int signal);
  // Waits for the end; false unless the exit code is zero.
  bool Wait();

  pid_t pid() const { return pid_; }
  // When it was started.
  std::chrono::steady_clock::time_point started() const { return started_; }

  // User and system time of all its threads so far, in seconds.
  double CpuSeconds() const;
  // Resident memory now, and the most since the start or ResetPeak().
  uint64_t RssBytes() const { return Status("VmRSS:"); }
  uint64_t PeakRssBytes() const { return Status("VmHWM:"); }
  void ResetPeak();

 private:
  uint64_t Status(const char* field) const;

  const std::string log_;
  std::chrono::steady_clock::time_point started_;
  pid_t pid_ = -1;
};

}  // namespace heapsync::bench

#endif  // HEAPSYNC_TESTS_BENCH_LOAD_CHILD_PROCESS_H_
