#include "heap_adapter/spool/postgres/postgres_store.h"

#include <algorithm>
#include <thread>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

constexpr int32_t kShard = 0;

// A write. The first statement locks the server's row if the write may
// happen; then nobody else can change it before the end of the transaction. The
// others do nothing unless it has: a pipeline cannot stop at a row count.
struct WriteStatements {
  SqlStatement prove;
  SqlStatement remove;
  SqlStatement put;
  SqlStatement look_up;
};
constexpr SqlStatement kBegin{"begin", "BEGIN ISOLATION LEVEL READ COMMITTED"};
constexpr WriteStatements kOfOwner{
    {"prove",
     "UPDATE heapsync_shard SET last_write = $3 "
     "WHERE id = $1::bigint AND epoch = $2 AND last_write = $4"},
    {"delete",
     "DELETE FROM heapsync_entry WHERE shard = $4 AND key = ANY($5::bytea[]) "
     "AND EXISTS (SELECT 1 FROM heapsync_shard "
     "WHERE id = $1::bigint AND epoch = $2 AND last_write = $3)"},
    {"put",
     "INSERT INTO heapsync_entry (shard, key, value) "
     "SELECT $4, k, v FROM unnest($5::bytea[], $6::bytea[]) AS pair (k, v) "
     "WHERE EXISTS (SELECT 1 FROM heapsync_shard "
     "WHERE id = $1::bigint AND epoch = $2 AND last_write = $3) "
     "ON CONFLICT (shard, key) DO UPDATE SET value = excluded.value"},
    {"look_up",
     "SELECT epoch, last_write FROM heapsync_shard WHERE id = $1::bigint"}};
constexpr WriteStatements kOfOthers{
    {"prove_other",
     "UPDATE heapsync_writer SET last_write = $3, seen_at = now() "
     "WHERE id = $1 AND epoch = $2 AND last_write = $4"},
    {"delete_other",
     "DELETE FROM heapsync_entry WHERE shard = $4 AND key = ANY($5::bytea[]) "
     "AND EXISTS (SELECT 1 FROM heapsync_writer "
     "WHERE id = $1 AND epoch = $2 AND last_write = $3)"},
    {"put_other",
     "INSERT INTO heapsync_entry (shard, key, value) "
     "SELECT $4, k, v FROM unnest($5::bytea[], $6::bytea[]) AS pair (k, v) "
     "WHERE EXISTS (SELECT 1 FROM heapsync_writer "
     "WHERE id = $1 AND epoch = $2 AND last_write = $3) "
     "ON CONFLICT (shard, key) DO UPDATE SET value = excluded.value"},
    {"look_up_other",
     "SELECT epoch, last_write FROM heapsync_writer WHERE id = $1"}};
constexpr SqlStatement kCommit{"commit", "COMMIT"};
constexpr SqlStatement kRollBack{"roll_back", "ROLLBACK"};
constexpr SqlStatement kMakeRow{
    "make_row",
    "INSERT INTO heapsync_writer (id, epoch, last_write, seen_at) "
    "VALUES ($1, 0, 0, now()) ON CONFLICT (id) DO NOTHING"};
// A row that waits for its lock is read as it is then.
constexpr SqlStatement kLock{
    "lock",
    "SELECT key, value FROM heapsync_entry "
    "WHERE shard = $1 AND key = ANY($2::bytea[]) ORDER BY key FOR UPDATE"};
// So that there is something to lock. An empty value stands for none.
constexpr SqlStatement kMakeEmpty{
    "make_empty",
    "INSERT INTO heapsync_entry (shard, key, value) "
    "SELECT $1, k, '' FROM unnest($2::bytea[]) AS missing (k) ORDER BY k "
    "ON CONFLICT (shard, key) DO NOTHING"};
// A server that stops while it holds locks, or waits for those of one that has,
// is not waited for longer than this.
constexpr const char* kBounds[] = {
    "SET application_name = 'heapsync-writer'",
    "SET idle_in_transaction_session_timeout = '2s'",
    "SET lock_timeout = '4s'",
};

