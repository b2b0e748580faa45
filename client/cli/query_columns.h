#ifndef HEAPSYNC_CLIENT_CLI_QUERY_COLUMNS_H_
#define HEAPSYNC_CLIENT_CLI_QUERY_COLUMNS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/cli/field_mapping.h"

namespace heapsync {

// A mapping for the columns of a query's result.
struct QueryColumns {
  // With the columns' names as the result has them.
  MappingOptions mapping;
  // By column: the key of its values. A column that fills a field by its name
  // gets that name.
  std::vector<std::string> keys;
};

// Finds the columns that the options name, by the same letters or else, as some
// databases give all names in upper case, by the same letters in any case. In
// a.b, a may be a column of JSON. Errors: kInvalidArgument with everything
// that is wrong: a column that is absent, or that two columns may be meant by;
// a required field that nothing fills; a column user_id that is not mapped.
// REQUIRES: no two of the names are equal.
absl::StatusOr<QueryColumns> ResolveColumns(
    MappingOptions mapping, absl::Span<const std::string> names);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_QUERY_COLUMNS_H_
