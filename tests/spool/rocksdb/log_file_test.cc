#include "heap_adapter/spool/rocksdb/log_file.h"

#include <rocksdb/db.h>
#include <rocksdb/env.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/spool/rocksdb/faulty_file_system.h"

namespace heapsync {
namespace {

// The log that RocksDB itself writes for these values, one record each.
std::string LogOf(const std::vector<std::string>& values) {
  FaultyFileSystem disk;
  const std::unique_ptr<rocksdb::Env> env =
      rocksdb::NewCompositeEnv(std::shared_ptr<rocksdb::FileSystem>(
          std::shared_ptr<rocksdb::FileSystem>(), &disk));
  rocksdb::Options options;
  options.create_if_missing = true;
  options.env = env.get();
  options.avoid_flush_during_shutdown = true;
  rocksdb::DB* opened = nullptr;
  EXPECT_TRUE(rocksdb::DB::Open(options, "/db", &opened).ok());
  std::unique_ptr<rocksdb::DB> db(opened);
  for (const std::string& value : values) {
    EXPECT_TRUE(db->Put({}, "key", value).ok());
  }
  db.reset();
  for (const auto& [name, bytes] : disk.Snapshot()) {
    if (absl::EndsWith(name, ".log")) return bytes;
  }
  return "";
}

// Small values, some that end with their block, some longer than a block.
std::vector<std::string> Values() {
  std::vector<std::string> values;
  for (size_t i = 0; i < 120; ++i) {
    const size_t size = i % 40 == 39 ? 70'000 : i * 37 % 900;
    values.push_back(absl::StrCat("value ", i, std::string(size, 'x')));
  }
  return values;
}

bool Holds(const LogFile& file, const std::string& value) {
  return std::any_of(
      file.records.begin(), file.records.end(),
      [&](const std::string& record) { return absl::EndsWith(record, value); });
}

TEST(LogFileTest, HasTheRecordsThatWereWritten) {
  const std::vector<std::string> values = Values();
  const LogFile file = ReadLogFile(LogOf(values));
  ASSERT_EQ(file.records.size(), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_TRUE(absl::EndsWith(file.records[i], values[i]));
  }
  EXPECT_EQ(file.damaged_bytes, 0u);
  EXPECT_EQ(file.torn_bytes, 0u);
}

TEST(LogFileTest, AFlippedBitCostsOneRecordAndIsReported) {
  const std::vector<std::string> values = Values();
  const std::string bytes = LogOf(values);
  for (size_t at = 0; at < bytes.size(); at += 211) {
    SCOPED_TRACE(at);
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    const LogFile file = ReadLogFile(damaged);
    const auto lost = std::count_if(
        values.begin(), values.end(),
        [&](const std::string& value) { return !Holds(file, value); });
    EXPECT_LE(lost, 1);
    EXPECT_EQ(lost > 0, file.damaged_bytes + file.torn_bytes > 0);
    EXPECT_LE(file.records.size(), values.size());
  }
}

TEST(LogFileTest, ALogCutAtTheEndOfARecordIsWhole) {
  const std::string bytes = LogOf(Values());
  const LogFile file = ReadLogFile(bytes);
  ASSERT_EQ(file.ends.size(), file.records.size());
  EXPECT_EQ(file.ends.back(), bytes.size());
  for (size_t i = 0; i < file.ends.size(); ++i) {
    const LogFile cut = ReadLogFile(bytes.substr(0, file.ends[i]));
    EXPECT_EQ(cut.records.size(), i + 1);
    EXPECT_EQ(cut.torn_bytes, 0u);
  }
}

TEST(LogFileTest, ACutLogHasTheRecordsBeforeTheCut) {
  const std::vector<std::string> values = Values();
  const std::string bytes = LogOf(values);
  size_t before = values.size();
  for (size_t size = bytes.size(); size > 100; size -= 97) {
    const LogFile file = ReadLogFile(bytes.substr(0, size));
    EXPECT_LE(file.records.size(), before);
    EXPECT_EQ(file.damaged_bytes, 0u);
    before = file.records.size();
    for (size_t i = 0; i < before; ++i) {
      ASSERT_TRUE(absl::EndsWith(file.records[i], values[i]));
    }
  }
}

TEST(LogFileTest, NothingIsAnEmptyLog) {
  const LogFile file = ReadLogFile("");
  EXPECT_TRUE(file.records.empty());
  EXPECT_EQ(file.torn_bytes, 0u);
}

}  // namespace
}  // namespace heapsync
