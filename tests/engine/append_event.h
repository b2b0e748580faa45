#ifndef HEAPSYNC_TESTS_ENGINE_APPEND_EVENT_H_
#define HEAPSYNC_TESTS_ENGINE_APPEND_EVENT_H_

#include <utility>

#include "absl/status/statusor.h"
#include "base/promise.h"
#include "gtest/gtest.h"
#include "heap_adapter/engine.h"

namespace heapsync {

// Appends an event of nobody. The result is there once it is stored.
inline Future<absl::StatusOr<SeqRange>> AppendEvent(
    Engine& engine, const Destination& to,
    SettledCallback on_settled = nullptr) {
  Promise<absl::StatusOr<SeqRange>> promise;
  auto stored = promise.future();
  EncodedChunk chunk;
  chunk.accepted_at = SystemClock().Read().wall;
  chunk.items.push_back({.size = 2, .identity_hash = 1});
  chunk.text = "{}";
  const Admission queued = engine.Append(
      to, engine.LaneFor(to, ObjectType::kTrackEvent), std::move(chunk),
      [promise = std::move(promise)](absl::StatusOr<SeqRange> items) mutable {
        promise.Set(std::move(items));
      },
      std::move(on_settled));
  EXPECT_TRUE(queued.ok()) << queued.status;
  return stored;
}

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_ENGINE_APPEND_EVENT_H_
