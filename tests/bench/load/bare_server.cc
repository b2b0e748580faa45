#include "tests/bench/load/bare_server.h"

#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <memory>

#include "base/mutex.h"
#include "heapsync/v1/heap_sync_service.grpc.pb.h"
#include "tests/bench/load/group_sync.h"

namespace heapsync::bench {
namespace {

constexpr char kReceipt[] = "r1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
constexpr char kKey[] = "7d444840-9dc0-41d1-b245-5ffdce74fad2";

using Request = v1::BulkTrackEventsRequest;
using Response = v1::BulkTrackEventsResponse;

// Reads on while an answer is being written, and puts what happened meanwhile
// into the next, as the real server does.
class BareStream final : public grpc::ServerBidiReactor<Request, Response> {
 public:
  BareStream() { StartRead(&request_); }

  void OnReadDone(bool ok) override {
    bool write = false;
    bool finish = false;
    {
      MutexLock lock(mutex_);
      if (ok) {
        received_ += static_cast<uint64_t>(request_.events_size());
        news_ = true;
      } else {
        half_closed_ = true;
      }
      write = PrepareWrite();
      finish = PrepareFinish();
    }
    if (write) StartWrite(&response_);
    if (ok) StartRead(&request_);
    if (finish) Finish(grpc::Status::OK);
  }

  void OnWriteDone(bool) override {
    bool write = false;
    bool finish = false;
    {
      MutexLock lock(mutex_);
      writing_ = false;
      write = PrepareWrite();
      finish = PrepareFinish();
    }
    if (write) StartWrite(&response_);
    if (finish) Finish(grpc::Status::OK);
  }

  void OnDone() override { delete this; }

 private:
  bool PrepareWrite() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || !news_) return false;
    writing_ = true;
    news_ = false;
    response_.set_received(received_);
    response_.set_accepted(received_);
    response_.set_durable_position(received_);
    response_.set_ack_level(v1::ACK_LEVEL_DURABLE);
    response_.set_receipt(kReceipt);
    return true;
  }
  bool PrepareFinish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!half_closed_ || writing_ || finished_) return false;
    finished_ = true;
    return true;
  }

  Request request_;
  Response response_;
  Mutex mutex_;
  uint64_t received_ ABSL_GUARDED_BY(mutex_) = 0;
  bool news_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

void FillAnswer(v1::TrackEventResponse& response) {
  response.set_receipt(kReceipt);
  response.set_idempotency_key(kKey);
  response.set_ack_level(v1::ACK_LEVEL_DURABLE);
}

class BareService final : public v1::HeapSyncService::CallbackService {
 public:
  grpc::ServerUnaryReactor* TrackEvent(
      grpc::CallbackServerContext* context, const v1::TrackEventRequest*,
      v1::TrackEventResponse* response) override {
    FillAnswer(*response);
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerBidiReactor<Request, Response>* BulkTrackEvents(
      grpc::CallbackServerContext*) override {
    return new BareStream();
  }
};

class SyncedService final : public v1::HeapSyncService::CallbackService {
 public:
  explicit SyncedService(GroupSync& file) : file_(file) {}

  grpc::ServerUnaryReactor* TrackEvent(
      grpc::CallbackServerContext* context,
      const v1::TrackEventRequest* request,
      v1::TrackEventResponse* response) override {
    FillAnswer(*response);
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    if (!file_.Append(request->SerializeAsString(),
                      [reactor] { reactor->Finish(grpc::Status::OK); })) {
      reactor->Finish(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                                   "too many calls wait for the disk"));
    }
    return reactor;
  }

 private:
  GroupSync& file_;
};

int Serve(grpc::Service& service) {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  std::fprintf(stderr, "{\"message\":\"serving\",\"port\":%d}\n", port);
  server->Wait();
  return 0;
}

}  // namespace

int RunBareServer() {
  BareService service;
  return Serve(service);
}

int RunSyncedServer(const std::string& folder) {
  GroupSync file(folder + "/requests");
  SyncedService service(file);
  return Serve(service);
}

}  // namespace heapsync::bench
