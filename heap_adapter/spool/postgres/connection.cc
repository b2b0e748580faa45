#include "heap_adapter/spool/postgres/connection.h"

#include <poll.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "heap_adapter/spool/coding.h"
#include "heap_adapter/spool/postgres/sql_error.h"

namespace heapsync {
namespace {

constexpr int kBinary = 1;
constexpr uint32_t kByteaOid = 17;

// Options that the URI may change, and those that it may not. A host that does
// not answer, and a connection that was cut without a word, are noticed in
// seconds.
struct Option {
  const char* keyword;
  const char* value;
};
constexpr Option kBeforeUri[] = {
    {"application_name", "heapsync"},
    {"connect_timeout", "3"},
    {"tcp_user_timeout", "5000"},
    {"keepalives_idle", "5"},
    {"keepalives_interval", "2"},
    {"keepalives_count", "3"},
    // Of several hosts, the one that takes writes.
    {"target_session_attrs", "read-write"},
};
constexpr Option kAfterUri[] = {
    {"client_encoding", "UTF8"},
};

struct Keywords {
  explicit Keywords(const char* uri) {
    for (const Option& each : kBeforeUri) Add(each.keyword, each.value);
    Add("dbname", uri);
    for (const Option& each : kAfterUri) Add(each.keyword, each.value);
    Add(nullptr, nullptr);
  }
  void Add(const char* keyword, const char* value) {
    keywords.push_back(keyword);
    values.push_back(value);
  }
  std::vector<const char*> keywords;
  std::vector<const char*> values;
};

constexpr int kExpandUri = 1;
// An attempt that took longer is not repeated to learn its SQLSTATE: nobody
// answered, and the caller may have a lease to renew.
constexpr std::chrono::seconds kWhyNotPatience{1};
constexpr absl::string_view kReadOnly = "25006";
constexpr std::chrono::seconds kSetUpPatience{5};

// Every query is a search in the order of the primary key. Statistics of a
// queue are wrong most of the time: a table that was empty when they were taken
// would be read whole. Databases other than PostgreSQL may not know these.
constexpr char kPlans[] =
    "SET enable_seqscan = off; SET enable_bitmapscan = off; "
    "SET enable_sort = off";

template <typename Number>
Number ReadBigEndian(absl::string_view bytes) {
  HEAPSYNC_CHECK(bytes.size() == sizeof(Number))
      << "a number of " << bytes.size() << " bytes";
  Number number = 0;
  for (const char byte : bytes) {
    number = static_cast<Number>((static_cast<uint64_t>(number) << 8) |
                                 static_cast<unsigned char>(byte));
  }
  return number;
}

}  // namespace

SqlParameters& SqlParameters::Int4(int32_t value) {
  std::string bytes;
  AppendBigEndian32(bytes, static_cast<uint32_t>(value));
  return Add(bytes);
}

SqlParameters& SqlParameters::Int8(int64_t value) {
  std::string bytes;
  AppendBigEndian64(bytes, static_cast<uint64_t>(value));
  return Add(bytes);
}

SqlParameters& SqlParameters::Float8(double value) {
  return Int8(std::bit_cast<int64_t>(value));
}

SqlParameters& SqlParameters::ByteArrays(
    absl::Span<const absl::string_view> values) {
  size_t size = 20;
  for (const absl::string_view value : values) size += 4 + value.size();
  std::string bytes;
  bytes.reserve(size);
  AppendBigEndian32(bytes, 1);  // dimensions
  AppendBigEndian32(bytes, 0);  // no nulls
  AppendBigEndian32(bytes, kByteaOid);
  AppendBigEndian32(bytes, static_cast<uint32_t>(values.size()));
  AppendBigEndian32(bytes, 1);  // the first index
  for (const absl::string_view value : values) {
    AppendBigEndian32(bytes, static_cast<uint32_t>(value.size()));
    bytes.append(value.data(), value.size());
  }
  values_.push_back(std::move(bytes));
  return *this;
}

uint64_t SqlResult::affected() const {
  uint64_t count = 0;
  static_cast<void>(absl::SimpleAtoi(PQcmdTuples(result_.get()), &count));
  return count;
}

absl::string_view SqlResult::Bytes(int row, int column) const {
  return absl::string_view(
      PQgetvalue(result_.get(), row, column),
      static_cast<size_t>(PQgetlength(result_.get(), row, column)));
}

int64_t SqlResult::Int8(int row, int column) const {
  return ReadBigEndian<int64_t>(Bytes(row, column));
}

int32_t SqlResult::Int4(int row, int column) const {
  return ReadBigEndian<int32_t>(Bytes(row, column));
}

bool SqlResult::Bool(int row, int column) const {
  const absl::string_view bytes = Bytes(row, column);
  return !bytes.empty() && bytes[0] != 0;
}

absl::StatusOr<std::unique_ptr<PostgresConnection>> PostgresConnection::Open(
    const std::string& uri) {
  const Keywords keywords(uri.c_str());
  const auto began = std::chrono::steady_clock::now();
  Session session(PQconnectdbParams(keywords.keywords.data(),
                                    keywords.values.data(), kExpandUri));
  if (session == nullptr) return absl::UnavailableError("out of memory");
  if (PQstatus(session.get()) != CONNECTION_OK) {
    if (std::chrono::steady_clock::now() - began > kWhyNotPatience) {
      return SqlError("", PQerrorMessage(session.get()));
    }
    return WhyNot(uri, session.get());
  }
  std::unique_ptr<PostgresConnection> connection(
      new PostgresConnection(std::move(session)));
  if (absl::Status s = connection->SetUp(); !s.ok()) return s;
  return connection;
}

PostgresConnection::~PostgresConnection() = default;

absl::Status PostgresConnection::SetUp() {
  // Notices could hold anything, and standard error is the log.
  PQsetNoticeReceiver(
      session_.get(), [](void*, const PGresult*) {}, nullptr);
  if (PQsetnonblocking(session_.get(), 1) != 0 ||
      PQenterPipelineMode(session_.get()) != 1) {
    return Broken("no pipeline mode");
  }
  static_cast<void>(
      RunText(kPlans, std::chrono::steady_clock::now() + kSetUpPatience));
  return usable() ? absl::OkStatus() : Broken("lost while it was set up");
}

absl::Status PostgresConnection::WhyNot(const std::string& uri,
                                        PGconn* session) {
  const std::string message = PQerrorMessage(session);
  if (PQconnectionNeedsPassword(session) != 0) {
    return SqlError("28P01", message);
  }
  // The message may be in any language; its SQLSTATE is not in it.
  const Keywords keywords(uri.c_str());
  const Session again(PQconnectStartParams(keywords.keywords.data(),
                                           keywords.values.data(), kExpandUri));
  if (again == nullptr) return SqlError("", message);
  PQsetErrorVerbosity(again.get(), PQERRORS_SQLSTATE);
  const auto deadline = std::chrono::steady_clock::now() + kWhyNotPatience;
  auto state = PGRES_POLLING_WRITING;
  while (state == PGRES_POLLING_READING || state == PGRES_POLLING_WRITING) {
    const auto rest = std::chrono::ceil<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd socket{.fd = PQsocket(again.get()),
                  .events = static_cast<short>(
                      state == PGRES_POLLING_READING ? POLLIN : POLLOUT),
                  .revents = 0};
    if (socket.fd < 0 || rest.count() <= 0 ||
        poll(&socket, 1, static_cast<int>(rest.count())) <= 0) {
      break;
    }
    state = PQconnectPoll(again.get());
  }
  return SqlError(SqlStateIn(PQerrorMessage(again.get())), message);
}

absl::Status PostgresConnection::Broken(absl::string_view why) {
  broken_ = true;
  return SqlError("", why);
}

absl::Status PostgresConnection::WaitFor(short events, SqlDeadline deadline) {
  while (true) {
    const auto rest = std::chrono::ceil<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (rest.count() <= 0) return Broken("it did not answer in time");
    pollfd socket{
        .fd = PQsocket(session_.get()), .events = events, .revents = 0};
    if (socket.fd < 0) return Broken(PQerrorMessage(session_.get()));
    const int ready = poll(
        &socket, 1, static_cast<int>(std::min<int64_t>(rest.count(), 1 << 30)));
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return Broken("poll failed");
  }
}

absl::Status PostgresConnection::Flush(SqlDeadline deadline) {
  while (true) {
    const int left = PQflush(session_.get());
    if (left < 0) return Broken(PQerrorMessage(session_.get()));
    if (left == 0) return absl::OkStatus();
    // The server may send while it reads, and would stop if nobody read.
    if (absl::Status s = WaitFor(POLLIN | POLLOUT, deadline); !s.ok()) return s;
    if (PQconsumeInput(session_.get()) == 0) {
      return Broken(PQerrorMessage(session_.get()));
    }
  }
}

absl::StatusOr<PGresult*> PostgresConnection::Next(SqlDeadline deadline) {
  while (PQisBusy(session_.get()) != 0) {
    if (absl::Status s = WaitFor(POLLIN, deadline); !s.ok()) return s;
    if (PQconsumeInput(session_.get()) == 0) {
      return Broken(PQerrorMessage(session_.get()));
    }
  }
  return PQgetResult(session_.get());
}

absl::Status PostgresConnection::StatusOf(const SqlResult& result) {
  switch (PQresultStatus(result.get())) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE:
    case PGRES_PIPELINE_SYNC:
      return absl::OkStatus();
    case PGRES_PIPELINE_ABORTED:
      return absl::InternalError("an earlier command failed");
    default: {
      const char* field = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
      const absl::string_view state = field == nullptr ? "" : field;
      const char* text =
          PQresultErrorField(result.get(), PG_DIAG_MESSAGE_PRIMARY);
      // Another host may be the primary now: a new connection looks for it.
      if (state == kReadOnly) broken_ = true;
      return SqlError(
          state, text == nullptr ? PQresultErrorMessage(result.get()) : text);
    }
  }
}

