#include "tests/client/fake_heapsync.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/error_info.pb.h>
#include <google/rpc/status.pb.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "heapsync/v1/heap_sync_admin_service.grpc.pb.h"

namespace heapsync {
namespace {

const std::string& NameOf(const v1::TrackEvent& item) {
  return item.identity();
}
const std::string& NameOf(const v1::UserProperties& item) {
  return item.identity();
}
const std::string& NameOf(const v1::AccountProperties& item) {
  return item.account_id();
}
const auto& ItemsOf(const v1::BulkTrackEventsRequest& request) {
  return request.events();
}
const auto& ItemsOf(const v1::BulkUserPropertiesRequest& request) {
  return request.users();
}
const auto& ItemsOf(const v1::BulkAccountPropertiesRequest& request) {
  return request.accounts();
}

}  // namespace

grpc::Status RichStatus(
    grpc::StatusCode code, absl::string_view reason,
    std::optional<std::chrono::milliseconds> retry_delay,
    std::vector<std::pair<std::string, std::string>> field_violations) {
  google::rpc::Status status;
  status.set_code(code);
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain("heapsync");
  status.add_details()->PackFrom(info);
  if (retry_delay) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_nanos(
        static_cast<int32_t>(retry_delay->count() * 1'000'000));
    status.add_details()->PackFrom(retry);
  }
  if (!field_violations.empty()) {
    google::rpc::BadRequest bad_request;
    for (const auto& [field, description] : field_violations) {
      auto& violation = *bad_request.add_field_violations();
      violation.set_field(field);
      violation.set_description(description);
    }
    status.add_details()->PackFrom(bad_request);
  }
  return grpc::Status(code, "refused", status.SerializeAsString());
}

class FakeHeapSync::Service : public v1::HeapSyncService::Service {
 public:
  grpc::Status TrackEvent(grpc::ServerContext*,
                          const v1::TrackEventRequest* request,
                          v1::TrackEventResponse* response) override {
    const std::lock_guard lock(mutex);
    if (request->validate_only()) {
      response->set_preview_json("{\"events\":[]}");
    } else {
      response->set_receipt("receipt-1");
      response->set_ack_level(request->ack_level());
      response->set_idempotency_key(request->request_id());
    }
    return Unary(request->request_id(), NameOf(request->event()),
                 &request->event());
  }

  grpc::Status UserProperties(grpc::ServerContext*,
                              const v1::UserPropertiesRequest* request,
                              v1::UserPropertiesResponse* response) override {
    const std::lock_guard lock(mutex);
    response->set_receipt("receipt-2");
    response->set_ack_level(v1::ACK_LEVEL_DURABLE);
    return Unary(request->request_id(), NameOf(request->user()), nullptr);
  }

  grpc::Status AccountProperties(
      grpc::ServerContext*, const v1::AccountPropertiesRequest* request,
      v1::AccountPropertiesResponse* response) override {
    const std::lock_guard lock(mutex);
    response->set_receipt("receipt-3");
    response->set_ack_level(v1::ACK_LEVEL_DURABLE);
    return Unary(request->request_id(), NameOf(request->account()), nullptr);
  }

  grpc::Status BulkTrackEvents(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::BulkTrackEventsResponse,
                               v1::BulkTrackEventsRequest>* stream) override {
    return Bulk(context, stream);
  }
  grpc::Status BulkUserProperties(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::BulkUserPropertiesResponse,
                               v1::BulkUserPropertiesRequest>* stream)
      override {
    return Bulk(context, stream);
  }
  grpc::Status BulkAccountProperties(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::BulkAccountPropertiesResponse,
                               v1::BulkAccountPropertiesRequest>* stream)
      override {
    return Bulk(context, stream);
  }

  std::mutex mutex;
  std::deque<StreamFault> stream_faults;
  std::deque<grpc::Status> unary_faults;
  std::function<bool(const std::string&)> reject;
  std::function<bool(const std::string&)> warn;
  int listed_warnings = 100;
  uint64_t lag = 0;
  std::function<void(uint64_t)> on_message;
  std::map<std::string, std::map<uint64_t, std::string>> stored;
  std::vector<std::string> unary_request_ids;
  std::vector<v1::TrackEvent> events;
  std::vector<uint64_t> start_indices;
  std::vector<size_t> message_sizes;
  bool conflict = false;

 private:
  // REQUIRES: mutex
  grpc::Status Unary(const std::string& request_id, const std::string& name,
                     const v1::TrackEvent* event) {
    unary_request_ids.push_back(request_id);
    if (!unary_faults.empty()) {
      grpc::Status fault = unary_faults.front();
      unary_faults.pop_front();
      return fault;
    }
    stored[request_id][0] = name;
    if (event != nullptr) events.push_back(*event);
    return grpc::Status::OK;
  }

