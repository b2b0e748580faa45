#include "server/observe/http_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace heapsync {
namespace {

using Stage = HttpConnections::Stage;

constexpr int kBacklog = 128;
// Pause after the process ran out of file descriptors.
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);
// Bounds how long clients that do not read their responses delay the stop.
constexpr Duration kStopGrace = std::chrono::seconds(1);

MonotonicTime MonotonicNow() { return SystemClock().Read().monotonic; }

// Leaves "%2e" and the like as they came: no path of ours contains them.
size_t KeepEscaped(void* /*unused*/, MHD_Connection* /*unused*/, char* text) {
  return std::strlen(text);
}

void FreeBody(void* body) { delete static_cast<std::string*>(body); }

void AddHeaders(const HttpReply& reply, MHD_Response& response) {
  const std::array<std::pair<const char*, const char*>, 8> headers = {{
      {"Content-Type", reply.content_type.c_str()},
      {"Cache-Control", "no-store"},
      {"X-Content-Type-Options", "nosniff"},
      {"X-Frame-Options", "DENY"},
      {"Referrer-Policy", "no-referrer"},
      {"Cross-Origin-Resource-Policy", "same-origin"},
      {"Content-Security-Policy", reply.content_security_policy.c_str()},
      {"Connection", "close"},
  }};
  for (const auto& [name, value] : headers) {
    MHD_add_response_header(&response, name, value);
  }
  if (reply.status == MHD_HTTP_METHOD_NOT_ALLOWED) {
    MHD_add_response_header(&response, "Allow", "GET, HEAD");
  }
}

int PollTimeout(std::optional<MonotonicTime> deadline) {
  if (!deadline.has_value()) return -1;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(*deadline - MonotonicNow());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, INT_MAX));
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(
    absl::string_view address, HttpPages pages, HttpLimits limits) {
  absl::StatusOr<ListeningSockets> listeners =
      ListeningSockets::Open(address, kBacklog);
  if (!listeners.ok()) return listeners.status();
  std::unique_ptr<HttpServer> server(
      new HttpServer(*std::move(listeners), std::move(pages), limits));
  server->wake_event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  // Its own time-out counts idle time only, and its own limit makes new clients
  // wait for old ones, so neither is used: the limit here is never reached.
  server->daemon_ = MHD_start_daemon(
      MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0,
      nullptr, nullptr, &HttpServer::OnRequest, server.get(),
      MHD_OPTION_CONNECTION_LIMIT,
      static_cast<unsigned>(2 * limits.max_connections + 8),
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, kConnectionBytes,
      MHD_OPTION_NOTIFY_CONNECTION, &HttpServer::OnConnection, server.get(),
      MHD_OPTION_URI_LOG_CALLBACK, &HttpServer::OnTarget, server.get(),
      MHD_OPTION_UNESCAPE_CALLBACK, &KeepEscaped, nullptr, MHD_OPTION_END);
  const MHD_DaemonInfo* events =
      server->daemon_ == nullptr
          ? nullptr
          : MHD_get_daemon_info(server->daemon_, MHD_DAEMON_INFO_EPOLL_FD);
  if (server->wake_event_ < 0 || events == nullptr || events->epoll_fd < 0) {
    return absl::UnavailableError(
        absl::StrCat(address, ": ", std::strerror(errno)));
  }
  server->daemon_events_ = events->epoll_fd;
  server->page_thread_.emplace();
  server->thread_ = std::thread([self = server.get()] { self->Run(); });
  return server;
}

HttpServer::HttpServer(ListeningSockets listeners, HttpPages pages,
                       HttpLimits limits)
    : pages_(std::move(pages)),
      port_(listeners.port()),
      listeners_(std::move(listeners)),
      connections_(limits) {}

HttpServer::~HttpServer() {
  if (thread_.joinable()) {
    {
      MutexLock lock(mutex_);
      stopping_ = true;
    }
    Wake();
    thread_.join();
  }
  // Connections that wait for a page must be resumed before the daemon stops.
  page_thread_.reset();
  ResumeFinished();
  if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
  if (wake_event_ >= 0) close(wake_event_);
}

void HttpServer::Wake() {
  const uint64_t one = 1;
  static_cast<void>(write(wake_event_, &one, sizeof(one)));
}

bool HttpServer::ResumeFinished() {
  uint64_t unused = 0;
  static_cast<void>(read(wake_event_, &unused, sizeof(unused)));
  std::vector<MHD_Connection*> finished;
  bool stopping = false;
  {
    MutexLock lock(mutex_);
    finished = std::exchange(finished_, {});
    stopping = stopping_;
  }
  // Here and not on the page thread: the library forgets a connection that is
  // resumed while it looks for events.
  for (MHD_Connection* connection : finished) MHD_resume_connection(connection);
  return !stopping;
}

void HttpServer::Run() {
  std::vector<pollfd> listeners;
  while (ResumeFinished()) {
    // First, so that no connection gives way whose request is here already. The
    // library may add a connection in one run and read from it in the next.
    MHD_run(daemon_);
    if (std::exchange(accepted_, false)) MHD_run(daemon_);
    for (const int socket : connections_.Overdue(MonotonicNow())) End(socket);
    while (const auto socket = connections_.GivesWay()) End(*socket);

    listeners.clear();
    const bool paused = MonotonicNow() < accept_again_;
    if (!paused && connections_.HasSpace()) {
      for (const int listener : listeners_.descriptors()) {
        listeners.push_back({.fd = listener, .events = POLLIN, .revents = 0});
      }
    }
    Wait(listeners, paused ? std::optional(accept_again_) : std::nullopt);
    for (const pollfd& listener : listeners) {
      if (listener.revents != 0) Accept(listener.fd);
    }
  }
  FinishResponses();
}

