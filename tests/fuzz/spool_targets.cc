#include "tests/fuzz/spool_targets.h"

#include <xxhash.h>

#include <cstdint>
#include <string>

#include "heap_adapter/spool/block.h"
#include "heap_adapter/spool/coding.h"
#include "heap_adapter/spool/receipt.h"
#include "heap_adapter/spool/records.h"
#include "heap_adapter/spool/rocksdb/log_file.h"
#include "tests/fuzz/fuzz_check.h"

namespace heapsync {
namespace {

template <typename Record>
void CheckReadsWhatItWrites(absl::string_view bytes) {
  const absl::StatusOr<Record> record = Record::Decode(bytes);
  if (!record.ok()) {
    Check(absl::IsDataLoss(record.status()), "damage is told as damage");
    return;
  }
  Check(record->Encode() == bytes, "only what is written is read");
}

void CheckBlock(absl::string_view value) {
  constexpr Seq kLast = 1'000'000;
  const BlockReader reader(value, kLast);
  if (!reader.status().ok()) {
    Check(reader.items().empty(), "a damaged block has no items");
    return;
  }
  Check(!reader.items().empty() && reader.items().back().seq == kLast,
        "a block ends with its last item");
  BlockBuilder builder;
  for (const StoredItem& item : reader.items()) builder.Add(item);
  const std::string again = builder.Take(reader.lane_bytes());
  const BlockReader second(again, kLast);
  Check(second.status().ok() &&
            second.items().size() == reader.items().size() &&
            second.lane_bytes() == reader.lane_bytes(),
        "what was read can be written");
}

}  // namespace

void FuzzBlock(absl::string_view input) {
  CheckBlock(input);
  constexpr size_t kHead = 9;
  if (input.size() < kHead) return;
  std::string value(input);
  std::string checksum;
  AppendFixed64(checksum,
                XXH3_64bits(value.data() + kHead, value.size() - kHead));
  value.replace(1, checksum.size(), checksum);
  value[0] = 1;
  CheckBlock(value);
}

void FuzzRecords(absl::string_view input) {
  if (input.empty()) return;
  const absl::string_view bytes = input.substr(1);
  switch (static_cast<uint8_t>(input[0]) % 12) {
    case 10:
      return CheckReadsWhatItWrites<CommandRecord>(bytes);
    case 11:
      return CheckReadsWhatItWrites<CommandAnswer>(bytes);
    case 0:
      return CheckReadsWhatItWrites<LaneKey>(bytes);
    case 1:
      return CheckReadsWhatItWrites<LaneProgress>(bytes);
    case 2:
      return CheckReadsWhatItWrites<DeferredItem>(bytes);
    case 3:
      return CheckReadsWhatItWrites<DeadLetter>(bytes);
    case 4:
      return CheckReadsWhatItWrites<AttemptRecord>(bytes);
    case 5:
      return CheckReadsWhatItWrites<UsageRecord>(bytes);
    case 6:
      return CheckReadsWhatItWrites<PlanRecord>(bytes);
    case 7:
      return CheckReadsWhatItWrites<Forwarding>(bytes);
    case 8:
      return CheckReadsWhatItWrites<IsolatedItem>(bytes);
    default:
      return CheckReadsWhatItWrites<SeqSet>(bytes);
  }
}

void FuzzReceipt(absl::string_view input) {
  const absl::StatusOr<Receipt> receipt = Receipt::Decode(input);
  if (!receipt.ok()) {
    Check(absl::IsInvalidArgument(receipt.status()),
          "a bad receipt is the caller's fault");
    return;
  }
  Check(receipt->Encode() == input, "a receipt has one form");
  Check(receipt->items.size() <= kMaxReceiptRanges, "receipts are bounded");
}

void FuzzLogFile(absl::string_view input) {
  const LogFile file = ReadLogFile(input);
  uint64_t bytes = file.damaged_bytes + file.torn_bytes;
  for (const std::string& record : file.records) bytes += 7 + record.size();
  Check(bytes <= input.size(), "no byte counts twice");
}

}  // namespace heapsync
