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

// What one file of a RocksDB database says of a key.
struct Version {
  std::string key;
  uint64_t sequence = 0;  // of what is said of one key, the greatest counts
  bool deleted = false;
  std::string value;
};

// The versions that a file holds, in the order of their keys. One thread.
class VersionSource {
 public:
  virtual ~VersionSource() = default;
  // No key is less: until the merge comes to it, nothing of the file need be in
  // memory.
  virtual std::string first_key() const { return ""; }
  // The next; none at the end. Errors: a file that cannot be read.
  virtual absl::StatusOr<std::optional<Version>> Next() = 0;
};

// Of a table that stands in a folder of its own, which RocksDB has made a
// database of (RepairDB). It is open only while it is read. Errors: it cannot
// be opened.
absl::StatusOr<std::unique_ptr<VersionSource>> VersionsOfTable(
    const rocksdb::Options& options, const std::string& folder);

// Of a damaged table, as far as it can be read: behind a damaged stretch it
// looks for the next key that can be. Such a table does not tell sequences or
// deletions: all are of the sequence zero. `stretches` is told at the end how
// many places were damaged, and how many entries could be read. Errors: nothing
// of it can be read.
using SalvageReport = std::function<void(uint64_t stretches, uint64_t entries)>;
absl::StatusOr<std::unique_ptr<VersionSource>> SalvageTable(
    const rocksdb::Options& options, const std::string& file,
    SalvageReport report);

// Of the records of logs, in any order. Malformed ones are passed over and
// counted in `malformed`. Holds everything in memory: logs are no larger than
// what was in memory.
std::unique_ptr<VersionSource> VersionsOfLogs(
    const std::vector<std::string>& records, uint64_t& malformed);

// What tells which of two versions of a key is the newer.
enum class NewerBy {
  kSequence,  // or the later source, of two that are equal
  kSource,    // the later source; sequences do not matter
};

// Gives each key's newest version to `sink`, in key order, unless it is a
// deletion. Stops at the first error of a source or the sink, and gives it.
absl::Status MergeVersions(
    std::vector<std::unique_ptr<VersionSource>> sources, NewerBy newer_by,
    const std::function<absl::Status(const Version&)>& sink);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_VERSIONS_H_
