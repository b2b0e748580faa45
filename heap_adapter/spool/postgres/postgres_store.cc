#include "heap_adapter/spool/postgres/postgres_store.h"

#include <algorithm>
#include <thread>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "heap_adapter/spool/failed_cursor.h"

namespace heapsync {
namespace {

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
    "INSERT INTO heapsync_writer "
    "(id, server, shard, epoch, last_write, seen_at) "
    "SELECT $1, $2::bigint, $3, 0, 0, now() "
    "WHERE $2::bigint = 0 "
    "OR EXISTS (SELECT 1 FROM heapsync_server WHERE id = $2::bigint) "
    "ON CONFLICT (id) DO NOTHING"};
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
             SqlParameters proof, int32_t shard)
      : commands_(commands), kinds_(kinds), proof_(proof.Int4(shard)) {}

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
      commands_.push_back({kinds_.remove, std::move(parameters)});
    }
    if (!put_keys_.empty()) Put();
  }

 private:
  void Put() {
    SqlParameters parameters = proof_;
    parameters.ByteArrays(put_keys_).ByteArrays(values_);
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

// Reads pages in one snapshot, row by row.
class PostgresCursor final : public StoreCursor {
 public:
  PostgresCursor(PostgresSessions& sessions,
                 std::unique_ptr<PostgresConnection> session, int32_t shard,
                 absl::string_view begin, absl::string_view end,
                 std::chrono::milliseconds patience)
      : sessions_(sessions),
        session_(std::move(session)),
        shard_(shard),
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
    return {kPage, SqlParameters().Int4(shard_).Bytes(begin).Bytes(end_).Int8(
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
    sessions_.GiveBackReader(std::move(session_));
  }

  PostgresSessions& sessions_;
  std::unique_ptr<PostgresConnection> session_;
  const int32_t shard_;
  const std::string end_;
  const std::chrono::milliseconds patience_;
  int64_t page_rows_ = kFirstPage;
  int64_t rows_read_ = 0;
  bool reading_ = false;  // a page that has not ended
  std::unique_ptr<SqlResult> row_;
  absl::Status status_;
};

}  // namespace

PostgresStore::PostgresStore(PostgresSessions& sessions,
                             PostgresStoreOptions options)
    : sessions_(sessions),
      options_(std::move(options)),
      numbers_(std::random_device()()) {
  row_.id =
      static_cast<int64_t>(std::mt19937_64(std::random_device()())() >> 1);
}

void PostgresStore::Own(const ShardClaim& claim) {
  MutexLock lock(mutex_);
  claim_ = claim;
}

void PostgresStore::Disown() {
  MutexLock lock(mutex_);
  claim_.reset();
}

void PostgresStore::FollowOwnership() {
  std::optional<ShardClaim> claim;
  {
    MutexLock lock(mutex_);
    claim = claim_;
  }
  if (row_.of_owner && (!claim.has_value() || claim->epoch != row_.epoch)) {
    row_ = own_row_;
  }
  if (!claim.has_value() || row_.of_owner) return;
  own_row_ = row_;
  row_ = {.of_owner = true,
          .id = options_.shard,
          .epoch = claim->epoch,
          .last_write = claim->last_write,
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
  if (!row_.of_owner) {
    return absl::AbortedError(
        "this server was away for so long that it lost its place among those "
        "that share the spool");
  }
  if (options_.on_fenced) options_.on_fenced();
  return absl::AbortedError(
      "another server owns the shard now: this one writes nothing more");
}

// Errors: kAborted, kDataLoss, and those of the connection.
absl::StatusOr<PostgresStore::Fate> PostgresStore::LookUp() {
  const auto row = writer_->Run({(row_.of_owner ? kOfOwner : kOfOthers).look_up,
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

absl::Status PostgresStore::Begin(bool& happened) {
  happened = false;
  if (!row_.exists) {
    const auto made = writer_->Run({kMakeRow, SqlParameters()
                                                  .Int8(row_.id)
                                                  .Int8(options_.server)
                                                  .Int4(options_.shard)},
                                   WriteDeadline(0));
    if (!made.ok()) return made.status();
    row_.exists = true;
  }
  if (attempts_.size() == 1) return absl::OkStatus();
  // Earlier attempts may have happened.
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
  if (absl::Status s = Begin(happened); !s.ok() || happened) return s;
  const WriteStatements& kinds = row_.of_owner ? kOfOwner : kOfOthers;
  std::vector<SqlCommand> commands;
  commands.push_back({kBegin});
  commands.push_back({kinds.prove, ProofOf(number).Int8(row_.last_write)});
  Statements statements(commands, kinds, ProofOf(number), options_.shard);
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
  const WriteStatements& kinds = row_.of_owner ? kOfOwner : kOfOthers;
  const std::vector<absl::string_view> names(keys.begin(), keys.end());
  const SqlCommand lock{kLock,
                        SqlParameters().Int4(options_.shard).ByteArrays(names)};
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
        {kMakeEmpty, SqlParameters().Int4(options_.shard).ByteArrays(missing)},
        lock};
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
  if (absl::Status s = Begin(happened); !s.ok() || happened) return s;
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
  Statements statements(commands, row_.of_owner ? kOfOwner : kOfOthers,
                        ProofOf(number), options_.shard);
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
  FollowOwnership();
  const auto deadline =
      std::chrono::steady_clock::now() + options_.write_patience;
  std::chrono::milliseconds backoff = kFirstBackoff;
  attempts_.clear();
  absl::Status status;
  while (true) {
    const auto number = static_cast<int64_t>(numbers_() >> 1);
    attempts_.push_back(number);
    auto writer = sessions_.TakeWriter();
    status = writer.status();
    if (writer.ok()) {
      writer_ = *std::move(writer);
      status = attempt(number);
      sessions_.GiveBackWriter(std::move(writer_));
    }
    // An earlier attempt may still happen: only a later one that reaches its
    // end tells.
    const bool in_doubt =
        attempts_.size() > 1 && absl::IsResourceExhausted(status);
    if (!absl::IsUnavailable(status) && !absl::IsFailedPrecondition(status) &&
        !in_doubt) {
      break;
    }
    if (!waiting_.exchange(true) && options_.on_trouble) {
      options_.on_trouble(std::string(status.message()));
    }
    if (!patient_ || std::chrono::steady_clock::now() + backoff >= deadline) {
      break;
    }
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

absl::Status PostgresStore::TryToRead(
    absl::FunctionRef<absl::Status(std::unique_ptr<PostgresConnection>)> read)
    const {
  ReadOutage& outage = sessions_.read_outage();
  const auto give_up_at =
      outage.GiveUpAt(std::chrono::steady_clock::now(), options_.read_patience);
  if (!give_up_at.ok()) return give_up_at.status();
  while (true) {
    auto session = sessions_.TakeReader();
    absl::Status status = session.status();
    if (session.ok()) status = read(*std::move(session));
    const auto now = std::chrono::steady_clock::now();
    if (!absl::IsUnavailable(status)) {
      outage.Ended();
      return status;
    }
    if (now + kFirstBackoff >= *give_up_at) {
      outage.Failed(status, now);
      return status;
    }
    std::this_thread::sleep_for(kFirstBackoff);
  }
}

absl::StatusOr<SqlResult> PostgresStore::Read(const SqlCommand& command) const {
  absl::StatusOr<SqlResult> result;
  const absl::Status status =
      TryToRead([&](std::unique_ptr<PostgresConnection> session) {
        result = session->Run(
            command, std::chrono::steady_clock::now() + options_.read_patience);
        sessions_.GiveBackReader(std::move(session));
        return result.status();
      });
  if (!status.ok()) return status;
  return result;
}

absl::StatusOr<std::optional<std::string>> PostgresStore::Get(
    absl::string_view key) const {
  const auto result =
      Read({kGet, SqlParameters().Int4(options_.shard).Bytes(key)});
  if (!result.ok()) return result.status();
  if (result->rows() == 0) return std::nullopt;
  return std::string(result->Bytes(0, 0));
}

std::unique_ptr<StoreCursor> PostgresStore::Scan(absl::string_view begin,
                                                 absl::string_view end) const {
  std::unique_ptr<StoreCursor> cursor;
  const absl::Status status =
      TryToRead([&](std::unique_ptr<PostgresConnection> session) {
        cursor = std::make_unique<PostgresCursor>(sessions_, std::move(session),
                                                  options_.shard, begin, end,
                                                  options_.read_patience);
        return cursor->status();
      });
  if (!status.ok()) return std::make_unique<FailedCursor>(status);
  return cursor;
}

absl::StatusOr<std::optional<std::pair<std::string, std::string>>>
PostgresStore::Last(absl::string_view begin, absl::string_view end) const {
  const auto result = Read(
      {kLast, SqlParameters().Int4(options_.shard).Bytes(begin).Bytes(end)});
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
                                            .Int4(options_.shard)
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