  template <typename Response, typename Request>
  grpc::Status Bulk(grpc::ServerContext* context,
                    grpc::ServerReaderWriter<Response, Request>* stream) {
    StreamFault fault;
    {
      const std::lock_guard lock(mutex);
      if (!stream_faults.empty()) {
        fault = stream_faults.front();
        stream_faults.pop_front();
      }
    }
    if (fault.refuse) return *fault.refuse;
    std::string request_id;
    uint64_t start = 0, next = 0, rejected = 0;
    bool validate_only = false;
    Request request;
    for (int messages = 0;; ++messages) {
      if (fault.break_after_messages == messages) {
        if (fault.reset) context->TryCancel();
        return {grpc::StatusCode::UNAVAILABLE, "broken"};
      }
      if (!stream->Read(&request)) break;
      std::unique_lock lock(mutex);
      if (messages == 0) {
        request_id = request.request_id();
        start = next = request.start_index();
        start_indices.push_back(start);
        validate_only = request.validate_only();
      } else if (!request.request_id().empty() || request.start_index() != 0) {
        return {grpc::StatusCode::INVALID_ARGUMENT,
                "the head belongs to the first message"};
      }
      if (ItemsOf(request).empty()) {
        return {grpc::StatusCode::INVALID_ARGUMENT, "empty message"};
      }
      message_sizes.push_back(ItemsOf(request).size());
      const bool last = fault.break_after_messages == messages + 1;
      if (last && fault.last == StreamFault::Last::kLost) continue;
      Response response;
      for (const auto& item : ItemsOf(request)) {
        const std::string& name = NameOf(item);
        if (warn && warn(name)) {
          if (response.warned_items_size() < listed_warnings) {
            v1::WarnedItem& warned = *response.add_warned_items();
            warned.set_index(next);
            v1::FieldViolation& warning = *warned.add_warnings();
            warning.set_field(absl::StrCat("events[", next, "].timestamp"));
            warning.set_reason("TIMESTAMP_IMPLAUSIBLE");
          } else {
            if (response.unlisted_warnings_size() == 0) {
              response.add_unlisted_warnings()->set_first_index(next);
            }
            auto& unlisted = *response.mutable_unlisted_warnings(0);
            unlisted.set_reason("TIMESTAMP_IMPLAUSIBLE");
            unlisted.set_count(unlisted.count() + 1);
            unlisted.set_last_index(next);
          }
        }
        if (reject && reject(name)) {
          ++rejected;
          v1::RejectedItem& refusal = *response.add_rejected_items();
          refusal.set_index(next);
          v1::FieldViolation& violation = *refusal.add_violations();
          violation.set_field(
              absl::StrCat("events[", next, "].properties.plan"));
          violation.set_reason("VALUE_TOO_LONG");
          violation.set_description("too long");
        } else if (!validate_only) {
          Store(request_id, next, item);
        }
        ++next;
      }
      response.set_received(next - start);
      response.set_rejected(rejected);
      response.set_accepted(next - start - rejected);
      response.set_durable_position(
          std::max(start, next - std::min(next, lag)));
      const auto callback = on_message;
      const uint64_t items = stored[request_id].size();
      lock.unlock();
      if (!last || fault.last == StreamFault::Last::kAnswered) {
        stream->Write(response);
      }
      if (callback) callback(items);
    }
    Response end;
    end.set_received(next - start);
    end.set_rejected(rejected);
    end.set_accepted(next - start - rejected);
    end.set_delivered(next - start - rejected);
    end.set_durable_position(next);
    stream->Write(end);
    return grpc::Status::OK;
  }

  // REQUIRES: mutex
  template <typename Item>
  void Store(const std::string& request_id, uint64_t index, const Item& item) {
    const auto [place, fresh] = stored[request_id].emplace(index, NameOf(item));
    if (!fresh && place->second != NameOf(item)) conflict = true;
    if constexpr (std::is_same_v<Item, v1::TrackEvent>) {
      if (fresh) events.push_back(item);
    }
  }
};

// One destination, "main".
class FakeHeapSync::AdminService : public v1::HeapSyncAdminService::Service {
 public:
  grpc::Status ListDestinations(
      grpc::ServerContext*, const v1::ListDestinationsRequest*,
      v1::ListDestinationsResponse* response) override {
    v1::Destination& destination = *response->add_destinations();
    destination.set_name("main");
    destination.set_is_default(true);
    return grpc::Status::OK;
  }

  grpc::Status Flush(grpc::ServerContext*, const v1::FlushRequest* request,
                     v1::FlushResponse*) override {
    std::function<grpc::Status(const std::string&)> callback;
    {
      const std::lock_guard lock(mutex);
      callback = on_flush;
    }
    return callback ? callback(request->destination()) : grpc::Status::OK;
  }

