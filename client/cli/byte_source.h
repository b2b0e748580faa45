#ifndef HEAPSYNC_CLIENT_CLI_BYTE_SOURCE_H_
#define HEAPSYNC_CLIENT_CLI_BYTE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/cli/decompressor.h"

namespace heapsync {

// The properties that distinguish one input from another.
struct InputFingerprint {
  uint64_t head_hash = 0;  // of the first 64 KiB as they are stored
  // For a regular file only:
  std::optional<uint64_t> size;
  std::optional<int64_t> modified_ns;  // since 1970

  friend bool operator==(const InputFingerprint&,
                         const InputFingerprint&) = default;
};

struct ByteSourceOptions {
  // False: the head of a pipe is only what came before its writer paused, so
  // that the first lines need not wait for more. The fingerprint is of no use
  // then.
  bool whole_head = true;
  // A regular file whose last line has no line break and that was written so
  // recently is watched for as long: perhaps the line is only a part of one.
  absl::Duration growth_patience = absl::ZeroDuration();
  // Called from Open() and Read() about every 100 ms while they wait for a
  // pipe's writer or watch a file, and after a signal. An error ends them with
  // it.
  std::function<absl::Status()> while_waiting;
};

// The text of a file, pipe or standard input; gzip and Zstandard are recognised
// by their first bytes and unpacked. Of a file that grows meanwhile it is what
// the file held at first.
class ByteSource {
 public:
  // "-" is standard input. Errors: kNotFound, kPermissionDenied,
  // kInvalidArgument for a directory, UTF-16 text or what is packed in
  // another way (by name), kDataLoss; those of `while_waiting`.
  static absl::StatusOr<ByteSource> Open(const std::string& path,
                                         ByteSourceOptions options = {});

  // Reads from a file descriptor, which it closes.
  static absl::StatusOr<ByteSource> FromDescriptor(
      int descriptor, ByteSourceOptions options = {});

  // Text that is made as it is read: `next` gives the next piece, valid until
  // it is called again, and an empty one at the end and ever after. It is not
  // unpacked, and has no fingerprint. What `next` refers to must outlive the
  // source.
  static ByteSource FromPieces(
      std::function<absl::StatusOr<absl::string_view>()> next);

  ~ByteSource();
  ByteSource(ByteSource&& other) noexcept;
  ByteSource& operator=(ByteSource&&) = delete;

  // The next piece of text, valid until the next call; empty at the end. May
  // wait for a pipe's writer. Errors: kDataLoss for compressed input that is
  // damaged or cut off, and at the end of a file that was changed meanwhile
  // other than by growing; kUnavailable for a failing disk; those of
  // `while_waiting`.
  absl::StatusOr<absl::string_view> Read();

  // Replaces that of the options.
  void SetWhileWaiting(std::function<absl::Status()> while_waiting) {
    options_.while_waiting = std::move(while_waiting);
  }

  const InputFingerprint& fingerprint() const { return fingerprint_; }

  // Bytes by which the file had grown when its end was reached: its text may
  // end within a line. Zero before that, and for others than files.
  uint64_t grown_by() const { return grown_by_; }

  // True if the input is the one of which `earlier` was taken, or has only
  // grown since, as far as its size and head tell.
  bool Continues(const InputFingerprint& earlier) const;

  // True if `path` leads to the file that is read, under any name: another hard
  // link, or a symbolic link to it. False for pipes and devices.
  bool IsReadFrom(const std::string& path) const;

  // Stored bytes, that is before unpacking, that were read so far.
  uint64_t stored_bytes_read() const { return stored_bytes_read_; }

 private:
  ByteSource(int descriptor, ByteSourceOptions options)
      : descriptor_(descriptor), options_(std::move(options)) {}

  absl::Status ReadHead();
  // True if it came within `patience`; the end of the input counts as well.
  absl::StatusOr<bool> WaitForInput(absl::Duration patience) const;
  absl::StatusOr<size_t> ReadStored(char* buffer, size_t size);
  // Bytes of a file that are left of those that it held at first.
  size_t Wanted(size_t most) const;
  absl::Status LookAtEnd();
  absl::Status WatchForGrowth() const;
  // The hash of the first `bytes` bytes of a file; nullopt if they cannot be
  // read.
  std::optional<uint64_t> HashOfHead(size_t bytes) const;

  int descriptor_;  // -1: none, see pieces_
  ByteSourceOptions options_;
  std::function<absl::StatusOr<absl::string_view>()> pieces_;
  InputFingerprint fingerprint_;
  int64_t begin_ = 0;  // where reading a file began
  uint64_t grown_by_ = 0;
  char last_byte_ = '\n';  // that was read
  uint64_t stored_bytes_read_ = 0;
  std::string stored_;
  size_t used_ = 0;  // of stored_
  std::string text_;
  std::unique_ptr<Decompressor> decompressor_;  // null: plain text
  bool is_looked_into_ = false;                 // the beginning of that text
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_BYTE_SOURCE_H_
