#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_OPENED_STORE_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_OPENED_STORE_H_

#include <rocksdb/db.h>
#include <rocksdb/options.h>

#include <memory>
#include <string>

#include "heap_adapter/spool/rocksdb/repair.h"
#include "heap_adapter/spool/rocksdb/space.h"
#include "heap_adapter/spool/store.h"

namespace heapsync {

// The Store over a database that was opened with these options at `path`, and
// whose compactions ask `guard`. Reports damage that it finds later.
std::unique_ptr<Store> MakeOpenedStore(rocksdb::Options options,
                                       std::string path,
                                       std::shared_ptr<CompactionGuard> guard,
                                       std::unique_ptr<rocksdb::DB> db,
                                       DamageReport report);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_OPENED_STORE_H_
