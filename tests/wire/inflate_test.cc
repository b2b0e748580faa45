#include "server/wire/inflate.h"

#include <gmock/gmock.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <zlib.h>

#include <string>

namespace heapsync {
namespace {

using google::protobuf::io::ArrayInputStream;

std::string Packed(const std::string& text, Compression compression) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED,
                         compression == Compression::kGzip ? 31 : 15, 9,
                         Z_DEFAULT_STRATEGY),
            Z_OK);
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(packed.size() - stream.avail_out);
  deflateEnd(&stream);
  return packed;
}

absl::StatusOr<std::string> InflateInBlocks(
    const std::string& packed, size_t max_bytes, int block_bytes,
    Compression compression = Compression::kGzip) {
  ArrayInputStream input(packed.data(), static_cast<int>(packed.size()),
                         block_bytes);
  return Inflate(input, compression, max_bytes);
}

constexpr size_t kMax = 100'000;

TEST(InflateTest, GivesBackWhatWasCompressedHoweverItArrives) {
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += std::to_string(i * 7919);
  for (const Compression compression :
       {Compression::kGzip, Compression::kDeflate}) {
    const std::string packed = Packed(text, compression);
    for (const int block : {1, 7, 4'096, 1 << 20}) {
      EXPECT_EQ(*InflateInBlocks(packed, kMax, block, compression), text);
    }
  }
}

TEST(InflateTest, AnEmptyMessageIsEmpty) {
  EXPECT_EQ(*InflateInBlocks(Packed("", Compression::kGzip), kMax, 4), "");
}

TEST(InflateTest, TheMaximumIsExact) {
  const std::string just(kMax, '\0');
  for (const int block : {1, 1 << 20}) {
    EXPECT_EQ(*InflateInBlocks(Packed(just, Compression::kGzip), kMax, block),
              just);
    const auto more =
        InflateInBlocks(Packed(just + '\0', Compression::kGzip), kMax, block);
    EXPECT_TRUE(absl::IsResourceExhausted(more.status())) << more.status();
  }
}

TEST(InflateTest, StopsBeforeAllOfItIsRead) {
  const std::string packed =
      Packed(std::string(50 * kMax, '\0'), Compression::kGzip);
  ArrayInputStream input(packed.data(), static_cast<int>(packed.size()), 64);
  EXPECT_TRUE(absl::IsResourceExhausted(
      Inflate(input, Compression::kGzip, kMax).status()));
  EXPECT_LT(input.ByteCount(), static_cast<int64_t>(packed.size() / 10));
}

TEST(InflateTest, RefusesWhatIsCutOffDamagedOrFollowedByMore) {
  const std::string packed = Packed("a text, again a text", Compression::kGzip);
  std::string damaged = packed;
  damaged.back() ^= 1;
  for (const std::string& each :
       {std::string(), std::string("not gzip"), packed + "x", packed + packed,
        packed.substr(0, packed.size() - 1), packed.substr(0, 5), damaged}) {
    for (const int block : {1, 1 << 20}) {
      const auto inflated = InflateInBlocks(each, kMax, block);
      EXPECT_TRUE(absl::IsInvalidArgument(inflated.status()))
          << inflated.status();
    }
  }
}

}  // namespace
}  // namespace heapsync
