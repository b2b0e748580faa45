#ifndef HEAPSYNC_TESTS_SPOOL_POSTGRES_CONNECTION_CUTTER_H_
#define HEAPSYNC_TESTS_SPOOL_POSTGRES_CONNECTION_CUTTER_H_

#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace heapsync {

// A TCP proxy on loopback that cuts or holds up a connection when a certain
// text passes towards the server. Any thread.
class ConnectionCutter {
 public:
  explicit ConnectionCutter(int server_port);
  ~ConnectionCutter();

  int port() const { return port_; }

  enum class Fate {
    kCutBefore,  // the server never sees the text, nor what came with it
    kCutWithin,  // the server sees what came before the text
    kCutAfter,   // the server has answered; the client never sees that
    kHold,       // the server sees the text at Release(), or never
  };
  // What happens to the connection on which `text` comes next.
  void Arm(std::string text, Fate fate);
  // Number of connections that met their fate.
  int met() const;
  // Lets go what was held, and waits until the server has answered it.
  void Release();
  // From now on connections are refused, and open ones are cut.
  void Refuse(bool refuse);
  // Number of connections that were.
  int refused() const;

 private:
  void Accept();
  void Serve(int client);

  const int server_port_;
  int listener_ = -1;
  int port_ = 0;
  mutable Mutex mutex_;
  CondVar changed_;
  std::string text_ ABSL_GUARDED_BY(mutex_);
  Fate fate_ ABSL_GUARDED_BY(mutex_) = Fate::kCutBefore;
  int met_ ABSL_GUARDED_BY(mutex_) = 0;
  int held_ ABSL_GUARDED_BY(mutex_) = 0;
  bool release_ ABSL_GUARDED_BY(mutex_) = false;
  int refused_ ABSL_GUARDED_BY(mutex_) = 0;
  bool refuse_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  std::thread accepting_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_SPOOL_POSTGRES_CONNECTION_CUTTER_H_
