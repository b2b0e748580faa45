#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_VERSIONS_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_VERSIONS_H_

#include <rocksdb/options.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace heapsync {

// One version of a key, from one file of a RocksDB database.
struct Version {
  std::string key;
  uint64_t sequence = 0;  // the version of a key with the highest one is valid
  bool deleted = false;
  std::string value;
};

// The versions in a file, in key order. One thread.
class VersionSource {
 public:
  virtual ~VersionSource() = default;
  // A lower bound of the keys. Until the merge reaches it, nothing of the file
  // needs to be in memory.
  virtual std::string first_key() const { return ""; }
  // The next version; none at the end. Errors: the file cannot be read.
  virtual absl::StatusOr<std::optional<Version>> Next() = 0;
};

// The versions of a table in a folder of its own, which RepairDB() has turned
// into a database. The database is open only while it is read. Errors: it
// cannot be opened.
absl::StatusOr<std::unique_ptr<VersionSource>> VersionsOfTable(
    const rocksdb::Options& options, const std::string& folder);

// The readable versions of a damaged table: after each damaged stretch it
// searches for the next readable key. Sequence numbers and deletions of such a
// table are unknown: every version has the sequence zero. At the end, `report`
// is called with the number of damaged stretches and of entries read. Errors:
// nothing of the table can be read.
using SalvageReport = std::function<void(uint64_t stretches, uint64_t entries)>;
absl::StatusOr<std::unique_ptr<VersionSource>> SalvageTable(
    const rocksdb::Options& options, const std::string& file,
    SalvageReport report);

// The versions in the records of logs, which may be in any order. Malformed
// records are skipped and counted in `malformed`. Holds everything in memory:
// logs are no larger than the memory tables were.
std::unique_ptr<VersionSource> VersionsOfLogs(
    const std::vector<std::string>& records, uint64_t& malformed);

// Rule for which of two versions of a key is newer.
enum class NewerBy {
  kSequence,  // the higher sequence; if equal, the later source
  kSource,    // the later source; sequences are ignored
};

// Calls `sink` with the newest version of each key, in key order, unless it is
// a deletion. Stops at the first error of a source or the sink and returns it.
absl::Status MergeVersions(
    std::vector<std::unique_ptr<VersionSource>> sources, NewerBy newer_by,
    const std::function<absl::Status(const Version&)>& sink);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_VERSIONS_H_
