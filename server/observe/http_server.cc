#include "server/observe/http_server.h"

#include <arpa/inet.h>
#include <civetweb.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <future>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

// Each thread serves one connection at a time, and an idle connection occupies
// it for three seconds. Enough threads that a few slow or idle clients do not
// lock a scraper out; a waiting thread costs only its stack.
constexpr char kThreads[] = "16";
constexpr char kWaitingConnections[] = "32";
constexpr char kMaxRequest[] = "8192";
// Timeout for reading a request, and between two parts of a response.
constexpr char kTimeoutMilliseconds[] = "3000";

const char* ReasonOf(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 503:
      return "Service Unavailable";
    default:
      return "Error";
  }
}

std::string HeadOf(const HttpReply& response) {
  return absl::StrCat("HTTP/1.1 ", response.status, " ",
                      ReasonOf(response.status),
                      "\r\nContent-Type: ", response.content_type,
                      "\r\nContent-Length: ", response.body.size(),
                      "\r\nCache-Control: no-store"
                      "\r\nX-Content-Type-Options: nosniff"
                      "\r\nX-Frame-Options: DENY"
                      "\r\nReferrer-Policy: no-referrer"
                      "\r\nCross-Origin-Resource-Policy: same-origin"
                      "\r\nContent-Security-Policy: ",
                      response.content_security_policy,
                      response.status == 405 ? "\r\nAllow: GET, HEAD" : "",
                      "\r\nConnection: close\r\n\r\n");
}

absl::string_view ViewOf(const char* text) {
  return text == nullptr ? absl::string_view() : absl::string_view(text);
}

absl::StatusOr<sockaddr_in> Resolve(absl::string_view address) {
  const size_t colon = address.rfind(':');
  uint32_t port = 0;
  if (colon == absl::string_view::npos ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port) || port > 65'535) {
    return absl::UnavailableError(absl::StrCat(address, ": not host:port"));
  }
  const std::string host(address.substr(0, colon));
  if (absl::StartsWith(host, "[")) {
    return absl::UnavailableError(
        absl::StrCat(address, ": HTTP is served over IPv4 only"));
  }
  const addrinfo hints{.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  const int failure = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (failure != 0) {
    return absl::UnavailableError(
        absl::StrCat(address, ": ", gai_strerror(failure)));
  }
  sockaddr_in resolved = *reinterpret_cast<const sockaddr_in*>(found->ai_addr);
  freeaddrinfo(found);
  resolved.sin_port = htons(static_cast<uint16_t>(port));
  return resolved;
}

std::string Numeric(const sockaddr_in& address) {
  std::array<char, INET_ADDRSTRLEN> text{};
  inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
  return absl::StrCat(text.data(), ":", ntohs(address.sin_port));
}

// Connects to our own listener to wake its accept loop.
void Touch(const sockaddr_in& address) {
  const int knocking =
      socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (knocking < 0) return;
  // A failure makes no difference.
  (void)connect(knocking, reinterpret_cast<const sockaddr*>(&address),
                sizeof(address));
  close(knocking);
}

}  // namespace

HttpServer::HttpServer(HttpHandlers handlers, sockaddr_in address)
    : handlers_(std::move(handlers)), address_(address) {
  mg_init_library(0);
}

HttpServer::~HttpServer() {
  if (context_ != nullptr) {
    auto stopped =
        std::async(std::launch::async, [this] { mg_stop(context_); });
    // The accepting thread checks for the stop flag only every two seconds and
    // after every connection.
    while (stopped.wait_for(std::chrono::milliseconds(10)) !=
           std::future_status::ready) {
      Touch(address_);
    }
  }
  mg_exit_library();
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(
    absl::string_view address, HttpHandlers handlers) {
  const absl::StatusOr<sockaddr_in> resolved = Resolve(address);
  if (!resolved.ok()) return resolved.status();
  std::unique_ptr<HttpServer> server(
      new HttpServer(std::move(handlers), *resolved));
  const std::string numeric = Numeric(*resolved);
  const char* options[] = {"listening_ports",
                           numeric.c_str(),
                           "num_threads",
                           kThreads,
                           "connection_queue",
                           kWaitingConnections,
                           "listen_backlog",
                           kWaitingConnections,
                           "max_request_size",
                           kMaxRequest,
                           "request_timeout_ms",
                           kTimeoutMilliseconds,
                           "enable_keep_alive",
                           "no",
                           "enable_directory_listing",
                           "no",
                           "decode_url",
                           "no",
                           nullptr};
  mg_callbacks callbacks{};
  callbacks.begin_request = &HttpServer::Serve;
  callbacks.log_message = &HttpServer::TakeMessage;
  server->context_ = mg_start(&callbacks, server.get(), options);
  if (server->context_ == nullptr) {
    return absl::UnavailableError(
        absl::StrCat(address, ": ", server->start_error_));
  }
  server->starting_ = false;
  mg_server_port port{};
  if (mg_get_server_ports(server->context_, 1, &port) == 1) {
    server->address_.sin_port = htons(static_cast<uint16_t>(port.port));
  }
  return server;
}

int HttpServer::TakeMessage(const mg_connection* connection,
                            const char* message) {
  // After the start, messages only report clients' errors and quote the
  // clients.
  auto* server =
      static_cast<HttpServer*>(mg_get_user_data(mg_get_context(connection)));
  if (server != nullptr && server->starting_) {
    absl::StrAppend(&server->start_error_,
                    server->start_error_.empty() ? "" : "; ", message);
  }
  return 1;
}

int HttpServer::Serve(mg_connection* connection) {
  const auto& server = *static_cast<const HttpServer*>(
      mg_get_user_data(mg_get_context(connection)));
  const mg_request_info& request = *mg_get_request_info(connection);
  const absl::string_view method = ViewOf(request.request_method);
  const HttpReply response = server.Answer(
      method, ViewOf(request.local_uri_raw), ViewOf(request.query_string));
  const std::string head = HeadOf(response);
  mg_write(connection, head.data(), head.size());
  if (method != "HEAD") {
    mg_write(connection, response.body.data(), response.body.size());
  }
  return response.status;
}

HttpReply HttpServer::Answer(absl::string_view method, absl::string_view path,
                             absl::string_view query) const {
  const auto handler = handlers_.find(path);
  if (handler == handlers_.end()) {
    return {.status = 404, .body = "There is nothing here.\n"};
  }
  if (method != "GET" && method != "HEAD") {
    return {.status = 405, .body = "Only GET and HEAD work here.\n"};
  }
  return handler->second(query);
}

}  // namespace heapsync
