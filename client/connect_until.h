#ifndef HEAPSYNC_CLIENT_CONNECT_UNTIL_H_
#define HEAPSYNC_CLIENT_CONNECT_UNTIL_H_

#include <grpcpp/channel.h>

#include <chrono>

namespace heapsync {

// Connects a channel that is not connected, for as long as `deadline` is not
// reached. Returns true once it is connected.
//
// To be used between two calls instead of sleeping: a connection makes progress
// only while some thread waits for its channel, so a TLS handshake would
// otherwise time out while nobody calls, and the next call would fail.
// Thread-safe.
bool ConnectUntil(grpc::Channel& channel,
                  std::chrono::system_clock::time_point deadline);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CONNECT_UNTIL_H_
