#ifndef HEAPSYNC_TESTS_FUZZ_IMPORT_TARGETS_H_
#define HEAPSYNC_TESTS_FUZZ_IMPORT_TARGETS_H_

#include "absl/strings/string_view.h"

// Each takes arbitrary bytes and aborts if a promise of the import is broken:
// rows do not depend on how the text was cut, and what they become can be
// judged by the encoder.
namespace heapsync {

// The first byte chooses where the text is cut and what the rows are.
void FuzzCsvImport(absl::string_view input);
void FuzzNdjsonImport(absl::string_view input);

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_FUZZ_IMPORT_TARGETS_H_
