#ifndef HEAPSYNC_CLIENT_CLI_ODBC_CONNECTION_H_
#define HEAPSYNC_CLIENT_CLI_ODBC_CONNECTION_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heapsync {

// A connection to a data source through unixODBC's driver manager. One thread
// at a time.
//
// Drivers are told to stream a result instead of loading it, to give booleans
// as such and text as UTF-8, unless the connection string says otherwise.
class OdbcConnection {
 public:
  // `connection` is a connection string (DSN=warehouse;UID=me); `init` are
  // statements that are executed first. Errors: kUnavailable, with the state
  // and text of the driver's message, from which the values of the string's
  // secret attributes are removed.
  static absl::StatusOr<OdbcConnection> Open(
      const std::string& connection, const std::vector<std::string>& init);

  ~OdbcConnection();
  OdbcConnection(OdbcConnection&& other) noexcept;
  OdbcConnection& operator=(OdbcConnection&&) = delete;

  // ODBC's handle (SQLHDBC). Owned by the connection.
  void* handle() const { return connection_; }

  // The file name of the driver, in lower case.
  const std::string& driver() const { return driver_; }

  // True if the driver loads each result whole, whatever it is told: MariaDB's
  // before 3.2.
  bool loads_whole_results() const { return loads_whole_results_; }

  // The driver's messages about a handle, as an error that begins with
  // `action`: kUnavailable if the connection is lost, else kInternal.
  absl::Status Error(int handle_type, void* handle,
                     absl::string_view action) const;

 private:
  OdbcConnection() = default;
  absl::Status Connect(const std::string& connection);
  void Disconnect();

  void* environment_ = nullptr;
  void* connection_ = nullptr;
  std::string driver_;
  bool loads_whole_results_ = false;
  std::vector<std::string> secrets_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_ODBC_CONNECTION_H_
