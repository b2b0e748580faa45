#ifndef HEAPSYNC_TESTS_BENCH_LOAD_PROGRESS_H_
#define HEAPSYNC_TESTS_BENCH_LOAD_PROGRESS_H_

#include <chrono>
#include <string>

namespace heapsync::bench {

// Tells a person that something happens: one line that changes on a terminal,
// a line every few seconds elsewhere. On standard error, so that the table on
// standard output stays clean.
class Progress {
 public:
  Progress();
  ~Progress() { Clear(); }

  // What is measured now; always shown.
  void Begin(std::string what);
  // How far it is.
  void Update(const std::string& how_far);
  void Clear();

 private:
  const bool terminal_;
  std::string what_;
  std::chrono::steady_clock::time_point last_line_;
};

}  // namespace heapsync::bench

#endif  // HEAPSYNC_TESTS_BENCH_LOAD_PROGRESS_H_
