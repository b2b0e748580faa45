#include "server/admin/destination_rpcs.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "server/admin/admin_fields.h"

namespace heapsync {
namespace {

// Each costs some reads of the spool.
constexpr size_t kDestinationsInOneTurn = 20;

v1::DestinationState StateOf(DestinationState state) {
  switch (state) {
    case DestinationState::kActive:
      return v1::DESTINATION_STATE_ACTIVE;
    case DestinationState::kBackingOff:
      return v1::DESTINATION_STATE_BACKING_OFF;
    case DestinationState::kNeedsAttention:
      return v1::DESTINATION_STATE_NEEDS_ATTENTION;
    case DestinationState::kPaused:
      return v1::DESTINATION_STATE_PAUSED;
  }
  return v1::DESTINATION_STATE_UNSPECIFIED;
}

// Adds notes about Heap without which a destination's numbers are
// misunderstood.
void AddNotes(const DestinationSnapshot& snapshot, v1::Destination& to) {
  to.add_notes(
      "Heap answers 200 to a wrong App ID or region, too: check Heap's Live "
      "view for what is delivered");
  for (const LaneSnapshot& lane : snapshot.lanes) {
    const bool used = lane.counts.arrived() > 0 || lane.counts.delivered > 0 ||
                      lane.queued_items > 0;
    if (lane.type == ObjectType::kAccountProperties && used) {
      to.add_notes(
          "Heap ignores account properties until Account ID tracking is set "
          "up there");
    }
  }
  if (to.isolated_items() > 0) {
    to.add_notes(
        "isolated items made Heap fail whenever they were sent, while others "
        "got through: they are tried alone at intervals, and delay only later "
        "updates of their own identity");
  }
  if (snapshot.dead_letters.bytes > snapshot.max_dead_letter_bytes / 2 &&
      snapshot.max_dead_letter_bytes > 0) {
    to.add_notes(
        "dead letters take more than half of what they may: once they take "
        "all, or those of one caller half, new items are refused; replay or "
        "discard them");
  }
  if (to.deferred_items() > to.isolated_items()) {
    to.add_notes(
        "deferred items wait for their own identity's limit or order, and "
        "delay no others");
  }
}

void Fill(const LaneSnapshot& lane, std::optional<WallTime> oldest,
          WallTime now, v1::CallerStatus& to) {
  to.set_caller(lane.caller);
  to.set_queued_events(lane.queued_items);
  to.set_accepted_events(lane.counts.arrived());
  to.set_delivered_events(lane.counts.delivered);
  if (oldest.has_value()) {
    *to.mutable_oldest_age() =
        ToProto(std::max(now - *oldest, Duration::zero()));
  }
}

absl::Status Fill(const Engines& engines, const DestinationSnapshot& snapshot,
                  WallTime now, v1::Destination& to) {
  to.set_name(snapshot.name);
  to.set_region(snapshot.region == Region::kUs ? v1::HEAP_REGION_US
                                               : v1::HEAP_REGION_EU);
  to.set_masked_app_id(snapshot.masked_app_id);
  to.set_state(StateOf(snapshot.state));
  const Destination* by_default = engines.FindDestination("");
  to.set_is_default(by_default != nullptr && by_default->name == snapshot.name);
  to.set_allowance_used(snapshot.allowance_used);
  to.set_allowance_total(snapshot.allowance_total);
  to.set_in_flight_requests(static_cast<uint32_t>(snapshot.in_flight_requests));
  to.set_concurrency_limit(static_cast<uint32_t>(snapshot.concurrency_limit));
  to.set_last_error(snapshot.last_error);
  to.set_delivered_by(snapshot.delivered_by);
  to.set_dead_letters(snapshot.dead_letters.letters);
  to.set_dead_letter_bytes(snapshot.dead_letters.bytes);
  if (snapshot.last_error_at.has_value()) {
    *to.mutable_last_error_at() = ToProto(*snapshot.last_error_at);
  }
  if (snapshot.drained_in.has_value()) {
    *to.mutable_drained_in() = ToProto(*snapshot.drained_in);
  }
  std::optional<WallTime> oldest_of_all;
  for (const ObjectType object_type : kObjectTypes) {
    TypeNumbers numbers;
    for (const LaneSnapshot& lane : snapshot.lanes) {
      if (lane.type != object_type) continue;
      std::optional<WallTime> oldest;
      if (lane.queued_items > 0) {
        auto read = engines.OldestWaiting(snapshot.name, lane);
        if (!read.ok()) return read.status();
        oldest = *read;
      }
      numbers.Add(lane, oldest);
      if (!lane.caller.empty()) Fill(lane, oldest, now, *to.add_callers());
    }
    v1::ItemTypeStatus& type = *to.add_types();
    type.set_type(ToProto(object_type));
    type.set_queued_items(numbers.queued_items);
    type.set_queued_bytes(numbers.queued_bytes);
    type.set_deferred_items(numbers.deferred_items);
    type.set_isolated_items(numbers.isolated_items);
    type.set_accepted(numbers.counts.arrived());
    type.set_delivered(numbers.counts.delivered);
    type.set_dead_lettered(numbers.counts.dead_lettered);
    type.set_coalesced(numbers.counts.coalesced);
    type.set_delivered_per_second(numbers.delivered_per_second);
    to.set_queued_items(to.queued_items() + numbers.queued_items);
    to.set_queued_bytes(to.queued_bytes() + numbers.queued_bytes);
    to.set_deferred_items(to.deferred_items() + numbers.deferred_items);
    to.set_isolated_items(to.isolated_items() + numbers.isolated_items);
    if (!numbers.oldest_waiting.has_value()) continue;
    const WallTime oldest = *numbers.oldest_waiting;
    *type.mutable_oldest_age() =
        ToProto(std::max(now - oldest, Duration::zero()));
    oldest_of_all = std::min(oldest_of_all.value_or(oldest), oldest);
  }
  if (oldest_of_all.has_value()) {
    *to.mutable_oldest_age() =
        ToProto(std::max(now - *oldest_of_all, Duration::zero()));
  }
  AddNotes(snapshot, to);
  return absl::OkStatus();
}

// Puts a destination, as it is now, into an answer.
template <typename Response>
CallResult<Response> Describe(Engines& engines, absl::string_view name) {
  const absl::StatusOr<EngineSnapshot> snapshot = engines.SnapshotOf({name});
  if (!snapshot.ok()) return NotRead(snapshot.status());
  if (snapshot->destinations.empty()) return UnknownDestination(name);
  Response response;
  const absl::Status status =
      Fill(engines, snapshot->destinations.front(), snapshot->taken_at.wall,
           *response.mutable_destination());
  if (!status.ok()) return NotRead(status);
  return response;
}

}  // namespace

TurnResult<v1::ListDestinationsResponse> DestinationListing::operator()(
    const Caller& caller, const v1::ListDestinationsRequest& request) {
  if (!page_.has_value()) {
    if (auto error = Begin(caller, request)) return *std::move(error);
  }
  std::vector<absl::string_view> names;
  for (; names.size() < kDestinationsInOneTurn && listed_ < page_->size();
       ++listed_) {
    names.emplace_back((*page_)[listed_]);
  }
  const absl::StatusOr<EngineSnapshot> part = engines_->SnapshotOf(names);
  if (!part.ok()) return NotRead(part.status());
  for (const DestinationSnapshot& snapshot : part->destinations) {
    const absl::Status status = Fill(*engines_, snapshot, part->taken_at.wall,
                                     *response_.add_destinations());
    if (!status.ok()) return NotRead(status);
  }
  if (listed_ < page_->size()) return TaskGoesOn();
  return std::move(response_);
}

std::optional<CallError> DestinationListing::Begin(
    const Caller& caller, const v1::ListDestinationsRequest& request) {
  std::vector<Finding> violations;
  const size_t size = PageSize(request.page_size(), violations);
  std::vector<absl::string_view> all;
  for (const Destination& each : engines_->destinations()) {
    if (caller.MayUse(each.name)) all.emplace_back(each.name);
  }
  auto first = all.begin();
  if (!request.page_token().empty()) {
    first = std::find(all.begin(), all.end(), request.page_token());
    if (first == all.end()) {
      violations.push_back(
          {.field = "page_token",
           .reason = "UNKNOWN_PAGE",
           .description =
               "must be the `next_page_token` of an earlier answer"});
    }
  }
  if (!violations.empty()) return InvalidRequest(std::move(violations));
  const auto end =
      first + static_cast<std::ptrdiff_t>(std::min(
                  size, static_cast<size_t>(std::distance(first, all.end()))));

  page_.emplace(first, end);
  if (end != all.end()) response_.set_next_page_token(std::string(*end));
  return std::nullopt;
}

CallResult<v1::GetDestinationResponse> GetDestination(
    Engines& engines, const Caller& caller,
    const v1::GetDestinationRequest& request) {
  auto found = DestinationFor(engines, caller, request.destination());
  if (auto* error = std::get_if<CallError>(&found)) return std::move(*error);
  return Describe<v1::GetDestinationResponse>(
      engines, std::get<const Destination*>(found)->name);
}

template <typename Request, typename Response>
TurnResult<Response> PauseChange<Request, Response>::operator()(
    const Caller& caller, const Request& request) {
  auto found = DestinationFor(*engines_, caller, request.destination());
  if (auto* error = std::get_if<CallError>(&found)) return std::move(*error);
  const std::string& name = std::get<const Destination*>(found)->name;
  if (!changed_.asked()) {
    const auto serving = engines_->Serving(name);
    if (!serving.ok()) return DatabaseAway(serving.status());
    return changed_.For([engine = *serving, change = change_, name,
                         asker = AskerOf(caller, *context_)](
                            Awaited<absl::Status>::Reply reply) {
      (engine->*change)(name, asker, std::move(reply));
    });
  }
  const std::optional<absl::Status> changed = changed_.Take();
  if (!changed.has_value()) return ShuttingDown();
  if (!changed->ok()) return NotChanged(*changed);
  return Describe<Response>(*engines_, name);
}

template class PauseChange<v1::PauseDestinationRequest,
                           v1::PauseDestinationResponse>;
template class PauseChange<v1::ResumeDestinationRequest,
                           v1::ResumeDestinationResponse>;

}  // namespace heapsync
