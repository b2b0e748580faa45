#include "heap_adapter/spool/shards.h"

#include <xxhash.h>

#include <algorithm>
#include <cstddef>

#include "base/check.h"

namespace heapsync {
namespace {

struct Part {
  ServerId server = kNoServer;
  size_t shards = 0;
};

// The servers in the order in which they get the shards that are left over.
std::vector<Part> PartsOf(const ShareView& view) {
  std::vector<Part> parts;
  for (const ServerId server : view.servers) {
    parts.push_back({.server = server,
                     .shards = static_cast<size_t>(std::count(
                         view.owners.begin(), view.owners.end(), server))});
  }
  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) {
    return a.shards != b.shards ? a.shards > b.shards : a.server < b.server;
  });
  return parts;
}

}  // namespace

int32_t ShardOf(absl::string_view destination, int32_t shards) {
  HEAPSYNC_CHECK(shards > 0) << "a spool without shards";
  return static_cast<int32_t>(
      XXH3_64bits(destination.data(), destination.size()) %
      static_cast<uint64_t>(shards));
}

ShareMoves MovesOf(ServerId self, const ShareView& view) {
  const std::vector<Part> parts = PartsOf(view);
  const auto found =
      std::find_if(parts.begin(), parts.end(),
                   [self](const Part& part) { return part.server == self; });
  if (found == parts.end()) return {};
  const auto rank = static_cast<size_t>(found - parts.begin());
  const size_t fair = view.owners.size() / parts.size() +
                      (rank < view.owners.size() % parts.size() ? 1 : 0);
  ShareMoves moves;
  for (size_t i = 0; i < view.owners.size(); ++i) {
    const auto shard = static_cast<int32_t>(i);
    const ServerId owner = view.owners[i];
    if (owner == self) {
      moves.give_back.push_back(shard);
    } else if (std::find(view.servers.begin(), view.servers.end(), owner) ==
               view.servers.end()) {
      moves.claim.push_back(shard);
    }
  }
  // Servers that claim at the same moment begin at different places.
  const size_t first = rank * moves.claim.size() / parts.size();
  std::rotate(moves.claim.begin(),
              moves.claim.begin() + static_cast<std::ptrdiff_t>(first),
              moves.claim.end());
  moves.claim.resize(
      std::min(moves.claim.size(), fair - std::min(fair, found->shards)));
  moves.give_back.erase(
      moves.give_back.begin(),
      moves.give_back.begin() +
          static_cast<std::ptrdiff_t>(std::min(fair, found->shards)));
  return moves;
}

}  // namespace heapsync
