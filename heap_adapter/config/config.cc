#include "heap_adapter/config/config.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "heap_adapter/config/duration_text.h"
#include "heap_adapter/config/json_faults.h"
#include "heap_adapter/config/ranges.h"

namespace heapsync {
namespace {

using Faults = std::vector<std::string>;

bool IsDestinationName(absl::string_view name) {
  constexpr size_t kMaxLength = 64;
  const auto allowed = [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' ||
           c == '-';
  };
  return !name.empty() && name.size() <= kMaxLength && name[0] != '_' &&
         name[0] != '-' && std::all_of(name.begin(), name.end(), allowed);
}

std::string ReadName(ObjectReader& reader) {
  const std::optional<std::string> name = reader.RequiredString("name");
  if (!name.has_value()) return "";
  if (IsDestinationName(*name)) return *name;
  reader.AddFault("name",
                  "must be 1 to 64 of a-z, 0-9, _ and -, starting with a "
                  "letter or digit");
  return "";
}

std::optional<AppId> ReadAppId(ObjectReader& reader) {
  const std::optional<std::string> digits = reader.RequiredString("app_id");
  if (!digits.has_value()) return std::nullopt;
  absl::StatusOr<AppId> app_id = AppId::Parse(*digits);
  if (app_id.ok()) return *std::move(app_id);
  reader.AddFault("app_id", app_id.status().message());
  return std::nullopt;
}

// United States where nothing is said, as in Heap's own settings.
Region ReadRegion(ObjectReader& reader) {
  const std::string region =
      reader.String("region").value_or(std::string(Name(Region::kUs)));
  if (region == Name(Region::kEu)) return Region::kEu;
  if (region != Name(Region::kUs)) {
    reader.AddFault("region", "must be \"us\" or \"eu\"");
  }
  return Region::kUs;
}

double ReadLimitShare(ObjectReader& reader) {
  const double share = reader.Number("limit_share").value_or(1.0);
  if (share > 0 && share <= 1) return share;
  reader.AddFault("limit_share", "must be above 0 and at most 1");
  return 1.0;
}

EncodingRules ReadEncodingRules(ObjectReader& reader) {
  EncodingRules rules;
  rules.flatten_nested =
      reader.Bool("flatten_nested").value_or(rules.flatten_nested);
  absl::flat_hash_set<std::string> denied;
  for (const std::string& identity : reader.Strings("denied_identities")) {
    denied.insert(absl::AsciiStrToLower(identity));
  }
  for (const std::string& identity : reader.Strings("allowed_identities")) {
    const std::string lowercase = absl::AsciiStrToLower(identity);
    rules.denied_identities.erase(lowercase);
    if (denied.contains(lowercase)) {
      reader.AddFault("allowed_identities",
                      "must not allow what denied_identities denies");
    }
  }
  rules.denied_identities.insert(denied.begin(), denied.end());
  return rules;
}

HeapLimits ReadLimits(ObjectReader& destination, Faults& faults) {
  HeapLimits limits;
  const nlohmann::json* value = destination.Any("limits");
  if (value == nullptr) return limits;
  ObjectReader reader(*value, destination.PathOf("limits"), faults);
  const auto read = [&reader](const char* key, uint32_t& limit) {
    limit = reader.WholeNumber(key, 0, std::numeric_limits<uint32_t>::max())
                .value_or(limit);
  };
  read("events_per_minute", limits.events_per_minute);
  read("events_per_identity_per_minute", limits.events_per_identity_per_minute);
  read("user_requests_per_identity_per_30s",
       limits.user_requests_per_identity_per_30s);
  reader.RefuseOtherKeys();
  return limits;
}

BatchRules ReadBatchRules(ObjectReader& destination, Faults& faults) {
  BatchRules rules;
  const nlohmann::json* value = destination.Any("batch");
  if (value == nullptr) return rules;
  ObjectReader reader(*value, destination.PathOf("batch"), faults);
  rules.max_items = reader
                        .WholeNumber("max_items", kBatchItemsRange.least,
                                     kBatchItemsRange.most)
                        .value_or(rules.max_items);
  rules.max_bytes = reader
                        .WholeNumber("max_bytes", kBatchBytesRange.least,
                                     kBatchBytesRange.most)
                        .value_or(rules.max_bytes);
  const std::optional<std::string> max_wait = reader.String("max_wait");
  if (max_wait.has_value()) {
    const auto wait = ParseDurationText(*max_wait);
    if (wait.has_value() && *wait <= kMaxBatchWait) {
      rules.max_wait = *wait;
    } else {
      reader.AddFault("max_wait",
                      "must be a duration such as \"500ms\", \"2s\" or \"1m\", "
                      "at most \"1h\"");
    }
  }
  reader.RefuseOtherKeys();
  return rules;
}

// Reads the whole file and gathers its faults.
class ConfigReader {
 public:
  absl::StatusOr<DestinationConfig> Read(absl::string_view text) {
    const CheckedJson json = ParseCheckedJson(text);
    faults_ = json.faults;
    if (json.value.has_value()) ReadFile(*json.value);
    if (faults_.empty()) return std::move(config_);
    return absl::InvalidArgumentError(absl::StrJoin(faults_, "\n"));
  }

