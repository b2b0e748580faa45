#include "server/net/connection_acceptor.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "server/log/log.h"
#include "server/net/peer_name.h"
#include "server/net/tcp_progress.h"

namespace heapsync {
namespace {

constexpr int kBacklog = 1'024;
// Connections that gRPC does not have yet. More: more descriptors for attackers
// from one network, and more honest newcomers at the same moment.
constexpr size_t kMaxArrivals = 1'024;
constexpr int kAcceptedAtOnce = 32;
// Time without accepting if there is no descriptor, and without handing over if
// there is no place: those that have one must get to use it.
constexpr Duration kRest = std::chrono::milliseconds(20);
// Intervals at which the guard looks at the connections: soon enough that an
// attacker gets little done, rarely enough to cost nothing.
constexpr int kUnprovenLookMs = 20;
constexpr int kKnownLookMs = 50;
// Looks, a second of them, at which no connection had sent anything: then the
// next bytes of one are waited for instead, for so long.
constexpr int kQuietLooks = 20;
constexpr int kAsleepLookMs = 1'000;
// At the most often: what drips in wakes the thread much more often.
constexpr Duration kMinLook = std::chrono::milliseconds(5);
// More than the system holds of what came on a connection.
constexpr size_t kMaxUnread = 1 << 30;
// Between log lines that places are short.
constexpr Duration kComplaint = std::chrono::seconds(1);

std::string LastError() { return std::strerror(errno); }

// Memory that the process has in use; zero if the system does not say.
uint64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t all = 0;
  uint64_t resident = 0;
  file >> all >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

bool Watch(int epoll, int descriptor, uint32_t events) {
  epoll_event event{.events = events, .data = {.fd = descriptor}};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ConnectionAcceptor>> ConnectionAcceptor::Listen(
    absl::string_view address, const Options& options, ConnectionGuard& guard) {
  absl::StatusOr<ListeningSockets> listeners =
      ListeningSockets::Open(address, kBacklog);
  if (!listeners.ok()) return listeners.status();
  std::unique_ptr<ConnectionAcceptor> acceptor(
      new ConnectionAcceptor(*std::move(listeners), options, guard));
  acceptor->stop_event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  acceptor->epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (acceptor->stop_event_ < 0 || acceptor->epoll_ < 0 ||
      !Watch(acceptor->epoll_, acceptor->stop_event_, EPOLLIN)) {
    return absl::UnavailableError(LastError());
  }
  for (const int listener : acceptor->listeners_.descriptors()) {
    if (!Watch(acceptor->epoll_, listener, EPOLLIN)) {
      return absl::UnavailableError(LastError());
    }
  }
  return acceptor;
}

ConnectionAcceptor::ConnectionAcceptor(ListeningSockets listeners,
                                       const Options& options,
                                       ConnectionGuard& guard)
    : guard_(guard),
      listeners_(std::move(listeners)),
      protocol_(options.protocol),
      greeting_(ServerGreeting(options.protocol,
                               options.max_streams_per_connection,
                               options.max_metadata_bytes)),
      arrivals_(kMaxArrivals, options.max_wait) {}

ConnectionAcceptor::~ConnectionAcceptor() {
  Stop();
  if (epoll_ >= 0) close(epoll_);
  if (stop_event_ >= 0) close(stop_event_);
}

void ConnectionAcceptor::Start(
    std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server) {
  server_ = std::move(server);
  resident_at_start_ = ResidentBytes();
  thread_ = std::thread([this] { Run(); });
}

void ConnectionAcceptor::Stop() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    static_cast<void>(write(stop_event_, &one, sizeof(one)));
    thread_.join();
  }
  listeners_.Close();
  while (!arriving_.empty()) CloseArrival(arriving_.begin()->first);
  while (!connections_.empty()) Forget(connections_.begin()->first);
}

void ConnectionAcceptor::Run() {
  while (Wait()) {
  }
}

bool ConnectionAcceptor::Wait() {
  int timeout = asleep_ ? kAsleepLookMs : kKnownLookMs;
  if (connections_.empty()) timeout = -1;
  if (resting_until_.has_value() || !leaving_.empty() || arrivals_.size() > 0 ||
      guard_.HasUnproven()) {
    timeout = kUnprovenLookMs;
  }
  std::array<epoll_event, 64> events;
  const int count = epoll_wait(epoll_, events.data(),
                               static_cast<int>(events.size()), timeout);
  if (count < 0 && errno != EINTR) {
    Log(LogSeverity::kError, "cannot wait for connections",
        {{"error", LastError()}});
    return false;
  }
  const MonotonicTime now = SystemClock().Read().monotonic;
  if (count > 0) {
    asleep_ = false;
    quiet_looks_ = 0;
  }
  // Descriptors are given to new connections only after all events were
  // handled, so that none is taken for that of an earlier one.
  std::vector<int> ready;
  for (int i = 0; i < count; ++i) {
    const int descriptor = events[i].data.fd;
    if (descriptor == stop_event_) return false;
    if (connections_.contains(descriptor)) {
      if ((events[i].events & (EPOLLERR | EPOLLHUP)) != 0) {
        Left(descriptor, now);
      } else {
        SetWatched(descriptor, 0);
      }
    } else if (arrivals_.Contains(descriptor)) {
      Look(descriptor, (events[i].events & ~uint32_t{EPOLLIN}) != 0);
    } else {
      ready.push_back(descriptor);
    }
  }
  if (resting_until_.has_value() && now >= *resting_until_) {
    resting_until_.reset();
    SetListening(true);
  }
  for (const int listener : ready) AcceptSome(listener, now);
  if (now >= next_look_) {
    next_look_ = now + kMinLook;
    EndSome(now);
    for (const int descriptor :
         std::vector<int>(leaving_.begin(), leaving_.end())) {
      if (!IsHeld(descriptor)) Forget(descriptor);
    }
    EndLate(now);
    SleepIfQuiet();
  }
  HandOver(now);
  guard_.SetArriving(arrivals_.size());
  return true;
}

void ConnectionAcceptor::AcceptSome(int listener, MonotonicTime now) {
  for (int i = 0; i < kAcceptedAtOnce && !resting_until_.has_value(); ++i) {
    if (arrivals_.IsFull()) {
      const auto oldest = arrivals_.GivesWay(now);
      if (!oldest.has_value()) return Rest(now + kRest);
      EndArrival(*oldest, ClosingReason::kGaveWay);
    }
    sockaddr_storage peer{};
    socklen_t size = sizeof(peer);
    const int connection = accept4(listener, reinterpret_cast<sockaddr*>(&peer),
                                   &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    // Aborted connections and signals are not errors.
    if (connection < 0 && errno != EMFILE && errno != ENFILE &&
        errno != ENOBUFS && errno != ENOMEM) {
      return;
    }
    if (connection < 0 ||
        !Watch(epoll_, connection, EPOLLIN | EPOLLRDHUP | EPOLLET)) {
      Log(LogSeverity::kWarning, "cannot accept a connection",
          {{"error", LastError()}});
      if (connection >= 0) close(connection);
      return Rest(now + kRest);
    }
    static_cast<void>(send(connection, greeting_.data(), greeting_.size(),
                           MSG_DONTWAIT | MSG_NOSIGNAL));
    arriving_[connection] = {.listener = listener, .peer = peer};
    arrivals_.Add(connection, NetworkOf(PeerName(peer)), now);
    Look(connection, false);
  }
}

void ConnectionAcceptor::Look(int connection, bool gone) {
  using Stage = Arrivals::Stage;
  const Stage stage = arrivals_.StageOf(connection);
  // It left before there was a place for it.
  if (gone && stage != Stage::kUngreeted) return CloseArrival(connection);
  if (stage == Stage::kLoud) return;
  const Arrived arrived = ReadArrived(connection, protocol_);
  const bool loud = ConnectionRules::IsLoud(arrived.bytes);
  switch (arrived.greeting) {
    case Greeting::kAsked:
      arrivals_.Reached(connection, loud ? Stage::kLoud : Stage::kAsked);
      return;
    case Greeting::kWhole:
      arrivals_.Reached(connection, loud ? Stage::kLoud : Stage::kGreeted);
      return;
    case Greeting::kPartial:
      if (gone) CloseArrival(connection);
      return;
    case Greeting::kNone:
      Refuse(connection, protocol_);
      EndArrival(connection, ClosingReason::kProtocol);
      return;
  }
}

void ConnectionAcceptor::HandOver(MonotonicTime now) {
  if (arrivals_.greeted() == 0 || now < next_hand_over_) return;
  using Stage = Arrivals::Stage;
  constexpr std::pair<Stage, Newcomer> kTurns[] = {
      {Stage::kAsked, Newcomer::kAsked},
      {Stage::kGreeted, Newcomer::kGreeted},
      {Stage::kLoud, Newcomer::kLoud}};
  for (const auto& [stage, newcomer] : kTurns) {
    while (const auto next =
               arrivals_.Next(stage, [this](absl::string_view network) {
                 return guard_.CountUnproven(network);
               })) {
      if (!FindPlace(arrivals_.NetworkOf(*next), newcomer, now)) {
        next_hand_over_ = now + kRest;
        break;
      }
      Enter(*next, newcomer, now);
      if (resting_until_.has_value()) break;
    }
  }
}

void ConnectionAcceptor::Enter(int connection, Newcomer newcomer,
                               MonotonicTime now) {
  const Arrival arrival = arriving_.at(connection);
  arrivals_.Remove(connection);
  arriving_.erase(connection);
  epoll_ctl(epoll_, EPOLL_CTL_DEL, connection, nullptr);
  if (!Keep(connection, arrival.peer, newcomer, now)) {
    Log(LogSeverity::kWarning, "cannot accept a connection",
        {{"error", LastError()}});
    close(connection);
    return Rest(now + kRest);
  }
  const int on = 1;
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters
      parameters;
  parameters.listener_fd = arrival.listener;
  parameters.fd = connection;
  server_->HandleNewConnection(&parameters);
}

void ConnectionAcceptor::EndLate(MonotonicTime now) {
  for (const int connection : arrivals_.Late(now)) {
    EndArrival(connection, ClosingReason::kUnproven);
  }
}

void ConnectionAcceptor::EndArrival(int connection, ClosingReason reason) {
  Log(LogSeverity::kInfo, "a connection is ended",
      {{"reason", NameOf(reason)}});
  guard_.CountEnded(reason);
  CloseArrival(connection);
}

void ConnectionAcceptor::CloseArrival(int connection) {
  arrivals_.Remove(connection);
  arriving_.erase(connection);
  close(connection);
}

bool ConnectionAcceptor::FindPlace(absl::string_view network, Newcomer newcomer,
                                   MonotonicTime now) {
  if (guard_.HasPlace(newcomer)) return true;
  const auto closing = guard_.MakePlace(network, newcomer, now);
  if (closing.has_value()) {
    End(*closing);
    if (guard_.HasPlace(newcomer)) return true;
  }
  if (now < next_complaint_) return false;
  next_complaint_ = now + kComplaint;
  const ConnectionGuard::Counts counts = guard_.Read();
  Log(LogSeverity::kWarning, "no place for another connection; it waits",
      {{"known", counts.known},
       {"unproven", counts.strangers + counts.probes},
       {"arriving", arrivals_.size()},
       {"unproven_calls", counts.unproven_calls}});
  return false;
}

bool ConnectionAcceptor::Keep(int connection, const sockaddr_storage& peer,
                              Newcomer newcomer, MonotonicTime now) {
  const int descriptor = fcntl(connection, F_DUPFD_CLOEXEC, 0);
  if (descriptor < 0) return false;
  // Nothing is asked of it but its end.
  if (!Watch(epoll_, descriptor, 0)) {
    const int error = errno;
    close(descriptor);
    errno = error;
    return false;
  }
  struct stat socket {};
  fstat(connection, &socket);
  connections_[descriptor] = {.descriptor = connection, .inode = socket.st_ino};
  guard_.Opened(descriptor, PeerName(peer), newcomer, now);
  // Bytes that it has sent already count at once.
  guard_.Progressed(descriptor, ReadTcpProgress(descriptor), now);
  return true;
}

void ConnectionAcceptor::EndSome(MonotonicTime now) {
  const std::vector<ConnectionGuard::Id> ids = guard_.ToLookAt(now);
  bool progressed = false;
  for (const int id : ids) {
    progressed |= guard_.Progressed(id, ReadTcpProgress(id), now);
  }
  if (progressed) {
    // Bytes that gRPC has read already wake nobody.
    asleep_ = false;
    quiet_looks_ = 0;
  } else if (ids.size() == connections_.size()) {
    ++quiet_looks_;
  }
  const uint64_t resident = ResidentBytes();
  const uint64_t growth = resident - std::min(resident, resident_at_start_);
  for (const auto& closing : guard_.Due(now, growth)) End(closing);
}

void ConnectionAcceptor::SleepIfQuiet() {
  if (asleep_ || quiet_looks_ < kQuietLooks || connections_.empty() ||
      guard_.HasUnproven() || !leaving_.empty()) {
    return;
  }
  for (const auto& [descriptor, _] : connections_) {
    SetWatched(descriptor, EPOLLIN | EPOLLONESHOT);
  }
  // Bytes that came before that, and that gRPC has read, wake nobody.
  const MonotonicTime now = SystemClock().Read().monotonic;
  bool progressed = false;
  for (const auto& [descriptor, _] : connections_) {
    progressed |=
        guard_.Progressed(descriptor, ReadTcpProgress(descriptor), now);
  }
  quiet_looks_ = 0;
  asleep_ = !progressed;
}

void ConnectionAcceptor::SetWatched(int descriptor, uint32_t events) {
  epoll_event event{.events = events, .data = {.fd = descriptor}};
  epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor, &event);
}

void ConnectionAcceptor::End(const ConnectionGuard::Closing& closing) {
  Log(LogSeverity::kInfo, "a connection is ended",
      {{"reason", NameOf(closing.reason)}});
  // gRPC notices, and closes its own descriptor. What it has not read is thrown
  // away: it would become calls that take memory until they are freed.
  shutdown(closing.id, SHUT_RDWR);
  static_cast<void>(
      recv(closing.id, nullptr, kMaxUnread, MSG_TRUNC | MSG_DONTWAIT));
}

void ConnectionAcceptor::Left(int descriptor, MonotonicTime now) {
  guard_.Progressed(descriptor, ReadTcpProgress(descriptor), now);
  if (!guard_.Left(descriptor) || !IsHeld(descriptor)) {
    return Forget(descriptor);
  }
  leaving_.insert(descriptor);
  epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr);
}

bool ConnectionAcceptor::IsHeld(int descriptor) const {
  const Held& held = connections_.at(descriptor);
  struct stat now {};
  return fstat(held.descriptor, &now) == 0 && now.st_ino == held.inode;
}

void ConnectionAcceptor::Forget(int descriptor) {
  leaving_.erase(descriptor);
  connections_.erase(descriptor);
  guard_.Closed(descriptor);
  // Closing it is not enough while gRPC's descriptor of the same is open.
  epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr);
  close(descriptor);
}

void ConnectionAcceptor::Rest(MonotonicTime until) {
  resting_until_ = until;
  SetListening(false);
}

void ConnectionAcceptor::SetListening(bool on) {
  for (const int listener : listeners_.descriptors()) {
    epoll_event event{.events = on ? uint32_t{EPOLLIN} : 0U,
                      .data = {.fd = listener}};
    epoll_ctl(epoll_, EPOLL_CTL_MOD, listener, &event);
  }
}

}  // namespace heapsync
