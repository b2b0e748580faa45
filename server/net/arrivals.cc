#include "server/net/arrivals.h"

#include <chrono>

#include "base/check.h"

namespace heapsync {
namespace {

// Time that nobody takes from one: places for thousands are found in it.
constexpr Duration kMinStay = std::chrono::seconds(1);

}  // namespace

size_t Arrivals::Network::size() const {
  size_t size = 0;
  for (const Queue& queue : stages) size += queue.size();
  return size;
}

Arrivals::Queue& Arrivals::QueueOf(const Connection& connection) {
  return networks_.at(connection.network)
      .stages[static_cast<size_t>(connection.stage)];
}

const std::string& Arrivals::NetworkOf(Id id) const {
  return connections_.at(id).network;
}

Arrivals::Stage Arrivals::StageOf(Id id) const {
  return connections_.at(id).stage;
}

void Arrivals::Add(Id id, absl::string_view network, MonotonicTime now) {
  HEAPSYNC_CHECK(!connections_.contains(id)) << id;
  Connection& connection = connections_[id];
  connection = {.network = std::string(network), .arrived = now};
  networks_.try_emplace(connection.network);
  QueueOf(connection).emplace(now, id);
}

void Arrivals::Reached(Id id, Stage stage) {
  Connection& connection = connections_.at(id);
  HEAPSYNC_CHECK(stage >= connection.stage) << id;
  if (stage == connection.stage) return;
  if (connection.stage == Stage::kUngreeted) ++greeted_;
  QueueOf(connection).erase({connection.arrived, id});
  connection.stage = stage;
  QueueOf(connection).emplace(connection.arrived, id);
}

void Arrivals::Remove(Id id) {
  const auto found = connections_.find(id);
  HEAPSYNC_CHECK(found != connections_.end()) << id;
  const Connection& connection = found->second;
  if (connection.stage != Stage::kUngreeted) --greeted_;
  QueueOf(connection).erase({connection.arrived, id});
  const auto network = networks_.find(connection.network);
  if (network->second.size() == 0) networks_.erase(network);
  connections_.erase(found);
}

std::optional<Arrivals::Id> Arrivals::Next(
    Stage stage,
    absl::FunctionRef<size_t(absl::string_view network)> unproven) const {
  std::optional<std::pair<size_t, Id>> fewest;
  for (const auto& [name, network] : networks_) {
    const Queue& waiting = network.stages[static_cast<size_t>(stage)];
    if (waiting.empty()) continue;
    const std::pair<size_t, Id> candidate = {network.size() + unproven(name),
                                             waiting.begin()->second};
    if (!fewest.has_value() || candidate.first < fewest->first) {
      fewest = candidate;
    }
  }
  if (!fewest.has_value()) return std::nullopt;
  return fewest->second;
}

std::optional<Arrivals::Id> Arrivals::GivesWay(MonotonicTime now) const {
  if (!IsFull()) return std::nullopt;
  const Network* most = nullptr;
  for (const auto& [name, network] : networks_) {
    if (most == nullptr || network.size() > most->size()) most = &network;
  }
  std::optional<std::pair<bool, Queue::value_type>> first;
  for (const Stage stage :
       {Stage::kUngreeted, Stage::kGreeted, Stage::kAsked, Stage::kLoud}) {
    const Queue& queue = most->stages[static_cast<size_t>(stage)];
    if (queue.empty() || now - queue.begin()->first < kMinStay) continue;
    const bool asked = stage == Stage::kAsked || stage == Stage::kLoud;
    const std::pair candidate = {asked, *queue.begin()};
    if (!first.has_value() || candidate < *first) first = candidate;
  }
  if (!first.has_value()) return std::nullopt;
  return first->second.second;
}

std::vector<Arrivals::Id> Arrivals::Late(MonotonicTime now) const {
  std::vector<Id> late;
  for (const auto& [id, connection] : connections_) {
    if (now - connection.arrived >= max_wait_) late.push_back(id);
  }
  return late;
}

}  // namespace heapsync
