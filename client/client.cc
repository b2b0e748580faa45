#include "heapsync/client/client.h"

#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <limits>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "client/grpc_status.h"
#include "client/random_id.h"
#include "heapsync/v1/heap_sync_service.grpc.pb.h"

namespace heapsync {
namespace {

using Service = v1::HeapSyncService;
using WallClock = std::chrono::system_clock;

std::shared_ptr<grpc::Channel> Connect(const std::string& server) {
  grpc::ChannelArguments arguments;
  // gRPC would wait up to two minutes before it tries to connect again; the
  // backoff of our own calls already spares the server.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2'000);
  // Notices a peer that vanished without a word. gRPC servers by default take
  // more than one ping in five minutes for an attack.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 310'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  // The answer to `validate_only` holds the whole request once more.
  arguments.SetMaxReceiveMessageSize(std::numeric_limits<int>::max());
  // A client's connection is its own, so that closing one says nothing to
  // another.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(),
                                   arguments);
}

template <typename Request, typename Response>
absl::StatusOr<Response> CallWithRetries(
    const Client& client, Request request,
    grpc::Status (Service::Stub::*method)(grpc::ClientContext*, const Request&,
                                          Response*)) {
  if (request.request_id().empty()) request.set_request_id(RandomId());
  const auto deadline = WallClock::now() + client.options().timeout;
  Service::Stub stub(client.channel());
  for (int failures = 1;; ++failures) {
    grpc::ClientContext context;
    context.set_deadline(deadline);
    Response response;
    const absl::Status status =
        ToAbslStatus((stub.*method)(&context, request, &response));
    if (status.ok()) return response;
    if (!IsRetryable(status)) return status;
    const auto delay =
        BackoffDelay(client.options().retry, failures,
                     DetailsOf(status).retry_delay, RandomFraction());
    if (WallClock::now() + delay >= deadline) return status;
    std::this_thread::sleep_for(delay);
  }
}

}  // namespace

Client::Client(ClientOptions options)
    : options_(std::move(options)), channel_(Connect(options_.server)) {}

absl::StatusOr<v1::TrackEventResponse> Client::TrackEvent(
    v1::TrackEventRequest request) const {
  return CallWithRetries(*this, std::move(request), &Service::Stub::TrackEvent);
}

absl::StatusOr<v1::UserPropertiesResponse> Client::UserProperties(
    v1::UserPropertiesRequest request) const {
  return CallWithRetries(*this, std::move(request),
                         &Service::Stub::UserProperties);
}

absl::StatusOr<v1::AccountPropertiesResponse> Client::AccountProperties(
    v1::AccountPropertiesRequest request) const {
  return CallWithRetries(*this, std::move(request),
                         &Service::Stub::AccountProperties);
}

absl::Status Client::CheckHealth(absl::string_view service) const {
  // HealthCheckRequest { string service = 1; } and HealthCheckResponse { Status
  // status = 1; } have the same bytes as these two wrappers, which spares
  // shipping the health proto.
  using google::protobuf::Int32Value;
  using google::protobuf::StringValue;
  constexpr int kServing = 1;

  StringValue request;
  request.set_value(std::string(service));
  Int32Value response;
  grpc::ClientContext context;
  context.set_deadline(WallClock::now() + options_.timeout);
  grpc::TemplatedGenericStub<StringValue, Int32Value> stub(channel_);
  absl::Notification answered;
  absl::Status status;
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::StubOptions(),
                 &request, &response, [&](grpc::Status outcome) {
                   status = ToAbslStatus(outcome);
                   answered.Notify();
                 });
  answered.WaitForNotification();
  if (!status.ok()) return status;
  if (response.value() != kServing) {
    return absl::FailedPreconditionError("not serving");
  }
  return absl::OkStatus();
}

}  // namespace heapsync
