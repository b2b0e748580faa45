#include "heap_adapter/inspection/edited_item.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/json_text.h"
#include "heap_adapter/encoding/idempotency_key.h"
#include "heap_adapter/encoding/reasons.h"
#include "heapsync/v1/items.pb.h"

namespace heapsync {
namespace {

using Encoded = std::variant<EncodedChunk, std::vector<Finding>>;

constexpr size_t kMaxJson = 4 << 20;

bool ParseJson(absl::string_view json, google::protobuf::Message* message) {
  return google::protobuf::util::JsonStringToMessage(
             google::protobuf::StringPiece(json.data(), json.size()), message)
      .ok();
}

// Why `json` is no item. The parser would quote it, values and all.
std::vector<Finding> Unparsable(absl::string_view json,
                                const google::protobuf::Descriptor& descriptor,
                                absl::string_view field) {
  google::protobuf::Struct object;
  if (!ParseJson(json, &object)) {
    return {{.field = std::string(field),
             .reason = "MALFORMED_JSON",
             .description = "must be one JSON object in UTF-8"}};
  }
  std::vector<Finding> findings;
  for (const auto& [key, value] : object.fields()) {
    if (findings.size() == kMaxFindings) break;
    if (descriptor.FindFieldByName(key) != nullptr ||
        descriptor.FindFieldByCamelcaseName(key) != nullptr) {
      continue;
    }
    findings.push_back({.field = absl::StrCat(field, ".", PrintableKey(key)),
                        .reason = "UNKNOWN_FIELD",
                        .description = absl::StrCat(descriptor.full_name(),
                                                    " has no such field")});
  }
  if (findings.empty()) {
    findings.push_back(
        {.field = std::string(field),
         .reason = "WRONG_TYPE",
         .description = absl::StrCat("a field has another JSON type than ",
                                     descriptor.full_name(), " says")});
  }
  return findings;
}

Findings Add(ChunkEncoder& encoder, const v1::TrackEvent& event,
             const ItemPath& path) {
  return encoder.Add(event, path, event.idempotency_key());
}
template <typename Item>
Findings Add(ChunkEncoder& encoder, const Item& item, const ItemPath& path) {
  return encoder.Add(item, path);
}

// Takes over what must stay; what is wrong if `edited` says otherwise.
std::vector<Finding> Keep(const v1::TrackEvent& old, v1::TrackEvent& edited,
                          absl::string_view field) {
  if (!edited.has_timestamp() && old.has_timestamp()) {
    *edited.mutable_timestamp() = old.timestamp();
  }
  if (edited.idempotency_key().empty()) {
    edited.set_idempotency_key(
        old.idempotency_key().empty()
            ? std::string(IdempotencyKey::Random().view())
            : old.idempotency_key());
  } else if (!old.idempotency_key().empty() &&
             edited.idempotency_key() != old.idempotency_key()) {
    return {{.field = absl::StrCat(field, ".idempotency_key"),
             .reason = "KEY_CHANGED",
             .description = "must be left out or stay as it was: with another "
                            "key Heap could take the event twice"}};
  }
  return {};
}
template <typename Item>
std::vector<Finding> Keep(const Item&, Item&, absl::string_view) {
  return {};
}

template <typename Item>
Encoded Encode(const EncodingRules& rules, const DeadLetter& letter,
               absl::string_view json, absl::string_view field, WallTime now) {
  Item edited;
  if (json.size() > kMaxJson || !ParseJson(json, &edited)) {
    return Unparsable(json.substr(0, kMaxJson + 1), *Item::descriptor(), field);
  }
  Item old;
  if (!ParseJson(letter.text, &old)) old.Clear();
  std::vector<Finding> violations = Keep(old, edited, field);
  ChunkEncoder encoder(rules, now);
  Findings findings = Add(encoder, edited, {.field = field, .index = {}});
  violations.insert(violations.end(),
                    std::make_move_iterator(findings.violations.begin()),
                    std::make_move_iterator(findings.violations.end()));
  if (!violations.empty()) return violations;
  return encoder.Take();
}

}  // namespace

Encoded EncodeEditedItem(const EncodingRules& rules, ObjectType type,
                         const DeadLetter& letter, absl::string_view json,
                         absl::string_view field, WallTime now) {
  return WithItem(type, [&](auto item) {
    return Encode<decltype(item)>(rules, letter, json, field, now);
  });
}

}  // namespace heapsync
