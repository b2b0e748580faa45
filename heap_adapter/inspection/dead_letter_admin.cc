#include "heap_adapter/inspection/dead_letter_admin.h"

#include <algorithm>
#include <map>

#include "base/promise.h"
#include "heap_adapter/inspection/dead_letter_order.h"

namespace heapsync {
namespace {

// Letters that one page looks at, and the text that it holds: bounds how long
// others wait for theirs, and the memory.
constexpr size_t kMaxLookedAt = 2'000;
constexpr size_t kMaxPageBytes = 4 << 20;

bool LaneMatches(const DeadLetterFilter& filter, LaneId lane,
                 const LaneKey& key) {
  return (filter.destination.empty() ||
          filter.destination == key.destination) &&
         (!filter.type.has_value() || *filter.type == key.type) &&
         (!filter.receipt.has_value() || filter.receipt->lane == lane);
}

bool LetterMatches(const DeadLetterFilter& filter, const DeadLetter& letter) {
  if (filter.reason.has_value() && *filter.reason != letter.reason) {
    return false;
  }
  if (filter.since.has_value() && letter.dead_lettered_at < *filter.since)
    return false;
  if (filter.until.has_value() && letter.dead_lettered_at >= *filter.until)
    return false;
  if (!filter.receipt.has_value()) return true;
  return std::any_of(filter.receipt->items.begin(), filter.receipt->items.end(),
                     [&](const SeqRange& range) {
                       return range.begin <= letter.seq &&
                              letter.seq < range.end;
                     });
}

EncodedChunk ChunkOf(DeadLetter letter, WallTime now) {
  return {.accepted_at = now,
          .replays = letter.replays + 1,
          .items = {{.size = static_cast<uint32_t>(letter.text.size()),
                     .identity_hash = letter.identity_hash}},
          .text = std::move(letter.text)};
}

}  // namespace

DeadLetterAdmin::DeadLetterAdmin(const Spool& spool, const Clock& clock,
                                 Lanes lanes, Writer writer)
    : spool_(spool),
      clock_(clock),
      lanes_(std::move(lanes)),
      writer_(std::move(writer)) {}

bool DeadLetterAdmin::Knows(absl::string_view destination) const {
  const auto lanes = lanes_.all();
  return lanes.ok() &&
         std::any_of(lanes->begin(), lanes->end(), [&](const auto& lane) {
           return lane.second.destination == destination;
         });
}

absl::StatusOr<DeadLetterPage> DeadLetterAdmin::Find(
    const DeadLetterFilter& filter, DeadLetterStart start, size_t max,
    DeadLetterScope scope) const {
  DeadLetterPage page;
  size_t looked_at = 0;
  size_t bytes = 0;
  const auto lanes = lanes_.all();
  if (!lanes.ok()) return lanes.status();
  for (const auto& [id, key] : *lanes) {
    if (id < start.from.lane || !LaneMatches(filter, id, key)) continue;
    const bool goes_on = id == start.from.lane;
    Seq end = goes_on ? start.end : 0;
    if (scope == DeadLetterScope::kFixed && end == 0) {
      const auto extent = spool_.ReadExtent(id);
      if (!extent.ok()) return extent.status();
      end = extent->head;
    }
    const absl::Status status = spool_.VisitDeadLetters(
        id, goes_on ? start.from.seq : 0,
        [&, id = id, &key = key](const DeadLetter& letter) {
          if (scope == DeadLetterScope::kFixed && letter.seq >= end) {
            return false;
          }
          if (page.letters.size() == max || looked_at == kMaxLookedAt ||
              bytes >= kMaxPageBytes) {
            page.next = {.from = {id, letter.seq}, .end = end};
            return false;
          }
          ++looked_at;
          if (LetterMatches(filter, letter)) {
            bytes += letter.text.size();
            page.letters.push_back({.lane = id, .key = key, .letter = letter});
          }
          return true;
        });
    if (!status.ok()) return status;
    if (page.next.has_value()) break;
  }
  return page;
}

absl::StatusOr<std::optional<FoundDeadLetter>> DeadLetterAdmin::FindOne(
    const DeadLetterFilter& filter, DeadLetterPlace place) const {
  std::optional<LaneKey> key = lanes_.key_of(place.lane);
  if (!key.has_value() || !LaneMatches(filter, place.lane, *key)) {
    return std::nullopt;
  }
  auto letter = spool_.FindDeadLetter(place.lane, place.seq);
  if (!letter.ok()) return letter.status();
  if (!letter->has_value() || !LetterMatches(filter, **letter)) {
    return std::nullopt;
  }
  return FoundDeadLetter{.lane = place.lane,
                         .key = *std::move(key),
                         .letter = **std::move(letter)};
}

std::optional<DeadLetterOutcome> DeadLetterAdmin::Obstacle(
    const FoundDeadLetter& found, const DeadLetterRules& rules,
    bool edited) const {
  if (!writer_.is_configured(found.key.destination)) {
    return DeadLetterOutcome::kDestinationGone;
  }
  if (found.letter.text.empty() && !edited) return DeadLetterOutcome::kDamaged;
  if (found.letter.replays >= kMaxReplays && !rules.force) {
    return DeadLetterOutcome::kReplayedTooOften;
  }
  return std::nullopt;
}

std::vector<DeadLetterResult> DeadLetterAdmin::Replay(
    std::vector<FoundDeadLetter> letters, const DeadLetterRules& rules,
    std::optional<EncodedChunk> instead, CommandId by) {
  const WallTime now = clock_.Read().wall;
  std::vector<DeadLetterResult> results(letters.size());
  std::vector<size_t> chosen;
  for (size_t i = 0; i < letters.size(); ++i) {
    const auto obstacle = Obstacle(letters[i], rules, instead.has_value());
    results[i].place = letters[i].place();
    results[i].outcome = obstacle.value_or(DeadLetterOutcome::kReplayed);
    if (!obstacle.has_value()) chosen.push_back(i);
  }
  if (rules.dry_run || chosen.empty()) return results;

  // All are queued before the first is waited for: they share commits.
  std::vector<Future<absl::StatusOr<SeqRange>>> appends;
  for (const size_t index : chosen) {
    FoundDeadLetter& found = letters[index];
    const Seq from = found.letter.seq;
    const LaneId lane = found.lane;
    const uint32_t replays = found.letter.replays + 1;
    EncodedChunk chunk = instead.has_value()
                             ? *std::move(instead)
                             : ChunkOf(std::move(found.letter), now);
    chunk.replays = replays;
    Promise<absl::StatusOr<SeqRange>> appended;
    appends.push_back(appended.future());
    const absl::Status queued = writer_.append(
        found.key, lane, std::move(chunk),
        [appended =
             std::move(appended)](absl::StatusOr<SeqRange> items) mutable {
          appended.Set(std::move(items));
        },
        [lane, from, now, by](SeqRange into, SpoolChange& change) {
          change.DeleteDeadLetter(lane, from);
          change.PutForwarding(lane, {.kind = Forwarding::Kind::kReplayed,
                                      .from = {from, from + 1},
                                      .into = into.begin,
                                      .at = now,
                                      .by = by});
        });
    results[index].detail = std::string(queued.message());
  }
  for (size_t k = 0; k < chosen.size(); ++k) {
    DeadLetterResult& result = results[chosen[k]];
    // None: it was refused, which `detail` says already, or the engine stopped.
    const std::optional<absl::StatusOr<SeqRange>> items = appends[k].Wait();
    if (items.has_value() && items->ok()) {
      result.into = (*items)->begin;
      continue;
    }
    result.outcome = DeadLetterOutcome::kNotStored;
    if (items.has_value()) {
      result.detail = std::string(items->status().message());
    } else if (result.detail.empty()) {
      result.detail = "the server is shutting down";
    }
  }
  return results;
}

std::vector<DeadLetterResult> DeadLetterAdmin::Discard(
    const std::vector<FoundDeadLetter>& letters, const DeadLetterRules& rules,
    CommandId by) {
  const WallTime now = clock_.Read().wall;
  std::vector<DeadLetterResult> results;
  SpoolChange change;
  std::map<LaneId, SeqSet> discarded;
  for (const FoundDeadLetter& found : letters) {
    const Seq seq = found.letter.seq;
    results.push_back({.place = found.place(),
                       .outcome = DeadLetterOutcome::kDiscarded,
                       .into = std::nullopt,
                       .detail = {}});
    change.DeleteDeadLetter(found.lane, seq);
    discarded[found.lane].Add(seq);
  }
  // Without these their receipts would claim that they were delivered. One for
  // all that stand together, since they are kept permanently.
  for (const auto& [lane, seqs] : discarded) {
    for (const auto& [begin, end] : seqs.ranges()) {
      change.PutForwarding(lane, {.kind = Forwarding::Kind::kDiscarded,
                                  .from = {begin, end},
                                  .at = now,
                                  .by = by});
    }
  }
  if (rules.dry_run || letters.empty()) return results;
  change.RequireDisk();
  const absl::Status status = writer_.store(std::move(change));
  if (status.ok()) return results;
  for (DeadLetterResult& result : results) {
    result.outcome = DeadLetterOutcome::kNotStored;
    result.detail = std::string(status.message());
  }
  return results;
}

absl::StatusOr<DeadLetterAdmin::Ordered> DeadLetterAdmin::FindOrdered(
    const DeadLetterOrder& order, CommandId by) const {
  std::vector<Spool::LaneItem> items;
  for (const DeadLetterPlace place : order.places) {
    items.push_back({.lane = place.lane, .seq = place.seq});
  }
  auto letters = spool_.FindDeadLetters(items);
  if (!letters.ok()) return letters.status();
  Ordered ordered;
  for (size_t i = 0; i < items.size(); ++i) {
    const DeadLetterPlace place = order.places[i];
    auto& letter = (*letters)[i];
    auto key = lanes_.key_of(place.lane);
    if (letter.has_value() && key.has_value()) {
      ordered.letters.push_back({.lane = place.lane,
                                 .key = *std::move(key),
                                 .letter = *std::move(letter)});
      continue;
    }
    DeadLetterResult& result = ordered.missing.emplace_back();
    result.place = place;
    result.outcome = DeadLetterOutcome::kNotFound;
    const auto forwarding = spool_.FindForwarding(place.lane, place.seq);
    if (!forwarding.ok()) return forwarding.status();
    if (!forwarding->has_value() || (*forwarding)->by != by) continue;
    if ((*forwarding)->kind == Forwarding::Kind::kReplayed) {
      result.outcome = DeadLetterOutcome::kReplayed;
      result.into = (*forwarding)->into;
    } else if ((*forwarding)->kind == Forwarding::Kind::kDiscarded) {
      result.outcome = DeadLetterOutcome::kDiscarded;
    }
  }
  return ordered;
}

absl::StatusOr<std::vector<DeadLetterResult>> DeadLetterAdmin::Replay(
    DeadLetterOrder order, CommandId by) {
  auto ordered = FindOrdered(order, by);
  if (!ordered.ok()) return ordered.status();
  std::vector<DeadLetterResult> results =
      Replay(std::move(ordered->letters), {.force = order.force},
             std::move(order.instead), by);
  results.insert(results.end(), ordered->missing.begin(),
                 ordered->missing.end());
  return results;
}

absl::StatusOr<std::vector<DeadLetterResult>> DeadLetterAdmin::Discard(
    const DeadLetterOrder& order, CommandId by) {
  auto ordered = FindOrdered(order, by);
  if (!ordered.ok()) return ordered.status();
  std::vector<DeadLetterResult> results = Discard(ordered->letters, {}, by);
  results.insert(results.end(), ordered->missing.begin(),
                 ordered->missing.end());
  return results;
}

}  // namespace heapsync
