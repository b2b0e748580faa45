#include "server/access/access_rules.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/json_faults.h"

namespace heapsync {
namespace {

constexpr size_t kMaxCallers = 1'000;
constexpr double kHighestRate = 1e9;

// Reads the callers and collects all faults.
class CallersReader {
 public:
  std::vector<CallerGrant> Read(const nlohmann::json& file) {
    ObjectReader reader(file, "", faults_);
    const nlohmann::json* callers = reader.Array("callers");
    if (reader.is_object() && !file.contains("callers")) {
      reader.AddFault("callers", "is missing");
    }
    if (callers != nullptr && callers->size() > kMaxCallers) {
      reader.AddFault("callers", absl::StrCat("must be at most ", kMaxCallers));
    } else if (callers != nullptr) {
      for (size_t i = 0; i < callers->size(); ++i) {
        ReadCaller((*callers)[i], IndexPath("callers", i));
      }
    }
    reader.RefuseOtherKeys();
    return std::move(grants_);
  }

  std::vector<std::string>& faults() { return faults_; }

 private:
  void ReadCaller(const nlohmann::json& value, const std::string& path) {
    ObjectReader reader(value, path, faults_);
    CallerGrant grant;
    ReadName(reader, path, grant);
    ReadTokens(reader, grant);
    grant.certificates = reader.Strings("certificates");
    for (size_t i = 0; i < grant.certificates.size(); ++i) {
      CheckIsNew(seen_certificates_, grant.certificates[i],
                 IndexPath(reader.PathOf("certificates"), i));
    }
    const auto none = [&](const char* key) {
      return !value.contains(key) ||
             (value[key].is_array() && value[key].empty());
    };
    if (reader.is_object() && none("token_sha256") && none("certificates")) {
      faults_.push_back(
          absl::StrCat(path, ": needs token_sha256 or certificates"));
    }
    if (reader.is_object() && value.contains("destinations")) {
      grant.destinations = reader.Strings("destinations");
      if (grant.destinations->empty()) {
        reader.AddFault("destinations",
                        "must name at least one; omit it to allow all");
      }
    }
    ReadServices(reader, value, grant);
    ReadRate(reader, grant);
    reader.RefuseOtherKeys();
    grants_.push_back(std::move(grant));
  }

  void ReadName(ObjectReader& reader, const std::string& path,
                CallerGrant& grant) {
    const std::optional<std::string> name = reader.RequiredString("name");
    if (!name.has_value()) return;
    if (!IsCallerName(*name)) {
      reader.AddFault("name", "must be 1 to 64 of a-z, 0-9, '_', '.' and '-'");
      return;
    }
    CheckIsNew(seen_names_, *name, reader.PathOf("name"), path);
    grant.name = *name;
  }

  void ReadTokens(ObjectReader& reader, CallerGrant& grant) {
    const std::vector<std::string> hashes = reader.Strings("token_sha256");
    for (size_t i = 0; i < hashes.size(); ++i) {
      const std::string place = IndexPath(reader.PathOf("token_sha256"), i);
      const auto hash = ParseTokenHash(hashes[i]);
      if (!hash.has_value()) {
        faults_.push_back(absl::StrCat(
            place,
            ": must be the 64 hexadecimal digits of a SHA-256, as "
            "`heapsync token` prints them; never the token itself"));
        continue;
      }
      CheckIsNew(seen_tokens_, ToHex(*hash), place);
      grant.tokens.push_back(*hash);
    }
  }

  void ReadServices(ObjectReader& reader, const nlohmann::json& value,
                    CallerGrant& grant) {
    const std::vector<std::string> services = reader.Strings("services");
    if (!reader.is_object() || !value.contains("services")) return;
    grant.data = grant.admin = false;
    for (size_t i = 0; i < services.size(); ++i) {
      if (services[i] == "data") {
        grant.data = true;
      } else if (services[i] == "admin") {
        grant.admin = true;
      } else {
        faults_.push_back(absl::StrCat(IndexPath(reader.PathOf("services"), i),
                                       ": must be \"data\" or \"admin\""));
      }
    }
    if (services.empty()) {
      reader.AddFault("services", "must name \"data\" or \"admin\" or both");
    }
  }

  void ReadRate(ObjectReader& reader, CallerGrant& grant) {
    const auto read = [&](const char* key) -> std::optional<double> {
      const std::optional<double> number = reader.Number(key);
      if (!number.has_value()) return std::nullopt;
      if (*number > 0 && *number <= kHighestRate) return number;
      reader.AddFault(key, "must be above 0 and at most 1e9");
      return std::nullopt;
    };
    const std::optional<double> rate = read("items_per_second");
    const std::optional<double> burst = read("burst");
    if (burst.has_value() && !rate.has_value()) {
      reader.AddFault("burst", "means nothing without items_per_second");
    }
    if (!rate.has_value()) return;
    grant.rate = CallerRate{.items_per_second = *rate,
                            .burst = burst.value_or(std::max(*rate, 1.0))};
  }

  // The first place of each token hash or certificate name.
  using Seen = absl::flat_hash_map<std::string, std::string>;

  void CheckIsNew(Seen& seen, const std::string& what, const std::string& place,
                  absl::string_view owner = "") {
    const auto [first, is_new] =
        seen.emplace(what, owner.empty() ? place : std::string(owner));
    if (is_new) return;
    faults_.push_back(absl::StrCat(place, ": is also used at ", first->second));
  }

  std::vector<std::string> faults_;
  std::vector<CallerGrant> grants_;
  Seen seen_names_;
  Seen seen_tokens_;
  Seen seen_certificates_;
};

}  // namespace

bool IsCallerName(absl::string_view name) {
  constexpr size_t kMaxLength = 64;
  return !name.empty() && name.size() <= kMaxLength &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) ||
                  c == '_' || c == '.' || c == '-';
         });
}

bool CallerGrant::MayUse(absl::string_view destination) const {
  return !destinations.has_value() ||
         std::find(destinations->begin(), destinations->end(), destination) !=
             destinations->end();
}

absl::StatusOr<AccessRules> AccessRules::Parse(absl::string_view json) {
  const CheckedJson checked = ParseCheckedJson(json);
  CallersReader reader;
  reader.faults() = checked.faults;
  std::vector<CallerGrant> grants;
  if (checked.value.has_value()) grants = reader.Read(*checked.value);
  if (!reader.faults().empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(reader.faults(), "\n"));
  }
  AccessRules rules;
  for (CallerGrant& grant : grants) {
    const auto shared = std::make_shared<const CallerGrant>(std::move(grant));
    rules.callers_.push_back(shared);
    for (const std::string& name : shared->certificates) {
      rules.by_certificate_.emplace(name, shared);
    }
  }
  return rules;
}

std::shared_ptr<const CallerGrant> AccessRules::FindByToken(
    const TokenHash& hash) const {
  std::shared_ptr<const CallerGrant> found;
  for (const auto& caller : callers_) {
    for (const TokenHash& known : caller->tokens) {
      if (Equal(known, hash)) found = caller;
    }
  }
  return found;
}

std::shared_ptr<const CallerGrant> AccessRules::FindByCertificate(
    absl::string_view name) const {
  const auto found = by_certificate_.find(name);
  return found == by_certificate_.end() ? nullptr : found->second;
}

}  // namespace heapsync
