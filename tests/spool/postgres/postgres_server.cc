#include "tests/spool/postgres/postgres_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/check.h"

namespace heapsync {
namespace {

// A port that is free now. Nobody else takes it soon: it is not one that the
// system hands out.
int FreePort() {
  std::srand(static_cast<unsigned>(getpid()));
  for (int tries = 0; tries < 1'000; ++tries) {
    const int port = 20'000 + std::rand() % 12'000;
    const int candidate = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    const bool free = bind(candidate, reinterpret_cast<sockaddr*>(&address),
                           sizeof(address)) == 0;
    close(candidate);
    if (free) return port;
  }
  HEAPSYNC_UNREACHABLE();
}

}  // namespace

std::unique_ptr<PostgresServer> PostgresServer::Start() {
  std::unique_ptr<PostgresServer> server(new PostgresServer());
  std::string pattern =
      std::filesystem::temp_directory_path() / "postgresXXXXXX";
  server->folder_ = mkdtemp(pattern.data());
  server->port_ = FreePort();
  return server->Run() ? std::move(server) : nullptr;
}

PostgresServer::~PostgresServer() {
  Stop();
  std::filesystem::remove_all(folder_);
}

bool PostgresServer::Run() {
  const std::string script =
      HEAPSYNC_SOURCE_DIR "/tests/spool/postgres/run_postgres.sh";
  const std::string port = std::to_string(port_);
  const std::string log = folder_ + "/server.log";
  process_ = fork();
  if (process_ == 0) {
    const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    execl(script.c_str(), script.c_str(), folder_.c_str(), port.c_str(),
          nullptr);
    _exit(77);
  }
  while (true) {
    if (PQping(UriAt(port_, "postgres").c_str()) == PQPING_OK) return true;
    int status = 0;
    if (waitpid(process_, &status, WNOHANG) == process_) {
      process_ = -1;
      HEAPSYNC_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 77)
          << "PostgreSQL ended";
      return false;
    }
    poll(nullptr, 0, 10);
  }
}

void PostgresServer::Stop() {
  if (process_ <= 0) return;
  kill(process_, SIGINT);
  waitpid(process_, nullptr, 0);
  process_ = -1;
}

void PostgresServer::Restart() { HEAPSYNC_CHECK(Run()) << "no PostgreSQL"; }

void PostgresServer::Crash() {
  kill(process_, SIGQUIT);
  waitpid(process_, nullptr, 0);
  Restart();
}

std::string PostgresServer::Sql(const std::string& database,
                                const std::string& text) const {
  PGconn* session = PQconnectdb(Uri(database).c_str());
  PGresult* result = PQexec(session, text.c_str());
  const ExecStatusType status = PQresultStatus(result);
  HEAPSYNC_CHECK(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
      << PQerrorMessage(session);
  std::string field;
  if (PQntuples(result) > 0) field = PQgetvalue(result, 0, 0);
  PQclear(result);
  PQfinish(session);
  return field;
}

std::string PostgresServer::NewDatabase() {
  std::string name = "spool" + std::to_string(++databases_);
  Sql("postgres", "CREATE DATABASE " + name);
  return name;
}

}  // namespace heapsync