absl::Status PostgresConnection::Prepare(const SqlStatement& statement) {
  if (prepared_.contains(statement.name)) return absl::OkStatus();
  if (PQsendPrepare(session_.get(), statement.name, statement.text, 0,
                    nullptr) != 1 ||
      PQpipelineSync(session_.get()) != 1) {
    return Broken(PQerrorMessage(session_.get()));
  }
  const SqlDeadline deadline =
      std::chrono::steady_clock::now() + kSetUpPatience;
  if (absl::Status s = Flush(deadline); !s.ok()) return s;
  if (absl::Status s = Finish(deadline); !s.ok()) return s;
  prepared_.insert(statement.name);
  return absl::OkStatus();
}

absl::Status PostgresConnection::Send(absl::Span<const SqlCommand> commands) {
  for (const SqlCommand& command : commands) {
    const std::vector<std::string>& values = command.parameters.values();
    std::vector<const char*> texts;
    std::vector<int> sizes;
    for (const std::string& value : values) {
      texts.push_back(value.data());
      sizes.push_back(static_cast<int>(value.size()));
    }
    const std::vector<int> formats(values.size(), kBinary);
    if (PQsendQueryPrepared(session_.get(), command.statement.name,
                            static_cast<int>(values.size()), texts.data(),
                            sizes.data(), formats.data(), kBinary) != 1) {
      return Broken(PQerrorMessage(session_.get()));
    }
  }
  if (PQpipelineSync(session_.get()) != 1) {
    return Broken(PQerrorMessage(session_.get()));
  }
  return absl::OkStatus();
}

