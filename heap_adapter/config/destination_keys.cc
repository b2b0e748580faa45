#include "heap_adapter/config/destination_keys.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "heap_adapter/config/setting_checks.h"
#include "heap_adapter/encoding/placeholder.h"

namespace heapsync {
namespace {

constexpr NumberRange kLimitRange{0, std::numeric_limits<uint32_t>::max()};

// A whole number at the member that the path of pointers to members leads to.
template <auto... kPath>
DestinationKey WholeNumber(std::string object, std::string key,
                           NumberRange range, std::string meaning) {
  const Destination defaults{.name = "", .app_id = *AppId::Parse("0")};
  return {.object = std::move(object),
          .key = key,
          .values = range.Text(),
          .default_value = absl::StrCat((defaults.*....*kPath)),
          .meaning = std::move(meaning),
          .read = [key, range](ObjectReader& reader, Destination& destination) {
            const std::optional<uint32_t> number =
                reader.WholeNumber(key.c_str(), range.min, range.max);
            if (number.has_value()) (destination.*....*kPath) = *number;
          }};
}

void ReadRegion(ObjectReader& reader, Destination& destination) {
  const std::optional<std::string> name = reader.String("region");
  if (!name.has_value()) return;
  for (const RegionRow& row : kRegions) {
    if (*name != row.name) continue;
    destination.region = row.region;
    return;
  }
  reader.AddFault("region", "must be \"us\" or \"eu\"");
}

void ReadLimitShare(ObjectReader& reader, Destination& destination) {
  const double share = reader.Number("limit_share").value_or(1.0);
  if (share > 0 && share <= 1) {
    destination.limit_share = share;
  } else {
    reader.AddFault("limit_share", "must be above 0 and at most 1");
  }
}

void ReadFlattenNested(ObjectReader& reader, Destination& destination) {
  bool& flatten = destination.encoding.flatten_nested;
  flatten = reader.Bool("flatten_nested").value_or(flatten);
}

// Both keys, since a contradiction between them is a fault.
void ReadIdentityLists(ObjectReader& reader, Destination& destination) {
  const auto read = [&reader](const char* key) {
    absl::flat_hash_set<std::string> names;
    for (const std::string& name : reader.Strings(key)) {
      std::string folded = FoldName(name);
      if (folded.empty()) {
        reader.AddFault(key,
                        "must not have blank entries; a blank identity is "
                        "always refused");
      } else {
        names.insert(std::move(folded));
      }
    }
    return names;
  };
  EncodingRules& rules = destination.encoding;
  rules.denied_identities = read("denied_identities");
  rules.allowed_identities = read("allowed_identities");
  for (const std::string& name : rules.allowed_identities) {
    if (!rules.denied_identities.contains(name)) continue;
    reader.AddFault("allowed_identities",
                    "must not allow what denied_identities denies");
    break;
  }
}

void ReadBatchWait(ObjectReader& reader, Destination& destination) {
  const std::optional<std::string> text = reader.String("max_wait");
  if (!text.has_value()) return;
  const auto wait = ParseDurationText(*text);
  if (wait.has_value() && kBatchWaitRange.Contains(*wait)) {
    destination.batch.max_wait = *wait;
  } else {
    reader.AddFault("max_wait",
                    absl::StrCat("must be a duration such as \"500ms\", \"2s\" "
                                 "or \"1m\", from ",
                                 kBatchWaitRange.Text()));
  }
}

std::vector<DestinationKey> MakeKeys() {
  const BatchRules batch;
  return {
      {.object = "",
       .key = "name",
       .values = "1 to 64 of a-z, 0-9, _ and -, starting with a letter or "
                 "digit; unique",
       .default_value = "",
       .meaning = "The name by which callers and metrics know the destination.",
       .read = nullptr},
      {.object = "",
       .key = "app_id",
       .values = "1 to 20 digits, in quotes",
       .default_value = "",
       .meaning = "App ID of the Heap environment. Heap answers 200 to a "
                  "well-formed one that does not exist.",
       .read = nullptr},
      {.object = "",
       .key = "region",
       .values = "us or eu",
       .default_value = std::string(Name(Region::kUs)),
       .meaning = "Heap's data center. Heap loses what is sent to the wrong "
                  "one without an error.",
       .read = ReadRegion},
      {.object = "",
       .key = "limit_share",
       .values = "above 0, at most 1",
       .default_value = "1",
       .meaning = "The fraction of Heap's limits for this destination. Less "
                  "than 1 where other senders use the same App ID; the shares "
                  "of destinations with one App ID add up to at most 1.",
       .read = ReadLimitShare},
      {.object = "",
       .key = "flatten_nested",
       .values = "true or false",
       .default_value = "false",
       .meaning = "Nested objects become properties called a.b instead of "
                  "being refused.",
       .read = ReadFlattenNested},
      {.object = "",
       .key = "denied_identities",
       .values = "array of strings",
       .default_value = "",
       .meaning = "Identities, account ids, session ids, idempotency keys and "
                  "emails that count as placeholders, in addition to the "
                  "built-in ones; case, brackets and quotes make no "
                  "difference.",
       .read = ReadIdentityLists},
      {.object = "",
       .key = "allowed_identities",
       .values = "array of strings",
       .default_value = "",
       .meaning = "Built-in placeholders that are real names here, for the "
                  "same fields. Blank names cannot be allowed.",
       .read = nullptr},
      WholeNumber<&Destination::max_queued_mib>(
          "", "max_queued_mib", kQueuedMibRange,
          "MiB that may wait in the spool; beyond it new items are refused."),
      WholeNumber<&Destination::max_dead_letter_mib>(
          "", "max_dead_letter_mib", kQueuedMibRange,
          "MiB that dead letters may take in the spool; beyond it new items "
          "are refused until some are replayed or discarded. A caller whose "
          "own dead letters take half of it is refused alone."),
      WholeNumber<&Destination::limits, &HeapLimits::events_per_minute>(
          "limits", "events_per_minute", kLimitRange,
          "Heap's limit of events for an App ID in any 60 s; 0: none."),
      WholeNumber<&Destination::limits,
                  &HeapLimits::events_per_identity_per_minute>(
          "limits", "events_per_identity_per_minute", kLimitRange,
          "Heap's limit of events for one identity in any 60 s; 0: none."),
      WholeNumber<&Destination::limits,
                  &HeapLimits::user_requests_per_identity_per_30s>(
          "limits", "user_requests_per_identity_per_30s", kLimitRange,
          "Heap's limit of user property updates for one identity in any 30 s; "
          "0: none."),
      WholeNumber<&Destination::batch, &BatchRules::max_items>(
          "batch", "max_items", kBatchItemsRange,
          "Items in one request to Heap."),
      WholeNumber<&Destination::batch, &BatchRules::max_bytes>(
          "batch", "max_bytes", kBatchBytesRange,
          "Bytes of one request to Heap. More: fewer requests, more memory, "
          "more to repeat."),
      {.object = "batch",
       .key = "max_wait",
       .values = kBatchWaitRange.Text(),
       .default_value = FormatDurationText(batch.max_wait),
       .meaning = "How long the first item of a batch waits for more.",
       .read = ReadBatchWait},
  };
}

}  // namespace

std::string DestinationKey::Path() const {
  return object.empty() ? key : absl::StrCat(object, ".", key);
}

const std::vector<DestinationKey>& DestinationKeys() {
  static const auto& keys = *new std::vector<DestinationKey>(MakeKeys());
  return keys;
}

}  // namespace heapsync
