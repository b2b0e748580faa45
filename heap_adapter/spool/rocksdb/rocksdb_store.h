#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_ROCKSDB_STORE_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_ROCKSDB_STORE_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "heap_adapter/spool/store.h"

namespace rocksdb {
class Env;
}  // namespace rocksdb

namespace heapsync {

struct RocksDbStoreOptions {
  // Created if it is missing. One process at a time: a lock file guards it.
  std::string path;

  // Bytes collected in memory before they are written to a sorted file. Larger:
  // fewer files, and fewer rewrites of items that are soon delivered and
  // deleted. At most two such buffers exist.
  size_t write_buffer_bytes = 16 << 20;

  // Bytes of sorted-file blocks kept in memory. Reads are mostly sequential, so
  // a larger cache gains little.
  size_t block_cache_bytes = 8 << 20;

  // The file system to use; null: the machine's. Not owned.
  rocksdb::Env* env = nullptr;

  // Called with one sentence for each damage, found when the store is opened or
  // later, and for each measure taken against it. Any thread; must not block.
  std::function<void(const std::string&)> on_damage;
};

// Opens a Store in a RocksDB database. A damaged database is repaired first:
// everything that can still be read is kept in it, and the original files are
// kept in a folder beside it.
//
// Errors, each with the path: kUnavailable if another process has it open,
// kDataLoss if it is damaged and the repair did not help, else kInternal.
absl::StatusOr<std::unique_ptr<Store>> OpenRocksDbStore(
    const RocksDbStoreOptions& options);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_ROCKSDB_STORE_H_
