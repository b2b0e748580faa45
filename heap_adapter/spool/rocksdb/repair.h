#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_REPAIR_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_REPAIR_H_

#include <rocksdb/options.h>

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace heapsync {

// Called with one sentence for each damage to a store and each measure taken
// against it. The sentence never contains stored data.
using DamageReport = std::function<void(const std::string&)>;

// Searches a store that is not open for damage that RocksDB would not detect or
// not survive: a mark left by MarkDamaged(), a missing CURRENT, a damaged
// MANIFEST or log. An incomplete record at the end of a log, as a crash leaves
// it, is reported but is not damage.
//
// Returns a sentence about the damage, or an empty string if RocksDB may open
// the store. Unreadable sectors are damage. Errors: nothing of a file can be
// read, perhaps only temporarily (permissions, too many open files). The store
// must not be repaired then, because a repair would give the file up.
absl::StatusOr<std::string> FindDamage(rocksdb::Env& env,
                                       const std::string& path,
                                       const DamageReport& report);

// Completes a repair that was interrupted between its last two steps. Errors:
// it cannot be completed, and the store must not be opened.
absl::Status FinishRepair(rocksdb::Env& env, const std::string& path);

// Removes the folders that interrupted repairs left beside the store. REQUIRES:
// the store's folder exists.
void RemoveLeftovers(rocksdb::Env& env, const std::string& path);

// Removes the folders in which repairs kept the original files of this store,
// except the folder `keep`. Removes all of them if `keep` is empty.
void RemoveDamagedCopies(rocksdb::Env& env, const std::string& path,
                         const std::string& keep, const DamageReport& report);

// Records on disk that a running store found damage, so that FindDamage()
// returns it.
void MarkDamaged(rocksdb::Env& env, const std::string& path);

// Replaces a damaged store by one that RocksDB can open, with everything that
// can still be read, and keeps the original files in a folder
// "<path>.damaged-<time>", which later repairs remove.
//
// Entries in damaged parts are lost; the spool reports items that are missing.
// If a deletion is lost, an item is sent again. Errors: a file cannot be read
// now, or the new store cannot be written.
absl::Status RepairStore(const rocksdb::Options& options,
                         const std::string& path, const DamageReport& report);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_REPAIR_H_