constexpr SqlStatement kGet{
    "get", "SELECT value FROM heapsync_entry WHERE shard = $1 AND key = $2"};
constexpr SqlStatement kLast{
    "last",
    "SELECT key, value FROM heapsync_entry "
    "WHERE shard = $1 AND key >= $2 AND key < $3 ORDER BY key DESC LIMIT 1"};
// Values that nobody asked for are not even read.
constexpr SqlStatement kFirstOfEach{
    "first_of_each",
    "SELECT range.n, first.key, first.value "
    "FROM unnest($2::bytea[], $3::bytea[], $4::bytea[]) "
    "WITH ORDINALITY AS range (b, e, wanted, n) "
    "CROSS JOIN LATERAL (SELECT key, "
    "CASE WHEN range.wanted = '' THEN NULL ELSE value END AS value "
    "FROM heapsync_entry WHERE shard = $1 AND key >= range.b "
    "AND key < range.e ORDER BY key LIMIT 1) AS first"};
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
  // `proof`: row, epoch and number of the write.
  Statements(std::vector<SqlCommand>& commands, const WriteStatements& kinds,
             const SqlParameters& proof)
      : commands_(commands), kinds_(kinds), proof_(proof) {}

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
      parameters.Int4(kShard).ByteArrays(deleted_keys_);
      commands_.push_back({kinds_.remove, std::move(parameters)});
    }
    if (!put_keys_.empty()) Put();
  }

 private:
  void Put() {
    SqlParameters parameters = proof_;
    parameters.Int4(kShard).ByteArrays(put_keys_).ByteArrays(values_);
    commands_.push_back({kinds_.put, std::move(parameters)});
    put_keys_.clear();
    values_.clear();
    put_bytes_ = 0;
  }

  std::vector<SqlCommand>& commands_;
  const WriteStatements& kinds_;
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

PostgresStore::PostgresStore(PostgresStoreOptions options)
    : options_(std::move(options)),
      writer_id_(
          static_cast<int64_t>(std::mt19937_64(std::random_device()())() >> 1)),
      readers_(options_.uri),
      numbers_(std::random_device()()) {
  row_.id = writer_id_;
}

PostgresStore::PostgresStore(PostgresStoreOptions options, ShardLease& lease)
    : PostgresStore(std::move(options)) {
  Own(lease);
}

void PostgresStore::Own(ShardLease& lease) { owned_ = &lease; }

void PostgresStore::TakeOwnership() {
  ShardLease* const lease = owned_;
  if (lease == nullptr || row_.lease != nullptr) return;
  row_ = {.lease = lease,
          .id = kShard,
          .epoch = lease->claim().epoch,
          .last_write = lease->claim().last_write,
          .exists = true};
}

SqlDeadline PostgresStore::WriteDeadline(size_t bytes) const {
  return std::chrono::steady_clock::now() + options_.attempt_patience +
         kTimeForMebibyte * (bytes >> 20);
}

SqlParameters PostgresStore::ProofOf(int64_t number) const {
  return SqlParameters().Int8(row_.id).Int8(row_.epoch).Int8(number);
}

absl::Status PostgresStore::Fenced() {
  if (row_.lease == nullptr) {
    return absl::AbortedError(
        "this server was away for so long that its row in heapsync_writer was "
        "deleted");
  }
  row_.lease->Lose();
  return absl::AbortedError(
      "another server owns the spool now: this one writes nothing more");
}

