#ifndef HEAPSYNC_SERVER_NET_ARRIVALS_H_
#define HEAPSYNC_SERVER_NET_ARRIVALS_H_

#include <array>
#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"

namespace heapsync {

// Connections that were accepted and not handed to gRPC yet: those whose
// greeting has not come as a whole, and those that wait for a place. Each costs
// no more than a descriptor, so that there can be many. Not thread-safe.
class Arrivals {
 public:
  using Id = int;  // its descriptor
  enum class Stage {
    kUngreeted,
    kGreeted,
    kAsked,  // sent a whole call
    kLoud,   // sent much already
  };

  // `max_wait`: how long each may stay.
  Arrivals(size_t max, Duration max_wait) : max_(max), max_wait_(max_wait) {}

  bool Contains(Id id) const { return connections_.contains(id); }
  size_t size() const { return connections_.size(); }
  // Those that wait for a place.
  size_t greeted() const { return greeted_; }
  // These require that it is contained.
  const std::string& NetworkOf(Id id) const;
  Stage StageOf(Id id) const;

  // It has no greeting yet.
  void Add(Id id, absl::string_view network, MonotonicTime now);
  // It has come to a later stage, or is where it was.
  void Reached(Id id, Stage stage);
  void Remove(Id id);

  // The one that is next to get a place of those in a stage: of the network
  // with the fewest connections here and elsewhere (`unproven` counts those),
  // the oldest.
  std::optional<Id> Next(
      Stage stage,
      absl::FunctionRef<size_t(absl::string_view network)> unproven) const;

  // While it is full the next connection must wait, or take the place of the
  // one that gives way: of the network with the most, the oldest that has not
  // asked, or else the oldest, unless even that is new.
  bool IsFull() const { return connections_.size() >= max_; }
  std::optional<Id> GivesWay(MonotonicTime now) const;
  // Those whose time is over.
  std::vector<Id> Late(MonotonicTime now) const;

 private:
  // In the order of arrival.
  using Queue = std::set<std::pair<MonotonicTime, Id>>;
  struct Connection {
    std::string network;
    MonotonicTime arrived;
    Stage stage = Stage::kUngreeted;
  };
  struct Network {
    std::array<Queue, 4> stages;
    size_t size() const;
  };

  Queue& QueueOf(const Connection& connection);

  const size_t max_;
  const Duration max_wait_;
  absl::flat_hash_map<Id, Connection> connections_;
  absl::flat_hash_map<std::string, Network> networks_;
  size_t greeted_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_NET_ARRIVALS_H_
