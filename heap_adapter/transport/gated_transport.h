#ifndef HEAPSYNC_HEAP_ADAPTER_TRANSPORT_GATED_TRANSPORT_H_
#define HEAPSYNC_HEAP_ADAPTER_TRANSPORT_GATED_TRANSPORT_H_

#include <functional>
#include <utility>
#include <vector>

#include "heap_adapter/transport/transport.h"

namespace heapsync {

// A decorator that sends requests only while a gate is open. What comes while
// it is closed is held, in its order, and sent once it is open again.
class GatedTransport final : public Transport {
 public:
  // `open` is called by the thread of Send() and Wait(), before each request.
  // `transport` must outlive this.
  GatedTransport(Transport& transport, std::function<bool()> open)
      : transport_(transport), open_(std::move(open)) {}

  void Send(HeapRequest request) override;
  // One that is held is not given up: it was not sent.
  void GiveUp(uint64_t request_id) override { transport_.GiveUp(request_id); }
  std::vector<HeapResponse> Wait(Duration timeout) override;
  void Wake() override { transport_.Wake(); }

 private:
  void SendHeld();

  Transport& transport_;
  const std::function<bool()> open_;
  std::vector<HeapRequest> held_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_TRANSPORT_GATED_TRANSPORT_H_
