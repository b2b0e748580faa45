#ifndef HEAPSYNC_SERVER_ACCESS_ACCESS_RULES_H_
#define HEAPSYNC_SERVER_ACCESS_ACCESS_RULES_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/access/token.h"

namespace heapsync {

// 1 to 64 characters of a-z, 0-9, '_', '.', '-'.
bool IsCallerName(absl::string_view name);

// Items per second, and the number of items that may be sent together after a
// pause.
struct CallerRate {
  double items_per_second = 0;
  double burst = 0;
  bool operator==(const CallerRate&) const = default;
};

// Permissions and credentials of one caller.
struct CallerGrant {
  std::string name;
  std::vector<TokenHash> tokens;
  std::vector<std::string> certificates;  // DNS name, URI or common name
  // None: every destination.
  std::optional<std::vector<std::string>> destinations;
  bool data = true;
  bool admin = false;
  std::optional<CallerRate> rate;

  bool MayUse(absl::string_view destination) const;
};

// The permitted callers, from one file. Immutable: a new file gives new rules.
class AccessRules {
 public:
  // Parses the JSON form (comments allowed):
  //
  //   {"callers": [{"name": "checkout", "token_sha256": ["9f86…"],
  //                 "certificates": ["checkout.example.com"],
  //                 "destinations": ["prod"], "services": ["data"],
  //                 "items_per_second": 500, "burst": 2000}]}
  //
  // A caller has at least one token hash or certificate name, none of which
  // another caller has. `services` are "data" (the default) and "admin". A
  // destination need not be configured: an unknown one is not found anyway.
  //
  // Errors: kInvalidArgument with one line per fault, each with its place; all
  // faults at once. The text never contains a hash.
  static absl::StatusOr<AccessRules> Parse(absl::string_view json);

  // The caller with this token; null if there is none. Always compares with
  // every known hash.
  std::shared_ptr<const CallerGrant> FindByToken(const TokenHash& hash) const;

  // The caller with this certificate name; null if there is none.
  std::shared_ptr<const CallerGrant> FindByCertificate(
      absl::string_view name) const;

  const std::vector<std::shared_ptr<const CallerGrant>>& callers() const {
    return callers_;
  }

 private:
  // Shared with the calls in flight, which outlive a reload.
  std::vector<std::shared_ptr<const CallerGrant>> callers_;
  absl::flat_hash_map<std::string, std::shared_ptr<const CallerGrant>>
      by_certificate_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ACCESS_ACCESS_RULES_H_
