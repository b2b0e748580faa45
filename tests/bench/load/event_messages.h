#ifndef HEAPSYNC_TESTS_BENCH_LOAD_EVENT_MESSAGES_H_
#define HEAPSYNC_TESTS_BENCH_LOAD_EVENT_MESSAGES_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <cstddef>
#include <string>
#include <vector>

#include "heapsync/v1/heap_sync_service.pb.h"

namespace heapsync::bench {

// The load: events of about 250 bytes with five properties, as serialized
// messages that were made before the clock started, so that the sender takes as
// little of the machine as it can. Every server gets the same ones.
class EventMessages {
 public:
  // `chunks` different messages of `chunk_events` events each.
  EventMessages(size_t chunks, size_t chunk_events);

  size_t chunk_events() const { return chunk_events_; }
  double mean_event_bytes() const { return mean_event_bytes_; }

  // The n-th message of a bulk stream; the first one carries `settings`.
  grpc::ByteBuffer Chunk(size_t n) const;
  grpc::ByteBuffer FirstChunk(size_t n,
                              const v1::BulkTrackEventsRequest& settings) const;
  // The same request as Single(0), as a person would write it.
  const std::string& single_json() const { return single_json_; }
  // A request of TrackEvent.
  grpc::ByteBuffer Single(size_t n) const;

 private:
  const size_t chunk_events_;
  double mean_event_bytes_ = 0;
  std::vector<grpc::Slice> chunks_;
  std::vector<grpc::Slice> singles_;
  std::string single_json_;
};

}  // namespace heapsync::bench

#endif  // HEAPSYNC_TESTS_BENCH_LOAD_EVENT_MESSAGES_H_
