#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_CONNECTION_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_CONNECTION_H_

#include <libpq-fe.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace heapsync {

// A statement, with places for parameters: $1, $2, …. Prepared once for each
// connection; its name must be unique among all statements.
struct SqlStatement {
  const char* name;
  const char* text;
};

// Parameters in the binary format. Each must have the type that the statement
// gives to its place.
class SqlParameters {
 public:
  SqlParameters& Int4(int32_t value);
  SqlParameters& Int8(int64_t value);
  SqlParameters& Float8(double value);
  SqlParameters& Text(absl::string_view value) { return Add(value); }
  SqlParameters& Bytes(absl::string_view value) { return Add(value); }
  // bytea[] of at least one element.
  SqlParameters& ByteArrays(absl::Span<const absl::string_view> values);

  const std::vector<std::string>& values() const { return values_; }

 private:
  SqlParameters& Add(absl::string_view value) {
    values_.emplace_back(value);
    return *this;
  }
  std::vector<std::string> values_;
};

struct SqlCommand {
  SqlStatement statement;
  SqlParameters parameters = {};
};

// The result of one statement, or one row of it.
class SqlResult {
 public:
  explicit SqlResult(PGresult* result) : result_(result) {}

  int rows() const { return PQntuples(result_.get()); }
  // Rows that the statement inserted, changed or deleted.
  uint64_t affected() const;
  // The rest REQUIRE that there is such a row and column of that type.
  bool IsNull(int row, int column) const {
    return PQgetisnull(result_.get(), row, column) != 0;
  }
  absl::string_view Bytes(int row, int column) const;  // bytea or text
  int64_t Int8(int row, int column) const;
  int32_t Int4(int row, int column) const;
  bool Bool(int row, int column) const;

  PGresult* get() const { return result_.get(); }

 private:
  struct Deleter {
    void operator()(PGresult* result) const { PQclear(result); }
  };
  std::unique_ptr<PGresult, Deleter> result_;
};

// The moment up to which an operation may wait for the database.
using SqlDeadline = std::chrono::steady_clock::time_point;

// One session of the database, whose commands are sent in pipelines: several
// commands cost one round trip. Errors are those of SqlError(). After an error
// of the connection, usable() is false, and it is unknown whether the commands
// that were sent took effect.
//
// Not thread-safe.
class PostgresConnection {
 public:
  // Tries the hosts of `uri` one after the other, each for a few seconds, until
  // one lets the session write. Errors: kFailedPrecondition if a host says that
  // the set-up is wrong, whatever the language of its messages; otherwise
  // kUnavailable.
  static absl::StatusOr<std::unique_ptr<PostgresConnection>> Open(
      const std::string& uri);

  ~PostgresConnection();
  PostgresConnection(const PostgresConnection&) = delete;
  PostgresConnection& operator=(const PostgresConnection&) = delete;

  // Runs commands in their order, and returns a result for each. Without BEGIN
  // among them they are one transaction. If one fails, the error is returned,
  // the later ones are not run, and a transaction that was begun is rolled
  // back.
  absl::StatusOr<std::vector<SqlResult>> RunTogether(
      absl::Span<const SqlCommand> commands, SqlDeadline deadline);
  absl::StatusOr<SqlResult> Run(const SqlCommand& command,
                                SqlDeadline deadline);
  // Runs a text without parameters that may fail, such as the setting of an
  // option that not every database knows.
  absl::Status RunText(const std::string& text, SqlDeadline deadline);

  // Sends commands whose results nobody wants; the next operation passes over
  // them. Errors of the connection show there.
  void SendOnly(absl::Span<const SqlCommand> commands);

  // Sends commands and reads the rows of the last of them one by one, so that
  // their number does not matter to memory.
  absl::Status StartRows(absl::Span<const SqlCommand> commands,
                         SqlDeadline deadline);
  // The next row; none at the end, after which the connection is free again.
  absl::StatusOr<std::unique_ptr<SqlResult>> NextRow(SqlDeadline deadline);

  bool usable() const {
    return !broken_ && PQstatus(session_.get()) == CONNECTION_OK;
  }

 private:
  struct Deleter {
    void operator()(PGconn* session) const { PQfinish(session); }
  };
  using Session = std::unique_ptr<PGconn, Deleter>;

  explicit PostgresConnection(Session session) : session_(std::move(session)) {}

  absl::Status SetUp();
  // The error of a failed Open(), found out by asking again in a way that says
  // the SQLSTATE.
  static absl::Status WhyNot(const std::string& uri, PGconn* session);

  absl::Status Send(absl::Span<const SqlCommand> commands);
  absl::Status Prepare(const SqlStatement& statement);
  absl::Status Flush(SqlDeadline deadline);
  // The next result of the current command; null at its end.
  absl::StatusOr<PGresult*> Next(SqlDeadline deadline);
  // Reads up to the next end of a pipeline; the first error on the way.
  absl::Status Finish(SqlDeadline deadline);
  // Passes over the results of SendOnly().
  absl::Status Drain(SqlDeadline deadline);
  absl::Status RollBackIfFailed(SqlDeadline deadline);
  absl::Status WaitFor(short events, SqlDeadline deadline);
  // The error that a result is.
  absl::Status StatusOf(const SqlResult& result);
  absl::Status Broken(absl::string_view why);

  const Session session_;
  absl::flat_hash_set<std::string> prepared_;
  int unread_pipelines_ = 0;
  bool broken_ = false;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_CONNECTION_H_
