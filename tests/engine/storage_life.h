#ifndef HEAPSYNC_TESTS_ENGINE_STORAGE_LIFE_H_
#define HEAPSYNC_TESTS_ENGINE_STORAGE_LIFE_H_

#include <rocksdb/env.h>

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "heap_adapter/delivery/dispatcher.h"
#include "heap_adapter/intake/committer.h"
#include "heap_adapter/spool/spool.h"
#include "heap_adapter/transport/transport.h"
#include "tests/spool/rocksdb/faulty_file_system.h"

namespace heapsync {

// Heap for a StorageLife: takes everything that arrives and keeps its JSON.
// Some responses are lost after it took the items, some requests before.
class KeepingHeap final : public Transport {
 public:
  explicit KeepingHeap(uint64_t seed) : random_(seed) {}

  void Send(HeapRequest request) override {
    waiting_.push_back(std::move(request));
  }
  std::vector<HeapResponse> Wait(Duration timeout) override;
  void Wake() override {}
  // The sender died: half of its requests arrive nevertheless.
  void LoseSender();

  struct Arrived {
    std::string json;
    int times = 0;
  };
  // By idempotency key.
  const std::map<std::string, Arrived>& events() const { return events_; }
  // Property "v" of each user that it holds now, by identity.
  const std::map<std::string, int64_t>& users() const { return users_; }
  bool busy() const { return !waiting_.empty(); }

 private:
  HttpResponse Take(const HeapRequest& request);

  std::mt19937_64 random_;
  std::vector<HeapRequest> waiting_;
  std::map<std::string, Arrived> events_;
  std::map<std::string, int64_t> users_;
};

// A short life of spool, committer and dispatcher over RocksDB on a disk that
// may fail, in one thread and simulated time. It reacts to storage errors like
// the server: after a failed write or a failed start the process ends and
// starts again.
//
// It records the promises and reports the broken ones.
class StorageLife {
 public:
  // Bytes of padding in each event.
  explicit StorageLife(uint64_t seed, size_t padding = 0);
  ~StorageLife();

  FaultyFileSystem& disk() { return disk_; }

  // Accepts this many chunks, and delivers what it can between them.
  void Live(int chunks);
  // The process ends; a machine's end forgets what was not synced.
  void EndProcess();
  void EndMachine();
  // Starts a process that was ended, as often as it takes.
  void Start();
  // Delivers everything; then a fresh event must flow, too.
  void Drain();

  // Broken promises, as sentences. REQUIRES: Drain().
  struct Judgement {
    // Acknowledged, and neither delivered nor dead-lettered.
    uint64_t lost = 0;
    // Those that were dead-lettered as damaged.
    uint64_t damaged = 0;
    // Everything that must never be, whatever happens to a disk.
    std::vector<std::string> broken;
    // An older update landed after a newer one, or the newest is missing.
    uint64_t outdated = 0;
  };
  Judgement Judge();

  uint64_t acknowledged() const { return acknowledged_; }
  uint64_t redelivered() const;
  uint64_t refused() const { return refused_; }
  // Number of unrequested process ends.
  int failures() const { return failures_; }
  // Damage reported by the store.
  const std::vector<std::string>& reports() const { return reports_; }

 private:
  struct Sent {
    std::string json;
    bool poison = false;
    bool promised = false;
  };

  absl::Status TryStart();
  void Append(int items);
  void Turn();
  void Fail();
  void CrashMachine();
  Now Time() const { return {.wall = wall_, .monotonic = monotonic_}; }
  int64_t Pick(int64_t least, int64_t most);

  std::mt19937_64 random_;
  const size_t padding_;
  FaultyFileSystem disk_;
  std::unique_ptr<rocksdb::Env> env_;
  KeepingHeap heap_;
  std::vector<Destination> destinations_;
  WallTime wall_;
  MonotonicTime monotonic_;
  uint64_t epoch_ = 1;  // of the machine's monotonic clock

  std::unique_ptr<Store> store_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::vector<Committer::Notices> notices_;
  std::map<std::pair<std::string, ObjectType>, LaneId> lanes_;

  int64_t next_item_ = 0;
  std::map<std::string, Sent> events_;    // by key
  std::map<std::string, int64_t> users_;  // the last promised "v"
  std::vector<std::string> reports_;
  std::vector<std::string> broken_;
  uint64_t acknowledged_ = 0;
  uint64_t refused_ = 0;
  int failures_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_ENGINE_STORAGE_LIFE_H_
