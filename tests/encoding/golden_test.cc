// Replays tests/golden: items in, the body that Heap gets out. Each file is one
// case:
//   type        "track_event", "user_properties" or "account_properties"
//   items       what callers send, in the JSON form of the protos
//   rules       optional: {"flatten_nested": true}
//   body        the whole request, with the App ID as "YOUR_APP_ID"
//   violations  optional: "REASON at field" of the items that are refused
//   warnings    optional: likewise
//   seed        optional: a body that equals `body` but for idempotency keys
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"
#include "heap_adapter/encoding/batch_body.h"
#include "heap_adapter/encoding/idempotency_key.h"
#include "heap_adapter/model/app_id.h"
#include "heap_adapter/model/object_type.h"
#include "tests/encoding/encoded_item.h"

namespace heapsync {
namespace {

constexpr char kAppId[] = "1234567890";
constexpr char kRequestId[] = "golden";

template <typename Item>
Item FromJson(const Json& json) {
  Item item;
  const auto status =
      google::protobuf::util::JsonStringToMessage(json.dump(), &item);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return item;
}

ObjectType TypeNamed(const std::string& name) {
  const auto found =
      std::find_if(kObjectTypes.begin(), kObjectTypes.end(),
                   [&](ObjectType type) { return Name(type) == name; });
  EXPECT_NE(found, kObjectTypes.end()) << name;
  return *found;
}

struct Outcome {
  Json body;
  Json violations = Json::array();
  Json warnings = Json::array();
};

Outcome Replay(const Json& input) {
  const ObjectType type = TypeNamed(input.at("type"));
  EncodingRules rules;
  rules.flatten_nested =
      input.value("/rules/flatten_nested"_json_pointer, false);
  ChunkEncoder encoder(rules, kTestAcceptedAt);
  DerivedKeys keys(
      {.caller = "", .destination = "golden", .request_id = kRequestId});
  std::optional<IdempotencyKey> key;

  Outcome outcome;
  uint64_t index = 0;
  for (const Json& json : input.at("items")) {
    const ItemPath path = {.field = HeapArrayKey(type), .index = index};
    Findings findings;
    switch (type) {
      case ObjectType::kTrackEvent:
        findings = encoder.Add(FromJson<v1::TrackEvent>(json), path,
                               [&](const EventContent& content) {
                                 key = keys.At(index, content.Digest());
                                 return key->view();
                               });
        break;
      case ObjectType::kUserProperties:
        findings = encoder.Add(FromJson<v1::UserProperties>(json), path);
        break;
      case ObjectType::kAccountProperties:
        findings = encoder.Add(FromJson<v1::AccountProperties>(json), path);
        break;
    }
    for (const Finding& found : findings.violations) {
      outcome.violations.push_back(found.reason + " at " + found.field);
    }
    for (const Finding& found : findings.warnings) {
      outcome.warnings.push_back(found.reason + " at " + found.field);
    }
    ++index;
  }

  const EncodedChunk chunk = encoder.Take();
  BatchBody body(AppId::Parse(kAppId).value(), type);
  absl::string_view rest = chunk.text;
  for (const EncodedChunk::Item& item : chunk.items) {
    body.AppendItem(rest.substr(0, item.size));
    rest.remove_prefix(item.size);
  }
  outcome.body = Json::parse(std::move(body).Finish());
  return outcome;
}

Json WithAppId(Json body) {
  EXPECT_EQ(body.at("app_id"), "YOUR_APP_ID");
  body["app_id"] = kAppId;
  return body;
}

std::vector<std::filesystem::path> GoldenFiles() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(
           HEAPSYNC_SOURCE_DIR "/tests/golden")) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class GoldenTest : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(GoldenTest, BodyIsWhatTheFileSays) {
  std::ifstream file(GetParam());
  const Json golden = Json::parse(file);
  const Outcome outcome = Replay(golden);
  EXPECT_EQ(outcome.body, WithAppId(golden.at("body"))) << outcome.body.dump(2);
  EXPECT_EQ(outcome.violations, golden.value("violations", Json::array()));
  EXPECT_EQ(outcome.warnings, golden.value("warnings", Json::array()));
  if (golden.contains("seed")) {
    Json body = outcome.body;
    for (Json& item :
         body[std::string(HeapArrayKey(TypeNamed(golden.at("type"))))]) {
      item.erase("idempotency_key");
    }
    EXPECT_EQ(body, WithAppId(golden.at("seed")));
  }
}

std::string StemOf(const testing::TestParamInfo<std::filesystem::path>& file) {
  return file.param.stem().string();
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenTest, testing::ValuesIn(GoldenFiles()),
                         StemOf);

}  // namespace
}  // namespace heapsync