// Errors: kAborted, kDataLoss, and those of the connection.
absl::StatusOr<PostgresStore::Fate> PostgresStore::LookUp() {
  const auto row =
      writer_->Run({(row_.lease != nullptr ? kOfOwner : kOfOthers).look_up,
                    SqlParameters().Int8(row_.id)},
                   WriteDeadline(0));
  if (!row.ok()) return row.status();
  if (row->rows() != 1 || row->Int8(0, 0) != row_.epoch) return Fenced();
  const int64_t last = row->Int8(0, 1);
  if (last == row_.last_write) return Fate::kNotYet;
  if (std::find(attempts_.begin(), attempts_.end(), last) != attempts_.end()) {
    row_.last_write = last;
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
  for (const char* bound : kBounds) {
    // Not every database knows these.
    static_cast<void>((*writer)->RunText(bound, WriteDeadline(0)));
    if (!(*writer)->usable()) {
      return absl::UnavailableError("the connection to the database was lost");
    }
  }
  if (!row_.exists) {
    const auto made = (*writer)->Run({kMakeRow, SqlParameters().Int8(row_.id)},
                                     WriteDeadline(0));
    if (!made.ok()) return made.status();
    row_.exists = true;
  }
  writer_ = *std::move(writer);
  readers_.Renew();
  return absl::OkStatus();
}

absl::Status PostgresStore::EnsureConnected(bool& happened) {
  happened = false;
  if (writer_ != nullptr && writer_->usable()) return absl::OkStatus();
  if (absl::Status s = Connect(); !s.ok()) return s;
  // Earlier attempts may have happened, and after a fail-over the database
  // may have gone back.
  const absl::StatusOr<Fate> fate = LookUp();
  if (!fate.ok()) return fate.status();
  happened = *fate == Fate::kHappened;
  return absl::OkStatus();
}

// An attempt that could not prove anything.
absl::Status PostgresStore::AfterNoProof() {
  const absl::StatusOr<Fate> fate = LookUp();
  if (!fate.ok()) return fate.status();
  return *fate == Fate::kHappened
             ? absl::OkStatus()
             : absl::UnavailableError("the write has to be repeated");
}

absl::Status PostgresStore::WriteOnce(
    const std::vector<const StoreBatch::Change*>& changes, size_t bytes,
    int64_t number) {
  bool happened = false;
  if (absl::Status s = EnsureConnected(happened); !s.ok() || happened) return s;
  const WriteStatements& kinds = row_.lease != nullptr ? kOfOwner : kOfOthers;
  std::vector<SqlCommand> commands;
  commands.push_back({kBegin});
  commands.push_back({kinds.prove, ProofOf(number).Int8(row_.last_write)});
  Statements statements(commands, kinds, ProofOf(number));
  for (const StoreBatch::Change* change : changes) {
    statements.Add(change->key, change->value);
  }
  statements.End();
  commands.push_back({kCommit});
  const auto done = writer_->RunTogether(commands, WriteDeadline(bytes));
  if (!done.ok()) return done.status();
  // The result of kProve.
  if ((*done)[1].affected() != 1) return AfterNoProof();
  row_.last_write = number;
  return absl::OkStatus();
}

absl::StatusOr<PostgresStore::Begun> PostgresStore::Lock(
    const std::vector<std::string>& keys, int64_t number, Values& values) {
  const WriteStatements& kinds = row_.lease != nullptr ? kOfOwner : kOfOthers;
  const std::vector<absl::string_view> names(keys.begin(), keys.end());
  const SqlCommand lock{kLock, SqlParameters().Int4(kShard).ByteArrays(names)};
  // The row of the server comes last: a renewal of the lease, which changes it,
  // does not wait for the others then.
  const SqlCommand begin[] = {
      {kBegin}, lock, {kinds.prove, ProofOf(number).Int8(row_.last_write)}};
  auto begun = writer_->RunTogether(begin, WriteDeadline(0));
  if (!begun.ok()) return begun.status();
  if ((*begun)[2].affected() != 1) {
    const auto ended = writer_->Run({kRollBack}, WriteDeadline(0));
    if (!ended.ok()) return ended.status();
    if (absl::Status s = AfterNoProof(); !s.ok()) return s;
    return Begun::kAlready;
  }
  SqlResult rows = std::move((*begun)[1]);
  if (static_cast<size_t>(rows.rows()) < keys.size()) {
    std::vector<absl::string_view> missing;
    for (size_t i = 0, row = 0; i < names.size(); ++i) {
      if (row < static_cast<size_t>(rows.rows()) &&
          rows.Bytes(static_cast<int>(row), 0) == names[i]) {
        ++row;
      } else {
        missing.push_back(names[i]);
      }
    }
    const SqlCommand again[] = {
        {kMakeEmpty, SqlParameters().Int4(kShard).ByteArrays(missing)}, lock};
    auto locked = writer_->RunTogether(again, WriteDeadline(0));
    if (!locked.ok()) return locked.status();
    rows = std::move(locked->back());
  }
  if (static_cast<size_t>(rows.rows()) != keys.size()) {
    return absl::InternalError("the database did not lock what it was asked");
  }
  values.clear();
  for (int row = 0; row < rows.rows(); ++row) {
    const absl::string_view value = rows.Bytes(row, 1);
    values.emplace_back();
    if (!value.empty()) values.back() = std::string(value);
  }
  return Begun::kNow;
}

absl::Status PostgresStore::UpdateOnce(const std::vector<std::string>& keys,
                                       BatchMaker make, int64_t number) {
  bool happened = false;
  if (absl::Status s = EnsureConnected(happened); !s.ok() || happened) return s;
  Values values;
  const absl::StatusOr<Begun> begun = Lock(keys, number, values);
  if (!begun.ok()) {
    // The rest of the transaction ends with its session.
    writer_.reset();
    return begun.status();
  }
  if (*begun == Begun::kAlready) return absl::OkStatus();
  // From here on no earlier attempt can happen any more.
  const StoreBatch batch = make(values);
  std::vector<SqlCommand> commands;
  Statements statements(commands, row_.lease != nullptr ? kOfOwner : kOfOthers,
                        ProofOf(number));
  for (const StoreBatch::Change* change : LastChanges(batch)) {
    statements.Add(change->key, change->value);
  }
  statements.End();
  // Without changes no empty values are left either.
  const bool changes = !batch.empty();
  commands.push_back({changes ? kCommit : kRollBack});
  const auto done =
      writer_->RunTogether(commands, WriteDeadline(batch.bytes()));
  if (!done.ok()) return done.status();
  if (changes) row_.last_write = number;
  return absl::OkStatus();
}

absl::Status PostgresStore::Repeat(
    absl::FunctionRef<absl::Status(int64_t)> attempt) {
  if (!closed_.ok()) return closed_;
  TakeOwnership();
  const auto deadline =
      std::chrono::steady_clock::now() + options_.write_patience;
  std::chrono::milliseconds backoff = kFirstBackoff;
  attempts_.clear();
  absl::Status status;
  while (true) {
    const auto number = static_cast<int64_t>(numbers_() >> 1);
    attempts_.push_back(number);
    status = attempt(number);
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

absl::Status PostgresStore::Write(const StoreBatch& batch, Durability) {
  const std::vector<const StoreBatch::Change*> changes = LastChanges(batch);
  return Repeat([&](int64_t number) {
    return WriteOnce(changes, batch.bytes(), number);
  });
}

absl::Status PostgresStore::Update(const std::vector<std::string>& keys,
                                   BatchMaker make, Durability) {
  return Repeat([&](int64_t number) { return UpdateOnce(keys, make, number); });
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

absl::StatusOr<Store::FirstEntries> PostgresStore::FirstOfEach(
    absl::Span<const KeyRange> ranges) const {
  FirstEntries entries(ranges.size());
  if (ranges.empty()) return entries;
  std::vector<absl::string_view> begins;
  std::vector<absl::string_view> ends;
  std::vector<absl::string_view> wanted;
  for (const KeyRange& range : ranges) {
    begins.push_back(range.begin);
    ends.push_back(range.end);
    wanted.push_back(range.with_value ? "v" : "");
  }
  const auto rows = Read({kFirstOfEach, SqlParameters()
                                            .Int4(kShard)
                                            .ByteArrays(begins)
                                            .ByteArrays(ends)
                                            .ByteArrays(wanted)});
  if (!rows.ok()) return rows.status();
  for (int row = 0; row < rows->rows(); ++row) {
    const auto place = static_cast<size_t>(rows->Int8(row, 0) - 1);
    if (place >= entries.size()) {
      return absl::InternalError("the database answered what was not asked");
    }
    entries[place].emplace(std::string(rows->Bytes(row, 1)), std::string());
    if (ranges[place].with_value) {
      entries[place]->second = std::string(rows->Bytes(row, 2));
    }
  }
  return entries;
}

}  // namespace heapsync
