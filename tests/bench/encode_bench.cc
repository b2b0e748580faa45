// What it costs to turn items into the text that Heap gets. Build it with the
// release preset; numbers from other builds mean nothing.

#include <google/protobuf/arena.h>

#include <chrono>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "benchmark/benchmark.h"
#include "heap_adapter/encoding/batch_body.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "heap_adapter/encoding/coalesced_update.h"
#include "heap_adapter/encoding/idempotency_key.h"
#include "heap_adapter/model/app_id.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/model/object_type.h"
#include "heapsync/v1/items.pb.h"

namespace heapsync {
namespace {

constexpr int kChunkItems = 100;
const ItemPath kPath = {.field = "events", .index = 0};
const WallTime kAcceptedAt(std::chrono::seconds(1'705'314'600));

// About 250 bytes of JSON, five properties.
v1::TrackEvent Purchase() {
  v1::TrackEvent event;
  event.set_identity("margaret.hamilton@example.com");
  event.set_event("Purchase Completed");
  event.mutable_timestamp()->set_seconds(1'705'314'600);
  auto& properties = *event.mutable_properties()->mutable_fields();
  properties["amount"].set_number_value(49.99);
  properties["currency"].set_string_value("USD");
  properties["items"].set_number_value(3);
  properties["plan"].set_string_value("Enterprise, yearly");
  properties["returning"].set_bool_value(true);
  return event;
}

void EncodeInChunks(benchmark::State& state, const v1::TrackEvent& event) {
  const EncodingRules rules;
  ChunkEncoder encoder(rules, kAcceptedAt);
  const IdempotencyKey key = IdempotencyKey::Random();
  size_t bytes = 0;
  for (auto _ : state) {
    const Findings findings = encoder.Add(event, kPath, key.view());
    if (!findings.ok()) state.SkipWithError("the event is refused");
    if (encoder.size() == kChunkItems) {
      bytes += encoder.text_size();
      EncodedChunk chunk = encoder.Take();
      benchmark::DoNotOptimize(chunk);
      encoder.Reserve(kChunkItems, chunk.text.size());
    }
  }
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
}

void BM_EncodeEvent(benchmark::State& state) {
  EncodeInChunks(state, Purchase());
}
BENCHMARK(BM_EncodeEvent);

void BM_EncodeEventWithoutProperties(benchmark::State& state) {
  v1::TrackEvent event = Purchase();
  event.clear_properties();
  EncodeInChunks(state, event);
}
BENCHMARK(BM_EncodeEventWithoutProperties);

// Umlauts, line breaks and quotes.
void BM_EncodeEventWithEscapes(benchmark::State& state) {
  v1::TrackEvent event = Purchase();
  auto& properties = *event.mutable_properties()->mutable_fields();
  properties["plan"].set_string_value("Größe \"XL\",\nzwölf Stück 😀");
  properties["currency"].set_string_value("€");
  EncodeInChunks(state, event);
}
BENCHMARK(BM_EncodeEventWithEscapes);

void BM_EncodeEventWithFiftyProperties(benchmark::State& state) {
  v1::TrackEvent event = Purchase();
  auto& properties = *event.mutable_properties()->mutable_fields();
  for (int i = 0; i < 45; ++i) {
    properties[absl::StrCat("property_", i)].set_string_value("some value");
  }
  EncodeInChunks(state, event);
}
BENCHMARK(BM_EncodeEventWithFiftyProperties);

// An encoder of its own for each event, as a unary call has it.
void BM_EncodeOneEvent(benchmark::State& state) {
  const EncodingRules rules;
  const v1::TrackEvent event = Purchase();
  const IdempotencyKey key = IdempotencyKey::Random();
  for (auto _ : state) {
    ChunkEncoder encoder(rules, kAcceptedAt);
    benchmark::DoNotOptimize(encoder.Add(event, kPath, key.view()));
    benchmark::DoNotOptimize(encoder.Take());
  }
}
BENCHMARK(BM_EncodeOneEvent);

void BM_RefuseEvent(benchmark::State& state) {
  const EncodingRules rules;
  ChunkEncoder encoder(rules, kAcceptedAt);
  v1::TrackEvent event = Purchase();
  event.set_identity("null");
  for (auto _ : state) {
    benchmark::DoNotOptimize(encoder.Add(event, kPath, "0"));
  }
}
BENCHMARK(BM_RefuseEvent);

// An event with one fault: all of it is still looked at, and nothing is kept.
void BM_ValidateEvent(benchmark::State& state) {
  const EncodingRules rules;
  ChunkEncoder encoder(rules, kAcceptedAt);
  v1::TrackEvent event = Purchase();
  event.clear_event();
  for (auto _ : state) {
    benchmark::DoNotOptimize(encoder.Add(event, kPath, "0"));
  }
}
BENCHMARK(BM_ValidateEvent);

// From the wire into an arena, as the server does.
void BM_ParseEvents(benchmark::State& state) {
  const std::string wire = Purchase().SerializeAsString();
  while (state.KeepRunningBatch(kChunkItems)) {
    google::protobuf::Arena arena;
    for (int i = 0; i < kChunkItems; ++i) {
      auto* event =
          google::protobuf::Arena::CreateMessage<v1::TrackEvent>(&arena);
      benchmark::DoNotOptimize(event->ParseFromString(wire));
    }
  }
}
BENCHMARK(BM_ParseEvents);

const KeyScope kScope = {.caller = "checkout",
                         .destination = "prod",
                         .request_id = "7d444840-9dc0-11d1-b245-5ffdce74fad2"};

void BM_DerivedKey(benchmark::State& state) {
  DerivedKeys keys(kScope);
  const ContentDigest content = DigestContent("content", "");
  uint64_t index = 0;
  for (auto _ : state) benchmark::DoNotOptimize(keys.At(index++, content));
}
BENCHMARK(BM_DerivedKey);

void BM_FirstDerivedKeyOfRequest(benchmark::State& state) {
  for (auto _ : state) {
    DerivedKeys keys(kScope);
    benchmark::DoNotOptimize(keys.At(0, DigestContent("content", "")));
  }
}
BENCHMARK(BM_FirstDerivedKeyOfRequest);

void BM_RandomKey(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(IdempotencyKey::Random());
}
BENCHMARK(BM_RandomKey);

// Per item, in bodies of 1,000.
void BM_BatchBody(benchmark::State& state) {
  const AppId app_id = AppId::Parse("1234567890").value();
  const std::string item(250, 'x');
  while (state.KeepRunningBatch(kChunkItems)) {
    BatchBody body(app_id, ObjectType::kTrackEvent);
    body.Reserve(kChunkItems, kChunkItems * item.size());
    for (int i = 0; i < kChunkItems; ++i) body.AppendItem(item);
    benchmark::DoNotOptimize(std::move(body).Finish());
  }
}
BENCHMARK(BM_BatchBody);

// Per update of one user that has gathered so many bytes: it must not matter.
void BM_CoalescedUpdate(benchmark::State& state) {
  std::string first =
      R"({"identity":"margaret.hamilton@example.com","properties":{"a":1)";
  for (int i = 0; first.size() < static_cast<size_t>(state.range(0)); ++i) {
    absl::StrAppend(&first, ",\"property ", 1'000 + i, "\":\"",
                    std::string(480, 'x'), "\"");
  }
  first += "}}";
  constexpr absl::string_view kNewer =
      R"({"identity":"margaret.hamilton@example.com","properties":)"
      R"({"city":"Cambridge","logins":17,"plan":"Enterprise"}})";
  CoalescedUpdate update(first);
  for (auto _ : state) {
    if (!update.Add(kNewer).ok()) state.SkipWithError("refused");
  }
  benchmark::DoNotOptimize(std::move(update).Text());
}
BENCHMARK(BM_CoalescedUpdate)->ArgName("bytes")->Arg(100)->Arg(500'000);

}  // namespace
}  // namespace heapsync
