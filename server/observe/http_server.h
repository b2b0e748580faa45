#ifndef HEAPSYNC_SERVER_OBSERVE_HTTP_SERVER_H_
#define HEAPSYNC_SERVER_OBSERVE_HTTP_SERVER_H_

#include <microhttpd.h>
#include <poll.h>

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "server/net/listening_sockets.h"
#include "server/observe/http_connections.h"
#include "server/observe/http_pages.h"
#include "server/observe/page_thread.h"

namespace heapsync {

// A small HTTP server for people, scrapers and probes: GET and HEAD of fixed
// paths, one request per connection, no request bodies. One thread serves all
// connections and never waits for a client or a page, so that an instant page
// is answered immediately whatever other clients do. HttpLimits and
// kConnectionBytes bound what clients can make it use.
class HttpServer {
 public:
  // Memory of a connection for the head of its request, and for that of its
  // response. A longer head gets an error.
  static constexpr size_t kConnectionBytes = 9 << 10;

  // Listens on `address`, see ListeningSockets. Errors: kUnavailable with the
  // address and the cause.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(
      absl::string_view address, HttpPages pages, HttpLimits limits = {});

  // Waits for the pages that are being made, and a moment for clients to read
  // their responses.
  ~HttpServer();

  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // The port that the server listens on.
  int port() const { return port_; }

 private:
  // A connection's only request. Used by `thread_`, and by the page thread
  // while the connection is suspended.
  struct Exchange {
    int socket = -1;
    std::string target;  // path and query
    std::optional<HttpReply> reply;
  };

  HttpServer(ListeningSockets listeners, HttpPages pages, HttpLimits limits);

  // Callbacks of libmicrohttpd; all are called by `thread_`, or by the
  // destructor after it.
  static void OnConnection(void* self, MHD_Connection* connection,
                           void** context, MHD_ConnectionNotificationCode code);
  static void* OnTarget(void* self, const char* target,
                        MHD_Connection* connection);
  static MHD_Result OnRequest(void* self, MHD_Connection* connection,
                              const char* target, const char* method,
                              const char* version, const char* body,
                              size_t* body_size, void** context);

  static Exchange& ExchangeOf(MHD_Connection* connection);
  // Sets the reply, or suspends the connection and has the page made.
  void Answer(MHD_Connection* connection, Exchange& exchange,
              absl::string_view method);
  static MHD_Result Queue(HttpReply reply, MHD_Connection* connection);

  // Any thread.
  void Wake();
  // Resumes the connections whose pages have been made. False: the server has
  // to stop.
  bool ResumeFinished();
  void Run();
  void FinishResponses();
  // Waits for a new connection at one of `listeners`, for an event of a
  // connection, for the time at which one is overdue, for Wake(), or for
  // `deadline`.
  void Wait(std::vector<pollfd>& listeners,
            std::optional<MonotonicTime> deadline);
  void Accept(int listener);
  void End(int socket);

  const HttpPages pages_;
  const int port_;
  ListeningSockets listeners_;
  int wake_event_ = -1;
  MHD_Daemon* daemon_ = nullptr;
  int daemon_events_ = -1;
  HttpConnections connections_;
  std::map<int, Exchange> exchanges_;  // by socket
  // No connection is accepted before: the process was out of descriptors.
  MonotonicTime accept_again_;
  bool accepted_ = false;  // since the library last ran
  Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<MHD_Connection*> finished_ ABSL_GUARDED_BY(mutex_);
  std::optional<PageThread> page_thread_;
  std::thread thread_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_HTTP_SERVER_H_
