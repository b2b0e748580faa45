#include "base/environment_names.h"

#include <unistd.h>

#include <algorithm>
#include <numeric>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace heapsync {
namespace {

constexpr absl::string_view kPrefix = "HEAPSYNC";

// Sets `rest` to "HTTPLISTEN" for "HEAP_SYNC_http_listen". False without the
// prefix.
bool StripPrefix(absl::string_view name, std::string& rest) {
  rest.clear();
  for (const char c : name) {
    if (c != '_') rest.push_back(absl::ascii_toupper(c));
  }
  if (!absl::StartsWith(rest, kPrefix)) return false;
  rest.erase(0, kPrefix.size());
  return true;
}

bool IsDigits(absl::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

// Names of the form PORT_<number>_TCP, as Kubernetes and links of containers
// have it, with what may follow.
bool IsPortOfService(absl::string_view name) {
  constexpr absl::string_view kMark = "_PORT_";
  for (size_t at = name.find(kMark); at != absl::string_view::npos;
       at = name.find(kMark, at + 1)) {
    absl::string_view rest = name.substr(at + kMark.size());
    const size_t end = std::min(rest.find('_'), rest.size());
    if (!IsDigits(rest.substr(0, end))) continue;
    rest.remove_prefix(end);
    for (const absl::string_view protocol : {"_TCP", "_UDP", "_SCTP"}) {
      if (absl::StartsWith(rest, protocol)) return true;
    }
  }
  return false;
}

bool IsMadeForService(absl::string_view name, absl::string_view value) {
  if (absl::EndsWith(name, "_SERVICE_HOST") ||
      absl::EndsWith(name, "_SERVICE_PORT") ||
      absl::StrContains(name, "_SERVICE_PORT_") || IsPortOfService(name)) {
    return true;
  }
  if (absl::EndsWith(name, "_PORT")) return absl::StrContains(value, "://");
  // Links of containers: HEAPSYNC_NAME=/web/heapsync.
  return absl::StrContains(name, "_ENV_") ||
         (absl::EndsWith(name, "_NAME") && absl::StartsWith(value, "/"));
}

// Insertions, deletions, replacements and swaps of neighbours between two
// texts.
size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> before(b.size() + 1), above(b.size() + 1),
      row(b.size() + 1);
  std::iota(above.begin(), above.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1,
                         above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

// More in a short name than one slip makes another word of it.
size_t MaxSlips(absl::string_view name) {
  constexpr size_t kShort = 7;
  return name.size() <= kShort ? 1 : 2;
}

// The variable that `name`, without the prefix, is meant for; empty: none.
std::string MeantBy(absl::string_view name,
                    const std::vector<std::string>& read) {
  std::string meant, candidate;
  size_t least = std::string::npos;
  // As secrets are mounted elsewhere.
  absl::string_view base = name;
  const bool names_file = absl::ConsumeSuffix(&base, "FILE");
  for (const std::string& variable : read) {
    if (!StripPrefix(variable, candidate)) continue;
    size_t slips = Distance(name, candidate);
    if (names_file && base == candidate) slips = 1;
    if (slips > MaxSlips(candidate) || slips >= least) continue;
    least = slips;
    meant = variable;
  }
  return meant;
}

}  // namespace

Environment ProcessEnvironment() {
  Environment environment;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr;
       ++entry) {
    const absl::string_view text = *entry;
    const size_t end = text.find('=');
    if (end == absl::string_view::npos) continue;
    environment.emplace(text.substr(0, end), text.substr(end + 1));
  }
  return environment;
}

const std::vector<std::string>& CommandVariables() {
  static const auto& variables = *new std::vector<std::string>{
      "HEAPSYNC_SERVER",     "HEAPSYNC_TLS",
      "HEAPSYNC_TLS_CA",     "HEAPSYNC_CLIENT_CERT",
      "HEAPSYNC_CLIENT_KEY", "HEAPSYNC_TLS_SERVER_NAME",
      "HEAPSYNC_TOKEN_FILE", "HEAPSYNC_PLAINTEXT_TOKEN",
      "HEAPSYNC_PROXY"};
  return variables;
}

StrayVariables FindStrayVariables(const Environment& environment,
                                  const std::vector<std::string>& read,
                                  const std::vector<std::string>& others) {
  const auto is_among = [](const std::vector<std::string>& names,
                           const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  StrayVariables stray;
  std::string rest;
  for (const auto& [name, value] : environment) {
    if (!StripPrefix(name, rest) || is_among(read, name) ||
        is_among(others, name) || absl::StripAsciiWhitespace(value).empty() ||
        IsMadeForService(name, value)) {
      continue;
    }
    if (std::string meant = MeantBy(rest, read); !meant.empty()) {
      stray.misspelt.push_back({name, std::move(meant)});
    } else if (MeantBy(rest, others).empty()) {
      stray.unknown.push_back(name);
    }
  }
  return stray;
}

std::string FaultOf(const StrayVariables::Misspelt& variable) {
  return absl::StrCat(variable.name, " is not read; ", variable.meant, " is");
}

}  // namespace heapsync
