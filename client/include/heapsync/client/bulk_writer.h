#ifndef HEAPSYNC_CLIENT_BULK_WRITER_H_
#define HEAPSYNC_CLIENT_BULK_WRITER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "heapsync/client/client.h"
#include "heapsync/client/retry_policy.h"
#include "heapsync/v1/heap_sync_service.pb.h"
#include "heapsync/v1/items.pb.h"

namespace heapsync {

struct BulkWriterOptions {
  // Name of a configured Heap environment. Empty: the server's default.
  std::string destination;

  // With ACK_LEVEL_DELIVERED, Finish() waits until Heap took everything.
  v1::AckLevel ack_level = v1::ACK_LEVEL_DURABLE;

  // Nothing is stored: items are only judged, and all of the totals but
  // `rejected` say what would be.
  bool validate_only = false;

  // Names the whole job. Empty: a random one. To go on with a job in another
  // process, give the same id, and as `start_index` its durable_position().
  std::string request_id;
  uint64_t start_index = 0;

  // A message is sent when it holds this much, or when its first item waited
  // for `linger`. Larger: less work per item, more to repeat after a break. At
  // most 10,000 items; one item above the bytes travels alone.
  size_t max_chunk_items = 500;
  size_t max_chunk_bytes = 256 * 1024;
  std::chrono::milliseconds linger{20};

  // The maximum in flight without being durable yet; it is kept in memory to be
  // sent again. Larger: more throughput over long distances.
  size_t max_unacknowledged_items = 50'000;
  size_t max_unacknowledged_bytes = 16 * 1024 * 1024;

  // The job fails when connections break for this long and nothing becomes
  // durable in between.
  std::chrono::milliseconds give_up_after{300'000};

  RetryPolicy retry;

  // Called once for each refused item, before durable_position() passes it.
  // Runs on the thread that is inside a member function of the writer, never
  // concurrently, and must not call the writer.
  std::function<void(const v1::RejectedItem&)> on_rejected;

  // Called once for each item with input that is allowed but probably not
  // meant, as `on_rejected` is.
  std::function<void(const v1::WarnedItem&)> on_warned;

  // Called, in the same way, for warnings that the server only counted. See
  // BulkTotals::warnings_are_partial.
  std::function<void(const v1::UnlistedWarnings&)> on_unlisted_warnings;
};

// Counts of one writer, without what came before its `start_index`.
struct BulkTotals {
  uint64_t added = 0;
  uint64_t accepted = 0;  // known to be durable
  uint64_t rejected = 0;

  // With ACK_LEVEL_DELIVERED. After a broken connection the server no longer
  // reports on items that were durable before, and `ack_level` says DURABLE.
  uint64_t delivered = 0;
  uint64_t dead_lettered = 0;
  v1::AckLevel ack_level = v1::ACK_LEVEL_DURABLE;

  // After a broken connection a count of unlisted warnings mixed items that
  // were reported before with others: only its last item was reported.
  bool warnings_are_partial = false;

  uint64_t reconnects = 0;

  // Why nothing moves at present; empty while connected.
  std::optional<absl::Status> outage;
};

// Streams any number of items, in order, with bounded memory. When the
// connection breaks it connects again and repeats what is not durable yet under
// the same request id and indices, so that nothing is lost or doubled.
//
// Item is a message of items.proto that is an item, such as v1::TrackEvent. One
// thread at a time may call a writer; it has threads of its own for the stream.
// Destroyed before Finish(), it cancels the stream: items that are not durable
// may or may not arrive.
template <typename Item>
class BulkWriter {
 public:
  // `client` may be destroyed before the writer.
  BulkWriter(const Client& client, BulkWriterOptions options);
  ~BulkWriter();
  BulkWriter(const BulkWriter&) = delete;
  BulkWriter& operator=(const BulkWriter&) = delete;

  // Takes the item, waiting for room. Errors are final: the job failed.
  absl::Status Add(Item item);

  // The same with bounded waiting: false if there was no room, and `item` is
  // left as it was. Zero never waits.
  absl::StatusOr<bool> AddFor(Item& item, std::chrono::milliseconds patience);

  // Waits until durable_position() reaches `position`; false if it did not in
  // time. Sends what lingers.
  absl::StatusOr<bool> WaitDurableFor(uint64_t position,
                                      std::chrono::milliseconds patience);

  // Says that no item follows, and waits for the end of the job. Nothing may be
  // added afterwards. Repeated calls give the same result.
  absl::StatusOr<BulkTotals> Finish();

  // The same with bounded waiting: empty if the job has not ended in time.
  std::optional<absl::StatusOr<BulkTotals>> FinishFor(
      std::chrono::milliseconds patience);

  // Everything with an index below this is durable or was given to
  // `on_rejected`. Moves only within calls of the functions above.
  uint64_t durable_position() const;

  BulkTotals totals() const;
  const std::string& request_id() const;

 private:
  class Session;
  std::unique_ptr<Session> session_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_BULK_WRITER_H_
