#include "client/cli/byte_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <string>
#include <thread>

#include "tests/client/temporary_folder.h"

namespace heapsync {
namespace {

std::string Gzip(absl::string_view text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

// With a checksum, as the zstd command writes it.
std::string Zstd(absl::string_view text) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  packed.resize(ZSTD_compress2(context, packed.data(), packed.size(),
                               text.data(), text.size()));
  ZSTD_freeCCtx(context);
  return packed;
}

std::string LongText() {
  std::string text;
  for (int64_t i = 0; i < 300'000; ++i) {
    text += std::to_string(i * 7919) + ",";
  }
  return text;
}

class ByteSourceTest : public ::testing::Test {
 protected:
  // Everything that can be read, then the error if there is one.
  std::string ReadAll(absl::string_view stored, absl::Status* error = nullptr) {
    auto source = ByteSource::Open(folder_.Write("input", stored));
    EXPECT_TRUE(source.ok()) << source.status();
    return ReadRest(*source, error);
  }

  static std::string ReadRest(ByteSource& source,
                              absl::Status* error = nullptr) {
    std::string all;
    while (true) {
      const auto text = source.Read();
      if (!text.ok()) {
        EXPECT_NE(error, nullptr) << text.status();
        if (error != nullptr) *error = text.status();
        return all;
      }
      if (text->empty()) return all;
      EXPECT_LE(text->size(), 256u * 1024);
      all.append(text->data(), text->size());
    }
  }

