#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SQL_ERROR_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SQL_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace heapsync {

// An error of the database as one of the spool. The code says what to do:
//
//   kUnavailable         the database, or the way to it, is away for a moment:
//                        try again, over a new connection if this one is gone
//   kResourceExhausted   it has no space or no memory; nothing was written
//   kFailedPrecondition  the set-up is wrong: trying again does not help before
//                        it was changed
//   kInternal            everything else
//
// The message has the SQLSTATE, and `text`, the server's primary message, only
// where that cannot hold a key or a value of the spool.
//
// `sql_state`: five characters; empty for an error of the client library, which
// are all those of the connection.
absl::Status SqlError(absl::string_view sql_state, absl::string_view text);

// The SQLSTATE in an error message of the client library that was made with
// PQERRORS_SQLSTATE; empty if there is none. A message about several hosts may
// have several: one that says that the set-up is wrong goes first.
absl::string_view SqlStateIn(absl::string_view message);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SQL_ERROR_H_
