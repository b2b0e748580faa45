#ifndef HEAPSYNC_TESTS_FUZZ_SPOOL_TARGETS_H_
#define HEAPSYNC_TESTS_FUZZ_SPOOL_TARGETS_H_

#include "absl/strings/string_view.h"

// Each takes arbitrary bytes and aborts if a promise of a stored form is
// broken: what is read is what would be written, and nothing else is read.
namespace heapsync {

// A block of items; its checksum is made right for every other input, so that
// what stands behind it is reached.
void FuzzBlock(absl::string_view input);

// The first byte chooses the record.
void FuzzRecords(absl::string_view input);

void FuzzReceipt(absl::string_view input);

// A file in RocksDB's log format: no byte counts twice.
void FuzzLogFile(absl::string_view input);

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_FUZZ_SPOOL_TARGETS_H_
