#include "server/net/connection_rules.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <list>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "server/net/peer_name.h"

namespace heapsync {
namespace {

// Silence after which an unproven connection may lose its place: round trips
// and an honest client's own work, on a busy machine too, take less. Longer:
// those behind the network of a silent crowd wait longer for a place. One that
// waits for this server, which may be busy with handshakes, keeps its place for
// longer.
constexpr Duration kMaxSilence = std::chrono::milliseconds(50);
// The same where those that became known lately took longer in all: as long as
// the slowest of them, up to this.
constexpr Duration kMaxSlowSilence = std::chrono::milliseconds(250);
constexpr Duration kMaxYouth = std::chrono::seconds(1);

// A connection that waits for this server keeps its place while it is young,
// for kMaxYouth. Attackers that drip look as if they waited, too. So youth is
// this many times what the slowest took of those that became known in the last
// periods, but at least kMinYouth: as many handshakes as there are places take
// less.
constexpr int kYouthInProofs = 4;
constexpr Duration kMinYouth = std::chrono::milliseconds(200);
constexpr Duration kProofPeriod = std::chrono::seconds(5);

// A health checker may go on at this rate: its bytes are forgotten.
constexpr uint64_t kProbeBytesPerSecond = 16 << 10;

// Clients give calls up now and then, even many when a deadline passes; only an
// attacker gives up most of them by the hundred in a second.
constexpr Duration kWindow = std::chrono::seconds(1);
constexpr uint64_t kMaxGivenUp = 500;
// Calls of an unproven connection. A caller with rights is known as soon as its
// first call begins. One without is refused quickly, and learns of it however
// often it asks in a second, up to a bound.
constexpr uint64_t kMaxUnprovenOpen = 50;
constexpr uint64_t kMaxUnprovenBegun = 500;

// Calls of all unproven connections, those that were ended included: a call
// takes about 20 KiB, and before the server hears of the first one gRPC has
// read hundreds of a connection that floods.
constexpr uint64_t kMaxUnprovenCalls = 2'000;

// Bytes around messages: of each, of each 64 of its bytes, of each call, and of
// a connection in each second (pings, windows). Generous, since what is missed
// adds up over the life of a connection.
constexpr uint64_t kMessageOverhead = 100;
constexpr uint64_t kOverheadPart = 64;
constexpr uint64_t kCallOverhead = 600;
constexpr uint64_t kIdleBytesPerSecond = 100;

// Intervals at which known connections are looked at: a look costs a
// microsecond for each of them. The shorter one is for when they have a quarter
// of the unfinished bytes that they may.
constexpr Duration kLook = std::chrono::milliseconds(50);
constexpr Duration kLookForEach = std::chrono::microseconds(250);
constexpr Duration kOftenForEach = std::chrono::microseconds(25);

// Bytes from which on an unproven connection may have begun many calls. Before
// the server hears of them, gRPC may hold them for seconds on a busy machine.
constexpr uint64_t kQuietBytes = 4 << 10;

// Places for such connections, of all that unproven ones have.
constexpr size_t kLoudPlaces = 16;

// Places of all other unproven connections while those are taken. What enters
// quietly may become loud, so that strangers may use up to 21 MiB for each of
// both kinds of places; more would not fit beside the messages of callers.
constexpr size_t kPlacesBesideLoud = 8;

// Calls that may still end inside the server after HTTP/2 has forgotten them.
constexpr uint64_t kEndingCalls = 200;

}  // namespace

absl::string_view NameOf(ClosingReason reason) {
  switch (reason) {
    case ClosingReason::kUnproven:
      return "unproven";
    case ClosingReason::kGaveWay:
      return "gave_way";
    case ClosingReason::kBytes:
      return "bytes";
    case ClosingReason::kCalls:
      return "calls";
    case ClosingReason::kProtocol:
      return "protocol";
  }
  HEAPSYNC_UNREACHABLE();
}

// Known connections of one caller that are not about to be closed.
struct ConnectionRules::Group {
  std::list<Id> idle;  // without open calls, the longest idle one first
  std::list<Id> busy;
  size_t size() const { return idle.size() + busy.size(); }
};

struct ConnectionRules::Connection {
  Id id = 0;
  std::string peer;
  std::string network;
  MonotonicTime opened;
  Trust standing = Trust::kStranger;
  bool closing = false;
  bool floods = false;
  Newcomer opened_as = Newcomer::kGreeted;
  bool had_answer = false;
  bool keeps_place = false;  // see Left()
  uint64_t received = 0;     // in all, at `seen`
  MonotonicTime seen;
  uint64_t charged = 0;  // of them, what counts against the maximum
  // Those of them that belong to no whole message, and bytes of whole ones
  // since `seen`.
  uint64_t unfinished = 0;
  std::atomic<uint64_t> finished{0};
  uint64_t open_calls = 0;
  // Calls that the server has not freed, while the connection is unproven.
  uint64_t unproven_calls = 0;
  std::atomic<bool> proven{false};
  Duration silence = Duration::zero();
  std::optional<MonotonicTime> first_call;
  // Calls since `window`.
  MonotonicTime window;
  uint64_t begun = 0;
  uint64_t ended = 0;
  uint64_t given_up = 0;
  // If it is in a group: that, whose it is, and where.
  Group* group = nullptr;
  std::string caller;
  std::list<Id>::iterator position;
  uint64_t idle_since = 0;  // a number of idle_turns_
};

ConnectionRules::ConnectionRules(const ConnectionLimits& limits)
    : limits_(limits) {}

ConnectionRules::~ConnectionRules() = default;

bool ConnectionRules::IsLoud(uint64_t bytes) { return bytes > kQuietBytes; }

bool ConnectionRules::HasPlace(Newcomer newcomer) const {
  const size_t taken = unproven_.size() + kept_places_;
  if (taken >= limits_.max_unproven) return false;
  if (unproven_calls_ >= kMaxUnprovenCalls) return false;
  if (newcomer == Newcomer::kGreeted && HasMaxGreeted()) {
    return false;
  }
  const size_t loud_places = LoudPlaces();
  if (loud_places < kLoudPlaces) return true;
  return newcomer != Newcomer::kLoud && taken < kLoudPlaces + kPlacesBesideLoud;
}

size_t ConnectionRules::CountUnproven(absl::string_view network) const {
  const auto found = unproven_by_network_.find(network);
  return found == unproven_by_network_.end() ? 0 : found->second;
}

std::optional<ConnectionRules::Id> ConnectionRules::MakePlace(
    absl::string_view network, Newcomer newcomer, MonotonicTime now) {
  if (unproven_calls_ >= kMaxUnprovenCalls) return std::nullopt;
  Among among = Among::kAll;
  if (newcomer == Newcomer::kLoud && LoudPlaces() >= kLoudPlaces) {
    among = Among::kLoud;
  } else if (newcomer == Newcomer::kGreeted && HasMaxGreeted()) {
    among = Among::kGreeted;
  }
  const std::optional<Id> first =
      FirstToGiveWay(CountUnproven(network), among, now);
  if (!first.has_value()) return std::nullopt;
  std::vector<Closing> due;
  Close(*first, ClosingReason::kGaveWay, due);
  return first;
}

std::optional<ConnectionRules::Id> ConnectionRules::FirstToGiveWay(
    std::optional<size_t> neighbours, Among among, MonotonicTime now) {
  const Patience patience = PatienceAt(now);
  // Smallest first: strangers, the network with the most, the oldest.
  using Rank = std::tuple<Trust, int64_t, MonotonicTime>;
  std::optional<std::pair<Rank, Id>> first;
  for (const Id id : unproven_) {
    const Connection& connection = *connections_.at(id);
    if (among == Among::kLoud && !IsLoud(connection)) continue;
    if (among == Among::kGreeted && !HasOnlyGreeted(connection)) continue;
    const size_t of_network = unproven_by_network_.at(connection.network);
    const bool waits = Waits(connection, patience, now);
    const bool is_crowded =
        neighbours.has_value() && of_network > *neighbours + 1;
    if (waits && !is_crowded) continue;
    if (neighbours.has_value() && of_network < *neighbours) continue;
    const std::pair<Rank, Id> candidate = {
        {connection.standing, -static_cast<int64_t>(of_network),
         connection.opened},
        id};
    if (!first.has_value() || candidate < *first) first = candidate;
  }
  if (!first.has_value()) return std::nullopt;
  return first->second;
}

void ConnectionRules::EndLoud(MonotonicTime now, std::vector<Closing>& due) {
  // Those that have ended are given time to be freed.
  while (LoudPlaces() - kept_places_ > kLoudPlaces) {
    const auto first = FirstToGiveWay(std::nullopt, Among::kLoud, now);
    if (!first.has_value()) return;
    Close(*first, ClosingReason::kGaveWay, due);
  }
}

void ConnectionRules::Opened(Id id, absl::string_view peer, Newcomer newcomer,
                             MonotonicTime now) {
  HEAPSYNC_CHECK(!connections_.contains(id)) << id;
  auto connection = std::make_shared<Connection>();
  connection->id = id;
  connection->peer = std::string(peer);
  connection->network = NetworkOf(peer);
  connection->opened = now;
  connection->opened_as = newcomer;
  connection->window = connection->seen = now;
  // A peer may come again before the end of its last connection is seen.
  by_peer_[connection->peer] = connection;
  ++unproven_by_network_[connection->network];
  unproven_.insert(id);
  connections_.emplace(id, std::move(connection));
}

bool ConnectionRules::Left(Id id) {
  std::vector<Closing> due;
  Close(id, ClosingReason::kGaveWay, due);
  return connections_.at(id)->keeps_place;
}

void ConnectionRules::Closed(Id id) {
  const auto found = connections_.find(id);
  HEAPSYNC_CHECK(found != connections_.end()) << id;
  const std::shared_ptr<Connection> connection = found->second;
  if (unproven_.erase(id) > 0) Release(*connection);
  LeaveGroup(*connection);
  if (connection->keeps_place) --kept_places_;
  const auto peer = by_peer_.find(connection->peer);
  if (peer != by_peer_.end() && peer->second == connection) {
    by_peer_.erase(peer);
  }
  connections_.erase(found);
}

std::shared_ptr<ConnectionRules::Connection> ConnectionRules::Find(
    absl::string_view peer) const {
  const auto found = by_peer_.find(peer);
  return found == by_peer_.end() ? nullptr : found->second;
}

bool ConnectionRules::IsLoud(const Connection& connection) {
  return IsLoud(connection.charged);
}

size_t ConnectionRules::LoudPlaces() const {
  return kept_places_ + static_cast<size_t>(std::count_if(
                            unproven_.begin(), unproven_.end(), [&](Id id) {
                              return IsLoud(*connections_.at(id));
                            }));
}

bool ConnectionRules::HasOnlyGreeted(const Connection& connection) {
  return connection.opened_as == Newcomer::kGreeted &&
         !connection.first_call.has_value();
}

bool ConnectionRules::HasMaxGreeted() const {
  const auto count = std::count_if(
      unproven_.begin(), unproven_.end(),
      [&](Id id) { return HasOnlyGreeted(*connections_.at(id)); });
  return static_cast<size_t>(count) >= limits_.max_greeted;
}

bool ConnectionRules::Waits(const Connection& connection,
                            const Patience& patience, MonotonicTime now) {
  if (connection.had_answer) return false;
  const Duration age = now - connection.opened;
  if (connection.first_call.has_value()) return age < kMaxYouth;
  // It can do no more than wait.
  if (connection.opened_as == Newcomer::kAsked) {
    return age < std::min(2 * patience.youth, kMaxYouth);
  }
  return connection.silence < patience.silence && age < patience.youth;
}

void ConnectionRules::RollProofs(MonotonicTime now) {
  if (now - proofs_since_ <= kProofPeriod) return;
  const bool is_long = now - proofs_since_ > 2 * kProofPeriod;
  slowest_proof_before_ = is_long ? std::nullopt : slowest_proof_;
  slowest_proof_.reset();
  proofs_since_ = now;
}

ConnectionRules::Patience ConnectionRules::PatienceAt(MonotonicTime now) {
  RollProofs(now);
  // An empty optional is less than any time.
  const std::optional<Duration> slowest =
      std::max(slowest_proof_, slowest_proof_before_);
  if (!slowest.has_value()) {
    return {.youth = kMaxYouth, .silence = kMaxSilence};
  }
  return {.youth = std::clamp(kYouthInProofs * *slowest, kMinYouth, kMaxYouth),
          .silence = std::clamp(*slowest, kMaxSilence, kMaxSlowSilence)};
}

void ConnectionRules::Proved(const Connection& connection) {
  if (!connection.first_call.has_value()) return;
  RollProofs(*connection.first_call);
  slowest_proof_ = std::max<std::optional<Duration>>(
      slowest_proof_, *connection.first_call - connection.opened);
}

void ConnectionRules::Floods(Connection& connection) {
  if (std::exchange(connection.floods, true)) return;
  flooding_.push_back(connection.id);
}

void ConnectionRules::Roll(Connection& connection, MonotonicTime now) {
  if (now - connection.window <= kWindow) return;
  connection.window = now;
  connection.begun = connection.ended = connection.given_up = 0;
}

void ConnectionRules::CallBegan(Connection& connection, MonotonicTime now) {
  if (connection.standing != Trust::kKnown) {
    ++connection.unproven_calls;
    ++unproven_calls_;
  }
  if (!connection.first_call.has_value()) connection.first_call = now;
  Roll(connection, now);
  ++connection.begun;
  if (++connection.open_calls == 1) MoveInGroup(connection);
  AddFinished(connection, kCallOverhead);
  const uint64_t max_known_open =
      uint64_t{2} * limits_.max_streams_per_connection + kEndingCalls;
  const bool too_many = connection.standing == Trust::kKnown
                            ? connection.open_calls > max_known_open
                            : connection.open_calls > kMaxUnprovenOpen ||
                                  connection.begun > kMaxUnprovenBegun;
  if (too_many) Floods(connection);
}

void ConnectionRules::CallFreed(Connection& connection) {
  if (connection.standing == Trust::kKnown) return;
  HEAPSYNC_CHECK(connection.unproven_calls > 0) << "a call was freed twice";
  --connection.unproven_calls;
  --unproven_calls_;
}

bool ConnectionRules::IsProven(const Connection& connection) {
  return connection.proven.load(std::memory_order_acquire);
}

void ConnectionRules::AddFinished(Connection& connection, uint64_t bytes) {
  connection.finished.fetch_add(bytes, std::memory_order_relaxed);
}

void ConnectionRules::MessageArrived(Connection& connection, uint64_t bytes) {
  AddFinished(connection, bytes + bytes / kOverheadPart + kMessageOverhead);
}

std::vector<ConnectionRules::Id> ConnectionRules::ToLookAt(MonotonicTime now) {
  std::vector<Id> ids;
  if (now < next_look_at_known_) {
    ids.assign(unproven_.begin(), unproven_.end());
    return ids;
  }
  const bool often = unfinished_ > limits_.all_unfinished_bytes / 4;
  next_look_at_known_ =
      now + kLook +
      (often ? kOftenForEach : kLookForEach) * connections_.size();
  ids.reserve(connections_.size());
  for (const auto& [id, connection] : connections_) ids.push_back(id);
  return ids;
}

void ConnectionRules::CallEnded(Connection& connection, CallEnd end,
                                MonotonicTime now) {
  HEAPSYNC_CHECK(connection.open_calls > 0) << "a call ended twice";
  if (--connection.open_calls == 0) MoveInGroup(connection);
  connection.had_answer = true;
  Roll(connection, now);
  ++connection.ended;
  if (end == CallEnd::kAnswered) return;
  ++connection.given_up;
  if (connection.given_up > kMaxGivenUp &&
      2 * connection.given_up > connection.ended) {
    Floods(connection);
  }
}

void ConnectionRules::Probed(absl::string_view peer) {
  const std::shared_ptr<Connection> connection = Find(peer);
  if (connection == nullptr || connection->standing != Trust::kStranger) return;
  connection->standing = Trust::kProbe;
}

ConnectionRules::Admission ConnectionRules::Admitted(absl::string_view peer,
                                                     absl::string_view caller) {
  const std::shared_ptr<Connection> connection = Find(peer);
  if (connection == nullptr || connection->closing ||
      connection->standing == Trust::kKnown) {
    return Admission::kAdmitted;
  }
  const Admission place = MakeKnownPlace(caller);
  if (place != Admission::kAdmitted) return place;
  connection->standing = Trust::kKnown;
  Proved(*connection);
  unproven_calls_ -= std::exchange(connection->unproven_calls, 0);
  connection->proven.store(true, std::memory_order_release);
  if (unproven_.erase(connection->id) > 0) Release(*connection);
  JoinGroup(*connection, caller);
  return Admission::kAdmitted;
}

ConnectionRules::Admission ConnectionRules::MakeKnownPlace(
    absl::string_view caller) {
  const auto found = groups_.find(caller);
  const Group* const own =
      found == groups_.end() ? nullptr : found->second.get();
  const size_t size = own == nullptr ? 0 : own->size();
  const Group* most = nullptr;
  if (!caller.empty() && size >= limits_.max_of_caller) {
    if (own->idle.empty()) return Admission::kShareTaken;
    most = own;
  } else if (known_ >= limits_.max_connections) {
    using Rank = std::pair<size_t, uint64_t>;
    const auto rank = [this](const Group& group) -> Rank {
      const uint64_t since = connections_.at(group.idle.front())->idle_since;
      return {group.size(), idle_turns_ - since};
    };
    for (const auto& [name, group] : groups_) {
      if (group->idle.empty()) continue;
      if (group.get() != own && group->size() <= size) continue;
      if (most == nullptr || rank(*group) > rank(*most)) most = group.get();
    }
    if (most == nullptr) return Admission::kAllTaken;
  }
  if (most != nullptr) {
    Close(most->idle.front(), ClosingReason::kGaveWay, displaced_);
  }
  return Admission::kAdmitted;
}

void ConnectionRules::JoinGroup(Connection& connection,
                                absl::string_view caller) {
  std::unique_ptr<Group>& group = groups_[caller];
  if (group == nullptr) group = std::make_unique<Group>();
  connection.group = group.get();
  connection.caller = std::string(caller);
  connection.idle_since = ++idle_turns_;
  std::list<Id>& list = connection.open_calls == 0 ? group->idle : group->busy;
  connection.position = list.insert(list.end(), connection.id);
  ++known_;
}

void ConnectionRules::LeaveGroup(Connection& connection) {
  Group* const group = std::exchange(connection.group, nullptr);
  if (group == nullptr) return;
  (connection.open_calls == 0 ? group->idle : group->busy)
      .erase(connection.position);
  --known_;
  if (group->size() == 0) groups_.erase(connection.caller);
}

void ConnectionRules::MoveInGroup(Connection& connection) {
  Group* const group = connection.group;
  if (group == nullptr) return;
  if (connection.open_calls == 0) {
    connection.idle_since = ++idle_turns_;
    group->idle.splice(group->idle.end(), group->busy, connection.position);
  } else {
    group->busy.splice(group->busy.end(), group->idle, connection.position);
  }
}

bool ConnectionRules::Progressed(Id id, const TcpProgress& progress,
                                 MonotonicTime now) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return false;
  Connection& connection = *found->second;
  if (connection.standing == Trust::kProbe) {
    const auto elapsed = static_cast<uint64_t>((now - connection.seen).count());
    const uint64_t spent = elapsed * kProbeBytesPerSecond / 1'000'000;
    connection.charged -= std::min(connection.charged, spent);
  }
  const auto idle = static_cast<uint64_t>((now - connection.seen).count()) *
                    kIdleBytesPerSecond / 1'000'000;
  connection.seen = now;
  const uint64_t more =
      progress.received - std::min(progress.received, connection.received);
  connection.charged += more;
  connection.unfinished += more;
  connection.unfinished -=
      std::min(connection.unfinished, connection.finished.exchange(0) + idle);
  connection.received = progress.received;
  connection.silence = progress.silence;
  return more > 0;
}

