#ifndef HEAPSYNC_TESTS_CLIENT_FAKE_HEAPSYNC_H_
#define HEAPSYNC_TESTS_CLIENT_FAKE_HEAPSYNC_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "heapsync/v1/heap_sync_admin_service.pb.h"
#include "heapsync/v1/heap_sync_service.grpc.pb.h"

namespace heapsync {

// A status with the details that the server attaches to its errors.
grpc::Status RichStatus(
    grpc::StatusCode code, absl::string_view reason,
    std::optional<std::chrono::milliseconds> retry_delay = std::nullopt,
    std::vector<std::pair<std::string, std::string>> field_violations = {});

// How one bulk stream goes wrong.
struct StreamFault {
  // Answered at once, without reading.
  std::optional<grpc::Status> refuse;

  // Ends after this many messages with UNAVAILABLE, or by a reset.
  std::optional<int> break_after_messages;
  bool reset = false;

  // What happened to the last message before the break: stored and answered,
  // stored without an answer, or lost.
  enum class Last { kAnswered, kStored, kLost };
  Last last = Last::kStored;
};

// HeapSyncService over a map, in this process.
class FakeHeapSync {
 public:
  FakeHeapSync();
  ~FakeHeapSync();

  const std::string& address() const { return address_; }

  // Faults of the next streams, one each, then of the next unary calls.
  void AddStreamFault(StreamFault fault);
  void AddUnaryFault(grpc::Status status);

  // Names (identity or account id) for which this holds are refused.
  void Reject(std::function<bool(const std::string&)> predicate);

  // Names for which this holds get a warning each, of which a response lists
  // at most `listed` and counts the others.
  void Warn(std::function<bool(const std::string&)> predicate,
            uint64_t listed = 100);

  // The durable position stays so many items behind what was stored, until
  // the client ends its stream; refusals are told at once.
  void LagBehind(uint64_t items);

  // Answers each Flush, which otherwise finds everything delivered. Called
  // without a lock, with the destination.
  void OnFlush(std::function<grpc::Status(const std::string&)> callback);

  // Answers each GetDestination. Called without a lock.
  void OnGetDestination(
      std::function<grpc::Status(v1::GetDestinationResponse&)> callback);

  // Called after each message of a stream, without a lock.
  void OnMessage(std::function<void(uint64_t items_stored)> callback);

  // Stops serving, breaking every stream; then serves again at the same
  // address with what was stored.
  void Stop();
  void Start();

  // Name by index of the job. Fails the test if an index was ever stored with
  // two different items.
  std::map<uint64_t, std::string> Stored(const std::string& request_id) const;

  // The only job's id. REQUIRES: there is exactly one.
  std::string OnlyRequestId() const;

  // All names in order of index, over all jobs.
  std::vector<std::string> StoredNames() const;

  std::vector<std::string> unary_request_ids() const;
  // What was stored before is new when it comes again.
  void ForgetStored();
  std::vector<v1::TrackEvent> events() const;
  std::vector<uint64_t> start_indices() const;  // of each stream
  std::vector<size_t> message_sizes() const;    // items of each message

 private:
  class Service;
  class AdminService;
  std::unique_ptr<Service> service_;
  std::unique_ptr<AdminService> admin_service_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_ = "127.0.0.1:0";
};

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_CLIENT_FAKE_HEAPSYNC_H_
