#include "heap_adapter/delivery/published_snapshot.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "heap_adapter/model/object_type.h"
#include "heap_adapter/spool/coding.h"

namespace heapsync {
namespace {

// Writes values, or reads them in the same order.
class Writer {
 public:
  template <typename T>
  void Number(const T& value) {
    AppendVarint(bytes_, static_cast<uint64_t>(value));
  }
  void Real(const double& value) {
    AppendFixed64(bytes_, std::bit_cast<uint64_t>(value));
  }
  void Text(const std::string& text) { AppendText(bytes_, text); }
  void Time(const std::optional<WallTime>& time) {
    Number(time.has_value());
    if (!time.has_value()) return;
    AppendFixed64(bytes_,
                  static_cast<uint64_t>(time->time_since_epoch().count()));
  }
  void Time(const std::optional<Duration>& time) {
    Number(time.has_value());
    if (time.has_value()) {
      AppendFixed64(bytes_, static_cast<uint64_t>(time->count()));
    }
  }
  template <typename T, typename Each>
  void List(const std::vector<T>& list, const Each& each) {
    Number(list.size());
    for (const T& element : list) each(*this, element);
  }

  std::string Finish() && { return std::move(bytes_); }

 private:
  std::string bytes_;
};

class SnapshotReader {
 public:
  explicit SnapshotReader(absl::string_view bytes) : reader_(bytes) {}

  template <typename T>
  void Number(T& value) {
    value = static_cast<T>(reader_.Varint());
  }
  void Real(double& value) { value = std::bit_cast<double>(reader_.Fixed64()); }
  void Text(std::string& text) { text = std::string(reader_.Text()); }
  void Time(std::optional<WallTime>& time) {
    if (reader_.Varint() == 0) return;
    time = WallTime(Duration(static_cast<int64_t>(reader_.Fixed64())));
  }
  void Time(std::optional<Duration>& time) {
    if (reader_.Varint() == 0) return;
    time = Duration(static_cast<int64_t>(reader_.Fixed64()));
  }
  template <typename T, typename Each>
  void List(std::vector<T>& list, const Each& each) {
    const uint64_t size = reader_.Varint();
    for (uint64_t i = 0; i < size && reader_.ok(); ++i) {
      each(*this, list.emplace_back());
    }
  }

  bool AtEnd() const { return reader_.AtEnd(); }

 private:
  Reader reader_;
};

template <typename Coder, typename Counts>
void CodeCounts(Coder& coder, Counts& counts) {
  coder.Number(counts.appended);
  coder.Number(counts.appended_elsewhere);
  coder.Number(counts.delivered);
  coder.Number(counts.dead_lettered);
  for (auto& count : counts.dead_lettered_for) coder.Number(count);
  coder.Number(counts.coalesced);
  coder.Number(counts.deferred);
  coder.Number(counts.isolated);
}

template <typename Coder, typename Lane>
void CodeLane(Coder& coder, Lane& lane) {
  coder.Number(lane.id);
  coder.Number(lane.type);
  coder.Text(lane.caller);
  coder.Number(lane.queued_items);
  coder.Number(lane.queued_bytes);
  coder.Number(lane.deferred_items);
  coder.Number(lane.isolated_items);
  coder.Real(lane.delivered_per_second);
  CodeCounts(coder, lane.counts);
  coder.Number(lane.unsettled.begin);
  coder.Number(lane.unsettled.end);
  coder.List(lane.some_deferred_identities,
             [](auto& c, auto& hash) { c.Number(hash); });
}

template <typename Coder, typename Snapshot>
void Code(Coder& coder, Snapshot& snapshot) {
  coder.Number(snapshot.state);
  coder.Text(snapshot.last_error);
  coder.Number(snapshot.last_error_origin);
  coder.Time(snapshot.last_error_at);
  coder.List(snapshot.refused_types,
             [](auto& c, auto& type) { c.Number(type); });
  coder.List(snapshot.lanes, [](auto& c, auto& lane) { CodeLane(c, lane); });
  coder.Number(snapshot.in_flight_requests);
  coder.Number(snapshot.concurrency_limit);
  coder.Number(snapshot.allowance_used);
  coder.Number(snapshot.allowance_total);
  coder.Number(snapshot.limit_holds_events);
  coder.Time(snapshot.drained_in);
  coder.Number(snapshot.dead_letters.letters);
  coder.Number(snapshot.dead_letters.bytes);
  for (auto& count : snapshot.dead_letters.by_reason) coder.Number(count);
  coder.Number(snapshot.max_dead_letter_bytes);
  coder.Text(snapshot.delivered_by);
}

template <typename Range, typename T>
bool IsAmong(const Range& range, const T& value) {
  return std::find(range.begin(), range.end(), value) != range.end();
}

DestinationSnapshot Shown(const Destination& destination,
                          absl::string_view published) {
  auto decoded = DecodeSnapshot(published);
  DestinationSnapshot shown =
      decoded.ok() ? *std::move(decoded) : DestinationSnapshot{};
  shown.name = destination.name;
  shown.region = destination.region;
  shown.masked_app_id = destination.app_id.Masked();
  return shown;
}

}  // namespace

std::string EncodeSnapshot(const DestinationSnapshot& snapshot) {
  Writer writer;
  Code(writer, snapshot);
  return std::move(writer).Finish();
}

absl::StatusOr<DestinationSnapshot> DecodeSnapshot(absl::string_view bytes) {
  SnapshotReader reader(bytes);
  DestinationSnapshot snapshot{};
  Code(reader, snapshot);
  bool valid = reader.AtEnd() && IsAmong(kDestinationStates, snapshot.state);
  for (const LaneSnapshot& lane : snapshot.lanes) {
    valid = valid && IsAmong(kObjectTypes, lane.type);
  }
  for (const ObjectType type : snapshot.refused_types) {
    valid = valid && IsAmong(kObjectTypes, type);
  }
  if (!valid) return absl::DataLossError("malformed snapshot");
  return snapshot;
}

absl::StatusOr<std::vector<DestinationSnapshot>> ReadPublished(
    const Spool& spool, const std::vector<Destination>& destinations) {
  absl::flat_hash_map<std::string, std::string> published;
  const absl::Status read = spool.published().VisitSnapshots(
      [&](absl::string_view destination, absl::string_view snapshot) {
        published.emplace(destination, snapshot);
      });
  if (!read.ok()) return read;
  std::vector<DestinationSnapshot> shown;
  for (const Destination& destination : destinations) {
    shown.push_back(Shown(destination, published[destination.name]));
  }
  return shown;
}

absl::StatusOr<std::vector<DestinationSnapshot>> ReadPublishedOf(
    const Spool& spool, const std::vector<const Destination*>& destinations) {
  std::vector<absl::string_view> names;
  for (const Destination* each : destinations) names.emplace_back(each->name);
  const auto published = spool.published().ReadSnapshots(names);
  if (!published.ok()) return published.status();
  std::vector<DestinationSnapshot> shown;
  for (size_t i = 0; i < destinations.size(); ++i) {
    shown.push_back(Shown(*destinations[i], (*published)[i].value_or("")));
  }
  return shown;
}

}  // namespace heapsync