  TemporaryFolder folder_;
};

TEST_F(ByteSourceTest, ReadsPlainText) {
  EXPECT_EQ(ReadAll("a,b\n"), "a,b\n");
  EXPECT_EQ(ReadAll(LongText()), LongText());
  EXPECT_EQ(ReadAll(""), "");
  EXPECT_EQ(ReadAll("\x1F"), "\x1F");
}

TEST_F(ByteSourceTest, UnpacksGzip) {
  EXPECT_EQ(ReadAll(Gzip(LongText())), LongText());
  EXPECT_EQ(ReadAll(Gzip("")), "");
}

TEST_F(ByteSourceTest, UnpacksZstandard) {
  EXPECT_EQ(ReadAll(Zstd(LongText())), LongText());
  EXPECT_EQ(ReadAll(Zstd("")), "");
}

TEST_F(ByteSourceTest, WhatIsPackedInAnotherWayIsNamed) {
  for (const auto& [head, name] :
       {std::pair<std::string, std::string>{"BZh91AY&SY", "bzip2"},
        {{"\xFD"
          "7zXZ\0\0",
          7},
         "xz"},
        {"PK\x03\x04\x14", "zip"},
        {{"PAR1\x15\0", 6}, "Parquet"}}) {
    const auto source = ByteSource::Open(folder_.Write("input", head));
    EXPECT_EQ(source.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(source.status().message().find(name), absl::string_view::npos)
        << source.status();
  }
  EXPECT_EQ(ReadAll("BZhang,ORC\n"), "BZhang,ORC\n");
  EXPECT_EQ(ReadAll("ORC,b\n"), "ORC,b\n");
}

TEST_F(ByteSourceTest, APageAndUtf16AreNamed) {
  const auto error = [&](const std::string& bytes) {
    return std::string(
        ByteSource::Open(folder_.Write("a", bytes)).status().message());
  };
  for (const char* page :
       {"<!DOCTYPE html><html>", "\n <html>", "<?xml version=\"1.0\"?>"}) {
    EXPECT_THAT(error(page), ::testing::HasSubstr("HTML or XML")) << page;
  }
  EXPECT_THAT(error(std::string("i\0d\0", 4)), ::testing::HasSubstr("UTF-16"));
  EXPECT_THAT(error(std::string("\0i\0d", 4)), ::testing::HasSubstr("UTF-16"));
  EXPECT_EQ(error("a,b\n<html>,c\n"), "");
}

TEST_F(ByteSourceTest, WhatIsNotReadIsNamedInsideOfWhatIsPackedToo) {
  const auto error = [&](const std::string& text) {
    absl::Status status;
    ReadAll(Gzip(text), &status);
    return std::string(status.message());
  };
  EXPECT_THAT(error(Gzip("a,b\n")), ::testing::HasSubstr("packed twice"));
  EXPECT_THAT(error(Zstd("a,b\n")), ::testing::HasSubstr("packed twice"));
  EXPECT_THAT(error("BZh91AY&SY"), ::testing::HasSubstr("bzip2"));
  EXPECT_THAT(error("<!DOCTYPE html><html>"),
              ::testing::HasSubstr("HTML or XML"));
  EXPECT_THAT(error(std::string("i\0d\0", 4)), ::testing::HasSubstr("UTF-16"));
  std::string tar = "rows.csv" + std::string(249, '\0') + "ustar";
  tar.resize(512);
  EXPECT_THAT(error(tar + "identity,event\na,b\n"),
              ::testing::HasSubstr("a tar archive"));
  EXPECT_THAT(error("SQLite format 3"), ::testing::HasSubstr("SQLite"));
  EXPECT_THAT(error("%PDF-1.7\n"), ::testing::HasSubstr("PDF"));
  EXPECT_THAT(error("-----BEGIN PGP MESSAGE-----\n"),
              ::testing::HasSubstr("gpg -d"));
  EXPECT_THAT(error("version https://git-lfs.github.com/spec/v1\n"),
              ::testing::HasSubstr("git lfs pull"));
}

TEST_F(ByteSourceTest, StreamsOneAfterTheOtherCountAsOne) {
  EXPECT_EQ(ReadAll(Gzip("a") + Gzip("") + Gzip("b")), "ab");
  EXPECT_EQ(ReadAll(Zstd("a") + Zstd("b")), "ab");
}

TEST_F(ByteSourceTest, TextThatPacksExtremelyWellComesInBoundedPieces) {
  const std::string zeros(64 << 20, 'x');
  EXPECT_EQ(ReadAll(Zstd(zeros)).size(), zeros.size());
  EXPECT_EQ(ReadAll(Gzip(zeros)).size(), zeros.size());
}

TEST_F(ByteSourceTest, CutOffInputIsAnErrorAfterWhatCouldBeRead) {
  for (std::string packed : {Gzip(LongText()), Zstd(LongText())}) {
    packed.resize(packed.size() / 2);
    absl::Status error;
    EXPECT_FALSE(ReadAll(packed, &error).empty());
    EXPECT_EQ(error.message(), "the compressed input is cut off");
  }
}

TEST_F(ByteSourceTest, DamagedInputIsAnError) {
  for (std::string packed : {Gzip(LongText()), Zstd(LongText())}) {
    for (size_t i = packed.size() / 2; i < packed.size() / 2 + 64; ++i) {
      packed[i] = static_cast<char>(~packed[i]);
    }
    absl::Status error;
    ReadAll(packed, &error);
    EXPECT_EQ(error.code(), absl::StatusCode::kDataLoss);
  }
}

TEST_F(ByteSourceTest, AFileThatIsChangedWhileItIsReadIsAnErrorAtItsEnd) {
  const std::string text(1'000'000, 'x');
  const std::string path = folder_.Write("a", text);
  for (const std::string& changed :
       {text.substr(0, 900'000), "y" + text + "more"}) {
    folder_.Write("a", text);
    absl::StatusOr<ByteSource> source = ByteSource::Open(path);
    ASSERT_TRUE(source.ok());
    folder_.Write("a", changed);
    absl::Status error;
    ReadRest(*source, &error);
    EXPECT_EQ(error.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(error.message()),
                ::testing::HasSubstr("changed while it was read"));
  }
}

TEST_F(ByteSourceTest, OfAFileThatGrowsWhatItHeldAtFirstIsRead) {
  for (const size_t size : {10, 65'536, 1'000'000}) {
    const std::string text = std::string(size - 1, 'x') + '\n';
    absl::StatusOr<ByteSource> source =
        ByteSource::Open(folder_.Write("a", text));
    ASSERT_TRUE(source.ok());
    const InputFingerprint before = source->fingerprint();
    folder_.Write("a", text + "more");
    absl::Status error;
    EXPECT_EQ(ReadRest(*source, &error), text);
    EXPECT_TRUE(error.ok()) << error;
    EXPECT_EQ(source->grown_by(), 4u);
    const absl::StatusOr<ByteSource> later =
        ByteSource::Open(folder_.File("a"));
    EXPECT_TRUE(later->Continues(before));
    EXPECT_FALSE(source->Continues(later->fingerprint()));
    folder_.Write("a", "y" + text + "more");
    EXPECT_FALSE(ByteSource::Open(folder_.File("a"))->Continues(before));
  }
}

TEST_F(ByteSourceTest, AnEmptyFileThatGrowsHasGrown) {
  absl::StatusOr<ByteSource> source = ByteSource::Open(folder_.Write("a", ""));
  ASSERT_TRUE(source.ok());
  EXPECT_EQ(source->grown_by(), 0u);
  folder_.Write("a", "more");
  absl::Status error;
  ReadRest(*source, &error);
  EXPECT_TRUE(error.ok()) << error;
  EXPECT_EQ(source->grown_by(), 4u);
}

TEST_F(ByteSourceTest, FilesThatSystemsMakeUpAreReadWhole) {
  absl::StatusOr<ByteSource> source = ByteSource::Open("/proc/self/status");
  ASSERT_TRUE(source.ok());
  absl::Status error;
  EXPECT_THAT(ReadRest(*source, &error), ::testing::HasSubstr("Pid:"));
  EXPECT_TRUE(error.ok()) << error;
}

// The writer is called while the source waits.
TEST_F(ByteSourceTest, AnUnfinishedLineThatWasJustWrittenIsWatched) {
  int looks = 0;
  absl::StatusOr<ByteSource> source = ByteSource::Open(
      folder_.Write("a", "a,b\nhal"),
      {.growth_patience = absl::Hours(1), .while_waiting = [&] {
         if (++looks == 2) folder_.Write("a", "a,b\nhalf\n");
         return absl::OkStatus();
       }});
  ASSERT_TRUE(source.ok());
  absl::Status error;
  EXPECT_EQ(ReadRest(*source, &error), "a,b\nhal");
  EXPECT_EQ(source->grown_by(), 2u);
  EXPECT_EQ(looks, 2);
}

TEST_F(ByteSourceTest, AWindowTooLargeForMemoryIsNamed) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 28);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  std::string packed(1'000, '\0');
  ZSTD_outBuffer out{packed.data(), packed.size(), 0};
  ZSTD_inBuffer in{"text", 4, 0};
  // Not in one piece, for which a small window would do.
  ZSTD_compressStream2(context, &out, &in, ZSTD_e_flush);
  ZSTD_compressStream2(context, &out, &in, ZSTD_e_end);
  ZSTD_freeCCtx(context);
  packed.resize(out.pos);
  absl::StatusOr<ByteSource> source =
      ByteSource::Open(folder_.Write("a", packed));
  ASSERT_TRUE(source.ok());
  EXPECT_THAT(std::string(source->Read().status().message()),
              ::testing::HasSubstr("--long"));
}

TEST_F(ByteSourceTest, ReadsPipes) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::string packed = Gzip(LongText());
  std::thread writer([&] {
    for (size_t i = 0; i < packed.size(); i += 1'000) {
      const std::string piece = packed.substr(i, 1'000);
      EXPECT_EQ(::write(ends[1], piece.data(), piece.size()),
                static_cast<ssize_t>(piece.size()));
    }
    ::close(ends[1]);
  });
  auto source = ByteSource::FromDescriptor(ends[0]);
  std::string all;
  while (true) {
    const auto text = source->Read();
    ASSERT_TRUE(text.ok());
    if (text->empty()) break;
    all.append(text->data(), text->size());
  }
  writer.join();
  EXPECT_EQ(all, LongText());
  EXPECT_FALSE(source->fingerprint().size.has_value());
}

TEST_F(ByteSourceTest, APipeWhoseWriterPausesGivesWhatIsThere) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "identity\na\n", 11), 11);
  bool is_over = false;
  ByteSourceOptions options{.whole_head = false, .while_waiting = [&is_over] {
                              return is_over ? absl::CancelledError("over")
                                             : absl::OkStatus();
                            }};
  auto source = ByteSource::FromDescriptor(ends[0], std::move(options));
  ASSERT_TRUE(source.ok());
  EXPECT_EQ(source->Read().value(), "identity\na\n");
  is_over = true;
  EXPECT_EQ(source->Read().status(), absl::CancelledError("over"));
  ::close(ends[1]);
}

TEST_F(ByteSourceTest, TheHeadOfAPipeIsWholeWhereItIsCompared) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "identity\n", 9), 9);
  int pauses = 0;
  ByteSourceOptions options{.while_waiting = [&] {
    if (++pauses == 3) {
      EXPECT_EQ(::write(ends[1], "a\n", 2), 2);
      ::close(ends[1]);
    }
    return absl::OkStatus();
  }};
  auto source = ByteSource::FromDescriptor(ends[0], std::move(options));
  ASSERT_TRUE(source.ok());
  EXPECT_EQ(source->Read().value(), "identity\na\n");
}

TEST_F(ByteSourceTest, FingerprintTellsInputsApart) {
  const auto print = [&](absl::string_view text) {
    return ByteSource::Open(folder_.Write("input", text))->fingerprint();
  };
  const InputFingerprint first = print("abc");
  EXPECT_EQ(first.size, 3u);
  EXPECT_NE(print("abd").head_hash, first.head_hash);
}

TEST_F(ByteSourceTest, InputsThatCannotBeReadAreNamed) {
  EXPECT_EQ(ByteSource::Open(folder_.File("none")).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(ByteSource::Open(folder_.File("")).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ByteSource::Open(folder_.Write("u16", absl::string_view("\xFF\xFE"
                                                                    "a\0",
                                                                    4)))
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace heapsync
