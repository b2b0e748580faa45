#ifndef HEAPSYNC_TESTS_FAKE_HEAP_FAKE_HEAP_SERVER_H_
#define HEAPSYNC_TESTS_FAKE_HEAP_FAKE_HEAP_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "heap_adapter/model/destination.h"
#include "tests/fake_heap/heap_simulator.h"

namespace heapsync::fake_heap {

struct ServerOptions {
  // "address:port"; port 0 takes a free one.
  std::string listen_us = "127.0.0.1:0";
  std::string listen_eu = "127.0.0.1:0";
  // Larger bodies get 413.
  size_t max_body_bytes = size_t{64} << 20;
  SimulatorOptions simulator;
  // Stamps arrivals and measures limits; must outlive the server. Delays of the
  // fault script are real time whatever this is.
  const Clock* clock = &SystemClock();
};

// Heap on two local ports, one for each region, over plain HTTP. One thread of
// its own does all the work. Methods may be called from any other thread.
class FakeHeapServer {
 public:
  // Listens once it returns. Errors: kInvalidArgument for an address that is
  // none, kUnavailable where it cannot be listened on.
  static absl::StatusOr<std::unique_ptr<FakeHeapServer>> Start(
      ServerOptions options);

  // Drops all connections and waits for the thread.
  ~FakeHeapServer();

  // "127.0.0.1:41234", as it was bound.
  std::string address(Region region) const;
  uint16_t port(Region region) const;
  // "http://127.0.0.1:41234"
  std::string url(Region region) const;

  // The same as PUT and DELETE of /_fake/faults and DELETE of /_fake/state.
  absl::Status SetFaults(absl::string_view script);
  void ClearFaults();
  void ClearState();

  // The response of GET to a target such as "/_fake/summary". REQUIRES: it is
  // one that answers JSON.
  nlohmann::json Ask(absl::string_view target);

  // Runs `look` on the server's thread, between two requests, and waits for it.
  void Inspect(absl::FunctionRef<void(HeapSimulator&)> look);

 private:
  class EventLoop;
  explicit FakeHeapServer(std::unique_ptr<EventLoop> loop);
  const std::unique_ptr<EventLoop> loop_;
};

}  // namespace heapsync::fake_heap

#endif  // HEAPSYNC_TESTS_FAKE_HEAP_FAKE_HEAP_SERVER_H_
