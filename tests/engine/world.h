#ifndef HEAPSYNC_TESTS_ENGINE_WORLD_H_
#define HEAPSYNC_TESTS_ENGINE_WORLD_H_

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "heap_adapter/delivery/dispatcher.h"
#include "heap_adapter/intake/committer.h"
#include "heap_adapter/spool/spool.h"
#include "tests/engine/simulated_heap.h"
#include "tests/spool/memory_store.h"

namespace heapsync {

// Parameters of a simulated world.
struct WorldRules {
  uint64_t seed = 1;
  int destinations = 2;
  int identities = 12;
  int callers = 0;     // with a name; half of the events are of one of them
  int chunks = 120;    // appended over the world's life
  int max_items = 12;  // of one chunk
  Duration max_pause = std::chrono::seconds(2);  // between two chunks
  double poison = 0;         // part of the items that Heap refuses
  double crash = 0;          // part of the items that make Heap fail
  double process_crash = 0;  // chance before each chunk
  double machine_crash = 0;
  double clock_jump = 0;  // of the civil clock
  bool limits = true;
  int outages = 0;  // after that, each with an end of its own for each endpoint
  bool outages_hang = false;
  HeapFaults faults;
};

// Callers, committer, dispatcher, store and Heap in one thread and in simulated
// time, with faults, crashes and clock jumps drawn from the seed. It remembers
// what was promised to whom and says what was not kept.
class World {
 public:
  explicit World(const WorldRules& rules);

  // Lives through the rules, then without faults until all is drained. Gives
  // every broken promise in words; none is what there should be.
  std::vector<std::string> Run();

  uint64_t acknowledged() const { return acknowledged_; }
  uint64_t redelivered() const { return redelivered_; }
  uint64_t dead_lettered() const { return dead_lettered_; }
  // Those that made Heap fail.
  uint64_t crashing() const { return crashing_; }

 private:
  struct Sent {
    std::string app;
    std::string key;  // of an event
    std::string who;  // of a user or account
    int64_t v = 0;    // its value
    bool poison = false;
    bool crash = false;
  };

  void Start();
  void Crash(bool machine);
  void AppendChunk();
  void Live(MonotonicTime until);
  void Turn();
  bool Delivered(const Sent& sent) const;
  void LiveThroughOutage();
  bool Waits(Region region, ObjectType type) const;
  bool Waits(const LaneSnapshot& lane) const;
  void CheckNeighboursOfCrashes();
  void Break(const std::vector<std::string>& promises);
  void CheckFinalValues();
  void Check();
  bool Chance(double probability);
  int64_t Pick(int64_t least, int64_t most);
  Now Time() const { return {.wall = wall_, .monotonic = monotonic_}; }

  const WorldRules rules_;
  std::mt19937_64 random_;
  std::vector<Destination> destinations_;
  WallTime wall_;
  MonotonicTime monotonic_;
  uint64_t epoch_ = 1;
  MemoryStore store_;
  SimulatedHeap heap_;
  DeliveryRules delivery_;

  std::unique_ptr<Spool> spool_;
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::vector<Committer::Notices> notices_;
  LaneId LaneOf(const LaneKey& key);

  std::map<LaneKey, LaneId, bool (*)(const LaneKey&, const LaneKey&)> lanes_;
  MonotonicTime next_step_;

  int64_t next_item_ = 0;
  std::vector<Sent> submitted_;
  std::set<size_t> promised_;  // indices in submitted_ that were acknowledged
  std::vector<std::string> broken_;
  uint64_t acknowledged_ = 0;
  uint64_t redelivered_ = 0;
  uint64_t dead_lettered_ = 0;
  uint64_t crashing_ = 0;
  bool only_good_ = false;  // no poison, and nothing that makes Heap fail
  int lives_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_ENGINE_WORLD_H_
