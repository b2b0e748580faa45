#include "tests/bench/load/event_messages.h"

#include <google/protobuf/util/json_util.h>

#include <cstdlib>
#include <random>

#include "absl/strings/str_cat.h"

namespace heapsync::bench {
namespace {

// A seed of its own: every run sends the same.
constexpr uint64_t kSeed = 20'240'115;

v1::TrackEvent MakeEvent(std::mt19937_64& random) {
  constexpr const char* kEvents[] = {"Purchase Completed", "Plan Upgraded",
                                     "Report Exported", "Invite Accepted"};
  constexpr const char* kPlans[] = {"Enterprise, yearly", "Team, monthly",
                                    "Professional, yearly"};
  constexpr const char* kPages[] = {"/account/billing/overview",
                                    "/projects/settings/members",
                                    "/reports/quarterly/export"};
  v1::TrackEvent event;
  event.set_identity(
      absl::StrCat("user-", random() % 10'000'000, "@customers.example.com"));
  event.set_event(kEvents[random() % 4]);
  event.mutable_timestamp()->set_seconds(
      1'705'314'600 + static_cast<int64_t>(random() % 86'400));
  event.mutable_timestamp()->set_nanos(static_cast<int32_t>(random() % 1'000) *
                                       1'000'000);
  auto& properties = *event.mutable_properties()->mutable_fields();
  properties["amount"].set_number_value(
      static_cast<double>(random() % 100'000) / 100);
  properties["plan"].set_string_value(kPlans[random() % 3]);
  properties["page"].set_string_value(kPages[random() % 3]);
  properties["session"].set_string_value(
      absl::StrCat(absl::Hex(random(), absl::kZeroPad16),
                   absl::Hex(random(), absl::kZeroPad16)));
  properties["returning"].set_bool_value(random() % 2 == 0);
  return event;
}

grpc::Slice SliceOf(const google::protobuf::Message& message) {
  return grpc::Slice(message.SerializeAsString());
}

}  // namespace

EventMessages::EventMessages(size_t chunks, size_t chunk_events)
    : chunk_events_(chunk_events) {
  std::mt19937_64 random(kSeed);
  size_t bytes = 0;
  for (size_t i = 0; i < chunks; ++i) {
    v1::BulkTrackEventsRequest chunk;
    for (size_t k = 0; k < chunk_events; ++k) {
      v1::TrackEvent event = MakeEvent(random);
      bytes += event.ByteSizeLong();
      if (k == 0) {
        v1::TrackEventRequest single;
        *single.mutable_event() = event;
        singles_.push_back(SliceOf(single));
        if (i == 0 &&
            !google::protobuf::util::MessageToJsonString(single, &single_json_)
                 .ok()) {
          std::abort();
        }
      }
      *chunk.add_events() = std::move(event);
    }
    chunks_.push_back(SliceOf(chunk));
  }
  mean_event_bytes_ =
      static_cast<double>(bytes) / static_cast<double>(chunks * chunk_events);
}

grpc::ByteBuffer EventMessages::Chunk(size_t n) const {
  return grpc::ByteBuffer(&chunks_[n % chunks_.size()], 1);
}

grpc::ByteBuffer EventMessages::FirstChunk(
    size_t n, const v1::BulkTrackEventsRequest& settings) const {
  // Serialized messages put behind each other are one merged message.
  const grpc::Slice both[] = {SliceOf(settings), chunks_[n % chunks_.size()]};
  return grpc::ByteBuffer(both, 2);
}

grpc::ByteBuffer EventMessages::Single(size_t n) const {
  return grpc::ByteBuffer(&singles_[n % singles_.size()], 1);
}

}  // namespace heapsync::bench
