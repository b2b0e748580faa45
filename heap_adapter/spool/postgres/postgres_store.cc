#include "heap_adapter/spool/postgres/postgres_store.h"

#include <algorithm>
#include <thread>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

constexpr int32_t kShard = 0;

// A write. The first statement locks the shard's row if the write may
// happen; then nobody else can change it before the end of the transaction. The
// others do nothing unless it has: a pipeline cannot stop at a row count.
constexpr SqlStatement kBegin{"begin", "BEGIN"};
constexpr SqlStatement kProve{
    "prove",
    "UPDATE heapsync_shard SET last_write = $4 "
    "WHERE id = $1 AND epoch = $2 AND last_write = $3"};
constexpr SqlStatement kDelete{
    "delete",
    "DELETE FROM heapsync_entry WHERE shard = $1 AND key = ANY($4::bytea[]) "
    "AND EXISTS (SELECT 1 FROM heapsync_shard "
    "WHERE id = $1 AND epoch = $2 AND last_write = $3)"};
constexpr SqlStatement kPut{
    "put",
    "INSERT INTO heapsync_entry (shard, key, value) "
    "SELECT $1, k, v FROM unnest($4::bytea[], $5::bytea[]) AS pair (k, v) "
    "WHERE EXISTS (SELECT 1 FROM heapsync_shard "
    "WHERE id = $1 AND epoch = $2 AND last_write = $3) "
    "ON CONFLICT (shard, key) DO UPDATE SET value = excluded.value"};
constexpr SqlStatement kCommit{"commit", "COMMIT"};
constexpr SqlStatement kLookUp{
    "look_up", "SELECT epoch, last_write FROM heapsync_shard WHERE id = $1"};

constexpr SqlStatement kGet{
    "get", "SELECT value FROM heapsync_entry WHERE shard = $1 AND key = $2"};
constexpr SqlStatement kLast{
    "last",
    "SELECT key, value FROM heapsync_entry "
    "WHERE shard = $1 AND key >= $2 AND key < $3 ORDER BY key DESC LIMIT 1"};
