#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_REPAIR_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_REPAIR_H_

#include <rocksdb/options.h>

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace heapsync {

// Called with a sentence for everything that is wrong with a store, and for
// what was done about it. Never with anything that is stored.
using DamageReport = std::function<void(const std::string&)>;

// Looks at a store that is not open for damage that RocksDB would not see or
// not survive: a mark that an earlier process left, a missing CURRENT, a
// MANIFEST or log with damage in it. What only looks like the end of a crash is
// told and well.
//
// Gives a sentence about the damage; empty: RocksDB may open the store. Sectors
// that cannot be read are damage. Errors: a file of which nothing can be read,
// for a reason that may pass (rights, too many open files): nothing is repaired
// then, which would give it up.
absl::StatusOr<std::string> FindDamage(rocksdb::Env& env,
                                       const std::string& path,
                                       const DamageReport& report);

// Ends a repair whose process died between its last two steps. Errors: it
// cannot, and the store must not be opened.
absl::Status FinishRepair(rocksdb::Env& env, const std::string& path);

// Removes what repairs that did not come to an end left beside the store.
// REQUIRES: the store's folder is there.
void RemoveLeftovers(rocksdb::Env& env, const std::string& path);

// Removes the folders in which repairs left the files of this store as they
// were, but for the folder `but` (none if empty).
void RemoveDamagedCopies(rocksdb::Env& env, const std::string& path,
                         const std::string& but, const DamageReport& report);

// Remembers that a running store met damage: FindDamage() will say so.
void MarkDamaged(rocksdb::Env& env, const std::string& path);

// Makes a damaged store one that RocksDB opens, with everything in it that can
// still be read, and keeps all its files as they were in a folder
// "<path>.damaged-<time>". Nobody needs to delete anything by hand.
//
// What a damaged part held is gone from the store; the spool tells of items
// that it misses. A deletion may be gone too: then an item is sent again.
// Errors: those of storage that cannot be written.
absl::Status RepairStore(const rocksdb::Options& options,
                         const std::string& path, const DamageReport& report);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_REPAIR_H_
