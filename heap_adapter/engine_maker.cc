#include "heap_adapter/engine_maker.h"

#include <utility>

namespace heapsync {
namespace {

// Each engine's part of the memory and the requests that one may have: more
// than its share, since a busy destination is in one shard alone.
constexpr int kPartOfOne = 4;

}  // namespace

EngineOptions EngineMaker::OptionsFor(const std::string& folder,
                                      DestinationConfig destinations) const {
  EngineOptions options{
      .destinations = std::move(destinations),
      .delivery = options_.delivery,
      .commit = {.pauses = pauses_},
      .spool_path = folder,
      .min_free_disk_bytes = options_.min_free_disk_bytes,
      .on_step = events_.step,
      .server_name = server_name_,
      .on_command = [&events = events_,
                     name = server_name_](const ObeyedCommand& obeyed) {
        // Its own are logged where they are answered.
        if (obeyed.command.server == name ||
            obeyed.command.kind == CommandRecord::Kind::kFlush) {
          return;
        }
        events.command(obeyed);
      }};
  if (static_cast<int>(engines_) <= kPartOfOne) return options;
  options.commit.max_pending_bytes /= kPartOfOne;
  options.commit.max_pending_chunks /= kPartOfOne;
  DeliveryRules& rules = options.delivery;
  rules.max_in_flight /= kPartOfOne;
  rules.max_in_flight_per_region /= kPartOfOne;
  rules.overtaking.max_filter_bytes /= kPartOfOne;
  rules.max_attempts_kept /= engines_;
  return options;
}

void EngineMaker::OpenTransport(std::function<bool()> may_send,
                                EngineParts& parts) const {
  CurlTransportOptions options;
  options.may_send = may_send;
  options.extra_roots = options_.extra_roots;
  options.proxy = options_.proxy;
  options.proxy_user = options_.proxy_user;
  options.proxy_password = options_.proxy_password;
  options.user_agent = options_.user_agent;
  parts.transport = std::make_unique<CurlTransport>(std::move(options));
  if (may_send == nullptr) return;
  parts.gated =
      std::make_unique<GatedTransport>(*parts.transport, std::move(may_send));
}

absl::StatusOr<std::unique_ptr<Engine>> EngineMaker::Open(
    const std::string& folder, DestinationConfig destinations,
    EngineParts& parts) const {
  parts.measured = std::make_unique<MeasuredStore>(*parts.store, events_.write);
  Transport* transport = parts.transport.get();
  if (parts.gated != nullptr) transport = parts.gated.get();
  return Engine::Open(*parts.measured, *transport, SystemClock(),
                      OptionsFor(folder, std::move(destinations)),
                      events_.attempt, events_.expiry);
}

}  // namespace heapsync
