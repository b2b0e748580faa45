#ifndef HEAPSYNC_TESTS_SERVER_ADMIN_WORLD_H_
#define HEAPSYNC_TESTS_SERVER_ADMIN_WORLD_H_

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/error_info.pb.h"
#include "google/rpc/status.pb.h"
#include "heap_adapter/engines.h"
#include "heap_adapter/transport/transport.h"
#include "heapsync/v1/heap_sync_admin_service.grpc.pb.h"
#include "heapsync/v1/heap_sync_service.grpc.pb.h"
#include "server/access/access.h"
#include "server/admin/admin_service.h"
#include "server/data/data_service.h"
#include "tests/spool/memory_store.h"

namespace heapsync {

// Heap as a function from request to answer. Any thread may ask what came.
class ScriptedTransport final : public Transport {
 public:
  // The status to answer with, and the body; none: no answer comes.
  using Script = std::function<std::optional<HttpResponse>(const HeapRequest&)>;

  void Follow(Script script);
  // Bodies that came so far and contain `text`.
  size_t CountBodies(absl::string_view text);

  void Send(HeapRequest request) override;
  std::vector<HeapResponse> Wait(Duration timeout) override;
  void Wake() override;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Script script_;
  std::vector<std::string> bodies_;
  std::vector<HeapResponse> answers_;
  bool woken_ = false;
};

// What an error says, decoded.
struct ErrorSeen {
  grpc::StatusCode code = grpc::StatusCode::OK;
  std::string reason;
  std::map<std::string, std::string> violations;  // path → reason
  bool has_retry = false;
  std::string resource;
};
ErrorSeen SeenIn(const grpc::Status& status);

// Both services over a spool in memory and a scripted Heap, on a free port.
class AdminWorld {
 public:
  AdminWorld();
  ~AdminWorld();

  // Stops the server and the engine as at an orderly end, and starts anew on
  // the same spool.
  void Restart();

  ScriptedTransport& heap() { return *heap_; }
  MemoryStore& store() { return store_; }
  Engine& engine() { return (*engines_)[0]; }
  Access& access() { return access_; }
  v1::HeapSyncAdminService::Stub& admin() { return *admin_stub_; }
  v1::HeapSyncService::Stub& data() { return *data_stub_; }

  // Receipts of one accepted item.
  std::string Track(const std::string& identity, const std::string& event,
                    const std::string& destination = "",
                    const std::string& caller = "");
  std::string SetUser(const std::string& identity, const std::string& key,
                      const std::string& value);

  // Waits until all is delivered or dead-lettered.
  void Flush();
  v1::GetDeliveryResponse Delivery(const std::string& receipt);
  // The one item of a receipt.
  v1::ItemDelivery Item(const std::string& receipt);
  v1::Destination Destination(const std::string& name = "");
  void Pause(const std::string& destination = "");
  void Resume(const std::string& destination = "");

  // Calls an admin RPC; the test fails if it does. Fail() wants it to.
  template <typename Request, typename Response>
  Response Call(grpc::Status (v1::HeapSyncAdminService::Stub::*method)(
                    grpc::ClientContext*, const Request&, Response*),
                const Request& request);
  template <typename Request, typename Response>
  ErrorSeen Fail(grpc::Status (v1::HeapSyncAdminService::Stub::*method)(
                     grpc::ClientContext*, const Request&, Response*),
                 const Request& request);

 private:
  void Start();
  void Stop();

  MemoryStore store_;
  std::unique_ptr<ScriptedTransport> heap_;
  std::unique_ptr<Engines> engines_;
  Access access_;
  std::unique_ptr<DataService> data_;
  std::unique_ptr<AdminService> admin_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::HeapSyncService::Stub> data_stub_;
  std::unique_ptr<v1::HeapSyncAdminService::Stub> admin_stub_;
};

void ExpectOk(const grpc::Status& status);

template <typename Request, typename Response>
Response AdminWorld::Call(
    grpc::Status (v1::HeapSyncAdminService::Stub::*method)(grpc::ClientContext*,
                                                           const Request&,
                                                           Response*),
    const Request& request) {
  grpc::ClientContext context;
  Response response;
  ExpectOk((*admin_stub_.*method)(&context, request, &response));
  return response;
}

template <typename Request, typename Response>
ErrorSeen AdminWorld::Fail(
    grpc::Status (v1::HeapSyncAdminService::Stub::*method)(grpc::ClientContext*,
                                                           const Request&,
                                                           Response*),
    const Request& request) {
  grpc::ClientContext context;
  Response response;
  return SeenIn((*admin_stub_.*method)(&context, request, &response));
}

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_SERVER_ADMIN_WORLD_H_
