#include "server/admin/dead_letter_rpcs.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/json_text.h"
#include "base/mutex.h"
#include "server/admin/admin_fields.h"
#include "server/admin/dead_letter_choice.h"

namespace heapsync {
namespace {

// An answer to a list stays below the 4 MiB that gRPC's clients take by
// default.
constexpr size_t kMaxListBytes = 3 << 20;

v1::DeadLetterOutcome OutcomeOf(DeadLetterOutcome outcome) {
  switch (outcome) {
    case DeadLetterOutcome::kReplayed:
      return v1::DEAD_LETTER_OUTCOME_REPLAYED;
    case DeadLetterOutcome::kDiscarded:
      return v1::DEAD_LETTER_OUTCOME_DISCARDED;
    case DeadLetterOutcome::kReplayedTooOften:
      return v1::DEAD_LETTER_OUTCOME_REPLAYED_TOO_OFTEN;
    case DeadLetterOutcome::kDamaged:
      return v1::DEAD_LETTER_OUTCOME_DAMAGED;
    case DeadLetterOutcome::kDestinationGone:
      return v1::DEAD_LETTER_OUTCOME_DESTINATION_GONE;
    case DeadLetterOutcome::kNotStored:
      return v1::DEAD_LETTER_OUTCOME_NOT_STORED;
    case DeadLetterOutcome::kNotFound:
      return v1::DEAD_LETTER_OUTCOME_NOT_FOUND;
  }
  HEAPSYNC_UNREACHABLE();
}

// Heap's text may be cut in the middle of a character, or be no text at all; a
// proto string must be UTF-8.
std::string ToUtf8(absl::string_view text) {
  std::string valid;
  while (!text.empty()) {
    const size_t length = Utf8CharacterLength(text);
    if (length == 0) {
      valid += "\xef\xbf\xbd";
      text.remove_prefix(1);
    } else {
      valid.append(text.data(), length);
      text.remove_prefix(length);
    }
  }
  return valid;
}

void Fill(const Engine& engine, const FoundDeadLetter& found,
          v1::DeadLetter& to) {
  const DeadLetter& letter = found.letter;
  to.set_id(DeadLetterId(engine, found.place()));
  to.set_destination(found.key.destination);
  to.set_type(ToProto(found.key.type));
  to.set_sequence(letter.seq);
  to.set_reason(ToProto(letter.reason));
  *to.mutable_accepted_at() = ToProto(letter.accepted_at);
  *to.mutable_dead_lettered_at() = ToProto(letter.dead_lettered_at);
  to.set_replays(letter.replays);
  to.set_http_status(letter.http_status);
  to.set_heap_response(ToUtf8(letter.heap_response));
  to.set_item_json(letter.text);
}

// Adds what became of each chosen letter of a part; gives how many came out as
// `wanted`.
template <typename Response>
uint32_t Fill(const Engine& engine, const ChosenDeadLetters::Part& chosen,
              const std::vector<DeadLetterResult>& results,
              DeadLetterOutcome wanted, Response& response) {
  uint32_t count = 0;
  for (const DeadLetterResult& result : results) {
    v1::DeadLetterResult& to = *response.add_results();
    to.set_id(DeadLetterId(engine, result.place));
    to.set_outcome(OutcomeOf(result.outcome));
    to.set_detail(result.detail);
    if (result.into.has_value()) {
      to.set_receipt(DeadLetterId(engine, {result.place.lane, *result.into}));
    }
    if (result.outcome == wanted) ++count;
  }
  for (const DeadLetterPlace place : chosen.not_found) {
    v1::DeadLetterResult& to = *response.add_results();
    to.set_id(DeadLetterId(engine, place));
    to.set_outcome(v1::DEAD_LETTER_OUTCOME_NOT_FOUND);
  }
  return count;
}

// The results of several engines, of which the last to come ends it.
template <typename Results>
class Join {
 public:
  using Reply = typename Awaited<Results>::Reply;
  Join(size_t parts, Reply reply)
      : open_(parts), results_(parts), reply_(std::move(reply)) {}

