#include "heap_adapter/spool/rocksdb/versions.h"

#include <rocksdb/db.h>
#include <rocksdb/iterator.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/utilities/debug.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <limits>
#include <map>
#include <queue>
#include <utility>

#include "absl/strings/str_cat.h"
#include "heap_adapter/spool/rocksdb/log_file.h"

namespace heapsync {
namespace {

absl::Status ToStatus(const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("spool repair: ", status.ToString()));
}

// Iterates over the readable entries of a table: after each damaged stretch it
// searches for the next readable key.
class TableSalvage {
 public:
  // `reader` must outlive this.
  explicit TableSalvage(rocksdb::SstFileReader& reader) : reader_(reader) {
    iterator_.reset(reader_.NewIterator(rocksdb::ReadOptions()));
    iterator_->SeekToFirst();
    if (!Readable()) SkipDamage();
  }

  bool Valid() const { return iterator_->Valid(); }
  rocksdb::Slice key() const { return iterator_->key(); }
  rocksdb::Slice value() const { return iterator_->value(); }
  void Next() {
    last_ = iterator_->key().ToString();
    iterator_->Next();
    if (!Readable()) SkipDamage();
  }
  uint64_t damaged_stretches() const { return damaged_stretches_; }

 private:
  // Keys are treated as binary fractions with this many bytes.
  static constexpr size_t kPrecision = 32;

  bool Readable() const {
    return iterator_->Valid() || iterator_->status().ok();
  }
  // Uses a new iterator, because one positioned in a damaged block does not
  // read that block again and reports no error.
  bool CanReadAt(const std::string& key) {
    iterator_.reset(reader_.NewIterator(rocksdb::ReadOptions()));
    iterator_->Seek(key);
    return Readable();
  }

  // `key` plus 2^`bit`, as a number of kPrecision bytes.
  static std::string Beyond(std::string key, size_t bit) {
    unsigned carry = 1u << (bit % 8);
    for (size_t i = kPrecision - bit / 8; carry > 0 && i-- > 0;) {
      carry += static_cast<uint8_t>(key[i]);
      key[i] = static_cast<char>(carry & 0xff);
      carry >>= 8;
    }
    return carry > 0 ? std::string(kPrecision, '\xff') : key;
  }

  static std::string Middle(const std::string& low, const std::string& high) {
    std::string sum(kPrecision, '\0');
    unsigned carry = 0;
    const auto byte = [](const std::string& text, size_t i) {
      return i < text.size() ? static_cast<uint8_t>(text[i]) : 0u;
    };
    for (size_t i = kPrecision; i-- > 0;) {
      const unsigned both = byte(low, i) + byte(high, i) + carry;
      sum[i] = static_cast<char>(both & 0xff);
      carry = both >> 8;
    }
    std::string half(kPrecision, '\0');
    for (size_t i = 0; i < kPrecision; ++i) {
      const unsigned both = (carry << 8) | static_cast<uint8_t>(sum[i]);
      half[i] = static_cast<char>(both >> 1);
      carry = both & 1;
    }
    return half;
  }

  // Seeks to the first readable key after the damage; the end of the table is
  // always readable. Steps double from a small one, so that readable entries
  // before the next damage are not skipped.
  void SkipDamage() {
    ++damaged_stretches_;
    std::string from = last_;
    from.resize(kPrecision, '\0');
    std::string low = from;
    std::string high(kPrecision, '\xff');
    for (size_t bit = 0; bit < 8 * kPrecision; ++bit) {
      std::string probe = Beyond(from, bit);
      if (CanReadAt(probe)) {
        high = std::move(probe);
        break;
      }
      low = std::move(probe);
    }
    while (true) {
      const std::string middle = Middle(low, high);
      if (middle <= low || middle >= high) break;
      (CanReadAt(middle) ? high : low) = middle;
    }
    static_cast<void>(CanReadAt(high));
    last_ = high;
  }

