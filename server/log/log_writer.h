#ifndef HEAPSYNC_SERVER_LOG_LOG_WRITER_H_
#define HEAPSYNC_SERVER_LOG_LOG_WRITER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/mutex.h"

namespace heapsync {

// Writes lines to a file descriptor from a thread of its own, so that a
// descriptor that cannot be written, such as a pipe that is not read, never
// blocks the threads that log. Lines that find the queue full, or whose write
// fails, are dropped and counted; a line that reports their number is written
// as soon as there is space again. Lines are written whole and in order. Any
// thread.
//
// The descriptor is not made non-blocking, because that would also apply to
// other processes that share it.
class LogWriter {
 public:
  // Returns the line that reports `dropped_lines`, without a line break.
  using DropReport = std::string (*)(uint64_t dropped_lines);

  // `fd` must stay open until the destructor returns. Lines that are queued or
  // being written have at most `max_queued_bytes` in total.
  LogWriter(int fd, size_t max_queued_bytes, DropReport report);

  // Drops the lines that are still queued.
  ~LogWriter();

  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // Queues `line`, which contains no line break. Never blocks.
  void Write(std::string line);

  // Waits until all queued lines are written or dropped, at most `timeout`.
  // Returns false if it expired.
  bool Flush(std::chrono::milliseconds timeout);

  // Number of lines dropped so far.
  uint64_t dropped() const;

 private:
  void Run();
  // Writes a line; returns false if that failed or the writer is stopping.
  bool WriteLine(std::string line);
  bool WriteBytes(absl::string_view bytes);

  const int fd_;
  const size_t max_queued_bytes_;
  const DropReport report_;
  int stop_event_;

  mutable Mutex mutex_;
  CondVar work_;
  CondVar idle_changed_;
  std::vector<std::string> queue_ ABSL_GUARDED_BY(mutex_);
  // Bytes of the lines in the queue and of those being written.
  size_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // True from the first line that finds the queue full until the queue is
  // empty, so that there is one report, in its place, for many dropped lines.
  bool full_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t unreported_ ABSL_GUARDED_BY(mutex_) = 0;
  bool idle_ ABSL_GUARDED_BY(mutex_) = true;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  // True if the last write failed in the middle of a line. Used by `thread_`
  // only.
  bool broken_line_ = false;
  std::thread thread_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_LOG_LOG_WRITER_H_
