#ifndef HEAPSYNC_CLIENT_CLI_DECOMPRESSOR_H_
#define HEAPSYNC_CLIENT_CLI_DECOMPRESSOR_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace heapsync {

// Unpacks a compressed stream piece by piece. Several streams one after the
// other (cat a.gz b.gz) count as one.
class Decompressor {
 public:
  virtual ~Decompressor() = default;

  // The one for a stream that begins with `head`; null if that is neither gzip
  // nor Zstandard.
  static std::unique_ptr<Decompressor> ForMagic(absl::string_view head);

  // Replaces `text` by the next part of what `packed` unpacks to, at most 256
  // KiB, and takes what it used off the front of `packed`. An empty text means
  // that all of `packed` is used. Errors: kDataLoss, final.
  virtual absl::Status Unpack(absl::string_view& packed, std::string& text) = 0;

  // Says that nothing follows. Errors: kDataLoss if the stream was cut off.
  virtual absl::Status Finish() = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_DECOMPRESSOR_H_
