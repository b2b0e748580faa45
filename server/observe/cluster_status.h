#ifndef HEAPSYNC_SERVER_OBSERVE_CLUSTER_STATUS_H_
#define HEAPSYNC_SERVER_OBSERVE_CLUSTER_STATUS_H_

#include <cstddef>
#include <string>
#include <vector>

namespace heapsync {

// The servers that share a spool, as one of them last saw them.
struct ClusterStatus {
  struct Member {
    std::string name;
    size_t shards = 0;  // that it owns
    bool self = false;
  };
  std::vector<Member> members;
  std::vector<std::string> owners;  // of each shard; empty: nobody
  // Why this server delivers nothing; empty: it does.
  std::string not_delivering;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_CLUSTER_STATUS_H_
