#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_LOG_FILE_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_LOG_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace heapsync {

// What is in a file in RocksDB's log format: its write-ahead logs and its
// MANIFEST. RocksDB takes a length that points past the end for the torn write
// of a crash, and drops what follows without a word; this looks further.
struct LogFile {
  // The records that are whole, in order.
  std::vector<std::string> records;
  // Where each of them ends, in bytes from the front.
  std::vector<uint64_t> ends;
  // Bytes in front of the last whole record that belong to none: damage.
  uint64_t damaged_bytes = 0;
  // Bytes after the last whole record: what a crash leaves, or damage.
  uint64_t torn_bytes = 0;
};

// Format: blocks of 32 KiB; in them records of masked CRC-32C (4 bytes), length
// (2), type (1), payload; a type tells whether the payload is a whole record or
// its first, middle or last part. Reads on behind damage at the next record
// whose checksum is right.
LogFile ReadLogFile(absl::string_view bytes);

// The number of the first change of a record of a write-ahead log: its first
// eight bytes, the lowest first. Those of a shorter one count as zero.
uint64_t SequenceOf(absl::string_view record);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_LOG_FILE_H_
