#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_SHARDS_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_SHARDS_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"

namespace heapsync {

// The parts of a shared spool. Each has the destinations of its names' hashes,
// and one owner at a time, which delivers them.

// The shard of a destination in a spool of `shards` shards, which are numbered
// from zero. The same in every server and version: what is stored goes by it.
// REQUIRES: shards > 0.
int32_t ShardOf(absl::string_view destination, int32_t shards);

// A server's number: positive, and its own for each start.
using ServerId = int64_t;
inline constexpr ServerId kNoServer = 0;

// The servers of a spool, and the owners of its shards.
struct ShareView {
  std::vector<ServerId> servers;
  // By shard. One that is not among the servers is gone.
  std::vector<ServerId> owners;
};

// The steps of a server to its fair part of the shards.
struct ShareMoves {
  std::vector<int32_t> claim;      // free ones, in the order to try them
  std::vector<int32_t> give_back;  // its own
};

// The moves of `self`. Parts differ by one shard at most, and who has more
// keeps it. Free shards become claims of servers that have too few, and
// shards of servers that have too many become free, so that servers which see
// the same do not exchange shards without need. Pure.
ShareMoves MovesOf(ServerId self, const ShareView& view);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_SHARDS_H_
