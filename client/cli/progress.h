#ifndef HEAPSYNC_CLIENT_CLI_PROGRESS_H_
#define HEAPSYNC_CLIENT_CLI_PROGRESS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>

#include "absl/strings/string_view.h"

namespace heapsync {

// The progress of an import.
struct ProgressSnapshot {
  std::chrono::milliseconds elapsed{0};
  uint64_t bytes_read = 0;              // as stored
  std::optional<uint64_t> bytes_total;  // unknown for pipes
  uint64_t rows = 0;                    // settled: durable or rejected
  uint64_t rejected = 0;
  // Settled or read before this process began, which say nothing of its speed.
  uint64_t rows_at_start = 0;
  uint64_t bytes_at_start = 0;
  std::string trouble;  // why nothing moves; empty: all is well
};

// "1,234,567".
std::string WithThousands(uint64_t number);

// "0:07", "12:34", "1:02:03".
std::string ShortDuration(std::chrono::seconds duration);

// One line without a line break, such as
//   [=====>     ]  42 %  1,234,567 rows  45,000 rows/s  1:23 left  12 rejected
// cut to `width` columns.
std::string ProgressBar(const ProgressSnapshot& snapshot, size_t width);

// The same for logs, without the bar.
std::string ProgressLog(const ProgressSnapshot& snapshot);

enum class ProgressStyle { kNone, kBar, kLog };

// Writes progress at a bearable pace: a bar ten times a second in one place, or
// a log line every five seconds.
class ProgressWriter {
 public:
  // `out` must outlive the writer. `width`: columns of the terminal.
  ProgressWriter(ProgressStyle style, std::ostream& out, size_t width);

  // True if Show() would write; saves making the snapshot.
  bool IsDue(std::chrono::milliseconds elapsed) const;

  void Show(const ProgressSnapshot& snapshot);

  // Writes the last state and ends the bar's line.
  void Finish(const ProgressSnapshot& snapshot);

 private:
  const ProgressStyle style_;
  std::ostream& out_;
  const size_t width_;
  std::chrono::milliseconds next_{0};
  bool bar_shown_ = false;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_PROGRESS_H_
