#ifndef HEAPSYNC_TESTS_ENCODING_ENCODED_ITEM_H_
#define HEAPSYNC_TESTS_ENCODING_ENCODED_ITEM_H_

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/struct.pb.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "heap_adapter/model/destination.h"
#include "heapsync/v1/items.pb.h"
#include "nlohmann/json.hpp"

namespace heapsync {

using Json = nlohmann::json;

// 2024-01-15T10:30:00Z
inline constexpr WallTime kTestAcceptedAt{std::chrono::seconds(1'705'314'600)};
inline constexpr absl::string_view kTestKey =
    "00000000-0000-5000-8000-000000000001";

// What became of one item.
struct EncodedItem {
  Findings findings;
  std::string text;

  // "reason at field" of each violation (or warning), in order.
  std::vector<std::string> violations() const {
    return Listed(findings.violations);
  }
  std::vector<std::string> warnings() const {
    return Listed(findings.warnings);
  }

  Json json() const { return Json::parse(text); }
  Json properties() const { return json().at("properties"); }

 private:
  static std::vector<std::string> Listed(const std::vector<Finding>& list) {
    std::vector<std::string> result;
    for (const Finding& finding : list) {
      result.push_back(absl::StrCat(finding.reason, " at ", finding.field));
    }
    return result;
  }
};

inline EncodedItem Encode(const v1::TrackEvent& event,
                          const EncodingRules& rules = {}) {
  ChunkEncoder encoder(rules, kTestAcceptedAt);
  EncodedItem item;
  item.findings = encoder.Add(event, {.field = "event", .index = {}}, kTestKey);
  item.text = encoder.Take().text;
  return item;
}

inline EncodedItem Encode(const v1::UserProperties& user,
                          const EncodingRules& rules = {}) {
  ChunkEncoder encoder(rules, kTestAcceptedAt);
  EncodedItem item;
  item.findings = encoder.Add(user, {.field = "user", .index = {}});
  item.text = encoder.Take().text;
  return item;
}

inline EncodedItem Encode(const v1::AccountProperties& account,
                          const EncodingRules& rules = {}) {
  ChunkEncoder encoder(rules, kTestAcceptedAt);
  EncodedItem item;
  item.findings = encoder.Add(account, {.field = "account", .index = {}});
  item.text = encoder.Take().text;
  return item;
}

inline v1::TrackEvent ValidEvent() {
  v1::TrackEvent event;
  event.set_identity("user@example.com");
  event.set_event("Purchase Completed");
  return event;
}

inline v1::UserProperties ValidUser() {
  v1::UserProperties user;
  user.set_identity("user@example.com");
  return user;
}

inline v1::AccountProperties ValidAccount() {
  v1::AccountProperties account;
  account.set_account_id("acme-corp");
  return account;
}

// The property `key` of an item; made if it is not there.
template <typename Item>
google::protobuf::Value& Property(Item& item, absl::string_view key) {
  return (*item.mutable_properties()->mutable_fields())[std::string(key)];
}

// `unit` so many times.
inline std::string Repeat(absl::string_view unit, size_t times) {
  std::string text;
  for (size_t i = 0; i < times; ++i) absl::StrAppend(&text, unit);
  return text;
}

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_ENCODING_ENCODED_ITEM_H_
