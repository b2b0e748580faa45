#ifndef HEAPSYNC_TESTS_ENGINE_CLUSTER_WORLD_H_
#define HEAPSYNC_TESTS_ENGINE_CLUSTER_WORLD_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "heap_adapter/delivery/dispatcher.h"
#include "heap_adapter/intake/committer.h"
#include "heap_adapter/spool/postgres/server_lease.h"
#include "heap_adapter/spool/shards.h"
#include "heap_adapter/spool/spool.h"
#include "heap_adapter/transport/gated_transport.h"
#include "tests/engine/simulated_heap.h"
#include "tests/spool/memory_store.h"

namespace heapsync {

// Parameters of a simulated cluster.
struct ClusterRules {
  uint64_t seed = 1;
  int servers = 3;
  int shards = 1;
  int destinations = 2;
  int identities = 8;
  int chunks = 150;    // appended over the world's life
  int max_items = 12;  // of one chunk
  Duration max_pause = std::chrono::seconds(1);  // between two chunks
  // Chances before each chunk.
  double crash = 0;
  double freeze = 0;       // of a server, for up to three leases
  double cut = 0;          // of a server from the database, likewise
  double stop = 0;         // as planned: everything is given back
  double leave = 0;        // the same, and away for up to three leases
  double lost_answer = 0;  // of a commit
  // Of the servers' clocks, up to this much.
  Duration max_skew = std::chrono::hours(1);
  HeapFaults faults;
};

// Several servers over one shared spool, in one thread and in simulated time.
// Each accepts for all shards, and delivers from those that it owns: its fair
// part, as long as its lease lasts. It remembers what was promised to whom and
// says what was not kept.
class ClusterWorld {
 public:
  explicit ClusterWorld(const ClusterRules& rules);
  ~ClusterWorld();

  // Lives through the rules, then without faults until all is drained. Gives
  // every broken promise in words; none is what there should be.
  std::vector<std::string> Run();

  uint64_t acknowledged() const { return promised_.size(); }
  // Claims of shards, and shards that were handed back.
  int take_overs() const { return take_overs_; }
  int handed_back() const { return handed_back_; }
  // Servers that ended since others owned what they had.
  int fenced() const { return fenced_; }
  // Commits whose answer was lost, and that were made again at other ends.
  int repeated_commits() const { return repeated_commits_; }

 private:
  struct Server;
  struct Part;
  class View;
  class Wire;
  struct Sent {
    std::string app;
    std::string key;  // of an event
    std::string who;  // of a user or account
    int64_t v = 0;    // its value
  };
  // What the database knows of a shard.
  struct Shard {
    MemoryStore store;
    int64_t epoch = 0;
    ServerId owner = kNoServer;
  };

  bool Chance(double probability);
  int64_t Pick(int64_t least, int64_t most);
  bool Runs(const Server& server) const;
  bool IsConnected(const Server& server) const;
  Now TimeOf(const Server& server) const;

  void Boot(Server& server);
  void End(Server& server, Duration down);
  void Stop(Server& server, Duration down);
  size_t ShardOfDestination(const Destination& destination) const;
  void Own(Server& server, Part& part);
  void HandBack(Server& server, Part& part);
  void Renew(Server& server);
  ShareView Shares() const;
  void Poll(Server& server);
  void Turn(Server& server);
  void Deliver(Server& server);
  void Deliver(Server& server, Part& part);
  void Freeze(Server& server);
  void Commit(Server& server);
  // False: the server has ended.
  bool CommitPart(Server& server, Part& part);
  // Another server commits what it has in between.
  void CommitElsewhere(const Part& part);
  void Live(MonotonicTime until);
  void AppendChunk();
  void Trouble();
  bool IsDrained();
  void CheckShares();
  void Break(const std::vector<std::string>& promises);
  void Check();

  const ClusterRules rules_;
  std::mt19937_64 random_;
  std::vector<Destination> destinations_;
  std::vector<std::vector<Destination>> part_destinations_;  // by shard
  DeliveryRules delivery_;
  MonotonicTime now_;
  std::vector<std::unique_ptr<Shard>> shards_;
  // The leases of those that have one.
  std::map<ServerId, MonotonicTime> leases_;
  ServerId next_server_ = 1;
  SimulatedHeap heap_;
  uint64_t next_request_ = 1;
  std::vector<std::unique_ptr<Server>> servers_;

  int64_t next_item_ = 0;
  std::vector<Sent> submitted_;
  std::set<size_t> promised_;
  // Where the last update of an identity waits for its answer.
  std::map<std::string, const Server*> waiting_;
  std::vector<std::string> broken_;
  int take_overs_ = 0;
  int handed_back_ = 0;
  int fenced_ = 0;
  int repeated_commits_ = 0;
  bool commits_elsewhere_ = false;
  bool peace_ = false;
};

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_ENGINE_CLUSTER_WORLD_H_
