#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SPOOL_URI_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SPOOL_URI_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace heapsync {

// Checks the URI of a spool in PostgreSQL: postgresql:// with what libpq takes,
// several hosts included. Errors: kInvalidArgument, without the URI's text; for
// a password in it, too, since everyone on the machine sees command lines and
// every child the environment.
absl::Status CheckSpoolUri(absl::string_view uri);

// Host, port and database of a checked URI, for people.
std::string SpoolPlace(absl::string_view uri);
// The same of several.
std::string SpoolPlaces(const std::vector<std::string>& uris);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SPOOL_URI_H_
