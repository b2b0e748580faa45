#include "tests/bench/load/group_sync.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace heapsync::bench {
namespace {

constexpr size_t kMaxWaiting = 1 << 16;

// Not exit(): other threads still run.
void Require(bool well, const std::string& path) {
  if (well) return;
  std::perror(path.c_str());
  std::_Exit(1);
}

}  // namespace

GroupSync::GroupSync(const std::string& path) : path_(path) {
  file_ = open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_APPEND | O_CLOEXEC,
               0600);
  Require(file_ >= 0, path_);
  thread_ = std::thread([this] { Run(); });
}

GroupSync::~GroupSync() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyOne();
  thread_.join();
  close(file_);
}

bool GroupSync::Append(absl::string_view bytes, Synced synced) {
  bool wake = false;
  {
    MutexLock lock(mutex_);
    if (waiting_.synced.size() >= kMaxWaiting) return false;
    wake = waiting_.synced.empty();
    waiting_.bytes.append(bytes.data(), bytes.size());
    waiting_.synced.push_back(std::move(synced));
  }
  if (wake) changed_.NotifyOne();
  return true;
}

void GroupSync::Run() {
  Waiting taken;
  while (true) {
    taken.bytes.clear();
    taken.synced.clear();
    {
      MutexLock lock(mutex_);
      while (waiting_.synced.empty() && !stopping_) changed_.Wait(mutex_);
      if (waiting_.synced.empty()) return;
      std::swap(waiting_, taken);
    }
    Store(taken.bytes);
    for (const Synced& synced : taken.synced) synced();
  }
}

void GroupSync::Store(absl::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = write(file_, bytes.data(), bytes.size());
    Require(count > 0, path_);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  Require(fdatasync(file_) == 0, path_);
}

}  // namespace heapsync::bench