  rocksdb::SstFileReader& reader_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
  std::string last_;
  uint64_t damaged_stretches_ = 0;
};

// Versions read together. Small, because a value may have several hundred
// kilobytes.
constexpr size_t kPage = 8;

class TableSource final : public VersionSource {
 public:
  TableSource(rocksdb::Options options, std::string folder)
      : options_(std::move(options)), folder_(std::move(folder)) {}

  // Reads the first key and closes the table again.
  absl::Status Begin() {
    absl::Status status = Open();
    if (status.ok()) status = ReadPage();
    db_.reset();
    if (!page_.empty()) first_key_ = page_.front().user_key;
    page_ = {};
    from_.clear();
    ended_ = false;
    return status;
  }
  std::string first_key() const override { return first_key_; }

  absl::StatusOr<std::optional<Version>> Next() override {
    if (next_ == page_.size() && !ended_) {
      if (absl::Status status = Open(); !status.ok()) return status;
      if (absl::Status status = ReadPage(); !status.ok()) return status;
    }
    if (next_ == page_.size()) {
      db_.reset();
      return std::nullopt;
    }
    rocksdb::KeyVersion& version = page_[next_++];
    return Version{.key = std::move(version.user_key),
                   .sequence = version.sequence,
                   .deleted = version.type != kPut,
                   .value = std::move(version.value)};
  }

 private:
  static constexpr int kPut = 1;  // RocksDB's number for it in its files

  absl::Status Open() {
    if (db_ != nullptr) return absl::OkStatus();
    rocksdb::DB* db = nullptr;
    const rocksdb::Status opened =
        rocksdb::DB::OpenForReadOnly(options_, folder_, &db);
    db_.reset(db);
    return ToStatus(opened);
  }

  absl::Status ReadPage() {
    page_.clear();
    next_ = 0;
    const rocksdb::Status read = rocksdb::GetAllKeyVersions(
        db_.get(), from_, rocksdb::Slice(), kPage, &page_);
    if (!read.ok()) return ToStatus(read);
    // A table was written by one flush or compaction, so it has one version of
    // each key.
    if (!page_.empty()) from_ = page_.back().user_key + std::string(1, '\0');
    if (page_.size() == kPage) return absl::OkStatus();
    // Either the end, or an error that RocksDB does not return here.
    ended_ = true;
    const std::unique_ptr<rocksdb::Iterator> rest(
        db_->NewIterator(rocksdb::ReadOptions()));
    rest->Seek(from_);
    if (rest->Valid()) {
      return absl::InternalError("spool repair: a table ended too early");
    }
    return ToStatus(rest->status());
  }

  const rocksdb::Options options_;
  const std::string folder_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::KeyVersion> page_;
  size_t next_ = 0;
  std::string first_key_;
  std::string from_;
  bool ended_ = false;
};

class SalvageSource final : public VersionSource {
 public:
  SalvageSource(std::unique_ptr<rocksdb::SstFileReader> reader,
                SalvageReport report)
      : reader_(std::move(reader)),
        entries_(*reader_),
        report_(std::move(report)) {}

  absl::StatusOr<std::optional<Version>> Next() override {
    if (!entries_.Valid()) {
      if (report_) report_(entries_.damaged_stretches(), count_);
      report_ = nullptr;
      return std::nullopt;
    }
    ++count_;
    Version version{.key = entries_.key().ToString(),
                    .value = entries_.value().ToString()};
    entries_.Next();
    return version;
  }

 private:
  const std::unique_ptr<rocksdb::SstFileReader> reader_;
  TableSalvage entries_;
  SalvageReport report_;
  uint64_t count_ = 0;
};

class LogSource final : public VersionSource {
 public:
  explicit LogSource(std::map<std::string, Version> versions)
      : versions_(std::move(versions)), next_(versions_.begin()) {}

