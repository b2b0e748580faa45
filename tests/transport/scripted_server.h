#ifndef HEAPSYNC_TESTS_TRANSPORT_SCRIPTED_SERVER_H_
#define HEAPSYNC_TESTS_TRANSPORT_SCRIPTED_SERVER_H_

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/transport/self_signed.h"

namespace heapsync {

// What a ScriptedServer does with one request.
struct Reply {
  enum class ReadFirst { kAll, kHead, kNothing };
  enum class Then { kKeep, kClose, kReset, kHang };

  std::string bytes;  // written as they are
  Then then = Then::kKeep;
  ReadFirst read_first = ReadFirst::kAll;
};

// An answer with Content-Length.
Reply Answer(int status, absl::string_view body,
             absl::string_view extra_headers = "");

// An HTTP/1.1 server on a port of 127.0.0.1 that plays replies in order, over
// whatever connections the requests come, and hangs when it has none left. With
// an identity it speaks TLS.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::vector<Reply> replies,
                          const SelfSigned* identity = nullptr);
  ~ScriptedServer();

  std::string Url(absl::string_view path = "/api/track") const;

  // Since the start. Head and body of each request as far as it was read.
  std::vector<std::string> requests() const;
  int connections() const;

 private:
  class Connection;

  void Accept();
  void Serve(Connection& connection);
  Reply NextReply();

  const SelfSigned* const identity_;
  int listener_ = -1;
  int port_ = 0;

  mutable std::mutex mutex_;
  std::deque<Reply> replies_;
  std::vector<std::string> requests_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_TRANSPORT_SCRIPTED_SERVER_H_