constexpr SqlStatement kBeginScan{
    "begin_scan", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"};
constexpr SqlStatement kPage{
    "page",
    "SELECT key, value FROM heapsync_entry "
    "WHERE shard = $1 AND key >= $2 AND key < $3 ORDER BY key LIMIT $4"};

// Bytes of keys and values in one statement. More: fewer statements, more
// memory in the database.
constexpr size_t kStatementBytes = 8 << 20;
// Beyond the patience of an attempt.
constexpr std::chrono::milliseconds kTimeForMebibyte{500};
constexpr std::chrono::milliseconds kFirstBackoff{20};
constexpr std::chrono::milliseconds kMaxBackoff{1'000};
constexpr size_t kMaxIdleReaders = 4;
// Rows of a page: a scan that ends after the first row, as most do, costs only
// that one; a long one has few pages.
constexpr int64_t kFirstPage = 1;
constexpr int64_t kPageGrowth = 8;
constexpr int64_t kMaxPage = 4'096;

// Gathers keys and values into statements of bounded size.
class Statements {
 public:
  // `proof`: shard, epoch and number of the write.
  explicit Statements(std::vector<SqlCommand>& commands,
                      const SqlParameters& proof)
      : commands_(commands), proof_(proof) {}

  void Add(absl::string_view key, const std::optional<std::string>& value) {
    if (value.has_value()) {
      put_keys_.push_back(key);
      values_.push_back(*value);
      put_bytes_ += key.size() + value->size();
      if (put_bytes_ >= kStatementBytes) Put();
    } else {
      deleted_keys_.push_back(key);
    }
  }

  void End() {
    if (!deleted_keys_.empty()) {
      SqlParameters parameters = proof_;
      parameters.ByteArrays(deleted_keys_);
      commands_.push_back({kDelete, std::move(parameters)});
    }
    if (!put_keys_.empty()) Put();
  }

 private:
  void Put() {
    SqlParameters parameters = proof_;
    parameters.ByteArrays(put_keys_).ByteArrays(values_);
    commands_.push_back({kPut, std::move(parameters)});
    put_keys_.clear();
    values_.clear();
    put_bytes_ = 0;
  }

  std::vector<SqlCommand>& commands_;
  const SqlParameters proof_;
  std::vector<absl::string_view> deleted_keys_;
  std::vector<absl::string_view> put_keys_;
  std::vector<absl::string_view> values_;
  size_t put_bytes_ = 0;
};

// The last change of every key: in one statement a key may stand only once.
std::vector<const StoreBatch::Change*> LastChanges(const StoreBatch& batch) {
  absl::flat_hash_map<absl::string_view, size_t> places;
  std::vector<const StoreBatch::Change*> changes;
  for (const StoreBatch::Change& change : batch.changes()) {
    const auto [it, is_new] = places.try_emplace(change.key, changes.size());
    if (is_new) {
      changes.push_back(&change);
    } else {
      changes[it->second] = &change;
    }
  }
  return changes;
}

class FailedCursor final : public StoreCursor {
 public:
  explicit FailedCursor(absl::Status status) : status_(std::move(status)) {}
  bool Valid() const override { return false; }
  absl::string_view key() const override { return {}; }
  absl::string_view value() const override { return {}; }
  void Next() override {}
  absl::Status status() const override { return status_; }

 private:
  const absl::Status status_;
};

// Reads pages in one snapshot, row by row.
class PostgresCursor final : public StoreCursor {
 public:
  PostgresCursor(ReadSessions& sessions,
                 std::unique_ptr<PostgresConnection> session,
                 absl::string_view begin, absl::string_view end,
                 std::chrono::milliseconds patience)
      : sessions_(sessions),
        session_(std::move(session)),
        end_(end),
        patience_(patience) {
    const SqlCommand commands[] = {{kBeginScan}, PageFrom(begin)};
    status_ = session_->StartRows(commands, Deadline());
    reading_ = status_.ok();
    if (status_.ok()) {
      Advance();
    } else {
      Close();
    }
  }

  ~PostgresCursor() override { Close(); }

  bool Valid() const override { return row_ != nullptr; }
  absl::string_view key() const override { return row_->Bytes(0, 0); }
  absl::string_view value() const override { return row_->Bytes(0, 1); }
  void Next() override { Advance(); }
  absl::Status status() const override { return status_; }

 private:
  SqlDeadline Deadline() const {
    return std::chrono::steady_clock::now() + patience_;
  }

  SqlCommand PageFrom(absl::string_view begin) const {
    return {kPage, SqlParameters().Int4(kShard).Bytes(begin).Bytes(end_).Int8(
                       page_rows_)};
  }

  void Advance() {
    while (session_ != nullptr) {
      auto row = session_->NextRow(Deadline());
      if (!row.ok()) {
        status_ = row.status();
        reading_ = false;
        break;
      }
      if (*row != nullptr) {
        ++rows_read_;
        row_ = *std::move(row);
        return;
      }
      reading_ = false;
      if (rows_read_ < page_rows_) break;
      // The smallest key behind the last one.
      const std::string next = absl::StrCat(key(), std::string(1, '\0'));
      page_rows_ = std::min(page_rows_ * kPageGrowth, kMaxPage);
      rows_read_ = 0;
      const SqlCommand page = PageFrom(next);
      status_ = session_->StartRows(absl::MakeConstSpan(&page, 1), Deadline());
      if (!status_.ok()) break;
      reading_ = true;
    }
    row_.reset();
    Close();
  }

  // The end of the transaction is sent, but not waited for.
  void Close() {
    if (session_ == nullptr) return;
    while (reading_ && session_->usable()) {
      const auto row = session_->NextRow(Deadline());
      if (!row.ok() || *row == nullptr) break;
    }
    const SqlCommand commit{kCommit};
    if (session_->usable()) {
      session_->SendOnly(absl::MakeConstSpan(&commit, 1));
    }
    sessions_.GiveBack(std::move(session_));
  }

  ReadSessions& sessions_;
  std::unique_ptr<PostgresConnection> session_;
  const std::string end_;
  const std::chrono::milliseconds patience_;
  int64_t page_rows_ = kFirstPage;
  int64_t rows_read_ = 0;
  bool reading_ = false;  // a page that has not ended
  std::unique_ptr<SqlResult> row_;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<PostgresConnection>> ReadSessions::Take() {
  {
    MutexLock lock(mutex_);
    ++in_use_;
    if (!idle_.empty()) {
      std::unique_ptr<PostgresConnection> session = std::move(idle_.back());
      idle_.pop_back();
      return session;
    }
  }
  auto session = PostgresConnection::Open(uri_);
  if (!session.ok()) GiveBack(nullptr);
  return session;
}

void ReadSessions::GiveBack(std::unique_ptr<PostgresConnection> session) {
  // Closed after the lock is released.
  std::unique_ptr<PostgresConnection> dropped;
  MutexLock lock(mutex_);
  --in_use_;
  if (session == nullptr || !session->usable()) {
    dropped = std::move(session);
    outdated_ = std::min(outdated_, in_use_);
    return;
  }
  // Which ones are outdated is not known: as many as were in use are dropped.
  if (outdated_ > 0) {
    --outdated_;
    dropped = std::move(session);
  } else if (idle_.size() < kMaxIdleReaders) {
    idle_.push_back(std::move(session));
  }
}

void ReadSessions::Renew() {
  std::vector<std::unique_ptr<PostgresConnection>> dropped;
  MutexLock lock(mutex_);
  dropped.swap(idle_);
  outdated_ = in_use_;
}

PostgresStore::PostgresStore(PostgresStoreOptions options, ShardLease& lease)
    : options_(std::move(options)),
      lease_(lease),
      epoch_(lease.claim().epoch),
      readers_(options_.uri),
      numbers_(std::random_device()()),
      last_write_(lease.claim().last_write) {}

SqlDeadline PostgresStore::WriteDeadline(size_t bytes) const {
  return std::chrono::steady_clock::now() + options_.attempt_patience +
         kTimeForMebibyte * (bytes >> 20);
}

absl::Status PostgresStore::Fenced() {
  lease_.Lose();
  return absl::AbortedError(
      "another server owns the spool now: this one writes nothing more");
}

// Errors: kAborted, kDataLoss, and those of the connection.
absl::StatusOr<PostgresStore::Fate> PostgresStore::LookUp() {
  const auto row =
      writer_->Run({kLookUp, SqlParameters().Int4(kShard)}, WriteDeadline(0));
  if (!row.ok()) return row.status();
  if (row->rows() != 1 || row->Int8(0, 0) != epoch_) return Fenced();
  const int64_t last = row->Int8(0, 1);
  if (last == last_write_) return Fate::kNotYet;
  if (std::find(attempts_.begin(), attempts_.end(), last) != attempts_.end()) {
    last_write_ = last;
    return Fate::kHappened;
  }
  return absl::DataLossError(
      "the database has lost writes that it had confirmed, as after a "
      "fail-over "
      "to a standby that was behind: this server has to read it again");
}

// Errors: those of the connection.
absl::Status PostgresStore::Connect() {
  writer_.reset();
  auto writer = PostgresConnection::Open(options_.uri);
  if (!writer.ok()) return writer.status();
  writer_ = *std::move(writer);
  readers_.Renew();
  return absl::OkStatus();
}

absl::Status PostgresStore::WriteOnce(const std::vector<SqlCommand>& changes,
                                      size_t bytes) {
  if (writer_ == nullptr || !writer_->usable()) {
    if (absl::Status s = Connect(); !s.ok()) return s;
    // Earlier attempts may have happened, and after a fail-over the database
    // may have gone back.
    const absl::StatusOr<Fate> fate = LookUp();
    if (!fate.ok()) return fate.status();
    if (*fate == Fate::kHappened) return absl::OkStatus();
  }
  const auto done = writer_->RunTogether(changes, WriteDeadline(bytes));
  if (!done.ok()) return done.status();
  // The result of kProve.
  if ((*done)[1].affected() == 1) {
    last_write_ = attempts_.back();
    return absl::OkStatus();
  }
  const absl::StatusOr<Fate> fate = LookUp();
  if (!fate.ok()) return fate.status();
  return *fate == Fate::kHappened
             ? absl::OkStatus()
             : absl::UnavailableError("the write has to be repeated");
}

absl::Status PostgresStore::Write(const StoreBatch& batch, Durability) {
  if (!closed_.ok()) return closed_;
  const std::vector<const StoreBatch::Change*> last_changes =
      LastChanges(batch);
  const auto deadline =
      std::chrono::steady_clock::now() + options_.write_patience;
  std::chrono::milliseconds backoff = kFirstBackoff;
  attempts_.clear();
  absl::Status status;
  while (true) {
    const auto number = static_cast<int64_t>(numbers_() >> 1);
    attempts_.push_back(number);
    std::vector<SqlCommand> commands;
    commands.push_back({kBegin});
    commands.push_back({kProve, SqlParameters()
                                    .Int4(kShard)
                                    .Int8(epoch_)
                                    .Int8(last_write_)
                                    .Int8(number)});
    Statements statements(
        commands, SqlParameters().Int4(kShard).Int8(epoch_).Int8(number));
    for (const StoreBatch::Change* change : last_changes) {
      statements.Add(change->key, change->value);
    }
    statements.End();
    commands.push_back({kCommit});
    status = WriteOnce(commands, batch.bytes());
    if (!absl::IsUnavailable(status) && !absl::IsFailedPrecondition(status)) {
      break;
    }
    if (!waiting_.exchange(true) && options_.on_trouble) {
      options_.on_trouble(std::string(status.message()));
    }
    if (std::chrono::steady_clock::now() + backoff >= deadline) break;
    std::this_thread::sleep_for(backoff);
    backoff = std::min(backoff * 2, kMaxBackoff);
  }
  if (waiting_.exchange(false) && status.ok() && options_.on_trouble) {
    options_.on_trouble("the database is back");
  }
  if (!status.ok() && !absl::IsResourceExhausted(status)) closed_ = status;
  return status;
}

// Asks with a write of nothing.
absl::Status PostgresStore::Resume() {
  return Write(StoreBatch(), Durability::kDisk);
}

absl::StatusOr<SqlResult> PostgresStore::Read(const SqlCommand& command) const {
  const auto deadline =
      std::chrono::steady_clock::now() + options_.read_patience;
  while (true) {
    auto session = readers_.Take();
    absl::Status status = session.status();
    if (session.ok()) {
      auto result = (*session)->Run(command, deadline);
      readers_.GiveBack(*std::move(session));
      if (result.ok()) return result;
      status = result.status();
    }
    if (!absl::IsUnavailable(status) ||
        std::chrono::steady_clock::now() + kFirstBackoff >= deadline) {
      return status;
    }
    std::this_thread::sleep_for(kFirstBackoff);
  }
}

absl::StatusOr<std::optional<std::string>> PostgresStore::Get(
    absl::string_view key) const {
  const auto result = Read({kGet, SqlParameters().Int4(kShard).Bytes(key)});
  if (!result.ok()) return result.status();
  if (result->rows() == 0) return std::nullopt;
  return std::string(result->Bytes(0, 0));
}

std::unique_ptr<StoreCursor> PostgresStore::Scan(absl::string_view begin,
                                                 absl::string_view end) const {
  const auto deadline =
      std::chrono::steady_clock::now() + options_.read_patience;
  while (true) {
    auto session = readers_.Take();
    absl::Status status = session.status();
    if (session.ok()) {
      auto cursor = std::make_unique<PostgresCursor>(
          readers_, *std::move(session), begin, end, options_.read_patience);
      status = cursor->status();
      if (status.ok()) return cursor;
    }
    if (!absl::IsUnavailable(status) ||
        std::chrono::steady_clock::now() + kFirstBackoff >= deadline) {
      return std::make_unique<FailedCursor>(status);
    }
    std::this_thread::sleep_for(kFirstBackoff);
  }
}

absl::StatusOr<std::optional<std::pair<std::string, std::string>>>
PostgresStore::Last(absl::string_view begin, absl::string_view end) const {
  const auto result =
      Read({kLast, SqlParameters().Int4(kShard).Bytes(begin).Bytes(end)});
  if (!result.ok()) return result.status();
  if (result->rows() == 0) return std::nullopt;
  return std::make_pair(std::string(result->Bytes(0, 0)),
                        std::string(result->Bytes(0, 1)));
}

}  // namespace heapsync