  grpc::Status GetDestination(grpc::ServerContext*,
                              const v1::GetDestinationRequest*,
                              v1::GetDestinationResponse* response) override {
    std::function<grpc::Status(v1::GetDestinationResponse&)> callback;
    {
      const std::lock_guard lock(mutex);
      callback = on_get_destination;
    }
    return callback ? callback(*response) : grpc::Status::OK;
  }

  std::mutex mutex;
  std::function<grpc::Status(const std::string&)> on_flush;
  std::function<grpc::Status(v1::GetDestinationResponse&)> on_get_destination;
};

FakeHeapSync::FakeHeapSync()
    : service_(std::make_unique<Service>()),
      admin_service_(std::make_unique<AdminService>()) {
  grpc::EnableDefaultHealthCheckService(true);
  Start();
}

FakeHeapSync::~FakeHeapSync() { Stop(); }

void FakeHeapSync::Start() {
  grpc::ServerBuilder builder;
  int port = 0;
  // Two servers on one port would share its connections.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort(address_, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(service_.get());
  builder.RegisterService(admin_service_.get());
  server_ = builder.BuildAndStart();
  ASSERT_NE(server_, nullptr);
  address_ = absl::StrCat("127.0.0.1:", port);
}

void FakeHeapSync::Stop() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_ = nullptr;
}

void FakeHeapSync::AddStreamFault(StreamFault fault) {
  const std::lock_guard lock(service_->mutex);
  service_->stream_faults.push_back(std::move(fault));
}

void FakeHeapSync::AddUnaryFault(grpc::Status status) {
  const std::lock_guard lock(service_->mutex);
  service_->unary_faults.push_back(std::move(status));
}

void FakeHeapSync::Reject(std::function<bool(const std::string&)> predicate) {
  const std::lock_guard lock(service_->mutex);
  service_->reject = std::move(predicate);
}

void FakeHeapSync::Warn(std::function<bool(const std::string&)> predicate,
                        uint64_t listed) {
  const std::lock_guard lock(service_->mutex);
  service_->warn = std::move(predicate);
  service_->listed_warnings = static_cast<int>(listed);
}

void FakeHeapSync::LagBehind(uint64_t items) {
  const std::lock_guard lock(service_->mutex);
  service_->lag = items;
}

void FakeHeapSync::OnFlush(
    std::function<grpc::Status(const std::string&)> callback) {
  const std::lock_guard lock(admin_service_->mutex);
  admin_service_->on_flush = std::move(callback);
}

void FakeHeapSync::OnGetDestination(
    std::function<grpc::Status(v1::GetDestinationResponse&)> callback) {
  const std::lock_guard lock(admin_service_->mutex);
  admin_service_->on_get_destination = std::move(callback);
}

void FakeHeapSync::OnMessage(std::function<void(uint64_t)> callback) {
  const std::lock_guard lock(service_->mutex);
  service_->on_message = std::move(callback);
}

std::map<uint64_t, std::string> FakeHeapSync::Stored(
    const std::string& request_id) const {
  const std::lock_guard lock(service_->mutex);
  EXPECT_FALSE(service_->conflict) << "one index was used for two items";
  return service_->stored[request_id];
}

std::string FakeHeapSync::OnlyRequestId() const {
  const std::lock_guard lock(service_->mutex);
  EXPECT_EQ(service_->stored.size(), 1u);
  return service_->stored.empty() ? "" : service_->stored.begin()->first;
}

std::vector<std::string> FakeHeapSync::StoredNames() const {
  const std::lock_guard lock(service_->mutex);
  EXPECT_FALSE(service_->conflict) << "one index was used for two items";
  std::vector<std::string> names;
  for (const auto& [id, items] : service_->stored) {
    for (const auto& [index, name] : items) names.push_back(name);
  }
  return names;
}

std::vector<std::string> FakeHeapSync::unary_request_ids() const {
  const std::lock_guard lock(service_->mutex);
  return service_->unary_request_ids;
}

void FakeHeapSync::ForgetStored() {
  const std::lock_guard lock(service_->mutex);
  service_->stored.clear();
}

std::vector<v1::TrackEvent> FakeHeapSync::events() const {
  const std::lock_guard lock(service_->mutex);
  return service_->events;
}

std::vector<uint64_t> FakeHeapSync::start_indices() const {
  const std::lock_guard lock(service_->mutex);
  return service_->start_indices;
}

std::vector<size_t> FakeHeapSync::message_sizes() const {
  const std::lock_guard lock(service_->mutex);
  return service_->message_sizes;
}

}  // namespace heapsync
