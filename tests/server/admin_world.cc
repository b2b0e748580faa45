#include "tests/server/admin_world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "server/access/caller.h"

namespace heapsync {
namespace {

constexpr absl::string_view kConfig = R"({
  "destinations": [
    {"name": "prod", "app_id": "1234567890", "region": "us",
     "limits": {"events_per_identity_per_minute": 10},
     "batch": {"max_wait": "1ms"}},
    {"name": "europe", "app_id": "9876543210", "region": "eu",
     "batch": {"max_wait": "1ms"}, "max_queued_mib": 1, "max_dead_letter_mib": 1}
  ],
  "default_destination": "prod"
})";

template <typename Detail>
std::optional<Detail> Find(const google::rpc::Status& status) {
  for (const auto& any : status.details()) {
    Detail detail;
    if (any.Is<Detail>() && any.UnpackTo(&detail)) return detail;
  }
  return std::nullopt;
}

}  // namespace

void ScriptedTransport::Follow(Script script) {
  const std::lock_guard<std::mutex> lock(mutex_);
  script_ = std::move(script);
}

size_t ScriptedTransport::CountBodies(absl::string_view text) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<size_t>(std::count_if(
      bodies_.begin(), bodies_.end(),
      [&](const auto& body) { return absl::StrContains(body, text); }));
}

void ScriptedTransport::Send(HeapRequest request) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::optional<HttpResponse> answer =
      HttpResponse{.status = 200, .body = "OK"};
  if (script_) answer = script_(request);
  if (answer.has_value()) {
    answers_.push_back({.request_id = request.id, .result = *answer});
  }
  bodies_.push_back(std::move(request.body));
}

std::vector<HeapResponse> ScriptedTransport::Wait(Duration timeout) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait_for(lock, timeout,
                    [this] { return woken_ || !answers_.empty(); });
  woken_ = false;
  return std::exchange(answers_, {});
}

void ScriptedTransport::Wake() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    woken_ = true;
  }
  changed_.notify_all();
}

ErrorSeen SeenIn(const grpc::Status& status) {
  google::rpc::Status rich;
  EXPECT_TRUE(rich.ParseFromString(status.error_details()));
  EXPECT_EQ(rich.code(), status.error_code());
  const auto info = Find<google::rpc::ErrorInfo>(rich);
  EXPECT_TRUE(info.has_value()) << status.error_message();
  EXPECT_EQ(info.has_value() ? info->domain() : "", "heapsync");
  ErrorSeen seen{.code = status.error_code(),
                 .reason = info.has_value() ? info->reason() : ""};
  if (const auto bad = Find<google::rpc::BadRequest>(rich)) {
    for (const auto& violation : bad->field_violations()) {
      seen.violations[violation.field()] = std::vector<std::string>(
          absl::StrSplit(violation.description(), ':'))[0];
    }
  }
  seen.has_retry = Find<google::rpc::RetryInfo>(rich).has_value();
  if (const auto resource = Find<google::rpc::ResourceInfo>(rich)) {
    seen.resource = resource->resource_type() + "/" + resource->resource_name();
  }
  return seen;
}

void ExpectOk(const grpc::Status& status) {
  EXPECT_TRUE(status.ok()) << status.error_code() << " "
                           << status.error_message();
}

AdminWorld::AdminWorld() { Start(); }
AdminWorld::~AdminWorld() { Stop(); }

void AdminWorld::Start() {
  auto config = ParseDestinationConfig(kConfig);
  ASSERT_TRUE(config.ok()) << config.status();
  EngineOptions options{.destinations = *std::move(config)};
  options.delivery.backoff = {.initial = std::chrono::milliseconds(1),
                              .cap = std::chrono::milliseconds(2)};
  options.delivery.misconfigured_backoff = options.delivery.backoff;
  heap_ = std::make_unique<ScriptedTransport>();
  auto engine =
      Engine::Start(store_, *heap_, SystemClock(), std::move(options), nullptr);
  ASSERT_TRUE(engine.ok()) << engine.status();
  engines_ = std::make_unique<Engines>(*std::move(engine));
  data_ = std::make_unique<DataService>(*engines_, access_);
  admin_ = std::make_unique<AdminService>(*engines_, access_);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(data_.get());
  builder.RegisterService(admin_.get());
  server_ = builder.BuildAndStart();
  ASSERT_NE(server_, nullptr);
  const auto channel = grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                           grpc::InsecureChannelCredentials());
  data_stub_ = v1::HeapSyncService::NewStub(channel);
  admin_stub_ = v1::HeapSyncAdminService::NewStub(channel);
}

void AdminWorld::Stop() {
  data_->EndStreams();
  server_->Shutdown(std::chrono::system_clock::now());
  admin_->Stop();
  server_.reset();
  engines_.reset();
}

void AdminWorld::Restart() {
  Stop();
  Start();
}

std::string AdminWorld::Track(const std::string& identity,
                              const std::string& event,
                              const std::string& destination,
                              const std::string& caller) {
  grpc::ClientContext context;
  if (!caller.empty()) context.AddMetadata(kCallerMetadata, caller);
  v1::TrackEventRequest request;
  v1::TrackEventResponse response;
  request.set_destination(destination);
  request.mutable_event()->set_identity(identity);
  request.mutable_event()->set_event(event);
  request.mutable_event()->set_idempotency_key("key-of-" + identity + event);
  ExpectOk(data_stub_->TrackEvent(&context, request, &response));
  return response.receipt();
}

std::string AdminWorld::SetUser(const std::string& identity,
                                const std::string& key,
                                const std::string& value) {
  grpc::ClientContext context;
  v1::UserPropertiesRequest request;
  v1::UserPropertiesResponse response;
  request.mutable_user()->set_identity(identity);
  auto& properties = *request.mutable_user()->mutable_properties();
  (*properties.mutable_fields())[key].set_string_value(value);
  ExpectOk(data_stub_->UserProperties(&context, request, &response));
  return response.receipt();
}

void AdminWorld::Flush() {
  Call(&v1::HeapSyncAdminService::Stub::Flush, v1::FlushRequest());
}

v1::GetDeliveryResponse AdminWorld::Delivery(const std::string& receipt) {
  v1::GetDeliveryRequest request;
  request.set_receipt(receipt);
  return Call(&v1::HeapSyncAdminService::Stub::GetDelivery, request);
}

v1::ItemDelivery AdminWorld::Item(const std::string& receipt) {
  const v1::GetDeliveryResponse delivery = Delivery(receipt);
  EXPECT_EQ(delivery.items_size(), 1);
  return delivery.items_size() == 1 ? delivery.items(0) : v1::ItemDelivery();
}

v1::Destination AdminWorld::Destination(const std::string& name) {
  v1::GetDestinationRequest request;
  request.set_destination(name);
  return Call(&v1::HeapSyncAdminService::Stub::GetDestination, request)
      .destination();
}

void AdminWorld::Pause(const std::string& destination) {
  v1::PauseDestinationRequest request;
  request.set_destination(destination);
  Call(&v1::HeapSyncAdminService::Stub::PauseDestination, request);
}

void AdminWorld::Resume(const std::string& destination) {
  v1::ResumeDestinationRequest request;
  request.set_destination(destination);
  Call(&v1::HeapSyncAdminService::Stub::ResumeDestination, request);
}

}  // namespace heapsync