  absl::StatusOr<std::optional<Version>> Next() override {
    if (next_ == versions_.end()) return std::nullopt;
    return std::move((next_++)->second);
  }

 private:
  std::map<std::string, Version> versions_;
  std::map<std::string, Version>::iterator next_;
};

// Collects the changes of one log record, which have consecutive sequence
// numbers.
class RecordReader final : public rocksdb::WriteBatch::Handler {
 public:
  RecordReader(uint64_t sequence, std::map<std::string, Version>& versions)
      : sequence_(sequence), versions_(versions) {}

  void Put(const rocksdb::Slice& key, const rocksdb::Slice& value) override {
    Take({.key = key.ToString(), .value = value.ToString()});
  }
  void Delete(const rocksdb::Slice& key) override {
    Take({.key = key.ToString(), .deleted = true, .value = {}});
  }

 private:
  void Take(Version version) {
    version.sequence = sequence_++;
    Version& newest = versions_[version.key];
    if (newest.key.empty() || newest.sequence <= version.sequence) {
      newest = std::move(version);
    }
  }

  uint64_t sequence_;
  std::map<std::string, Version>& versions_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<VersionSource>> VersionsOfTable(
    const rocksdb::Options& options, const std::string& folder) {
  auto source = std::make_unique<TableSource>(options, folder);
  if (absl::Status status = source->Begin(); !status.ok()) return status;
  return source;
}

absl::StatusOr<std::unique_ptr<VersionSource>> SalvageTable(
    const rocksdb::Options& options, const std::string& file,
    SalvageReport report) {
  auto reader = std::make_unique<rocksdb::SstFileReader>(options);
  const rocksdb::Status opened = reader->Open(file);
  if (!opened.ok()) return ToStatus(opened);
  return std::make_unique<SalvageSource>(std::move(reader), std::move(report));
}

std::unique_ptr<VersionSource> VersionsOfLogs(
    const std::vector<std::string>& records, uint64_t& malformed) {
  std::map<std::string, Version> versions;
  for (const std::string& record : records) {
    RecordReader reader(SequenceOf(record), versions);
    if (!rocksdb::WriteBatch(record).Iterate(&reader).ok()) ++malformed;
  }
  return std::make_unique<LogSource>(std::move(versions));
}

absl::Status MergeVersions(
    std::vector<std::unique_ptr<VersionSource>> sources, NewerBy newer_by,
    const std::function<absl::Status(const Version&)>& sink) {
  struct Head {
    Version version;
    uint64_t rank;  // the version of a key with the higher rank is newer
    size_t source;
    bool begun = true;  // false: only the lower bound of the source's keys
    // True if this comes after `other`; the queue then has the first on top.
    bool operator<(const Head& other) const {
      if (version.key != other.version.key) {
        return version.key > other.version.key;
      }
      if (rank != other.rank) return rank < other.rank;
      return source < other.source;
    }
  };
  std::priority_queue<Head> heads;
  const auto read = [&](size_t source) -> absl::Status {
    auto version = sources[source]->Next();
    if (!version.ok()) return version.status();
    if (!version->has_value()) return absl::OkStatus();
    const uint64_t rank =
        newer_by == NewerBy::kSequence ? (*version)->sequence : 0;
    heads.push(
        {.version = **std::move(version), .rank = rank, .source = source});
    return absl::OkStatus();
  };
  for (size_t i = 0; i < sources.size(); ++i) {
    heads.push({.version = {.key = sources[i]->first_key()},
                .rank = std::numeric_limits<uint64_t>::max(),
                .source = i,
                .begun = false});
  }
  std::optional<std::string> last_key;
  while (!heads.empty()) {
    const Head head = heads.top();
    heads.pop();
    if (absl::Status status = read(head.source); !status.ok()) return status;
    if (!head.begun || last_key == head.version.key) continue;
    last_key = head.version.key;
    if (head.version.deleted) continue;
    if (absl::Status status = sink(head.version); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace heapsync
