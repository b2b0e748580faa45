#include "client/cli/decompressor.h"

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <cstddef>

#include "absl/strings/match.h"

namespace heapsync {
namespace {

constexpr size_t kTextBytes = 256 * 1024;
constexpr absl::string_view kGzipMagic = "\x1F\x8B";
constexpr absl::string_view kZstdMagic = "\x28\xB5\x2F\xFD";

absl::Status Damaged() {
  return absl::DataLossError("the compressed input is damaged");
}

absl::Status CutOff() {
  return absl::DataLossError("the compressed input is cut off");
}

// Unpacking keeps the whole window in memory.
absl::Status WindowTooLarge() {
  return absl::InvalidArgumentError(
      "the input was packed with a window of more than 128 MiB; pack it "
      "without "
      "zstd's --long, or unpack it into a pipe (zstd -dc --long=31)");
}

class GzipDecompressor : public Decompressor {
 public:
  GzipDecompressor() {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    usable_ = inflateInit2(&stream_, kGzipOnly) == Z_OK;
  }
  ~GzipDecompressor() override { inflateEnd(&stream_); }

  absl::Status Unpack(absl::string_view& packed, std::string& text) override {
    if (!usable_) return absl::ResourceExhaustedError("no memory for gzip");
    text.resize(kTextBytes);
    stream_.next_out = reinterpret_cast<Bytef*>(text.data());
    stream_.avail_out = static_cast<uInt>(text.size());
    // Text that the last call had no room for may come without more input.
    bool more = true;
    while (more && stream_.avail_out > 0) {
      if (member_ended_) {
        // Some tools pad the end with zeros.
        while (!packed.empty() && packed.front() == '\0') {
          packed.remove_prefix(1);
        }
        if (packed.empty()) break;
        inflateReset(&stream_);
        member_ended_ = false;
      }
      stream_.next_in =
          reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
      stream_.avail_in = static_cast<uInt>(packed.size());
      const int code = inflate(&stream_, Z_NO_FLUSH);
      packed.remove_prefix(packed.size() - stream_.avail_in);
      if (code == Z_STREAM_END) {
        member_ended_ = true;
      } else if (code == Z_BUF_ERROR) {
        more = false;
      } else if (code != Z_OK) {
        return Damaged();
      }
    }
    text.resize(text.size() - stream_.avail_out);
    return absl::OkStatus();
  }

  absl::Status Finish() override {
    return member_ended_ ? absl::OkStatus() : CutOff();
  }

 private:
  z_stream stream_{};
  bool usable_ = false;
  bool member_ended_ = false;
};

class ZstdDecompressor : public Decompressor {
 public:
  ZstdDecompressor() : stream_(ZSTD_createDStream()) {}
  ~ZstdDecompressor() override { ZSTD_freeDStream(stream_); }

  absl::Status Unpack(absl::string_view& packed, std::string& text) override {
    if (stream_ == nullptr) {
      return absl::ResourceExhaustedError("no memory for zstd");
    }
    text.resize(kTextBytes);
    ZSTD_outBuffer out{text.data(), text.size(), 0};
    ZSTD_inBuffer in{packed.data(), packed.size(), 0};
    while (out.pos < out.size) {
      const size_t in_before = in.pos;
      const size_t out_before = out.pos;
      // Without this, the end of the stream would look like the beginning of
      // one more frame.
      if (in.pos == in.size && frame_ended_) break;
      const size_t code = ZSTD_decompressStream(stream_, &out, &in);
      if (ZSTD_isError(code) != 0) {
        return ZSTD_getErrorCode(code) ==
                       ZSTD_error_frameParameter_windowTooLarge
                   ? WindowTooLarge()
                   : Damaged();
      }
      frame_ended_ = code == 0;
      if (in.pos == in_before && out.pos == out_before) break;
    }
    packed.remove_prefix(in.pos);
    text.resize(out.pos);
    return absl::OkStatus();
  }

  absl::Status Finish() override {
    return frame_ended_ ? absl::OkStatus() : CutOff();
  }

 private:
  ZSTD_DStream* stream_;
  bool frame_ended_ = false;
};

}  // namespace

std::unique_ptr<Decompressor> Decompressor::ForMagic(absl::string_view head) {
  if (absl::StartsWith(head, kGzipMagic)) {
    return std::make_unique<GzipDecompressor>();
  }
  if (absl::StartsWith(head, kZstdMagic)) {
    return std::make_unique<ZstdDecompressor>();
  }
  return nullptr;
}

}  // namespace heapsync
