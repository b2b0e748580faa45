#ifndef HEAPSYNC_SERVER_OBSERVE_HTTP_SERVER_H_
#define HEAPSYNC_SERVER_OBSERVE_HTTP_SERVER_H_

#include <netinet/in.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct mg_connection;
struct mg_context;

namespace heapsync {

struct HttpReply {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  // Resources that a browser may load and run for this page. Default: none.
  std::string content_security_policy = "default-src 'none'";
};

// Answers one path. `query` is what follows the question mark, undecoded. Must
// not throw; called from several threads at once.
using HttpHandler = std::function<HttpReply(absl::string_view query)>;
using HttpHandlers = std::map<std::string, HttpHandler, std::less<>>;

// A small HTTP server for people and scrapers: GET and HEAD of fixed paths, no
// files. Few threads, one request per connection, short requests only, and a
// bounded queue limit the resources that a client can make it use.
class HttpServer {
 public:
  // Listens on `address`, "host:port", where the host is an IPv4 address or a
  // name for one: Debian builds the library without IPv6. Port 0 lets the
  // system choose. Errors: kUnavailable with the address and the cause.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(
      absl::string_view address, HttpHandlers handlers);

  // Waits for the responses that are being written.
  ~HttpServer();

  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // The port that the server listens on.
  int port() const { return ntohs(address_.sin_port); }

 private:
  HttpServer(HttpHandlers handlers, sockaddr_in address);

  static int Serve(mg_connection* connection);
  static int TakeMessage(const mg_connection* connection, const char* message);
  HttpReply Answer(absl::string_view method, absl::string_view path,
                   absl::string_view query) const;

  const HttpHandlers handlers_;
  sockaddr_in address_;      // with the port that was assigned
  std::string start_error_;  // the library's words before Start() returns
  bool starting_ = true;
  mg_context* context_ = nullptr;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_HTTP_SERVER_H_