absl::Status PostgresConnection::Finish(SqlDeadline deadline) {
  absl::Status first;
  while (true) {
    absl::StatusOr<PGresult*> next = Next(deadline);
    if (!next.ok()) return first.ok() ? next.status() : first;
    if (*next == nullptr) {
      // The end of one command; a lost connection has nothing behind it.
      if (PQstatus(session_.get()) != CONNECTION_OK) {
        broken_ = true;
        return first.ok() ? Broken(PQerrorMessage(session_.get())) : first;
      }
      continue;
    }
    const SqlResult result(*next);
    if (PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC) return first;
    first.Update(StatusOf(result));
  }
}

absl::Status PostgresConnection::Drain(SqlDeadline deadline) {
  for (; unread_pipelines_ > 0; --unread_pipelines_) {
    if (absl::Status s = Finish(deadline); !s.ok() && !usable()) return s;
  }
  return RollBackIfFailed(deadline);
}

absl::Status PostgresConnection::RollBackIfFailed(SqlDeadline deadline) {
  if (PQtransactionStatus(session_.get()) != PQTRANS_INERROR) {
    return absl::OkStatus();
  }
  return RunText("ROLLBACK", deadline);
}

absl::Status PostgresConnection::RunText(const std::string& text,
                                         SqlDeadline deadline) {
  // Pipelines have no texts of several statements.
  if (PQexitPipelineMode(session_.get()) != 1) {
    return Broken(PQerrorMessage(session_.get()));
  }
  absl::Status first;
  if (PQsendQuery(session_.get(), text.c_str()) != 1) {
    return Broken(PQerrorMessage(session_.get()));
  }
  if (absl::Status s = Flush(deadline); !s.ok()) return s;
  while (true) {
    absl::StatusOr<PGresult*> next = Next(deadline);
    if (!next.ok()) return next.status();
    if (*next == nullptr) break;
    first.Update(StatusOf(SqlResult(*next)));
  }
  if (PQenterPipelineMode(session_.get()) != 1) {
    return Broken(PQerrorMessage(session_.get()));
  }
  return first;
}

