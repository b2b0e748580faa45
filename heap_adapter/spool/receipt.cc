#include "heap_adapter/spool/receipt.h"

#include <xxhash.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "heap_adapter/spool/coding.h"

namespace heapsync {
namespace {

constexpr absl::string_view kPrefix = "r1.";
constexpr size_t kMaxText = 4096;

uint32_t Checksum(absl::string_view bytes) {
  return static_cast<uint32_t>(XXH3_64bits(bytes.data(), bytes.size()));
}

}  // namespace

std::string Receipt::Encode() const {
  std::string bytes;
  AppendBigEndian64(bytes, spool_id);
  AppendVarint(bytes, lane);
  AppendVarint(bytes, items.size());
  for (const SeqRange& range : items) {
    AppendVarint(bytes, range.begin);
    AppendVarint(bytes, range.size());
  }
  AppendBigEndian32(bytes, Checksum(bytes));
  return absl::StrCat(kPrefix, absl::WebSafeBase64Escape(bytes));
}

absl::StatusOr<Receipt> Receipt::Decode(absl::string_view text) {
  const absl::Status malformed = absl::InvalidArgumentError(
      "not a receipt: it should be the text, unchanged, that an answer named "
      "`receipt` carried");
  const absl::string_view whole = text;
  std::string bytes;
  if (text.size() > kMaxText || !absl::ConsumePrefix(&text, kPrefix) ||
      !absl::WebSafeBase64Unescape(text, &bytes) || bytes.size() < 4) {
    return malformed;
  }
  const absl::string_view body(bytes.data(), bytes.size() - 4);
  if (Reader(absl::string_view(bytes).substr(body.size())).BigEndian32() !=
      Checksum(body)) {
    return malformed;
  }
  Reader reader(body);
  Receipt receipt;
  receipt.spool_id = reader.BigEndian64();
  receipt.lane = reader.Varint32();
  const uint64_t ranges = reader.Varint();
  if (ranges == 0 || ranges > kMaxReceiptRanges) return malformed;
  uint64_t items = 0;
  for (uint64_t i = 0; i < ranges; ++i) {
    const Seq begin = reader.Varint();
    const uint64_t size = reader.Varint();
    if (!reader.ok() || size == 0 || begin + size < begin) return malformed;
    items += size;
    if (items < size) return malformed;
    receipt.items.push_back({begin, begin + size});
  }
  // Several base64 texts encode the same bytes (blanks, padding, unused bits);
  // only the canonical one is valid.
  if (!reader.AtEnd() || receipt.Encode() != whole) return malformed;
  return receipt;
}

}  // namespace heapsync