void ConnectionRules::Release(Connection& connection) {
  const auto found = unproven_by_network_.find(connection.network);
  if (--found->second == 0) unproven_by_network_.erase(found);
}

void ConnectionRules::Close(Id id, ClosingReason reason,
                            std::vector<Closing>& due) {
  Connection& connection = *connections_.at(id);
  if (std::exchange(connection.closing, true)) return;
  LeaveGroup(connection);
  if (unproven_.erase(id) > 0) {
    Release(connection);
    connection.keeps_place = IsLoud(connection);
    if (connection.keeps_place) ++kept_places_;
  }
  due.push_back({.id = id, .reason = reason});
}

void ConnectionRules::EndUnfinished(std::vector<Closing>& due) {
  unfinished_ = 0;
  const bool none = growth_ < limits_.all_unfinished_bytes / 2;
  std::vector<std::pair<uint64_t, Id>> held;
  for (const auto& [id, connection] : connections_) {
    Connection& each = *connection;
    if (none) each.unfinished = 0;
    if (each.standing != Trust::kKnown || each.closing) continue;
    unfinished_ += each.unfinished;
    if (each.unfinished > 0) held.emplace_back(each.unfinished, id);
  }
  if (unfinished_ <= limits_.all_unfinished_bytes) return;
  std::sort(held.rbegin(), held.rend());
  // The memory of those that are ended takes a while to be free: half is left.
  for (const auto& [bytes, id] : held) {
    if (unfinished_ <= limits_.all_unfinished_bytes / 2) break;
    unfinished_ -= bytes;
    Close(id, ClosingReason::kBytes, due);
  }
}

