#ifndef HEAPSYNC_TESTS_SPOOL_POSTGRES_POSTGRES_SERVER_H_
#define HEAPSYNC_TESTS_SPOOL_POSTGRES_POSTGRES_SERVER_H_

#include <sys/types.h>

#include <memory>
#include <string>

namespace heapsync {

// A real PostgreSQL on loopback, with a folder of its own; it ends with the
// object.
class PostgresServer {
 public:
  // Null if this machine has no PostgreSQL.
  static std::unique_ptr<PostgresServer> Start();
  ~PostgresServer();

  // A new, empty database.
  std::string NewDatabase();
  // URI of a database, or of the same through another port, such as a proxy's.
  std::string Uri(const std::string& database) const {
    return UriAt(port_, database);
  }
  static std::string UriAt(int port, const std::string& database) {
    return "postgresql://postgres@127.0.0.1:" + std::to_string(port) + "/" +
           database;
  }
  int port() const { return port_; }

  // Runs SQL in a database as its superuser; returns the first field of the
  // first row as text.
  std::string Sql(const std::string& database, const std::string& text) const;

  // As after a crash of the server: what was not committed is gone. Returns
  // when it takes connections again.
  void Crash();
  void Stop();
  void Restart();
  bool runs() const { return process_ > 0; }

 private:
  PostgresServer() = default;
  bool Run();

  std::string folder_;
  int port_ = 0;
  pid_t process_ = -1;
  int databases_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_SPOOL_POSTGRES_POSTGRES_SERVER_H_
