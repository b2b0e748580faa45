#ifndef HEAPSYNC_TESTS_FAKE_HEAP_HTTP_SESSION_H_
#define HEAPSYNC_TESTS_FAKE_HEAP_HTTP_SESSION_H_

#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "heap_adapter/model/destination.h"
#include "tests/fake_heap/heap_simulator.h"

namespace heapsync::fake_heap {

// State shared by all sessions. Outlives them.
struct SessionWorld {
  HeapSimulator& simulator;
  const Clock& clock;
  size_t max_body_bytes;
};

// Serves one connection until either side ends it. The session keeps itself
// alive through its pending operations; all of it runs on the thread of the
// socket's context, of which there must be only one.
void StartHttpSession(boost::asio::ip::tcp::socket socket, Region region,
                      uint64_t number, const SessionWorld& world);

}  // namespace heapsync::fake_heap

#endif  // HEAPSYNC_TESTS_FAKE_HEAP_HTTP_SESSION_H_
