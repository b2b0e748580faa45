#include "client/cli/odbc_connection.h"

#include <sql.h>
#include <sqlext.h>

#include <algorithm>
#include <clocale>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/cli/odbc_values.h"

namespace heapsync {
namespace {

// Attributes that a driver needs so that memory stays bounded and values keep
// their types.
struct DriverAttribute {
  absl::string_view driver;  // a part of its file name
  absl::string_view key;
  absl::string_view value;
};
constexpr DriverAttribute kDriverAttributes[] = {
    {"psqlodbc", "UseDeclareFetch", "1"}, {"psqlodbc", "Fetch", "1000"},
    {"psqlodbc", "BoolsAsChar", "0"},     {"myodbc", "NO_CACHE", "1"},
    {"maodbc", "NO_CACHE", "1"},          {"sqliteodbc", "StepAPI", "1"},
    {"sqlite3odbc", "StepAPI", "1"},      {"tdsodbc", "ClientCharset", "UTF-8"},
};

SQLCHAR* Text(const std::string& text) {
  // ODBC's functions only read it.
  return reinterpret_cast<SQLCHAR*>(const_cast<char*>(text.c_str()));
}

}  // namespace

absl::StatusOr<OdbcConnection> OdbcConnection::Open(
    const std::string& connection, const std::vector<std::string>& init) {
  // Some drivers give text in the encoding of the locale.
  std::setlocale(LC_CTYPE, "C.UTF-8");
  OdbcConnection result;
  if (!SQL_SUCCEEDED(SQLAllocHandle(SQL_HANDLE_ENV, SQL_NULL_HANDLE,
                                    &result.environment_))) {
    return absl::InternalError("unixODBC cannot be used");
  }
  SQLSetEnvAttr(result.environment_, SQL_ATTR_ODBC_VERSION,
                reinterpret_cast<SQLPOINTER>(SQL_OV_ODBC3), 0);
  const auto attributes = ConnectionAttributes(connection);
  for (const auto& [key, value] : attributes) {
    if (IsSecretAttribute(key) && !value.empty()) {
      result.secrets_.push_back(value);
    }
  }
  if (absl::Status status = result.Connect(connection); !status.ok()) {
    return status;
  }
  std::string extended = connection;
  for (const DriverAttribute& extra : kDriverAttributes) {
    const bool given =
        std::any_of(attributes.begin(), attributes.end(), [&](const auto& a) {
          return absl::EqualsIgnoreCase(a.first, extra.key);
        });
    if (given || !absl::StrContains(result.driver_, extra.driver)) continue;
    absl::StrAppend(&extended, absl::EndsWith(extended, ";") ? "" : ";",
                    extra.key, "=", extra.value);
  }
  if (extended != connection) {
    result.Disconnect();
    if (absl::Status status = result.Connect(extended); !status.ok()) {
      return status;
    }
  }
  for (const std::string& statement : init) {
    SQLHSTMT handle = SQL_NULL_HSTMT;
    SQLAllocHandle(SQL_HANDLE_STMT, result.connection_, &handle);
    const SQLRETURN code = SQLExecDirect(handle, Text(statement), SQL_NTS);
    absl::Status status;
    if (!SQL_SUCCEEDED(code) && code != SQL_NO_DATA) {
      status = result.Error(SQL_HANDLE_STMT, handle, "--odbc_init failed");
    }
    SQLFreeHandle(SQL_HANDLE_STMT, handle);
    if (!status.ok()) return status;
  }
  return result;
}

absl::Status OdbcConnection::Connect(const std::string& connection) {
  if (!SQL_SUCCEEDED(
          SQLAllocHandle(SQL_HANDLE_DBC, environment_, &connection_))) {
    return absl::InternalError("unixODBC cannot be used");
  }
  SQLCHAR completed[4096];
  SQLSMALLINT length = 0;
  if (!SQL_SUCCEEDED(SQLDriverConnect(connection_, nullptr, Text(connection),
                                      SQL_NTS, completed, sizeof(completed),
                                      &length, SQL_DRIVER_NOPROMPT))) {
    const absl::Status error =
        Error(SQL_HANDLE_DBC, connection_, "cannot connect to the data source");
    SQLFreeHandle(SQL_HANDLE_DBC, std::exchange(connection_, nullptr));
    return absl::UnavailableError(error.message());
  }
  char name[256] = "";
  SQLGetInfo(connection_, SQL_DRIVER_NAME, name, sizeof(name), nullptr);
  driver_ = absl::AsciiStrToLower(name);
  char version[64] = "";  // such as 03.01.0015
  SQLGetInfo(connection_, SQL_DRIVER_VER, version, sizeof(version), nullptr);
  loads_whole_results_ = absl::StrContains(driver_, "maodbc") &&
                         absl::string_view(version) < "03.02";
  return absl::OkStatus();
}

void OdbcConnection::Disconnect() {
  if (connection_ == nullptr) return;
  // A transaction that the driver began for reading would stop it.
  SQLEndTran(SQL_HANDLE_DBC, connection_, SQL_ROLLBACK);
  SQLDisconnect(connection_);
  SQLFreeHandle(SQL_HANDLE_DBC, std::exchange(connection_, nullptr));
}

OdbcConnection::OdbcConnection(OdbcConnection&& other) noexcept
    : environment_(std::exchange(other.environment_, nullptr)),
      connection_(std::exchange(other.connection_, nullptr)),
      driver_(std::move(other.driver_)),
      loads_whole_results_(other.loads_whole_results_),
      secrets_(std::move(other.secrets_)) {}

OdbcConnection::~OdbcConnection() {
  Disconnect();
  if (environment_ != nullptr) SQLFreeHandle(SQL_HANDLE_ENV, environment_);
}

absl::Status OdbcConnection::Error(int handle_type, void* handle,
                                   absl::string_view action) const {
  std::string text(action);
  absl::StatusCode code = absl::StatusCode::kInternal;
  constexpr SQLSMALLINT kMaxMessages = 3;
  for (SQLSMALLINT i = 1; i <= kMaxMessages; ++i) {
    SQLCHAR state[6] = "";
    SQLCHAR message[2048] = "";
    SQLINTEGER native = 0;
    SQLSMALLINT length = 0;
    if (!SQL_SUCCEEDED(SQLGetDiagRec(static_cast<SQLSMALLINT>(handle_type),
                                     handle, i, state, &native, message,
                                     sizeof(message), &length))) {
      break;
    }
    const std::string sqlstate(reinterpret_cast<char*>(state));
    if (absl::StartsWith(sqlstate, "08") || absl::StartsWith(sqlstate, "57P")) {
      code = absl::StatusCode::kUnavailable;
    }
    absl::StrAppend(&text, i == 1 ? ": " : "; ", sqlstate, ": ",
                    absl::StripAsciiWhitespace(
                        absl::string_view(reinterpret_cast<char*>(message))));
  }
  absl::StrReplaceAll({{"\n", " "}, {"\r", ""}}, &text);
  for (const std::string& secret : secrets_) {
    absl::StrReplaceAll({{secret, "…"}}, &text);
  }
  return absl::Status(code, text);
}

}  // namespace heapsync
