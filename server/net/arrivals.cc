#include "server/net/arrivals.h"

#include <chrono>

#include "heap_adapter/base/check.h"

namespace heapsync {
namespace {

// Time that nobody takes from one: places for thousands are found in it.
constexpr Duration kMinStay = std::chrono::seconds(1);

}  // namespace

size_t Arrivals::Address::size() const {
  return stages[0].size() + stages[1].size() + stages[2].size();
}

std::set<std::pair<Arrivals::Turn, Arrivals::Id>>& Arrivals::SetOf(
    const Connection& connection) {
  return addresses_.at(connection.address)
      .stages[static_cast<size_t>(connection.stage)];
}

const std::string& Arrivals::AddressOf(Id id) const {
  return connections_.at(id).address;
}

void Arrivals::Add(Id id, absl::string_view address, MonotonicTime now) {
  HEAPSYNC_CHECK(!connections_.contains(id)) << id;
  Connection& connection = connections_[id];
  connection = {.address = std::string(address),
                .arrived = now,
                .turn = ++turns_,
                .stage = Stage::kUngreeted};
  static_cast<void>(addresses_[connection.address]);
  SetOf(connection).emplace(connection.turn, id);
  by_turn_.emplace(connection.turn, id);
}

void Arrivals::Move(Id id, Stage stage) {
  Connection& connection = connections_.at(id);
  SetOf(connection).erase({connection.turn, id});
  connection.stage = stage;
  SetOf(connection).emplace(connection.turn, id);
}

void Arrivals::Remove(Id id) {
  const auto found = connections_.find(id);
  HEAPSYNC_CHECK(found != connections_.end()) << id;
  const Connection& connection = found->second;
  SetOf(connection).erase({connection.turn, id});
  const auto address = addresses_.find(connection.address);
  if (address->second.size() == 0) addresses_.erase(address);
  by_turn_.erase(connection.turn);
  connections_.erase(found);
}

std::optional<Arrivals::Id> Arrivals::Next(
    Stage stage,
    absl::FunctionRef<size_t(absl::string_view address)> unproven) const {
  std::optional<std::pair<size_t, Id>> fewest;
  for (const auto& [name, address] : addresses_) {
    const auto& waiting = address.stages[static_cast<size_t>(stage)];
    if (waiting.empty()) continue;
    const std::pair<size_t, Id> candidate = {address.size() + unproven(name),
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
  const Address* most = nullptr;
  for (const auto& [name, address] : addresses_) {
    if (most == nullptr || address.size() > most->size()) most = &address;
  }
  std::optional<std::pair<Turn, Id>> oldest;
  for (const auto& stage : most->stages) {
    if (stage.empty()) continue;
    if (!oldest.has_value() || *stage.begin() < *oldest) {
      oldest = *stage.begin();
    }
  }
  if (now - connections_.at(oldest->second).arrived < kMinStay) {
    return std::nullopt;
  }
  return oldest->second;
}

std::vector<Arrivals::Id> Arrivals::Late(MonotonicTime now) const {
  std::vector<Id> late;
  for (const auto& [turn, id] : by_turn_) {
    if (now - connections_.at(id).arrived < max_wait_) break;
    late.push_back(id);
  }
  return late;
}

}  // namespace heapsync
