#include "client/cli/byte_source.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"

namespace heapsync {
namespace {

constexpr size_t kPieceBytes = 256 * 1024;
constexpr size_t kHeadBytes = 64 * 1024;
// Enough to recognise what packed the input.
constexpr size_t kMinHeadBytes = 8;
// How long a pipe's writer has written nothing when it is said to pause.
constexpr absl::Duration kPause = absl::Milliseconds(100);

// A guess from the first bytes of a file.
struct Magic {
  absl::string_view bytes;
  absl::string_view what;
  absl::string_view remedy;
};
constexpr Magic kUnreadable[] = {
    {"BZh", "bzip2", "unpack it first: bzip2 -dc FILE | heapsync import … -"},
    {{"\xFD"
      "7zXZ\0",
      6},
     "xz",
     "unpack it first: xz -dc FILE | heapsync import … -"},
    {"PK\x03\x04", "a zip archive or a spreadsheet",
     "unpack it first: unzip -p FILE | heapsync import … -, or save the "
     "spreadsheet as CSV UTF-8"},
    {"7z\xBC\xAF\x27\x1C", "7z",
     "unpack it first: 7z x -so FILE | heapsync import … -"},
    {"\x04\x22\x4D\x18", "lz4",
     "unpack it first: lz4 -dc FILE | heapsync import … -"},
    {{"\xFF\x06\0\0sNaPpY", 10}, "snappy", "unpack it first"},
    {"PAR1", "Parquet", "export it as CSV or NDJSON"},
    {{"Obj\x01", 4}, "Avro", "export it as CSV or NDJSON"},
    {"ORC", "ORC", "export it as CSV or NDJSON"},
    {"\xD0\xCF\x11\xE0", "an old spreadsheet", "save it as CSV UTF-8"},
    {"%PDF-", "PDF", "export the table as CSV"},
    {"SQLite format 3", "an SQLite database",
     "read it by ODBC, or export it as CSV or NDJSON"},
    {"-----BEGIN PGP", "a PGP message",
     "decrypt it first: gpg -d FILE | heapsync import … -"},
    {"version https://git-lfs.", "a pointer of Git LFS",
     "fetch the file first: git lfs pull"},
};

// Text in UTF-16 without a byte order mark begins with an ASCII letter.
bool IsUtf16(absl::string_view head) {
  return head.size() >= 4 && ((head[0] == '\0' && head[2] == '\0') ||
                              (head[1] == '\0' && head[3] == '\0'));
}

bool IsTar(absl::string_view head) {
  constexpr size_t kPlace = 257;
  return head.size() > kPlace && absl::StartsWith(head.substr(kPlace), "ustar");
}

// True for a page, as a proxy or a failed download leaves in the place of a
// file.
bool IsMarkup(absl::string_view head) {
  absl::ConsumePrefix(&head, "\xEF\xBB\xBF");
  head = absl::StripLeadingAsciiWhitespace(head);
  return absl::StartsWithIgnoreCase(head, "<!doctype") ||
         absl::StartsWithIgnoreCase(head, "<html") ||
         absl::StartsWithIgnoreCase(head, "<?xml");
}

int64_t ModifiedNs(const struct stat& info) {
  return int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

// `head` is the beginning of the input, or of what is packed in it.
absl::Status CheckReadable(absl::string_view head) {
  if (absl::StartsWith(head, "\xFF\xFE") ||
      absl::StartsWith(head, "\xFE\xFF") || IsUtf16(head)) {
    return absl::InvalidArgumentError(
        "the input is UTF-16; convert it to UTF-8 first (iconv -f UTF-16 -t "
        "UTF-8, or -f UTF-16LE without a byte order mark)");
  }
  if (IsMarkup(head)) {
    return absl::InvalidArgumentError(
        "the input is HTML or XML, perhaps an error page, which is not read");
  }
  if (IsTar(head)) {
    return absl::InvalidArgumentError(
        "the input is a tar archive, which is not read; unpack it first: tar "
        "-xOf FILE | heapsync import … -");
  }
  for (const Magic& magic : kUnreadable) {
    if (!absl::StartsWith(head, magic.bytes)) continue;
    // Text may begin with these letters.
    const absl::string_view rest = head.substr(magic.bytes.size());
    if (magic.what == "bzip2" &&
        (rest.empty() || rest.front() < '1' || rest.front() > '9')) {
      continue;
    }
    if ((magic.what == "ORC" || magic.what == "Parquet") &&
        head.find('\0') == absl::string_view::npos) {
      continue;
    }
    return absl::InvalidArgumentError(
        absl::StrCat("the input is ", magic.what, ", which is not read; ",
                     magic.remedy, " (gzip and Zstandard are)"));
  }
  return absl::OkStatus();
}

absl::Status CheckUnpacked(absl::string_view head) {
  if (Decompressor::ForMagic(head) == nullptr) return CheckReadable(head);
  return absl::InvalidArgumentError(
      "the input is packed twice; unpack it once first: gzip -dc FILE | "
      "heapsync import … -");
}

}  // namespace

absl::StatusOr<ByteSource> ByteSource::Open(const std::string& path,
                                            ByteSourceOptions options) {
  const int descriptor = path == "-"
                             ? ::dup(STDIN_FILENO)
                             : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  }
  return FromDescriptor(descriptor, std::move(options));
}

absl::StatusOr<ByteSource> ByteSource::FromDescriptor(
    int descriptor, ByteSourceOptions options) {
  ByteSource source(descriptor, std::move(options));
  struct stat info;
  if (::fstat(descriptor, &info) != 0) {
    return absl::ErrnoToStatus(errno, "cannot look at the input");
  }
  if (S_ISDIR(info.st_mode)) {
    return absl::InvalidArgumentError("the input is a directory");
  }
  if (S_ISREG(info.st_mode)) {
    source.fingerprint_.size = static_cast<uint64_t>(info.st_size);
    source.fingerprint_.modified_ns = ModifiedNs(info);
    // Of standard input, a part may have been read by another program.
    const off_t begin = ::lseek(descriptor, 0, SEEK_CUR);
    source.begin_ = std::clamp<off_t>(begin, 0, info.st_size);
  }
  if (absl::Status status = source.ReadHead(); !status.ok()) return status;
  return source;
}

ByteSource ByteSource::FromPieces(
    std::function<absl::StatusOr<absl::string_view>()> next) {
  ByteSource source(-1, {});
  source.pieces_ = std::move(next);
  return source;
}

ByteSource::ByteSource(ByteSource&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      options_(std::move(other.options_)),
      pieces_(std::move(other.pieces_)),
      fingerprint_(other.fingerprint_),
      begin_(other.begin_),
      grown_by_(other.grown_by_),
      last_byte_(other.last_byte_),
      stored_bytes_read_(other.stored_bytes_read_),
      stored_(std::move(other.stored_)),
      used_(other.used_),
      text_(std::move(other.text_)),
      decompressor_(std::move(other.decompressor_)),
      is_looked_into_(other.is_looked_into_) {}

ByteSource::~ByteSource() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool ByteSource::IsReadFrom(const std::string& path) const {
  struct stat input, other;
  return ::fstat(descriptor_, &input) == 0 && S_ISREG(input.st_mode) &&
         ::stat(path.c_str(), &other) == 0 && input.st_dev == other.st_dev &&
         input.st_ino == other.st_ino;
}

absl::Status ByteSource::ReadHead() {
  stored_.resize(kHeadBytes);
  // A pipe gives less than asked for; the fingerprint must not depend on that.
  size_t filled = 0;
  while (filled < kHeadBytes) {
    if (!options_.whole_head && filled >= kMinHeadBytes) {
      const absl::StatusOr<bool> more = WaitForInput(kPause);
      if (!more.ok()) return more.status();
      if (!*more) break;
    }
    const absl::StatusOr<size_t> count =
        ReadStored(stored_.data() + filled, kHeadBytes - filled);
    if (!count.ok()) return count.status();
    if (*count == 0) break;
    filled += *count;
  }
  stored_.resize(filled);
  fingerprint_.head_hash = XXH3_64bits(stored_.data(), stored_.size());
  decompressor_ = Decompressor::ForMagic(stored_);
  return CheckReadable(stored_);
}

absl::StatusOr<bool> ByteSource::WaitForInput(absl::Duration patience) const {
  const absl::Time deadline = absl::Now() + patience;
  while (true) {
    pollfd input{.fd = descriptor_, .events = POLLIN, .revents = 0};
    const absl::Duration wait =
        std::clamp(deadline - absl::Now(), absl::ZeroDuration(), kPause);
    const int ready =
        ::poll(&input, 1, static_cast<int>(absl::ToInt64Milliseconds(wait)));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) {
      return absl::ErrnoToStatus(errno, "cannot wait for the input");
    }
    if (options_.while_waiting) {
      if (absl::Status status = options_.while_waiting(); !status.ok()) {
        return status;
      }
    }
    if (absl::Now() >= deadline) return false;
  }
}

absl::StatusOr<size_t> ByteSource::ReadStored(char* buffer, size_t size) {
  while (true) {
    if (!fingerprint_.size.has_value()) {
      const absl::StatusOr<bool> ready = WaitForInput(absl::InfiniteDuration());
      if (!ready.ok()) return ready.status();
    }
    const ssize_t count = ::read(descriptor_, buffer, Wanted(size));
    if (count >= 0) {
      if (count > 0) last_byte_ = buffer[count - 1];
      stored_bytes_read_ += static_cast<uint64_t>(count);
      return static_cast<size_t>(count);
    }
    if (errno != EINTR) {
      return absl::ErrnoToStatus(errno, "cannot read the input");
    }
  }
}

size_t ByteSource::Wanted(size_t most) const {
  // Some systems make files up as they are read, of no size.
  if (fingerprint_.size.value_or(0) == 0) return most;
  const uint64_t end = *fingerprint_.size;
  const uint64_t position = static_cast<uint64_t>(begin_) + stored_bytes_read_;
  return static_cast<size_t>(
      std::min<uint64_t>(most, end - std::min(end, position)));
}

std::optional<uint64_t> ByteSource::HashOfHead(size_t bytes) const {
  std::string head(bytes, '\0');
  size_t filled = 0;
  while (filled < bytes) {
    const ssize_t count =
        ::pread(descriptor_, head.data() + filled, bytes - filled,
                begin_ + static_cast<off_t>(filled));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::nullopt;
    filled += static_cast<size_t>(count);
  }
  return XXH3_64bits(head.data(), head.size());
}

bool ByteSource::Continues(const InputFingerprint& earlier) const {
  if (earlier == fingerprint_) return true;
  const uint64_t begin = static_cast<uint64_t>(begin_);
  if (!earlier.size || !fingerprint_.size || *earlier.size < begin ||
      *earlier.size >= *fingerprint_.size) {
    return false;
  }
  const uint64_t head = std::min<uint64_t>(kHeadBytes, *earlier.size - begin);
  return HashOfHead(static_cast<size_t>(head)) == earlier.head_hash;
}

absl::Status ByteSource::WatchForGrowth() const {
  if (decompressor_ != nullptr || last_byte_ == '\n' || last_byte_ == '}' ||
      last_byte_ == ']') {
    return absl::OkStatus();
  }
  constexpr absl::Duration kBetweenLooks = absl::Milliseconds(50);
  while (true) {
    struct stat info;
    if (::fstat(descriptor_, &info) != 0 ||
        static_cast<uint64_t>(info.st_size) != fingerprint_.size ||
        absl::Now() - absl::TimeFromTimespec(info.st_mtim) >
            options_.growth_patience) {
      return absl::OkStatus();
    }
    if (options_.while_waiting) {
      if (absl::Status status = options_.while_waiting(); !status.ok()) {
        return status;
      }
    }
    absl::SleepFor(kBetweenLooks);
  }
}

// A file that was written meanwhile, other than at its end, may have been read
// in part, or with a row that was cut.
absl::Status ByteSource::LookAtEnd() {
  if (!fingerprint_.size.has_value()) return absl::OkStatus();
  if (absl::Status status = WatchForGrowth(); !status.ok()) return status;
  struct stat info;
  if (::fstat(descriptor_, &info) != 0) {
    return absl::ErrnoToStatus(errno, "cannot look at the input");
  }
  const uint64_t size = static_cast<uint64_t>(info.st_size);
  if (size == *fingerprint_.size &&
      ModifiedNs(info) == fingerprint_.modified_ns) {
    return absl::OkStatus();
  }
  const uint64_t head = std::min<uint64_t>(
      kHeadBytes, *fingerprint_.size - static_cast<uint64_t>(begin_));
  if (size > *fingerprint_.size &&
      HashOfHead(static_cast<size_t>(head)) == fingerprint_.head_hash) {
    grown_by_ = size - *fingerprint_.size;
    return absl::OkStatus();
  }
  return absl::DataLossError(
      "the input was changed while it was read, so rows may be missing or cut; "
      "import it again once it is complete");
}

absl::StatusOr<absl::string_view> ByteSource::Read() {
  if (pieces_) {
    absl::StatusOr<absl::string_view> piece = pieces_();
    if (piece.ok()) stored_bytes_read_ += piece->size();
    return piece;
  }
  while (true) {
    absl::string_view rest = absl::string_view(stored_).substr(used_);
    if (decompressor_ == nullptr) {
      used_ = stored_.size();
      if (!rest.empty()) return rest;
    } else {
      const absl::Status status = decompressor_->Unpack(rest, text_);
      if (!status.ok()) return status;
      used_ = stored_.size() - rest.size();
      if (!text_.empty()) {
        if (!std::exchange(is_looked_into_, true)) {
          const absl::Status readable = CheckUnpacked(text_);
          if (!readable.ok()) return readable;
        }
        return absl::string_view(text_);
      }
    }
    stored_.resize(kPieceBytes);
    used_ = 0;
    const absl::StatusOr<size_t> count =
        ReadStored(stored_.data(), stored_.size());
    stored_.resize(count.value_or(0));
    if (!count.ok()) return count.status();
    if (*count > 0) continue;
    if (absl::Status status = LookAtEnd(); !status.ok()) return status;
    if (decompressor_ != nullptr && grown_by_ == 0) {
      const absl::Status status = decompressor_->Finish();
      if (!status.ok()) return status;
    }
    return absl::string_view();
  }
}

}  // namespace heapsync
