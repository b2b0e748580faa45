#ifndef HEAPSYNC_TESTS_BENCH_LOAD_GROUP_SYNC_H_
#define HEAPSYNC_TESTS_BENCH_LOAD_GROUP_SYNC_H_

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/mutex.h"

namespace heapsync::bench {

// A file that many append to at once: one thread takes all that came while it
// was busy, writes it, syncs it once, and tells everybody. A failed write or
// sync ends the process with a message.
class GroupSync {
 public:
  // Called once, from the thread that syncs. Must not block: nothing is synced
  // meanwhile.
  using Synced = std::function<void()>;

  // Makes the file `path`, which must not be there. Ends the process with a
  // message if it cannot.
  explicit GroupSync(const std::string& path);
  // Syncs and tells what waits still.
  // REQUIRES: nobody appends.
  ~GroupSync();

  GroupSync(const GroupSync&) = delete;
  GroupSync& operator=(const GroupSync&) = delete;

  // Calls `synced` once `bytes` are on the disk. False, and no call, if 65,536
  // wait already. Any thread.
  bool Append(absl::string_view bytes, Synced synced);

 private:
  // What came since the last write.
  struct Waiting {
    std::string bytes;
    std::vector<Synced> synced;
  };

  void Run();
  void Store(absl::string_view bytes) const;

  const std::string path_;
  int file_ = -1;
  Mutex mutex_;
  CondVar changed_;
  Waiting waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace heapsync::bench

#endif  // HEAPSYNC_TESTS_BENCH_LOAD_GROUP_SYNC_H_
