#ifndef HEAPSYNC_SERVER_OBSERVE_HTTP_PAGES_H_
#define HEAPSYNC_SERVER_OBSERVE_HTTP_PAGES_H_

#include <functional>
#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace heapsync {

struct HttpReply {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  // Resources that a browser may load and run for this page. Default: none.
  std::string content_security_policy = "default-src 'none'";
};

// Answers one path. `query` is what follows the question mark, undecoded. Must
// not throw.
using HttpHandler = std::function<HttpReply(absl::string_view query)>;

struct HttpPage {
  enum class Work {
    kInstant,  // answered between two events of the server's thread
    kMayWait,  // made by a thread of its own, one page after another
  };

  Work work = Work::kInstant;
  HttpHandler handler;
};

// By path, such as "/metrics".
using HttpPages = std::map<std::string, HttpPage, std::less<>>;

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_HTTP_PAGES_H_
