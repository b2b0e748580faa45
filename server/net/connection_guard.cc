#include "server/net/connection_guard.h"

#include <chrono>
#include <utility>

#include "server/net/peer_name.h"

namespace heapsync {
namespace {

// A call given up later than this was worth its while to the server.
constexpr Duration kShortLife = std::chrono::seconds(1);

}  // namespace

ConnectionGuard::Call::Call(ConnectionGuard& guard,
                            const std::string& grpc_peer, MonotonicTime now)
    : guard_(guard), began_(now) {
  const std::string peer = PeerName(grpc_peer);
  MutexLock lock(guard_.mutex_);
  connection_ = guard_.rules_.Find(peer);
  if (connection_ != nullptr) guard_.rules_.CallBegan(*connection_, now);
}

ConnectionGuard::Call::~Call() {
  if (connection_ == nullptr || ConnectionRules::IsProven(*connection_)) return;
  MutexLock lock(guard_.mutex_);
  guard_.rules_.CallFreed(*connection_);
}

void ConnectionGuard::Call::MessageArrived(size_t bytes) {
  if (connection_ == nullptr) return;
  ConnectionRules::MessageArrived(*connection_, bytes);
}

void ConnectionGuard::Call::End(bool cancelled, MonotonicTime now) {
  if (connection_ == nullptr) return;
  const bool given_up = cancelled && now - began_ < kShortLife;
  MutexLock lock(guard_.mutex_);
  guard_.rules_.CallEnded(*connection_,
                          given_up ? ConnectionRules::CallEnd::kGivenUp
                                   : ConnectionRules::CallEnd::kAnswered,
                          now);
}

ConnectionGuard::Admission ConnectionGuard::Admitted(
    const std::string& grpc_peer, absl::string_view caller) {
  const std::string peer = PeerName(grpc_peer);
  MutexLock lock(mutex_);
  return rules_.Admitted(peer, caller);
}

void ConnectionGuard::HealthChecked(const std::string& grpc_peer) {
  const std::string peer = PeerName(grpc_peer);
  MutexLock lock(mutex_);
  rules_.Probed(peer);
}

ConnectionGuard::Counts ConnectionGuard::Read() const {
  MutexLock lock(mutex_);
  return {.arriving = arriving_,
          .strangers = rules_.Count(Trust::kStranger),
          .probes = rules_.Count(Trust::kProbe),
          .known = rules_.Count(Trust::kKnown),
          .unproven_calls = rules_.unproven_calls(),
          .ended = ended_};
}

bool ConnectionGuard::HasPlace(Newcomer newcomer) const {
  MutexLock lock(mutex_);
  return rules_.HasPlace(newcomer);
}

std::optional<ConnectionGuard::Closing> ConnectionGuard::MakePlace(
    absl::string_view network, Newcomer newcomer, MonotonicTime now) {
  MutexLock lock(mutex_);
  const std::optional<Id> id = rules_.MakePlace(network, newcomer, now);
  if (!id.has_value()) return std::nullopt;
  Count(ClosingReason::kGaveWay);
  return Closing{.id = *id, .reason = ClosingReason::kGaveWay};
}

size_t ConnectionGuard::CountUnproven(absl::string_view network) const {
  MutexLock lock(mutex_);
  return rules_.CountUnproven(network);
}

void ConnectionGuard::SetArriving(size_t count) {
  MutexLock lock(mutex_);
  arriving_ = count;
}

void ConnectionGuard::CountEnded(ClosingReason reason) {
  MutexLock lock(mutex_);
  Count(reason);
}

void ConnectionGuard::Opened(Id id, absl::string_view peer, Newcomer newcomer,
                             MonotonicTime now) {
  MutexLock lock(mutex_);
  rules_.Opened(id, peer, newcomer, now);
}

bool ConnectionGuard::Left(Id id) {
  MutexLock lock(mutex_);
  return rules_.Left(id);
}

void ConnectionGuard::Closed(Id id) {
  MutexLock lock(mutex_);
  rules_.Closed(id);
}

bool ConnectionGuard::HasUnproven() const {
  MutexLock lock(mutex_);
  return !rules_.unproven().empty();
}

std::vector<ConnectionGuard::Id> ConnectionGuard::ToLookAt(MonotonicTime now) {
  MutexLock lock(mutex_);
  return rules_.ToLookAt(now);
}

bool ConnectionGuard::Progressed(Id id, const TcpProgress& progress,
                                 MonotonicTime now) {
  MutexLock lock(mutex_);
  return rules_.Progressed(id, progress, now);
}

std::vector<ConnectionGuard::Closing> ConnectionGuard::Due(MonotonicTime now,
                                                           uint64_t growth) {
  MutexLock lock(mutex_);
  rules_.SetGrowth(growth);
  std::vector<Closing> due = rules_.Due(now);
  for (const Closing& closing : due) Count(closing.reason);
  return due;
}

void ConnectionGuard::Count(ClosingReason reason) {
  ++ended_[static_cast<size_t>(reason)];
}

}  // namespace heapsync
