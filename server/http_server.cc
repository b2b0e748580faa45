#include "server/http_server.h"

#include <civetweb.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

// Two, so that one slow reader does not keep a scraper out.
constexpr char kThreads[] = "2";
constexpr char kWaitingConnections[] = "32";
constexpr char kLongestRequest[] = "8192";
// For reading a request, and between two pieces of an answer.
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

std::string HeadOf(const HttpResponse& response) {
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

}  // namespace

HttpServer::HttpServer(HttpHandlers handlers) : handlers_(std::move(handlers)) {
  mg_init_library(0);
}

HttpServer::~HttpServer() {
  if (context_ != nullptr) mg_stop(context_);
  mg_exit_library();
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(
    absl::string_view address, HttpHandlers handlers) {
  // The library reads a comma as the start of a second address.
  if (address.find(',') != absl::string_view::npos) {
    return absl::UnavailableError(absl::StrCat(address, ": not one address"));
  }
  std::unique_ptr<HttpServer> server(new HttpServer(std::move(handlers)));
  const std::string port_text(address);
  const char* options[] = {"listening_ports",
                           port_text.c_str(),
                           "num_threads",
                           kThreads,
                           "connection_queue",
                           kWaitingConnections,
                           "listen_backlog",
                           kWaitingConnections,
                           "max_request_size",
                           kLongestRequest,
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
    server->port_ = port.port;
  }
  return server;
}

int HttpServer::TakeMessage(const mg_connection* connection,
                            const char* message) {
  // Afterwards it only tells of what clients do wrong, in their own words.
  auto* server =
      static_cast<HttpServer*>(mg_get_user_data(mg_get_context(connection)));
  if (server != nullptr && server->starting_) server->start_error_ = message;
  return 1;
}

int HttpServer::Serve(mg_connection* connection) {
  const auto& server = *static_cast<const HttpServer*>(
      mg_get_user_data(mg_get_context(connection)));
  const mg_request_info& request = *mg_get_request_info(connection);
  const absl::string_view method = ViewOf(request.request_method);
  const HttpResponse response = server.Answer(
      method, ViewOf(request.local_uri_raw), ViewOf(request.query_string));
  const std::string head = HeadOf(response);
  mg_write(connection, head.data(), head.size());
  if (method != "HEAD") {
    mg_write(connection, response.body.data(), response.body.size());
  }
  return response.status;
}

HttpResponse HttpServer::Answer(absl::string_view method,
                                absl::string_view path,
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