 private:
  // All the destinations that share an App ID share Heap's limits.
  struct Environment {
    size_t first_index;
    double share;
  };

  void ReadFile(const nlohmann::json& file) {
    ObjectReader reader(file, "", faults_);
    const nlohmann::json* destinations = reader.Array("destinations");
    if (destinations != nullptr) {
      for (size_t i = 0; i < destinations->size(); ++i) {
        ReadDestination((*destinations)[i], i);
      }
    }
    const bool none = !reader.is_object() || !file.contains("destinations") ||
                      (destinations != nullptr && destinations->empty());
    if (reader.is_object() && none) {
      reader.AddFault("destinations", "must name at least one destination");
    }
    ReadDefault(reader);
    reader.RefuseOtherKeys();
  }

  void ReadDefault(ObjectReader& reader) {
    const std::optional<std::string> name =
        reader.String("default_destination");
    if (!name.has_value()) {
      if (config_.destinations.size() == 1) {
        config_.default_destination = config_.destinations.front().name;
      }
      return;
    }
    if (!index_of_name_.contains(*name)) {
      reader.AddFault("default_destination",
                      "must be the name of one of the destinations");
    }
    config_.default_destination = *name;
  }

  void ReadDestination(const nlohmann::json& value, size_t index) {
    const std::string path = IndexPath("destinations", index);
    ObjectReader reader(value, path, faults_);
    std::string name = ReadName(reader);
    const std::optional<AppId> app_id = ReadAppId(reader);
    const Region region = ReadRegion(reader);
    const double limit_share = ReadLimitShare(reader);
    EncodingRules encoding = ReadEncodingRules(reader);
    const HeapLimits limits = ReadLimits(reader, faults_);
    const BatchRules batch = ReadBatchRules(reader, faults_);
    const auto max_queued_mib = reader.WholeNumber(
        "max_queued_mib", kQueuedMibRange.least, kQueuedMibRange.most);
    reader.RefuseOtherKeys();

    CheckNameIsNew(reader, name, index);
    if (!app_id.has_value()) return;
    CheckShares(reader, *app_id, region, limit_share, index);
    config_.destinations.push_back({.name = std::move(name),
                                    .app_id = *app_id,
                                    .region = region,
                                    .encoding = std::move(encoding),
                                    .limits = limits,
                                    .limit_share = limit_share,
                                    .batch = batch});
    if (max_queued_mib.has_value()) {
      config_.destinations.back().max_queued_mib = *max_queued_mib;
    }
  }

  void CheckNameIsNew(ObjectReader& reader, const std::string& name,
                      size_t index) {
    if (name.empty()) return;
    const auto [first, is_new] = index_of_name_.emplace(name, index);
    if (is_new) return;
    reader.AddFault(
        "name",
        absl::StrCat("is the name of ",
                     IndexPath("destinations", first->second), ", too"));
  }

  void CheckShares(ObjectReader& reader, const AppId& app_id, Region region,
                   double share, size_t index) {
    // Shares such as 0.1 do not add up exactly.
    constexpr double kRounding = 1e-9;
    Environment& environment =
        environments_
            .emplace(std::pair(app_id.digits(), region), Environment{index, 0})
            .first->second;
    environment.share += share;
    if (environment.share <= 1 + kRounding) return;
    reader.AddFault(
        "app_id",
        absl::StrCat("is that of ",
                     IndexPath("destinations", environment.first_index),
                     ", too; give each a limit_share so that they add up to at "
                     "most 1, or together they exceed Heap's limits"));
  }

  DestinationConfig config_;
  Faults faults_;
  absl::flat_hash_map<std::string, size_t> index_of_name_;
  absl::flat_hash_map<std::pair<std::string, Region>, Environment>
      environments_;
};

}  // namespace

absl::StatusOr<DestinationConfig> ParseDestinationConfig(
    absl::string_view json) {
  return ConfigReader().Read(json);
}

}  // namespace heapsync
