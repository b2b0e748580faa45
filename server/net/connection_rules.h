#ifndef HEAPSYNC_SERVER_NET_CONNECTION_RULES_H_
#define HEAPSYNC_SERVER_NET_CONNECTION_RULES_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "server/net/tcp_progress.h"

namespace heapsync {

// Proofs that a connection has given, in rising order. Those below kKnown are
// unproven: they are bounded in number, time and bytes, and give way to others.
enum class Trust {
  kStranger,
  kProbe,  // its health check was answered, which needs no credentials
  kKnown,  // one of its calls was admitted
};

// Reasons for which the server ends a connection.
enum class ClosingReason {
  kUnproven,  // it was a stranger for too long
  kGaveWay,   // its place was needed
  kBytes,     // it sent too much before it was known, or without an end
  kCalls,     // it begins calls that it has no right to, or gives up
  kProtocol,  // it did not begin as clients of the port do
};
inline constexpr ClosingReason kClosingReasons[] = {
    ClosingReason::kUnproven, ClosingReason::kGaveWay, ClosingReason::kBytes,
    ClosingReason::kCalls, ClosingReason::kProtocol};
// "unproven", "gave_way", "bytes", "calls", "protocol".
absl::string_view NameOf(ClosingReason reason);

struct ConnectionLimits {
  // Known connections. Larger: more memory.
  uint32_t max_connections = 4'000;

  // Those of them that one caller may have. Larger: fewer bad callers take all
  // of them.
  uint32_t max_of_caller = std::numeric_limits<uint32_t>::max();

  // Unproven connections, beside the known ones. Larger: more new clients at
  // the same moment, and more memory for attackers.
  uint32_t max_unproven = 64;

  // Those of them that have only greeted, where that shows. Larger: strangers
  // that never go on leave fewer for those of the same network that do.
  uint32_t max_greeted = std::numeric_limits<uint32_t>::max();

  // Time in which a stranger must prove itself. Shorter: a slow client does not
  // get its first request through.
  Duration unproven_time = std::chrono::seconds(10);

  // Bytes of all unproven connections together; beyond it the one with the most
  // is ended. At least a first call with a message of the maximum size, since
  // only a whole message reaches a unary method. One that is larger has to come
  // as a whole to be refused for its size.
  uint64_t all_unproven_bytes = 64 << 20;

  // Bytes of all known connections that belong to messages which did not come
  // whole yet. Larger: more memory for callers that withhold the ends of
  // theirs.
  uint64_t all_unfinished_bytes = 256 << 20;

  // HTTP/2's own limit of open calls, which calls that were reset escape.
  uint32_t max_streams_per_connection = 100;
};

// Decides which connections a server keeps. A connection is named by its
// descriptor, which the caller holds open, and by its peer ("192.0.2.1:1234"),
// under which calls arrive.
class ConnectionRules {
 public:
  using Id = int;
  struct Closing {
    Id id = 0;
    ClosingReason reason = ClosingReason::kUnproven;
  };

  explicit ConnectionRules(const ConnectionLimits& limits);
  ~ConnectionRules();

  // A connection, by which its calls find it again. They may outlive it.
  struct Connection;

  // Kinds of connections that want a place, by what they have sent.
  enum class Newcomer {
    kGreeted,  // its greeting: it may never go on
    kAsked,    // a whole call
    kLoud,     // enough for many calls
  };

  // False: the next connection must wait, or take the place that MakePlace()
  // frees. Known connections take none of these places, however many they are.
  bool HasPlace(Newcomer newcomer) const;
  // Returns the connection that gives way to one from `network`: the oldest
  // unproven one, strangers first, of the network that has the most of them.
  // Nobody gives way to a network that has more than its own. Those that are
  // young, and wait for this server rather than it for them, give way only if
  // their network has more than the newcomer's would have. One is young for a
  // second, or while it has no call for less, if those that became known lately
  // had theirs much sooner.
  // None while the calls of unproven connections are too many to let more of
  // them in.
  std::optional<Id> MakePlace(absl::string_view network, Newcomer newcomer,
                              MonotonicTime now);
  // Unproven connections of a network, see NetworkOf().
  size_t CountUnproven(absl::string_view network) const;
  static bool IsLoud(uint64_t bytes);

  void Opened(Id id, absl::string_view peer, Newcomer newcomer,
              MonotonicTime now);
  // Its peer is gone, or it was ended. True: it sent enough for many calls, and
  // was unproven, so that it keeps its place until the server has freed them,
  // which Closed() tells. False: it can be closed.
  bool Left(Id id);
  // Its descriptor is about to be closed.
  void Closed(Id id);

  // The connection of a peer; null if there is none.
  std::shared_ptr<Connection> Find(absl::string_view peer) const;

