#include "heap_adapter/spool/postgres/spool_uri.h"

#include <libpq-fe.h>

#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace heapsync {
namespace {

struct OptionsDeleter {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using Options = std::unique_ptr<PQconninfoOption, OptionsDeleter>;

Options Parse(absl::string_view uri) {
  return Options(PQconninfoParse(std::string(uri).c_str(), nullptr));
}

absl::string_view Find(const Options& options, absl::string_view keyword) {
  for (const PQconninfoOption* option = options.get();
       option != nullptr && option->keyword != nullptr; ++option) {
    if (option->keyword == keyword && option->val != nullptr) {
      return option->val;
    }
  }
  return {};
}

}  // namespace

absl::Status CheckSpoolUri(absl::string_view uri) {
  if (!absl::StartsWith(uri, "postgresql://") &&
      !absl::StartsWith(uri, "postgres://")) {
    return absl::InvalidArgumentError(
        "must be a URI such as "
        "postgresql://heapsync@db.internal/heapsync?sslmode=verify-full");
  }
  const Options options = Parse(uri);
  if (options == nullptr) {
    return absl::InvalidArgumentError(
        "is no URI that libpq understands: "
        "postgresql://user@host:port,host:port/database?option=value");
  }
  for (const char* secret : {"password", "sslpassword"}) {
    if (Find(options, secret).empty()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "must not have a ", secret,
        ": everyone on the machine could read it; give passfile=…, service=… "
        "or the variable PGPASSFILE, PGSERVICE or PGPASSWORD"));
  }
  return absl::OkStatus();
}

std::string SpoolPlace(absl::string_view uri) {
  const Options options = Parse(uri);
  const auto of = [&options](const char* keyword, const char* otherwise) {
    const absl::string_view value = Find(options, keyword);
    return value.empty() ? std::string(otherwise) : std::string(value);
  };
  if (const std::string service = of("service", ""); !service.empty()) {
    return absl::StrCat("service ", service);
  }
  return absl::StrCat(of("host", "(default host)"), ":", of("port", "5432"),
                      "/", of("dbname", "(default database)"));
}

std::string SpoolPlaces(const std::vector<std::string>& uris) {
  return absl::StrJoin(uris, ", ",
                       [](std::string* text, const std::string& uri) {
                         text->append(SpoolPlace(uri));
                       });
}

}  // namespace heapsync
