#include "server/net/tcp_progress.h"

// The C library's <netinet/tcp.h> ends before the counters of bytes, and cannot
// be included beside this.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <cstddef>

namespace heapsync {

TcpProgress ReadTcpProgress(int connection) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  constexpr size_t kEnd = offsetof(tcp_info, tcpi_bytes_received) +
                          sizeof(info.tcpi_bytes_received);
  if (getsockopt(connection, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
      size < kEnd) {
    return {};
  }
  TcpProgress progress{.received = info.tcpi_bytes_received};
  // Both are times ago, and run from the opening if nothing was sent.
  if (info.tcpi_last_data_sent <= info.tcpi_last_data_recv ||
      info.tcpi_bytes_received == 0) {
    progress.silence = std::chrono::milliseconds(info.tcpi_last_data_sent);
  }
  return progress;
}

}  // namespace heapsync
