#include "server/standby_ports.h"

#include <prometheus/text_serializer.h>

#include <chrono>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/observe/call_observer.h"
#include "server/port_setup.h"
#include "server/wire/rich_status.h"

namespace heapsync {
namespace {

// Time that calls have to end when the ports close. They are refused as they
// come, so that this is only needed on a busy machine.
constexpr std::chrono::seconds kCallGrace{2};

class Refusal final : public grpc::ServerGenericBidiReactor {
 public:
  explicit Refusal(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

}  // namespace

grpc::ServerGenericBidiReactor* StandbyPorts::Refusals::CreateReactor(
    grpc::GenericCallbackServerContext*) {
  // Deletes itself.
  return new Refusal(NotOwner(ports_.reason().text).ToStatus());
}

absl::StatusOr<std::unique_ptr<StandbyPorts>> StandbyPorts::Listen(
    const ServerConfig& config, StandbyReason reason) {
  std::unique_ptr<StandbyPorts> ports(
      new StandbyPorts(config, std::move(reason)));
  if (absl::Status s = ports->Start(config); !s.ok()) return s;
  return ports;
}

StandbyPorts::StandbyPorts(const ServerConfig& config, StandbyReason reason)
    : reason_(std::move(reason)),
      owner_([shards = config.spool_shards, databases = config.spool.size()] {
        return Ownership{
            .shards = std::vector<bool>(shards),
            .databases = std::vector<Ownership::Database>(databases)};
      }),
      guard_(ConnectionLimitsOf(config)),
      certificates_(CertificatesOf(config)),
      health_(config.port.max_connections) {
  health_.SetOnChecked(
      [this](const std::string& peer) { guard_.HealthChecked(peer); });
}

StandbyPorts::~StandbyPorts() {
  health_.EndWatches();
  if (acceptor_ != nullptr) acceptor_->Stop();
  if (grpc_ != nullptr) {
    grpc_->Shutdown(std::chrono::system_clock::now() + kCallGrace);
  }
  http_.reset();
}

void StandbyPorts::SetReason(StandbyReason reason) {
  MutexLock lock(mutex_);
  reason_ = std::move(reason);
}

StandbyReason StandbyPorts::reason() const {
  MutexLock lock(mutex_);
  return reason_;
}

HttpPages StandbyPorts::Pages() const {
  const auto instant = [](HttpHandler handler) {
    return HttpPage{.work = HttpPage::Work::kInstant,
                    .handler = std::move(handler)};
  };
  HttpPages pages;
  pages["/"] = instant([this](absl::string_view) {
    const StandbyReason why = reason();
    return HttpReply{.body = absl::StrCat("heapsync ", HEAPSYNC_VERSION,
                                          ": waits for its spool\n", why.text,
                                          "\n", why.detail, "\n")};
  });
  pages["/statusz.json"] = instant([this](absl::string_view) {
    const StandbyReason why = reason();
    const nlohmann::json status = {{"version", HEAPSYNC_VERSION},
                                   {"delivers", false},
                                   {"not_delivering", why.text},
                                   {"detail", why.detail}};
    return HttpReply{
        .content_type = "application/json",
        .body = status.dump(-1, ' ', false,
                            nlohmann::json::error_handler_t::replace) +
                "\n"};
  });
  pages["/metrics"] = instant([this](absl::string_view) {
    std::vector<prometheus::MetricFamily> families = owner_.Collect();
    std::vector<prometheus::MetricFamily> more = process_.Collect();
    families.insert(families.end(), std::make_move_iterator(more.begin()),
                    std::make_move_iterator(more.end()));
    return HttpReply{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                     .body = prometheus::TextSerializer().Serialize(families)};
  });
  pages["/healthz"] = instant([](absl::string_view) -> HttpReply {
    return {.body = "waits for its spool\n"};
  });
  return pages;
}

absl::Status StandbyPorts::Start(const ServerConfig& config) {
  auto http = HttpServer::Start(config.http_listen, Pages());
  if (!http.ok()) return http.status();
  http_ = *std::move(http);
  auto acceptor =
      ConnectionAcceptor::Listen(config.listen, ArrivalsOf(config), guard_);
  if (!acceptor.ok()) return acceptor.status();
  acceptor_ = *std::move(acceptor);
  grpc::ServerBuilder builder;
  auto connections = AddPort(config, certificates_.get(), builder);
  ObserveCalls(guard_, nullptr, builder);
  health_.SetServing(kLiveness, true);
  SetReady(false, health_);
  builder.RegisterService(&health_);
  builder.RegisterCallbackGenericService(&refusals_);
  grpc_ = builder.BuildAndStart();
  if (grpc_ == nullptr) {
    return absl::InternalError("gRPC does not start");
  }
  acceptor_->Start(std::move(connections));
  return absl::OkStatus();
}

}  // namespace heapsync
