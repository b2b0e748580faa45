#include "heap_adapter/transport/gated_transport.h"

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace heapsync {
namespace {

// Interval at which a closed gate is looked at.
constexpr std::chrono::milliseconds kInterval{100};

}  // namespace

void GatedTransport::Send(HeapRequest request) {
  held_.push_back(std::move(request));
  SendHeld();
}

std::vector<HeapResponse> GatedTransport::Wait(Duration timeout) {
  SendHeld();
  if (!held_.empty()) timeout = std::min<Duration>(timeout, kInterval);
  return transport_.Wait(timeout);
}

void GatedTransport::SendHeld() {
  size_t sent = 0;
  for (; sent < held_.size() && open_(); ++sent) {
    transport_.Send(std::move(held_[sent]));
  }
  held_.erase(held_.begin(), held_.begin() + static_cast<ptrdiff_t>(sent));
}

}  // namespace heapsync
