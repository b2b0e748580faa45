#include "heapsync/client/client.h"

#include <arpa/inet.h>
#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/client_interceptor.h>

#include <limits>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/notification.h"
#include "client/connect_until.h"
#include "client/grpc_status.h"
#include "client/random_id.h"
#include "heapsync/v1/heap_sync_service.grpc.pb.h"

namespace heapsync {
namespace {

using Service = v1::HeapSyncService;
using WallClock = std::chrono::system_clock;

// Adds the token to every call of a channel, whichever stub makes it. gRPC's
// own call credentials refuse plaintext, even to this machine.
class TokenSender final : public grpc::experimental::Interceptor {
 public:
  explicit TokenSender(const std::string& value) : value_(value) {}

  void Intercept(
      grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            grpc::experimental::InterceptionHookPoints::
                PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->emplace("authorization", value_);
    }
    methods->Proceed();
  }

 private:
  const std::string& value_;
};

class TokenSenders final
    : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit TokenSenders(absl::string_view token)
      : value_(absl::StrCat("Bearer ", token)) {}

  grpc::experimental::Interceptor* CreateClientInterceptor(
      grpc::experimental::ClientRpcInfo*) override {
    return new TokenSender(value_);
  }

 private:
  const std::string value_;
};

std::shared_ptr<grpc::ChannelCredentials> CredentialsFor(
    const ClientOptions& options) {
  if (!options.tls.has_value()) return grpc::InsecureChannelCredentials();
  return grpc::SslCredentials({.pem_root_certs = options.tls->ca,
                               .pem_private_key = options.tls->key,
                               .pem_cert_chain = options.tls->certificate});
}

std::shared_ptr<grpc::Channel> Connect(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  if (options.tls.has_value() && !options.tls->server_name.empty()) {
    arguments.SetSslTargetNameOverride(options.tls->server_name);
  }
  // gRPC would follow http_proxy and https_proxy by itself.
  if (options.proxy == ProxyUse::kNone) {
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  }
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
  std::vector<
      std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>>
      interceptors;
  if (!options.token.empty() && MayCarryToken(options)) {
    interceptors.push_back(std::make_unique<TokenSenders>(options.token));
  }
  return grpc::experimental::CreateCustomChannelWithInterceptors(
      options.server, CredentialsFor(options), arguments,
      std::move(interceptors));
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
    const auto end = WallClock::now() + delay;
    ConnectUntil(*client.channel(), end);
    std::this_thread::sleep_until(end);
  }
}

}  // namespace

bool MayCarryToken(const ClientOptions& options) {
  if (options.tls.has_value() || options.allow_plaintext_token) return true;
  absl::string_view target = options.server;
  if (absl::StartsWith(target, "unix:")) return true;
  // The way to a proxy may lead off this machine, whatever lies behind it.
  if (options.proxy == ProxyUse::kEnvironment) return false;
  absl::ConsumePrefix(&target, "dns:///");
  const absl::string_view host = target.substr(0, target.rfind(':'));
  if (host == "localhost" || host == "[::1]") return true;
  // All of 127.0.0.0/8, as numbers: a name may begin like that, too.
  in_addr address{};
  return inet_pton(AF_INET, std::string(host).c_str(), &address) == 1 &&
         ntohl(address.s_addr) >> 24 == 127;
}

Client::Client(ClientOptions options)
    : options_(std::move(options)), channel_(Connect(options_)) {}

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
