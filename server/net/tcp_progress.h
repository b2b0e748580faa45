#ifndef HEAPSYNC_SERVER_NET_TCP_PROGRESS_H_
#define HEAPSYNC_SERVER_NET_TCP_PROGRESS_H_

#include <cstdint>

#include "base/clock.h"

namespace heapsync {

// The system's view of a TCP connection.
struct TcpProgress {
  // Bytes received since it was opened, read or not. Zero if the system does
  // not count them.
  uint64_t received = 0;

  // Time for which the other end has owed the next bytes. Zero if it was the
  // last to send, so that this server keeps it waiting.
  Duration silence = Duration::zero();
};

TcpProgress ReadTcpProgress(int connection);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_NET_TCP_PROGRESS_H_
