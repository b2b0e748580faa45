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

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
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

// The entries of a spool in PostgreSQL, for the server that owns them.
//
// A write is one transaction and one round trip. It proves that its server
// still owns the shard, by the epoch of the claim, and that no other write came
// between it and its predecessor: each attempt has a number of its own, which
// replaces that of the previous write in the shard's row. That number also
// tells what became of a commit whose answer was lost: it is looked up, and the
// write is repeated only if it did not happen. So a fail-over of the database
// is a write that takes a little longer.
//
// Every write is synced, whatever durability is asked for: the engine outlives
// a crash of the database, which must not undo what the engine goes by.
//
// Errors of Write(), after which no write is taken any more, except the first:
//
//   kResourceExhausted  the database has no space or no memory
//   kAborted            another server owns the shard
//   kDataLoss           the database has lost a write that it had confirmed
//   kUnavailable        it was away for longer than the patience
//   others              see SqlError()
class PostgresStore final : public Store {
 public:
  // `lease` must outlive the store; a write that finds another owner ends it.
  PostgresStore(PostgresStoreOptions options, ShardLease& lease);

  absl::Status Write(const StoreBatch& batch, Durability durability) override;
  absl::Status Resume() override;
  absl::StatusOr<std::optional<std::string>> Get(
      absl::string_view key) const override;
  std::unique_ptr<StoreCursor> Scan(absl::string_view begin,
                                    absl::string_view end) const override;
  absl::StatusOr<std::optional<std::pair<std::string, std::string>>> Last(
      absl::string_view begin, absl::string_view end) const override;

  // True while a write waits for the database. Any thread.
  bool waiting() const { return waiting_; }

 private:
  // The fate of the write whose attempts have the numbers `attempts_`.
  enum class Fate { kHappened, kNotYet };
  // Tries once. OK: the write has happened, and `last_write_` is its number.
  absl::Status WriteOnce(const std::vector<SqlCommand>& changes, size_t bytes);
  absl::Status Connect();
  absl::StatusOr<Fate> LookUp();
  absl::Status Fenced();
  absl::StatusOr<SqlResult> Read(const SqlCommand& command) const;
  // Of an attempt to write `bytes`.
  SqlDeadline WriteDeadline(size_t bytes) const;

  const PostgresStoreOptions options_;
  ShardLease& lease_;
  const int64_t epoch_;
  mutable ReadSessions readers_;
  std::atomic<bool> waiting_{false};

  // The rest belongs to the writing thread.
  std::unique_ptr<PostgresConnection> writer_;
  std::mt19937_64 numbers_;
  int64_t last_write_;
  // Numbers of the attempts of the current write.
  std::vector<int64_t> attempts_;
  absl::Status closed_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_POSTGRES_STORE_H_