std::vector<ConnectionRules::Closing> ConnectionRules::Due(MonotonicTime now) {
  std::vector<Closing> due;
  for (const Closing& each : std::exchange(displaced_, {})) {
    // The descriptor may belong to a new connection by now.
    const auto found = connections_.find(each.id);
    if (found != connections_.end() && found->second->closing) {
      due.push_back(each);
    }
  }
  EndUnfinished(due);
  EndLoud(now, due);
  for (const Id id : std::exchange(flooding_, {})) {
    const auto found = connections_.find(id);
    // The descriptor may belong to a new connection by now.
    if (found == connections_.end() || !found->second->floods) continue;
    Close(id, ClosingReason::kCalls, due);
  }
  std::vector<std::pair<uint64_t, Id>> held;
  uint64_t all_bytes = 0;
  for (const Id id : std::vector<Id>(unproven_.begin(), unproven_.end())) {
    const Connection& connection = *connections_.at(id);
    if (connection.standing == Trust::kStranger &&
        now - connection.opened >= limits_.unproven_time) {
      Close(id, ClosingReason::kUnproven, due);
    } else {
      held.emplace_back(connection.charged, id);
      all_bytes += connection.charged;
    }
  }
  std::sort(held.rbegin(), held.rend());
  for (const auto& [bytes, id] : held) {
    if (all_bytes <= limits_.all_unproven_bytes) break;
    all_bytes -= bytes;
    Close(id, ClosingReason::kBytes, due);
  }
  return due;
}

size_t ConnectionRules::Count(Trust standing) const {
  if (standing == Trust::kKnown) return known_;
  return static_cast<size_t>(std::count_if(
      unproven_.begin(), unproven_.end(),
      [&](Id id) { return connections_.at(id)->standing == standing; }));
}

}  // namespace heapsync
