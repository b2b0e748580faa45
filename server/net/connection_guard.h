#ifndef HEAPSYNC_SERVER_NET_CONNECTION_GUARD_H_
#define HEAPSYNC_SERVER_NET_CONNECTION_GUARD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "server/net/connection_rules.h"
#include "server/net/tcp_progress.h"

namespace heapsync {

// The state of the open connections, between the thread that accepts
// and ends them and gRPC's threads, on which their calls arrive. Any thread,
// unless stated otherwise.
class ConnectionGuard {
 public:
  using Id = ConnectionRules::Id;
  using Closing = ConnectionRules::Closing;
  using Newcomer = ConnectionRules::Newcomer;

  explicit ConnectionGuard(const ConnectionLimits& limits) : rules_(limits) {}

  using Admission = ConnectionRules::Admission;

  // `grpc_peer` is that of a call's context: a call that has the rights it
  // needs, see ConnectionRules::Admitted(), or an answered health check.
  Admission Admitted(const std::string& grpc_peer, absl::string_view caller);
  void HealthChecked(const std::string& grpc_peer);

  // A call, from its beginning until the server has freed its memory.
  class Call {
   public:
    // `guard` must outlive it.
    Call(ConnectionGuard& guard, const std::string& grpc_peer,
         MonotonicTime now);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    void MessageArrived(size_t bytes);
    // It is answered, or was cancelled before.
    void End(bool cancelled, MonotonicTime now);

   private:
    ConnectionGuard& guard_;
    const MonotonicTime began_;
    // Null for a peer without a connection.
    std::shared_ptr<ConnectionRules::Connection> connection_;
  };

  struct Counts {
    size_t arriving = 0;  // gRPC has not got them yet
    size_t strangers = 0;
    size_t probes = 0;
    size_t known = 0;
    uint64_t unproven_calls = 0;  // that the server holds
    // Connections that the server has ended, by ClosingReason.
    std::array<uint64_t, std::size(kClosingReasons)> ended{};
  };
  Counts Read() const;

  // The rest is for the accepting thread; see ConnectionRules.
  bool HasPlace(Newcomer newcomer) const;
  std::optional<Closing> MakePlace(absl::string_view network, Newcomer newcomer,
                                   MonotonicTime now);
  size_t CountUnproven(absl::string_view network) const;
  // Connections that the acceptor holds, and one that it ended.
  void SetArriving(size_t count);
  void CountEnded(ClosingReason reason);
  void Opened(Id id, absl::string_view peer, Newcomer newcomer,
              MonotonicTime now);
  bool Left(Id id);
  void Closed(Id id);
  bool HasUnproven() const;
  std::vector<Id> ToLookAt(MonotonicTime now);
  bool Progressed(Id id, const TcpProgress& progress, MonotonicTime now);
  // `growth`: see ConnectionRules::SetGrowth().
  std::vector<Closing> Due(MonotonicTime now, uint64_t growth);

 private:
  void Count(ClosingReason reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  ConnectionRules rules_ ABSL_GUARDED_BY(mutex_);
  size_t arriving_ ABSL_GUARDED_BY(mutex_) = 0;
  std::array<uint64_t, std::size(kClosingReasons)> ended_
      ABSL_GUARDED_BY(mutex_){};
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_NET_CONNECTION_GUARD_H_
