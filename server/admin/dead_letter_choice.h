#ifndef HEAPSYNC_SERVER_ADMIN_DEAD_LETTER_CHOICE_H_
#define HEAPSYNC_SERVER_ADMIN_DEAD_LETTER_CHOICE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "heap_adapter/engines.h"
#include "heapsync/v1/heap_sync_admin_service.pb.h"
#include "server/access/caller.h"
#include "server/wire/rich_status.h"

namespace heapsync {

// The id of the dead letter at `place`: a receipt for that one item.
std::string DeadLetterId(const Engine& engine, DeadLetterPlace place);

// The beginning of a page as text: the page token, which clients return unread,
// without the id of the spool.
std::string EncodePageStart(const DeadLetterStart& start);
// None for a text that EncodePageStart() does not write.
std::optional<DeadLetterStart> DecodePageStart(absl::string_view text);

// The beginning of a page in one shard; the later ones follow.
struct ShardStart {
  size_t shard = 0;
  DeadLetterStart start;
};

// The dead letters that a request is about, checked.
struct DeadLetterChoice {
  // A letter by its shard and place in it.
  using Id = std::pair<size_t, DeadLetterPlace>;
  DeadLetterFilter filter;
  // Not empty: these, where they match. Sorted, each once.
  std::vector<Id> ids;
  // The shards that may have some, in their order.
  std::vector<size_t> shards;
  uint32_t page_size = 0;
  ShardStart start;
  DeadLetterScope scope = DeadLetterScope::kLive;
};

// The purpose for which a request chooses letters.
enum class DeadLetterUse {
  kView,
  kChange,     // a filter with nothing set is a violation
  kChangeAll,  // the caller said that it means all
};

// The fields that all requests about dead letters share. Points into the
// request.
struct DeadLetterPageRequest {
  const v1::DeadLetterFilter& filter;
  uint32_t page_size;
  absl::string_view page_token;
};

// Reads a request's filter and its page.
std::variant<DeadLetterChoice, CallError> ReadChoice(
    const Engines& engines, const Caller& caller,
    const DeadLetterPageRequest& request, DeadLetterUse use);

// The token of the page that begins at `next`. It means something to the spool
// of `engines` only.
std::string PageToken(const Engines& engines, const ShardStart& next);

// The letters of the page.
struct ChosenDeadLetters {
  struct Part {
    size_t shard = 0;
    std::vector<FoundDeadLetter> letters;
    std::vector<DeadLetterPlace> not_found;  // of the ids
  };
  std::vector<Part> parts;  // by shard
  std::optional<ShardStart> next;
};
absl::StatusOr<ChosenDeadLetters> FindChosen(const Engines& engines,
                                             const DeadLetterChoice& choice);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ADMIN_DEAD_LETTER_CHOICE_H_