void HttpServer::FinishResponses() {
  listeners_.Close();
  for (const int socket : connections_.Reading()) End(socket);
  const MonotonicTime give_up = MonotonicNow() + kStopGrace;
  std::vector<pollfd> no_listeners;
  while (true) {
    ResumeFinished();
    MHD_run(daemon_);
    if (connections_.empty() || MonotonicNow() >= give_up) return;
    Wait(no_listeners, give_up);
  }
}

void HttpServer::Wait(std::vector<pollfd>& listeners,
                      std::optional<MonotonicTime> deadline) {
  const std::optional<MonotonicTime> overdue = connections_.NextDeadline();
  if (overdue.has_value() && (!deadline.has_value() || *overdue < *deadline)) {
    deadline = overdue;
  }
  MHD_UNSIGNED_LONG_LONG unused = 0;
  // The library's only time-out is zero, for work that it has left.
  if (MHD_get_timeout(daemon_, &unused) == MHD_YES) deadline = MonotonicTime();
  listeners.push_back({.fd = daemon_events_, .events = POLLIN, .revents = 0});
  listeners.push_back({.fd = wake_event_, .events = POLLIN, .revents = 0});
  poll(listeners.data(), listeners.size(), PollTimeout(deadline));
  listeners.resize(listeners.size() - 2);
}

void HttpServer::Accept(int listener) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  auto* client = reinterpret_cast<sockaddr*>(&address);
  const int socket =
      accept4(listener, client, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (socket >= 0) {
    accepted_ = true;
    // Closes the socket if it fails.
    MHD_add_connection(daemon_, socket, client, size);
  } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
             errno == ENOMEM) {
    accept_again_ = MonotonicNow() + kAcceptPause;
  }
}

void HttpServer::End(int socket) {
  // The library sees the end of the connection and closes the socket.
  shutdown(socket, SHUT_RDWR);
  connections_.Enter(socket, Stage::kEnding);
}

void HttpServer::OnConnection(void* self, MHD_Connection* connection,
                              void** context,
                              MHD_ConnectionNotificationCode code) {
  auto& server = *static_cast<HttpServer*>(self);
  const int socket =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
          ->connect_fd;
  if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
    server.connections_.Closed(socket);
    server.exchanges_.erase(socket);
    return;
  }
  const sockaddr* client =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)
          ->client_addr;
  server.connections_.Opened(socket, ClientNetwork(*client), MonotonicNow());
  *context = &server.exchanges_[socket];
  server.exchanges_[socket].socket = socket;
}

HttpServer::Exchange& HttpServer::ExchangeOf(MHD_Connection* connection) {
  return *static_cast<Exchange*>(
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
          ->socket_context);
}

void* HttpServer::OnTarget(void* /*self*/, const char* target,
                           MHD_Connection* connection) {
  ExchangeOf(connection).target = target;
  return nullptr;
}

MHD_Result HttpServer::OnRequest(void* self, MHD_Connection* connection,
                                 const char* /*target*/, const char* method,
                                 const char* /*version*/, const char* /*body*/,
                                 size_t* /*body_size*/, void** /*context*/) {
  auto& server = *static_cast<HttpServer*>(self);
  Exchange& exchange = ExchangeOf(connection);
  if (!exchange.reply.has_value()) server.Answer(connection, exchange, method);
  if (!exchange.reply.has_value()) return MHD_YES;  // the page is being made
  server.connections_.Enter(exchange.socket, Stage::kWriting);
  return Queue(*std::move(exchange.reply), connection);
}

void HttpServer::Answer(MHD_Connection* connection, Exchange& exchange,
                        absl::string_view method) {
  const std::pair<absl::string_view, absl::string_view> target =
      absl::StrSplit(exchange.target, absl::MaxSplits('?', 1));
  const auto page = pages_.find(target.first);
  if (page == pages_.end()) {
    exchange.reply = {.status = 404, .body = "There is nothing here.\n"};
  } else if (method != "GET" && method != "HEAD") {
    exchange.reply = {.status = 405, .body = "Only GET and HEAD work here.\n"};
  } else if (page->second.work == HttpPage::Work::kInstant) {
    exchange.reply = page->second.handler(target.second);
  } else if (!connections_.MayWaitForPage(exchange.socket)) {
    exchange.reply = {.status = 503, .body = "Too many requests at once.\n"};
  } else {
    connections_.Enter(exchange.socket, Stage::kWaitingForPage);
    MHD_suspend_connection(connection);
    page_thread_->Run([this, &handler = page->second.handler, &exchange,
                       query = target.second, connection] {
      exchange.reply = handler(query);
      {
        MutexLock lock(mutex_);
        finished_.push_back(connection);  // OnRequest is called again
      }
      Wake();
    });
  }
}

MHD_Result HttpServer::Queue(HttpReply reply, MHD_Connection* connection) {
  auto body = std::make_unique<std::string>(std::move(reply.body));
  MHD_Response* response =
      MHD_create_response_from_buffer_with_free_callback_cls(
          body->size(), body->data(), &FreeBody, body.get());
  if (response == nullptr) return MHD_NO;
  static_cast<void>(body.release());  // FreeBody deletes it
  AddHeaders(reply, *response);
  const MHD_Result queued = MHD_queue_response(
      connection, static_cast<unsigned>(reply.status), response);
  MHD_destroy_response(response);
  return queued;
}

}  // namespace heapsync
