#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_LOG_FILE_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_LOG_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace heapsync {

// Contents of a file in RocksDB's log format, which its write-ahead logs and
// its MANIFEST have. RocksDB takes a length that points past the end for a torn
// write, and silently drops everything that follows; this parser reads on.
struct LogFile {
  // Complete records, in order.
  std::vector<std::string> records;
  // End of each record, in bytes from the start of the file.
  std::vector<uint64_t> ends;
  // Bytes before the end of the last complete record that belong to none:
  // damage.
  uint64_t damaged_bytes = 0;
  // Bytes after the last complete record: a torn write, or damage.
  uint64_t torn_bytes = 0;
};

// Format: blocks of 32 KiB; in them records of masked CRC-32C (4 bytes), length
// (2), type (1), payload. The type says whether the payload is a complete
// record or its first, middle or last part. After damage, continues at the next
// part with a valid checksum.
LogFile ReadLogFile(absl::string_view bytes);

// Sequence number of the first change in a record of a write-ahead log: its
// first eight bytes, little-endian. Missing bytes count as zero.
uint64_t SequenceOf(absl::string_view record);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_LOG_FILE_H_