  // Calls of a connection. CallFreed() is for when the server has freed a
  // call's memory, which is after its end if its answer is not read.
  void CallBegan(Connection& connection, MonotonicTime now);
  enum class CallEnd { kAnswered, kGivenUp };
  void CallEnded(Connection& connection, CallEnd end, MonotonicTime now);
  void CallFreed(Connection& connection);
  // True if the freeing of its calls is of no consequence. Any thread.
  static bool IsProven(const Connection& connection);
  // A whole message of `bytes` arrived on a call of the connection. Any thread.
  static void MessageArrived(Connection& connection, uint64_t bytes);
  // Its health check was answered.
  void Probed(absl::string_view peer);
  // A call of `caller`, empty if it cannot be told from others, has the right
  // to go on. The connection counts as that caller's if it was not known yet,
  // also if others call on it later. Beyond the caller's share its connection
  // that has been idle for longest gives way; beyond `max_connections` that of
  // the caller with the most connections, which has no fewer than this one.
  // Otherwise the call must be refused, and the connection stays unproven, if
  // all of those have open calls. Unknown peers are admitted.
  enum class Admission {
    kAdmitted,
    kShareTaken,
    kAllTaken,
  };
  Admission Admitted(absl::string_view peer, absl::string_view caller = {});

  // The connections to look at: those to pass to Progressed(). The known ones
  // are among them now and then: often where they send much without an end.
  const absl::flat_hash_set<Id>& unproven() const { return unproven_; }
  std::vector<Id> ToLookAt(MonotonicTime now);
  // True if bytes came since the last look.
  bool Progressed(Id id, const TcpProgress& progress, MonotonicTime now);

  // Bytes by which the process has grown since its start. While they are few,
  // nothing can be unfinished: what seems so was thrown away, such as the rest
  // of what a client sends on a call that has ended.
  void SetGrowth(uint64_t bytes) { growth_ = bytes; }

  // Returns the connections to end now, each once.
  std::vector<Closing> Due(MonotonicTime now);

  // Connections of each standing that are open and not about to be closed.
  size_t Count(Trust standing) const;
  // Calls that connections began while they were unproven, and that are held.
  uint64_t unproven_calls() const { return unproven_calls_; }

 private:
  struct Group;

  // Times for which a connection is young, and may be silent.
  struct Patience {
    Duration youth;
    Duration silence;
  };

  static void AddFinished(Connection& connection, uint64_t bytes);
  static bool IsLoud(const Connection& connection);
  // The places of loud connections, and those that are kept; see Left().
  size_t LoudPlaces() const;
  static bool HasOnlyGreeted(const Connection& connection);
  // True if as many as may have only greeted.
  bool HasMaxGreeted() const;
  // True if it is young, and what comes next is up to this server.
  static bool Waits(const Connection& connection, const Patience& patience,
                    MonotonicTime now);
  Patience PatienceAt(MonotonicTime now);
  void RollProofs(MonotonicTime now);
  void Proved(const Connection& connection);
  // Starts to count the calls again if the last second is over.
  static void Roll(Connection& connection, MonotonicTime now);
  void Close(Id id, ClosingReason reason, std::vector<Closing>& due);
  void EndUnfinished(std::vector<Closing>& due);
  // The first to give way; if `neighbours` is set, to one from a network with
  // that number of unproven ones.
  // Connections that may give way.
  enum class Among { kAll, kGreeted, kLoud };
  std::optional<Id> FirstToGiveWay(std::optional<size_t> neighbours,
                                   Among among, MonotonicTime now);
  void EndLoud(MonotonicTime now, std::vector<Closing>& due);
  void JoinGroup(Connection& connection, absl::string_view caller);
  void LeaveGroup(Connection& connection);
  // To be called when `open_calls` became zero, or was zero.
  void MoveInGroup(Connection& connection);
  // Makes place for one more known connection of the caller.
  Admission MakeKnownPlace(absl::string_view caller);
  void Release(Connection& connection);
  void Floods(Connection& connection);

  const ConnectionLimits limits_;
  absl::flat_hash_map<Id, std::shared_ptr<Connection>> connections_;
  absl::flat_hash_map<std::string, std::shared_ptr<Connection>> by_peer_;
  absl::flat_hash_set<Id> unproven_;
  absl::flat_hash_map<std::string, size_t> unproven_by_network_;
  absl::flat_hash_map<std::string, std::unique_ptr<Group>> groups_;
  size_t known_ = 0;  // in all groups
  uint64_t idle_turns_ = 0;
  std::vector<Closing> displaced_;
  std::vector<Id> flooding_;
  size_t kept_places_ = 0;
  uint64_t unproven_calls_ = 0;
  uint64_t unfinished_ = 0;  // of all known connections, when last looked at
  uint64_t growth_ = 0;
  MonotonicTime next_look_at_known_;
  // The longest time from a place to the first call of those that became known
  // since `proofs_since_`, and in the period before.
  MonotonicTime proofs_since_;
  std::optional<Duration> slowest_proof_;
  std::optional<Duration> slowest_proof_before_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_NET_CONNECTION_RULES_H_