absl::StatusOr<std::vector<SqlResult>> PostgresConnection::RunTogether(
    absl::Span<const SqlCommand> commands, SqlDeadline deadline) {
  if (absl::Status s = Drain(deadline); !s.ok()) return s;
  for (const SqlCommand& command : commands) {
    if (absl::Status s = Prepare(command.statement); !s.ok()) return s;
  }
  if (absl::Status s = Send(commands); !s.ok()) return s;
  if (absl::Status s = Flush(deadline); !s.ok()) return s;
  std::vector<SqlResult> results;
  absl::Status first;
  while (true) {
    absl::StatusOr<PGresult*> next = Next(deadline);
    if (!next.ok()) return first.ok() ? next.status() : first;
    if (*next == nullptr) {
      if (PQstatus(session_.get()) != CONNECTION_OK) {
        return first.ok() ? Broken(PQerrorMessage(session_.get())) : first;
      }
      continue;
    }
    SqlResult result(*next);
    if (PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC) break;
    first.Update(StatusOf(result));
    if (first.ok()) results.push_back(std::move(result));
  }
  if (first.ok()) return results;
  if (absl::Status s = RollBackIfFailed(deadline); !s.ok()) broken_ = true;
  return first;
}

absl::StatusOr<SqlResult> PostgresConnection::Run(const SqlCommand& command,
                                                  SqlDeadline deadline) {
  auto results = RunTogether(absl::MakeConstSpan(&command, 1), deadline);
  if (!results.ok()) return results.status();
  return std::move(results->front());
}

void PostgresConnection::SendOnly(absl::Span<const SqlCommand> commands) {
  for (const SqlCommand& command : commands) {
    if (!Prepare(command.statement).ok()) return;
  }
  if (!Send(commands).ok()) return;
  if (PQflush(session_.get()) < 0) {
    broken_ = true;
    return;
  }
  ++unread_pipelines_;
}

absl::Status PostgresConnection::StartRows(
    absl::Span<const SqlCommand> commands, SqlDeadline deadline) {
  if (absl::Status s = Drain(deadline); !s.ok()) return s;
  for (const SqlCommand& command : commands) {
    if (absl::Status s = Prepare(command.statement); !s.ok()) return s;
  }
  if (absl::Status s = Send(commands); !s.ok()) return s;
  if (absl::Status s = Flush(deadline); !s.ok()) return s;
  for (size_t i = 0; i + 1 < commands.size(); ++i) {
    absl::Status failed;
    while (true) {
      absl::StatusOr<PGresult*> next = Next(deadline);
      if (!next.ok()) return failed.ok() ? next.status() : failed;
      if (*next == nullptr) break;
      failed.Update(StatusOf(SqlResult(*next)));
    }
    if (failed.ok()) continue;
    static_cast<void>(Finish(deadline));
    if (!RollBackIfFailed(deadline).ok()) broken_ = true;
    return failed;
  }
  if (PQsetSingleRowMode(session_.get()) != 1) {
    return Broken("no single-row mode");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<SqlResult>> PostgresConnection::NextRow(
    SqlDeadline deadline) {
  absl::StatusOr<PGresult*> next = Next(deadline);
  if (!next.ok()) return next.status();
  if (*next == nullptr) return Broken(PQerrorMessage(session_.get()));
  auto result = std::make_unique<SqlResult>(*next);
  if (PQresultStatus(result->get()) == PGRES_SINGLE_TUPLE) return result;
  const absl::Status ended = StatusOf(*result);
  const absl::Status finished = Finish(deadline);
  if (!ended.ok()) {
    if (!usable() || !RollBackIfFailed(deadline).ok()) broken_ = true;
    return ended;
  }
  if (!finished.ok()) return finished;
  return nullptr;
}

}  // namespace heapsync
