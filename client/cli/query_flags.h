#ifndef HEAPSYNC_CLIENT_CLI_QUERY_FLAGS_H_
#define HEAPSYNC_CLIENT_CLI_QUERY_FLAGS_H_

#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "client/cli/query_input.h"

namespace CLI {
class App;
}  // namespace CLI

namespace heapsync {

// Flags of an import that reads a query's result.
struct QueryFlags {
  std::string odbc, odbc_file, query, cursor, cursor_start;
  std::vector<std::string> init;
};

// `flags` must outlive the command.
void AddQueryFlags(CLI::App& command, QueryFlags& flags);

// Null if no flag is given. Ends the command (ThrowUsageError) where flags do
// not go together, for a secret in --odbc, and if --odbc_file cannot be read.
// Warns on `err` of an --odbc_file that every user of the machine can read.
std::optional<QueryOptions> ToQueryOptions(const QueryFlags& flags,
                                           std::ostream& err);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_QUERY_FLAGS_H_
