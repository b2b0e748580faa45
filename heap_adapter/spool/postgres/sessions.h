#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SESSIONS_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SESSIONS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "heap_adapter/spool/postgres/connection.h"
#include "heap_adapter/spool/postgres/read_outage.h"

namespace heapsync {

// The sessions of one server with one database, which the stores of all its
// shards share. Any thread.
//
// Of those that read, as many exist as are in use at once, and a few idle ones
// are kept. Those that write are few, and each is used for one attempt to
// write: who finds them all in use waits. They are bound in time, so that a
// server which stops in the middle of a write holds up nobody for long.
class PostgresSessions {
 public:
  // `writers`: sessions that write at once, at most. More: more shards commit
  // at the same time, and the database has more connections of each server.
  explicit PostgresSessions(std::string uri, size_t writers = 4)
      : uri_(std::move(uri)), max_writers_(writers) {}

  // A session for the caller alone, to be given back. Errors: those of opening
  // one.
  absl::StatusOr<std::unique_ptr<PostgresConnection>> TakeReader();
  absl::StatusOr<std::unique_ptr<PostgresConnection>> TakeWriter();
  // Null: it is of no use any more. Then the idle ones are dropped, too: they
  // may be with a server that is no longer the primary.
  void GiveBackReader(std::unique_ptr<PostgresConnection> session);
  void GiveBackWriter(std::unique_ptr<PostgresConnection> session);

  // Closes the idle sessions; those in use are closed when they are given back.
  void Retire();

  // What the reads of all shards know of the database.
  ReadOutage& read_outage() { return read_outage_; }

 private:
  using Idle = std::vector<std::unique_ptr<PostgresConnection>>;

  absl::StatusOr<std::unique_ptr<PostgresConnection>> OpenWriter() const;
  Idle Outdate() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string uri_;
  const size_t max_writers_;
  ReadOutage read_outage_;
  Mutex mutex_;
  bool retired_ ABSL_GUARDED_BY(mutex_) = false;
  CondVar writer_is_free_;
  Idle idle_readers_ ABSL_GUARDED_BY(mutex_);
  Idle idle_writers_ ABSL_GUARDED_BY(mutex_);
  // Readers in use that were opened before a session was lost.
  int outdated_ ABSL_GUARDED_BY(mutex_) = 0;
  int readers_in_use_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t writers_in_use_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SESSIONS_H_
