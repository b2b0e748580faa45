#include "heap_adapter/config/config.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/json_faults.h"
#include "heap_adapter/config/destination_keys.h"

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

// Reads the keys of DestinationKeys() that do not need other destinations.
Destination ReadKeys(ObjectReader& reader, const AppId& app_id,
                     Faults& faults) {
  Destination destination{.name = "", .app_id = app_id};
  std::optional<ObjectReader> nested;
  std::string object;
  for (const DestinationKey& key : DestinationKeys()) {
    if (key.read == nullptr) continue;
    if (key.object.empty()) {
      key.read(reader, destination);
      continue;
    }
    if (key.object != object) {
      if (nested.has_value()) nested->RefuseOtherKeys();
      nested.reset();
      object = key.object;
      const nlohmann::json* value = reader.Any(object.c_str());
      if (value != nullptr) {
        nested.emplace(*value, reader.PathOf(object.c_str()), faults);
      }
    }
    if (nested.has_value()) key.read(*nested, destination);
  }
  if (nested.has_value()) nested->RefuseOtherKeys();
  return destination;
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
    // A stand-in lets the faults of the other keys be found as well.
    Destination destination =
        ReadKeys(reader, app_id.value_or(*AppId::Parse("0")), faults_);
    destination.name = name;
    reader.RefuseOtherKeys();

    CheckNameIsNew(reader, name, index);
    if (!app_id.has_value()) return;
    CheckShares(reader, *app_id, destination.region, destination.limit_share,
                index);
    config_.destinations.push_back(std::move(destination));
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

std::vector<DestinationKeyText> DescribeDestinationKeys() {
  std::vector<DestinationKeyText> texts;
  for (const DestinationKey& key : DestinationKeys()) {
    texts.push_back({.path = key.Path(),
                     .default_value = key.default_value,
                     .values = key.values,
                     .meaning = key.meaning});
  }
  return texts;
}

}  // namespace heapsync
