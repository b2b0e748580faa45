#ifndef HEAPSYNC_SERVER_OBSERVE_CLUSTER_STATUS_H_
#define HEAPSYNC_SERVER_OBSERVE_CLUSTER_STATUS_H_

#include <string>

#include "heap_adapter/adapter.h"

namespace heapsync {

// The cluster, for people.
struct ClusterStatus {
  ClusterView seen;
  // Why this server delivers nothing; empty: it does.
  std::string not_delivering;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_CLUSTER_STATUS_H_
