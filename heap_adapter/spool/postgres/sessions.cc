#include "heap_adapter/spool/postgres/sessions.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace heapsync {
namespace {

constexpr size_t kMaxIdleReaders = 4;
// A server that stops while it holds locks, or waits for those of one that has,
// is not waited for longer than this.
constexpr const char* kBounds[] = {
    "SET application_name = 'heapsync-writer'",
    "SET idle_in_transaction_session_timeout = '2s'",
    "SET lock_timeout = '4s'",
};
constexpr std::chrono::seconds kBoundPatience{10};

}  // namespace

absl::StatusOr<std::unique_ptr<PostgresConnection>>
PostgresSessions::TakeReader() {
  {
    MutexLock lock(mutex_);
    ++readers_in_use_;
    if (!idle_readers_.empty()) {
      std::unique_ptr<PostgresConnection> session =
          std::move(idle_readers_.back());
      idle_readers_.pop_back();
      return session;
    }
  }
  auto session = PostgresConnection::Open(uri_);
  if (!session.ok()) GiveBackReader(nullptr);
  return session;
}

void PostgresSessions::GiveBackReader(
    std::unique_ptr<PostgresConnection> session) {
  // Closed after the lock is released.
  std::unique_ptr<PostgresConnection> dropped;
  MutexLock lock(mutex_);
  --readers_in_use_;
  if (session == nullptr || !session->usable() || retired_) {
    dropped = std::move(session);
    outdated_ = std::min(outdated_, readers_in_use_);
    return;
  }
  // Which ones are outdated is not known: as many as were in use are dropped.
  if (outdated_ > 0) {
    --outdated_;
    dropped = std::move(session);
  } else if (idle_readers_.size() < kMaxIdleReaders) {
    idle_readers_.push_back(std::move(session));
  }
}

absl::StatusOr<std::unique_ptr<PostgresConnection>>
PostgresSessions::OpenWriter() const {
  auto writer = PostgresConnection::Open(uri_);
  if (!writer.ok()) return writer.status();
  for (const char* bound : kBounds) {
    // Not every database knows these.
    static_cast<void>((*writer)->RunText(
        bound, std::chrono::steady_clock::now() + kBoundPatience));
    if (!(*writer)->usable()) {
      return absl::UnavailableError("the connection to the database was lost");
    }
  }
  return writer;
}

absl::StatusOr<std::unique_ptr<PostgresConnection>>
PostgresSessions::TakeWriter() {
  {
    MutexLock lock(mutex_);
    while (writers_in_use_ >= max_writers_) writer_is_free_.Wait(mutex_);
    ++writers_in_use_;
    if (!idle_writers_.empty()) {
      std::unique_ptr<PostgresConnection> session =
          std::move(idle_writers_.back());
      idle_writers_.pop_back();
      return session;
    }
  }
  auto session = OpenWriter();
  if (!session.ok()) GiveBackWriter(nullptr);
  return session;
}

void PostgresSessions::GiveBackWriter(
    std::unique_ptr<PostgresConnection> session) {
  // Closed after the lock is released.
  Idle dropped;
  {
    MutexLock lock(mutex_);
    --writers_in_use_;
    if (session != nullptr && session->usable() && !retired_) {
      idle_writers_.push_back(std::move(session));
    } else {
      dropped = Outdate();
    }
  }
  writer_is_free_.NotifyOne();
}

void PostgresSessions::Retire() {
  // Closed after the lock is released.
  Idle dropped;
  MutexLock lock(mutex_);
  retired_ = true;
  dropped = Outdate();
}

PostgresSessions::Idle PostgresSessions::Outdate() {
  Idle dropped = std::exchange(idle_writers_, {});
  std::move(idle_readers_.begin(), idle_readers_.end(),
            std::back_inserter(dropped));
  idle_readers_.clear();
  outdated_ = readers_in_use_;
  return dropped;
}

}  // namespace heapsync