  void End(size_t part, absl::StatusOr<std::vector<DeadLetterResult>> results) {
    {
      MutexLock lock(mutex_);
      if (results.ok()) {
        results_[part] = *std::move(results);
      } else {
        status_.Update(results.status());
      }
      if (--open_ > 0) return;
    }
    // Nobody else has it any more.
    if (!status_.ok()) return reply_(status_);
    reply_(std::move(results_));
  }

 private:
  Mutex mutex_;
  size_t open_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_;
  std::vector<std::vector<DeadLetterResult>> results_;
  Reply reply_;
};

template <typename Request>
DeadLetterPageRequest PageOf(const Request& request) {
  return {.filter = request.filter(),
          .page_size = request.page_size(),
          .page_token = request.page_token()};
}

template <typename Request>
DeadLetterUse UseOf(const Request& request) {
  return request.all() ? DeadLetterUse::kChangeAll : DeadLetterUse::kChange;
}

template <typename Request>
constexpr bool kReplays = std::is_same_v<Request, v1::ReplayDeadLettersRequest>;

std::optional<CallError> CheckEdited(
    const v1::ReplayDeadLettersRequest& request) {
  if (request.edited_item_json().empty() || request.filter().ids_size() == 1) {
    return std::nullopt;
  }
  return InvalidRequest(
      {{.field = "filter.ids",
        .reason = "REQUIRED",
        .description = "must name exactly one dead letter where "
                       "`edited_item_json` is set"}});
}

// The item of `edited_item_json`; none if the letter is gone.
std::variant<std::optional<EncodedChunk>, CallError> ReadEdited(
    const Engines& engines, const v1::ReplayDeadLettersRequest& request,
    const ChosenDeadLetters& chosen) {
  if (chosen.parts.empty() || chosen.parts.front().letters.empty()) {
    return std::nullopt;
  }
  const ChosenDeadLetters::Part& part = chosen.parts.front();
  auto edited = engines[part.shard].EncodeEdited(
      part.letters.front(), request.edited_item_json(), "edited_item_json");
  if (auto* violations = std::get_if<std::vector<Finding>>(&edited)) {
    return InvalidRequest(std::move(*violations));
  }
  auto& chunk = std::get<EncodedChunk>(edited);
  if (chunk.items.empty()) return std::nullopt;
  return std::move(chunk);
}

}  // namespace

CallResult<v1::ListDeadLettersResponse> ListDeadLetters(
    const Engines& engines, const Caller& caller,
    const v1::ListDeadLettersRequest& request) {
  auto read =
      ReadChoice(engines, caller, PageOf(request), DeadLetterUse::kView);
  if (auto* error = std::get_if<CallError>(&read)) return std::move(*error);
  const DeadLetterChoice& choice = std::get<DeadLetterChoice>(read);
  auto chosen = FindChosen(engines, choice);
  if (!chosen.ok()) return NotRead(chosen.status());
  v1::ListDeadLettersResponse response;
  size_t bytes = 0;
  bool full = false;
  for (ChosenDeadLetters::Part& part : chosen->parts) {
    const Engine& engine = engines[part.shard];
    for (const FoundDeadLetter& found : part.letters) {
      v1::DeadLetter& letter = *response.add_dead_letters();
      Fill(engine, found, letter);
      bytes += letter.ByteSizeLong();
      // The first one always goes, however long it is.
      full = bytes > kMaxListBytes && response.dead_letters_size() > 1;
      if (!full) continue;
      response.mutable_dead_letters()->RemoveLast();
      chosen->next = {.shard = part.shard, .start = {.from = found.place()}};
      std::erase_if(part.not_found, [&](const DeadLetterPlace& place) {
        return place > found.place();
      });
      break;
    }
    for (const DeadLetterPlace place : part.not_found) {
      response.add_not_found_ids(DeadLetterId(engine, place));
    }
    if (full) break;
  }
  if (chosen->next.has_value()) {
    response.set_next_page_token(PageToken(engines, *chosen->next));
  }
  return response;
}

template <typename Request, typename Response>
TurnResult<Response> DeadLetterChange<Request, Response>::operator()(
    const Caller& caller, const Request& request) {
  if (!changed_.asked()) return Ask(caller, request);
  std::optional<Results> changed = changed_.Take();
  if (!changed.has_value()) return ShuttingDown();
  if (!changed->ok()) return NotChanged(changed->status());
  Response response;
  uint32_t count = 0;
  for (size_t i = 0; i < chosen_.parts.size(); ++i) {
    const ChosenDeadLetters::Part& part = chosen_.parts[i];
    std::vector<DeadLetterResult>& results = (**changed)[i];
    std::sort(results.begin(), results.end(),
              [](const DeadLetterResult& a, const DeadLetterResult& b) {
                return a.place < b.place;
              });
    count += Fill((*engines_)[part.shard], part, results,
                  kReplays<Request> ? DeadLetterOutcome::kReplayed
                                    : DeadLetterOutcome::kDiscarded,
                  response);
  }
  if constexpr (kReplays<Request>) {
    response.set_replayed(count);
  } else {
    response.set_discarded(count);
  }
  if (chosen_.next.has_value()) {
    response.set_next_page_token(PageToken(*engines_, *chosen_.next));
  }
  return response;
}

template <typename Request, typename Response>
TurnResult<Response> DeadLetterChange<Request, Response>::Ask(
    const Caller& caller, const Request& request) {
  if constexpr (kReplays<Request>) {
    if (auto error = CheckEdited(request)) return *std::move(error);
  }
  auto read = ReadChoice(*engines_, caller, PageOf(request), UseOf(request));
  if (auto* error = std::get_if<CallError>(&read)) return std::move(*error);
  auto chosen = FindChosen(*engines_, std::get<DeadLetterChoice>(read));
  if (!chosen.ok()) return NotRead(chosen.status());
  chosen_ = *std::move(chosen);
  DeadLetterRules rules{.dry_run = request.dry_run()};
  std::optional<EncodedChunk> instead;
  if constexpr (kReplays<Request>) {
    rules.force = request.force();
    if (!request.edited_item_json().empty()) {
      auto edited = ReadEdited(*engines_, request, chosen_);
      if (auto* error = std::get_if<CallError>(&edited)) {
        return std::move(*error);
      }
      instead = std::get<std::optional<EncodedChunk>>(std::move(edited));
    }
  }
  std::vector<std::pair<Engine*, std::vector<FoundDeadLetter>>> letters;
  for (ChosenDeadLetters::Part& part : chosen_.parts) {
    letters.emplace_back(&(*engines_)[part.shard],
                         std::exchange(part.letters, {}));
  }
  return changed_.For([rules, instead = std::move(instead),
                       letters = std::move(letters),
                       asker = AskerOf(caller, *context_)](
                          typename Awaited<Results>::Reply reply) mutable {
    if (letters.empty()) {
      return reply(std::vector<std::vector<DeadLetterResult>>());
    }
    const auto join =
        std::make_shared<Join<Results>>(letters.size(), std::move(reply));
    for (size_t i = 0; i < letters.size(); ++i) {
      auto& [engine, of_shard] = letters[i];
      auto done = [join,
                   i](absl::StatusOr<std::vector<DeadLetterResult>> results) {
        join->End(i, std::move(results));
      };
      if constexpr (kReplays<Request>) {
        engine->Replay(std::move(of_shard), rules,
                       std::exchange(instead, std::nullopt), asker,
                       std::move(done));
      } else {
        engine->Discard(of_shard, rules, asker, std::move(done));
      }
    }
  });
}

template class DeadLetterChange<v1::ReplayDeadLettersRequest,
                                v1::ReplayDeadLettersResponse>;
template class DeadLetterChange<v1::DiscardDeadLettersRequest,
                                v1::DiscardDeadLettersResponse>;

}  // namespace heapsync
