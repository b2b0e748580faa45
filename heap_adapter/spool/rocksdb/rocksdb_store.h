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

  // Bytes gathered in memory before they become a sorted file. Larger: fewer
  // files and less rewriting of what is soon delivered and deleted; at most two
  // such buffers exist.
  size_t write_buffer_bytes = 16 << 20;

  // Bytes of sorted-file blocks kept in memory. Reads go forward through what
  // was written, so a larger cache gains little.
  size_t block_cache_bytes = 8 << 20;

  // The file system underneath; the machine's if null. Not owned.
  rocksdb::Env* env = nullptr;

  // Called with a sentence for each thing that is found to be damaged, when the
  // store is opened or later, and for what was done about it. Any thread; must
  // not block.
  std::function<void(const std::string&)> on_damage;
};

// A Store in a RocksDB database. One that is damaged is repaired while it is
// opened: what can still be read is in it, and the files as they were are kept
// in a folder beside it.
//
// Errors of opening: kUnavailable if another process holds it, kDataLoss if it
// is damaged and stays so, else kInternal; each with the path.
absl::StatusOr<std::unique_ptr<Store>> OpenRocksDbStore(
    const RocksDbStoreOptions& options);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_ROCKSDB_STORE_H_
