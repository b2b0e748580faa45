#include "server/log/log_writer.h"

#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/check.h"

namespace heapsync {

LogWriter::LogWriter(int fd, size_t max_queued_bytes, DropReport report)
    : fd_(fd),
      max_queued_bytes_(max_queued_bytes),
      report_(report),
      stop_event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  HEAPSYNC_CHECK(stop_event_ >= 0) << "eventfd: errno " << errno;
  thread_ = std::thread([this] { Run(); });
}

LogWriter::~LogWriter() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  work_.NotifyOne();
  const uint64_t one = 1;
  static_cast<void>(write(stop_event_, &one, sizeof(one)));
  thread_.join();
  close(stop_event_);
}

void LogWriter::Write(std::string line) {
  {
    MutexLock lock(mutex_);
    full_ = full_ || queued_bytes_ + line.size() > max_queued_bytes_;
    if (full_) {
      ++dropped_;
      ++unreported_;
    } else {
      queued_bytes_ += line.size();
      queue_.push_back(std::move(line));
    }
    idle_ = false;
  }
  work_.NotifyOne();
}

bool LogWriter::Flush(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  MutexLock lock(mutex_);
  while (!idle_) {
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left <= std::chrono::nanoseconds::zero()) return false;
    idle_changed_.WaitFor(mutex_, left);
  }
  return true;
}

uint64_t LogWriter::dropped() const {
  MutexLock lock(mutex_);
  return dropped_;
}

void LogWriter::Run() {
  std::vector<std::string> lines;
  while (true) {
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !full_ && !stopping_) {
        idle_ = true;
        idle_changed_.NotifyAll();
        work_.Wait(mutex_);
      }
      if (stopping_) return;
      lines.swap(queue_);
    }
    size_t bytes = 0;
    uint64_t failed = 0;
    for (std::string& line : lines) {
      bytes += line.size();
      if (!WriteLine(std::move(line))) ++failed;
    }
    lines.clear();
    uint64_t unreported = 0;
    {
      MutexLock lock(mutex_);
      queued_bytes_ -= bytes;
      dropped_ += failed;
      unreported_ += failed;
      // Lines that are queued came before those that were dropped.
      if (full_ && !queue_.empty()) continue;
      full_ = false;
      unreported = std::exchange(unreported_, 0);
    }
    if (unreported == 0 || WriteLine(report_(unreported))) continue;
    // The next line is the occasion to try again.
    MutexLock lock(mutex_);
    unreported_ += unreported;
  }
}

bool LogWriter::WriteLine(std::string line) {
  line += '\n';
  if (broken_line_) line.insert(0, 1, '\n');
  return WriteBytes(line);
}

bool LogWriter::WriteBytes(absl::string_view bytes) {
  const size_t size = bytes.size();
  while (!bytes.empty()) {
    std::array<pollfd, 2> waits = {
        {{.fd = fd_, .events = POLLOUT, .revents = 0},
         {.fd = stop_event_, .events = POLLIN, .revents = 0}}};
    if (poll(waits.data(), waits.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    if (waits[1].revents != 0) return false;
    // A pipe that polls as writable takes PIPE_BUF bytes without blocking.
    const ssize_t written =
        write(fd_, bytes.data(), std::min<size_t>(bytes.size(), PIPE_BUF));
    if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (written <= 0) {
      broken_line_ = broken_line_ || bytes.size() < size;
      return false;
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  broken_line_ = false;
  return true;
}

}  // namespace heapsync
