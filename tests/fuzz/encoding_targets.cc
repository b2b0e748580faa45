#include "tests/fuzz/encoding_targets.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/json_text.h"
#include "heap_adapter/encoding/batch_body.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "heap_adapter/encoding/coalesced_update.h"
#include "heap_adapter/encoding/idempotency_key.h"
#include "heap_adapter/encoding/placeholder.h"
#include "heap_adapter/encoding/property_writer.h"
#include "heap_adapter/encoding/reasons.h"
#include "heap_adapter/encoding/repeated_keys.h"
#include "heapsync/v1/heap_sync_service.pb.h"
#include "heapsync/v1/items.pb.h"
#include "nlohmann/json.hpp"
#include "tests/fuzz/fuzz_check.h"

namespace heapsync {
namespace {

using Json = nlohmann::json;

constexpr WallTime kAcceptedAt{std::chrono::seconds(1'705'314'600)};
constexpr absl::string_view kKey = "00000000-0000-5000-8000-000000000001";

Json ParseOrDie(absl::string_view text) {
  Json json = Json::parse(text.begin(), text.end(), nullptr, false);
  Check(!json.is_discarded(), "the text is JSON");
  return json;
}

void CheckLength(const std::string& text) {
  const std::optional<size_t> units = CountUtf16Units(text);
  Check(units.has_value() && *units <= kMaxPropertyUnits,
        "texts are UTF-8 and within the limit");
}

void CheckProperties(const Json& item) {
  const auto properties = item.find("properties");
  if (properties == item.end()) return;
  Check(properties->is_object() && !properties->empty(),
        "properties are an object that is not empty");
  Check(properties->size() <= kMaxProperties, "properties are bounded");
  for (const auto& [key, value] : properties->items()) {
    Check(!key.empty(), "no key is empty");
    CheckLength(key);
    if (value.is_string()) {
      CheckLength(value.get_ref<const std::string&>());
    } else if (value.is_array()) {
      Check(item.contains("event"), "only events carry lists");
      for (const Json& element : value) {
        Check(element.is_string() || element.is_number(),
              "lists carry texts and numbers");
      }
    } else {
      Check(value.is_number(), "values are texts and numbers");
    }
  }
}

void CheckFindings(const std::vector<Finding>& findings) {
  Check(findings.size() <= kMaxFindings, "findings are bounded");
  for (const Finding& finding : findings) {
    Check(!finding.reason.empty() && !finding.description.empty(),
          "a finding says what and why");
    Check(CountUtf16Units(finding.field + finding.description).has_value(),
          "findings are UTF-8");
    Check(finding.field.rfind("item", 0) == 0, "findings start at the item");
  }
}

Findings AddTo(ChunkEncoder& encoder, const v1::TrackEvent& event,
               const ItemPath& path) {
  return encoder.Add(event, path, kKey);
}

template <typename Item>
Findings AddTo(ChunkEncoder& encoder, const Item& item, const ItemPath& path) {
  return encoder.Add(item, path);
}

// True if a warning says that `field` is left out.
bool LeavesOut(const Findings& findings, absl::string_view field) {
  return std::any_of(findings.warnings.begin(), findings.warnings.end(),
                     [field](const Finding& warning) {
                       return warning.reason == reason::kPlaceholderLeftOut &&
                              warning.field == field;
                     });
}

// What a scalar becomes, by the table of docs/api.md and nothing of the
// encoder.
void CheckSameProperties(const google::protobuf::Struct& sent,
                         const Findings& findings, const Json& item) {
  const Json none = Json::object();
  const Json& properties =
      item.contains("properties") ? item["properties"] : none;
  for (const auto& [key, value] : properties.items()) {
    Check(sent.fields().contains(key) || key == "email",
          "no property is made up");
  }
  for (const auto& [key, value] : sent.fields()) {
    using Kind = google::protobuf::Value::KindCase;
    const auto found = properties.find(key);
    if (key == "email" && LeavesOut(findings, "item[3].properties.email")) {
      continue;
    }
    switch (value.kind_case()) {
      case Kind::kNumberValue:
        Check(found != properties.end() && found->is_number() &&
                  found->get<double>() == value.number_value(),
              "numbers arrive as they are");
        break;
      case Kind::kStringValue:
        Check(found != properties.end() && *found == value.string_value(),
              "texts arrive as they are");
        break;
      case Kind::kBoolValue:
        Check(found != properties.end() &&
                  *found == (value.bool_value() ? "true" : "false"),
              "truth arrives as text");
        break;
      case Kind::kNullValue:
      case Kind::KIND_NOT_SET:
        Check(found == properties.end(), "null leaves its key out");
        break;
      case Kind::kListValue:
      case Kind::kStructValue:
        break;
    }
  }
}

// A name that was taken, by the promises and nothing of the encoder.
void CheckName(const std::string& name) {
  bool blank = true;
  for (const char c : name) {
    Check(static_cast<unsigned char>(c) >= 0x20 && c != '\x7f',
          "names have no control characters");
    blank = blank && c == ' ';
  }
  Check(name.empty() || !blank, "names are not blank");
  for (const char* placeholder :
       {"null", "undefined", "0", "-1", "[]", "n/a"}) {
    Check(!absl::EqualsIgnoreCase(name, placeholder),
          "no placeholder is taken for a name");
  }
}

// `keys` may stand in the item beside the properties.
void CheckKeys(const Json& item, const std::set<std::string>& keys) {
  for (const auto& [key, value] : item.items()) {
    Check(key == "properties" || keys.contains(key), "no field is made up");
  }
}

void CheckSameItem(const v1::TrackEvent& sent, const Findings& findings,
                   const Json& item) {
  CheckName(sent.identity());
  CheckKeys(item, {"event", "identity", "user_id", "timestamp",
                   "idempotency_key", "session_id"});
  Check(sent.session_id().empty() || LeavesOut(findings, "item[3].session_id")
            ? !item.contains("session_id")
            : item.at("session_id") == sent.session_id(),
        "the event keeps its session");
  Check(item.at("event") == sent.event(), "the event keeps its name");
  Check(sent.identity().empty() ? item.at("user_id") == sent.user_id()
                                : item.at("identity") == sent.identity(),
        "the event keeps its subject");
  Check(item.contains("timestamp") && item.contains("idempotency_key"),
        "time and key are fixed");
  Check(sent.idempotency_key().empty() ||
            item["idempotency_key"] == sent.idempotency_key(),
        "a given key is kept");
}

void CheckSameItem(const v1::UserProperties& sent, const Findings& findings,
                   const Json& item) {
  CheckName(sent.identity());
  CheckKeys(item, {"identity"});
  Check(item.at("identity") == sent.identity(), "the user keeps its identity");
  Check(sent.email().empty() || LeavesOut(findings, "item[3].email") ||
            item.at("properties").at("email") == sent.email(),
        "the email is a property");
}

void CheckSameItem(const v1::AccountProperties& sent, const Findings&,
                   const Json& item) {
  CheckName(sent.account_id());
  CheckKeys(item, {"account_id"});
  Check(item.at("account_id") == sent.account_id(), "the account keeps its id");
}

template <typename Item>
void FuzzEncode(absl::string_view input, absl::string_view subject) {
  if (input.empty()) return;
  const EncodingRules rules = {.flatten_nested = (input[0] & 1) != 0};
  Item item;
  if (!item.ParseFromArray(input.data() + 1,
                           static_cast<int>(input.size() - 1))) {
    return;
  }
  ChunkEncoder encoder(rules, kAcceptedAt);
  const Findings findings = AddTo(encoder, item, {.field = "item", .index = 3});
  CheckFindings(findings.violations);
  CheckFindings(findings.warnings);
  const EncodedChunk chunk = encoder.Take();
  if (!findings.ok()) {
    Check(chunk.items.empty() && chunk.text.empty(),
          "a refused item leaves no trace");
    return;
  }
  Check(chunk.items.size() == 1 && chunk.items[0].size == chunk.text.size() &&
            chunk.text.size() <= kMaxItemBytes,
        "the chunk knows its item");
  const Json json = ParseOrDie(chunk.text);
  Check(json.is_object() &&
            (json.contains(std::string(subject)) || json.contains("user_id")),
        "the item names its subject");
  CheckProperties(json);
  CheckSameItem(item, findings, json);
  if (!rules.flatten_nested)
    CheckSameProperties(item.properties(), findings, json);

  if constexpr (!std::is_same_v<Item, v1::TrackEvent>) {
    CoalescedUpdate update(chunk.text);
    Check(update.Add(chunk.text).ok() && update.Text() == chunk.text,
          "every update can be coalesced, and nothing of it changes");
  }

  Item copy;
  Check(copy.ParseFromString(item.SerializeAsString()), "items serialize");
  AddTo(encoder, copy, {.field = "item", .index = 3});
  Check(encoder.Take().text == chunk.text, "equal items give equal texts");
}

// Encodes every item of a request as the service does, into one body.
template <typename Items>
void EncodeAll(const Items& items, const std::string& request_id,
               ObjectType type) {
  const EncodingRules rules;
  ChunkEncoder encoder(rules, kAcceptedAt);
  DerivedKeys keys({.caller = "",
                    .destination = "fuzz",
                    .request_id = request_id.empty() ? "none" : request_id});
  RepeatedKeys repeated(2);
  size_t accepted = 0;
  for (int i = 0; i < items.size(); ++i) {
    const auto index = static_cast<uint64_t>(i);
    const ItemPath path{.field = "items", .index = index};
    Findings findings;
    if constexpr (requires { items.Get(i).event(); }) {
      std::optional<IdempotencyKey> key;
      findings =
          encoder.Add(items.Get(i), path, [&](const EventContent& event) {
            const ContentDigest content = event.Digest();
            key = keys.At(index, content);
            Check(*key == keys.At(index, content), "keys can be repeated");
            const std::string& own = items.Get(i).idempotency_key();
            const bool reused = repeated.IsReused(own, content);
            Check(repeated.IsReused(own, content) == reused,
                  "an exact repetition is judged alike");
            return key->view();
          });
      Check(!findings.ok() || key.has_value(), "what is accepted has a key");
    } else {
      findings = encoder.Add(items.Get(i), path);
    }
    accepted += findings.ok() ? 1 : 0;
  }
  const EncodedChunk chunk = encoder.Take();
  Check(chunk.items.size() == accepted, "each item is taken or refused");
  BatchBody body(*AppId::Parse("123"), type);
  absl::string_view text = chunk.text;
  for (const EncodedChunk::Item& item : chunk.items) {
    body.AppendItem(text.substr(0, item.size));
    text.remove_prefix(item.size);
  }
  Check(text.empty(), "the chunk is its items");
  const Json json = ParseOrDie(std::move(body).Finish());
  Check(json.at(std::string(HeapArrayKey(type))).size() == accepted &&
            json.at("app_id") == "123",
        "the body holds what was accepted");
}

template <typename Request, typename Items>
void EncodeMessage(absl::string_view bytes, ObjectType type, Items items_of) {
  Request request;
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return;
  }
  EncodeAll(items_of(request), request.request_id(), type);
}

template <typename Item>
google::protobuf::RepeatedPtrField<Item> Only(const Item& item) {
  google::protobuf::RepeatedPtrField<Item> items;
  *items.Add() = item;
  return items;
}

}  // namespace

void FuzzEncodeRequest(absl::string_view input) {
  if (input.empty()) return;
  const absl::string_view bytes = input.substr(1);
  switch (static_cast<uint8_t>(input[0]) % 6) {
    case 0:
      return EncodeMessage<v1::TrackEventRequest>(
          bytes, ObjectType::kTrackEvent,
          [](const auto& request) { return Only(request.event()); });
    case 1:
      return EncodeMessage<v1::UserPropertiesRequest>(
          bytes, ObjectType::kUserProperties,
          [](const auto& request) { return Only(request.user()); });
    case 2:
      return EncodeMessage<v1::AccountPropertiesRequest>(
          bytes, ObjectType::kAccountProperties,
          [](const auto& request) { return Only(request.account()); });
    case 3:
      return EncodeMessage<v1::BulkTrackEventsRequest>(
          bytes, ObjectType::kTrackEvent,
          [](const auto& request) { return request.events(); });
    case 4:
      return EncodeMessage<v1::BulkUserPropertiesRequest>(
          bytes, ObjectType::kUserProperties,
          [](const auto& request) { return request.users(); });
    default:
      return EncodeMessage<v1::BulkAccountPropertiesRequest>(
          bytes, ObjectType::kAccountProperties,
          [](const auto& request) { return request.accounts(); });
  }
}

void FuzzEncodeEvent(absl::string_view input) {
  FuzzEncode<v1::TrackEvent>(input, "identity");
}

void FuzzEncodeUser(absl::string_view input) {
  FuzzEncode<v1::UserProperties>(input, "identity");
}

void FuzzEncodeAccount(absl::string_view input) {
  FuzzEncode<v1::AccountProperties>(input, "account_id");
}

void FuzzName(absl::string_view input) {
  const EncodingRules rules;
  const NameQuality quality = JudgeName(input, rules);
  const std::string folded = FoldName(input);
  Check(folded.empty() == (quality == NameQuality::kBlank),
        "a blank folds to nothing, and nothing else does");
  if (quality == NameQuality::kPlaceholder) {
    for (const char* around : {"\"", "'", " ", "\u200b"}) {
      const std::string wrapped = absl::StrCat(around, input, around);
      Check(JudgeName(wrapped, rules) == NameQuality::kPlaceholder ||
                wrapped.size() > 64,
            "quotes and blanks around a placeholder change nothing");
    }
  }
  const EncodingRules denied = {.denied_identities = {folded}};
  if (!folded.empty() && quality == NameQuality::kGood) {
    Check(JudgeName(input, denied) == NameQuality::kPlaceholder,
          "what a destination denies is denied");
  }
  const EncodingRules allowed = {.allowed_identities = {folded}};
  Check(JudgeName(input, allowed) != NameQuality::kPlaceholder ||
            input.size() > 64,
        "what a destination allows is no placeholder");
}

void FuzzJsonText(absl::string_view input) {
  std::string json = "\"";
  const std::optional<size_t> units = AppendJsonText(input, json);
  json += '"';
  Check(units == CountUtf16Units(input), "both ways to count agree");

  const std::string raw(input);
  bool is_utf8 = true;
  try {
    Json(raw).dump();
  } catch (const Json::type_error&) {
    is_utf8 = false;
  }
  Check(units.has_value() == is_utf8, "both ways to check UTF-8 agree");
  if (is_utf8) {
    Check(ParseOrDie(json) == Json(raw), "the text reads back unchanged");
  }
}

void FuzzCoalescedUpdate(absl::string_view input) {
  const std::vector<absl::string_view> lines = absl::StrSplit(input, '\n');
  CoalescedUpdate update{std::string(lines[0])};
  // The plain way: all is parsed, joined and compared.
  Json expected;
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::string before = update.Text();
    const absl::Status added = update.Add(lines[i]);
    const std::string text = update.Text();
    Check(text.size() == update.bytes(), "the size is counted");
    if (!added.ok()) {
      Check(expected.is_null() || text == before,
            "what is refused is forgotten");
      continue;
    }
    if (expected.is_null()) expected = ParseOrDie(lines[0]);
    const Json newer = ParseOrDie(lines[i]);
    Check(newer.size() <= 2 && newer.size() >= 1, "an item has no more");
    if (newer.contains("properties")) {
      Json& properties = expected["properties"];
      properties.update(newer.at("properties"));
    }
    Check(ParseOrDie(text) == expected, "of each property the newest remains");
    Check(text.size() <= kMaxItemBytes || text.size() <= before.size(),
          "an item stays within its size");
    CoalescedUpdate again(text);
    Check(again.Add(text).ok() && again.Text() == text,
          "the result is an item like others");
  }
}

}  // namespace heapsync
