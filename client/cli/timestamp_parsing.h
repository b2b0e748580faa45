#ifndef HEAPSYNC_CLIENT_CLI_TIMESTAMP_PARSING_H_
#define HEAPSYNC_CLIENT_CLI_TIMESTAMP_PARSING_H_

#include <google/protobuf/timestamp.pb.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heapsync {

// Reads the forms in which warehouses export times:
//
//   2024-01-15T10:30:00Z, 2024-01-15T10:30:00.123+02:00    RFC 3339
//   2024-01-15 10:30:00.123, 2024-01-15T10:30:00           UTC
//   2024-01-15 10:30:00+02, … +0200, … +02:00, … UTC, … Z  with an offset
//   2024-01-15T10:30Z, 2024-01-15 10:30                    without seconds
//   2024/01/15 10:30:00, 2024/01/15                        with slashes
//   20240115T103000Z                                       ISO 8601, basic
//   2024-01-15T10:30:00Z[UTC], … GMT                       with UTC's name
//   2024-01-15                                             midnight UTC
//   1705314600, 1705314600.123                             seconds since 1970
//   1705314600123, 1705314600123.0                         milliseconds
//   1705314600123456                                       microseconds
//   1705314600123456789                                    nanoseconds
//   1.705314600123E+12                                     any of these
//
// Digits alone are seconds if there are 9 or 10, milliseconds if 12 or 13,
// microseconds if 15 or 16, nanoseconds if 18 or 19; any other number of them
// (20240115) is refused instead of guessed, and so are those that also read as
// a date (202401151030). Before a signed exponent all of these digits have to
// stand: spreadsheets round the others away. Fractions beyond nanoseconds are
// cut off. A leap second is the first of the next minute. White space around it
// is nothing. Errors: kInvalidArgument, without the text itself.
absl::StatusOr<google::protobuf::Timestamp> ParseTimestamp(
    absl::string_view text);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_TIMESTAMP_PARSING_H_
