#include "client/cli/query_flags.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/command_options.h"
#include "client/cli/odbc_values.h"

namespace heapsync {
namespace {

// The file's attributes, which may stand on lines of their own, as one
// connection string.
std::string ReadConnection(const std::string& path, std::ostream& err) {
  struct stat info;
  if (::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
      (info.st_mode & S_IROTH) != 0) {
    err << "heapsync: warning: every user of this machine can read the "
           "connection string in "
        << path << "; make it private with chmod 600\n";
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad()) {
    ThrowUsageError("--odbc_file", absl::StrCat("cannot read ", path, ": ",
                                                std::strerror(errno)));
  }
  std::vector<std::string> attributes;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    while (absl::EndsWith(line, ";")) line.remove_suffix(1);
    if (!line.empty()) attributes.emplace_back(line);
  }
  if (attributes.empty()) {
    ThrowUsageError("--odbc_file", absl::StrCat(path, " is empty"));
  }
  return absl::StrJoin(attributes, ";");
}

void RefuseSecrets(const std::string& connection) {
  for (const auto& [key, value] : ConnectionAttributes(connection)) {
    // psqlodbc takes a connection string of another kind as a value.
    const std::string nested = absl::AsciiStrToLower(value);
    if ((!value.empty() && IsSecretAttribute(key)) ||
        absl::StrContains(nested, "password=")) {
      ThrowUsageError(
          "--odbc", absl::StrCat(key,
                                 " would be seen by all users of this machine; "
                                 "put it into odbc.ini, or put the connection "
                                 "string into a file and name that by "
                                 "--odbc_file"));
    }
  }
}

}  // namespace

void AddQueryFlags(CLI::App& command, QueryFlags& flags) {
  AddText(command, "--odbc", flags.odbc,
          "read the result of --query instead of a file, from this data "
          "source: an ODBC connection string without a password, such as "
          "DSN=warehouse");
  AddText(command, "--odbc_file", flags.odbc_file,
          "file that holds the connection string, for one with a password",
          {.excludes = "--odbc"});
  AddText(command, "--query", flags.query,
          "the query whose rows are sent, in the SQL of the data source");
  AddTexts(command, "--odbc_init", flags.init, Separator::kNone,
           "statement to execute before the query, such as SET TIME ZONE "
           "'UTC'; may be repeated");
  AddText(command, "--cursor", flags.cursor,
          "column of the query that grows with every change, such as "
          "updated_at. The query has WHERE column > ? ORDER BY column, and "
          "each import reads what came after the one before; needs --state");
  AddText(command, "--cursor_start", flags.cursor_start,
          "value of the cursor column that the first import begins after",
          {.needs = "--cursor"});
}

std::optional<QueryOptions> ToQueryOptions(const QueryFlags& flags,
                                           std::ostream& err) {
  const bool has_source = !flags.odbc.empty() || !flags.odbc_file.empty();
  if (!has_source) {
    const auto refuse = [](const char* flag, bool given) {
      if (given) {
        ThrowUsageError(flag, "needs --odbc or --odbc_file");
      }
    };
    refuse("--query", !flags.query.empty());
    refuse("--odbc_init", !flags.init.empty());
    refuse("--cursor", !flags.cursor.empty());
    return std::nullopt;
  }
  if (flags.query.empty()) {
    ThrowUsageError("--query", "is missing: it says which rows are read");
  }
  QueryOptions options;
  if (flags.odbc_file.empty()) {
    RefuseSecrets(flags.odbc);
    options.query.connection = flags.odbc;
    options.source = flags.odbc;
  } else {
    options.query.connection = ReadConnection(flags.odbc_file, err);
    options.source = absl::StrCat("file ", flags.odbc_file);
  }
  options.query.sql = flags.query;
  options.query.init = flags.init;
  options.query.cursor = flags.cursor;
  options.cursor_start = flags.cursor_start;
  return options;
}

}  // namespace heapsync
