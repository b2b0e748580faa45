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
#include "base/mutex.h"
#include "heap_adapter/spool/postgres/connection.h"
#include "heap_adapter/spool/postgres/sessions.h"
#include "heap_adapter/spool/postgres/shard_table.h"
#include "heap_adapter/spool/shards.h"
#include "heap_adapter/spool/store.h"

namespace heapsync {

struct PostgresStoreOptions {
  int32_t shard = 0;
  // The server that the store belongs to; for people, and for Seen() of
  // OtherWriters.
  ServerId server = kNoServer;
  // Time for which a write goes on trying while the database is away; after
  // that the store takes no more writes. Longer: longer fail-overs pass without
  // a restart of the server, but callers wait longer for their error.
  std::chrono::milliseconds write_patience = std::chrono::minutes(15);
  // An attempt that takes longer, beside half a second for each MiB, is given
  // up; what became of it is looked up. Less than the slowest commit: every
  // write costs more than one attempt.
  std::chrono::milliseconds attempt_patience = std::chrono::seconds(10);
  // Time for which a read goes on trying.
  std::chrono::milliseconds read_patience = std::chrono::seconds(2);
  // Called with one sentence when the database goes away in the middle of a
  // write, and when it is back. The writing thread; must not block.
  std::function<void(const std::string&)> on_trouble;
  // Called when a write finds that another server owns the shard that this one
  // has claimed. The writing thread; must not block.
  std::function<void()> on_fenced;
};

// The entries of one shard of a spool in PostgreSQL.
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
//                       that does not own it was deleted: it was away too long
//   kDataLoss           the database has lost a write that it had confirmed
//   kUnavailable        it was away for longer than the patience
//   others              see SqlError()
class PostgresStore final : public Store {
 public:
  // The store of a server that does not own the shard. `sessions` must outlive
  // it.
  PostgresStore(PostgresSessions& sessions, PostgresStoreOptions options);

  // From the next write on this server owns the shard, or no longer does. Any
  // thread.
  void Own(const ShardClaim& claim);
  void Disown();

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
  // From now on no write waits for it: as if the patience were over. Any
  // thread.
  void LosePatience() { patient_ = false; }

 private:
  // A row that proves the writes of this server.
  struct Row {
    bool of_owner = false;
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
  // Makes sure that the row exists. OK with `happened`: an earlier attempt has
  // happened.
  absl::Status Begin(bool& happened);
  absl::StatusOr<Fate> LookUp();
  absl::Status AfterNoProof();
  absl::Status Fenced();
  SqlParameters ProofOf(int64_t number) const;
  void FollowOwnership();
  // Calls `read` with a session that it gives back, again while the database is
  // away and a read may wait.
  absl::Status TryToRead(
      absl::FunctionRef<absl::Status(std::unique_ptr<PostgresConnection>)> read)
      const;
  absl::StatusOr<SqlResult> Read(const SqlCommand& command) const;
  // Of an attempt to write `bytes`.
  SqlDeadline WriteDeadline(size_t bytes) const;

  PostgresSessions& sessions_;
  const PostgresStoreOptions options_;
  std::atomic<bool> waiting_{false};
  std::atomic<bool> patient_{true};

  Mutex mutex_;
  std::optional<ShardClaim> claim_ ABSL_GUARDED_BY(mutex_);

  // The rest belongs to the writing thread.
  std::unique_ptr<PostgresConnection> writer_;  // during an attempt
  std::mt19937_64 numbers_;
  Row row_;
  Row own_row_;  // while `row_` is that of the shard
  // Numbers of the attempts of the current write.
  std::vector<int64_t> attempts_;
  absl::Status closed_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_POSTGRES_STORE_H_
