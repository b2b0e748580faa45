#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_POSTGRES_STORE_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_POSTGRES_STORE_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "heap_adapter/base/mutex.h"
#include "heap_adapter/spool/postgres/connection.h"
#include "heap_adapter/spool/postgres/shard_lease.h"
#include "heap_adapter/spool/store.h"

namespace heapsync {

// Sessions that read. As many exist as are in use at once, and a few idle ones
// are kept. Any thread.
class ReadSessions {
 public:
  explicit ReadSessions(std::string uri) : uri_(std::move(uri)) {}

  // A session for the caller alone. Errors: those of opening one.
  absl::StatusOr<std::unique_ptr<PostgresConnection>> Take();
  void GiveBack(std::unique_ptr<PostgresConnection> session);
  // Drops what is idle, and what is given back of the sessions in use: they may
  // be with a server that is no longer the primary.
  void Renew();

 private:
  const std::string uri_;
  Mutex mutex_;
  std::vector<std::unique_ptr<PostgresConnection>> idle_
      ABSL_GUARDED_BY(mutex_);
  // Sessions in use that were opened before the last Renew().
  int outdated_ ABSL_GUARDED_BY(mutex_) = 0;
  int in_use_ ABSL_GUARDED_BY(mutex_) = 0;
};

struct PostgresStoreOptions {
  std::string uri;
  // Time for which a write goes on trying while the database is away; after
  // that the store takes no more writes. Longer: longer fail-overs pass without
  // a restart of the server, but callers wait longer for their error.
  std::chrono::milliseconds write_patience = std::chrono::minutes(1);
  // An attempt that takes longer, beside half a second for each MiB, is given
  // up; what became of it is looked up. Less than the slowest commit: every
  // write costs more than one attempt.
  std::chrono::milliseconds attempt_patience = std::chrono::seconds(10);
  // Time for which a read goes on trying.
  std::chrono::milliseconds read_patience = std::chrono::seconds(2);
  // Called with one sentence when the database goes away in the middle of a
  // write, and when it is back. The writing thread; must not block.
  std::function<void(const std::string&)> on_trouble;
};

// The entries of a spool in PostgreSQL.
//
// A write is one transaction and one round trip. It proves that no other write
// of its server came between it and its predecessor: each attempt has a number
// of its own, which replaces that of the previous write in a row of its
// server's. That number also tells what became of a commit whose answer was
// lost: it is looked up, and the write is repeated only if it did not happen.
// So a fail-over of the database is a write that takes a little longer.
//
// The row of the server that owns the shard is the shard's own. There the write
// proves as well, by the epoch of the claim, that it owns it still.
//
// Update() locks the rows of its keys in their order, so that servers do not
// wait for each other in a circle, and costs one more round trip. A server that
// stops in between loses its locks within seconds.
//
// Every write is synced, whatever durability is asked for: the engine outlives
// a crash of the database, which must not undo what the engine goes by.
//
// Errors of Write(), after which no write is taken any more, except the first:
//
//   kResourceExhausted  the database has no space or no memory
//   kAborted            another server owns the shard, or the row of a server
//                       that owns nothing was deleted: it was away too long
//   kDataLoss           the database has lost a write that it had confirmed
//   kUnavailable        it was away for longer than the patience
//   others              see SqlError()
class PostgresStore final : public Store {
 public:
  // The store of a server that does not own the shard.
  explicit PostgresStore(PostgresStoreOptions options);
  // The store of the owner; see Own().
  PostgresStore(PostgresStoreOptions options, ShardLease& lease);

  // From the next write on this server owns the shard. `lease` must outlive the
  // store; a write that finds another owner ends it. Once; any thread.
  void Own(ShardLease& lease);

  // The row in heapsync_writer of a server that owns nothing. Any thread.
  int64_t writer_id() const { return writer_id_; }

  bool shared() const override { return true; }
  absl::Status Write(const StoreBatch& batch, Durability durability) override;
  absl::Status Update(const std::vector<std::string>& keys, BatchMaker make,
                      Durability durability) override;
  absl::Status Resume() override;
  absl::StatusOr<std::optional<std::string>> Get(
      absl::string_view key) const override;
  std::unique_ptr<StoreCursor> Scan(absl::string_view begin,
                                    absl::string_view end) const override;
  absl::StatusOr<std::optional<std::pair<std::string, std::string>>> Last(
      absl::string_view begin, absl::string_view end) const override;
  absl::StatusOr<FirstEntries> FirstOfEach(
      absl::Span<const KeyRange> ranges) const override;

  // True while a write waits for the database. Any thread.
  bool waiting() const { return waiting_; }

 private:
  // The row that proves the writes of this server.
  struct Row {
    ShardLease* lease = nullptr;  // null: of a server that owns nothing
    int64_t id = 0;
    int64_t epoch = 0;
    int64_t last_write = 0;
    bool exists = false;
  };
  // The fate of the write whose attempts have the numbers `attempts_`.
  enum class Fate { kHappened, kNotYet };
  using Values = std::vector<std::optional<std::string>>;

  // Makes attempts until one has happened, or it makes no sense. `attempt` is
  // given the number of each.
  absl::Status Repeat(absl::FunctionRef<absl::Status(int64_t)> attempt);
  // Each tries once. OK: the write has happened, and its number is that of the
  // row.
  absl::Status WriteOnce(const std::vector<const StoreBatch::Change*>& changes,
                         size_t bytes, int64_t number);
  absl::Status UpdateOnce(const std::vector<std::string>& keys, BatchMaker make,
                          int64_t number);
  // Begins a transaction that holds the row and those of `keys`. kAlready: the
  // write has happened; there is no transaction.
  enum class Begun { kNow, kAlready };
  absl::StatusOr<Begun> Lock(const std::vector<std::string>& keys,
                             int64_t number, Values& values);
  absl::Status EnsureConnected(bool& happened);
  absl::Status Connect();
  absl::StatusOr<Fate> LookUp();
  absl::Status AfterNoProof();
  absl::Status Fenced();
  SqlParameters ProofOf(int64_t number) const;
  void TakeOwnership();
  absl::StatusOr<SqlResult> Read(const SqlCommand& command) const;
  // Of an attempt to write `bytes`.
  SqlDeadline WriteDeadline(size_t bytes) const;

  const PostgresStoreOptions options_;
  const int64_t writer_id_;
  mutable ReadSessions readers_;
  std::atomic<bool> waiting_{false};
  std::atomic<ShardLease*> owned_{nullptr};

  // The rest belongs to the writing thread.
  std::unique_ptr<PostgresConnection> writer_;
  std::mt19937_64 numbers_;
  Row row_;
  // Numbers of the attempts of the current write.
  std::vector<int64_t> attempts_;
  absl::Status closed_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_POSTGRES_STORE_H_
