#include "client/cli/odbc_values.h"

#include <sql.h>
#include <sqlext.h>

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"

namespace heapsync {
namespace {

constexpr int kMaxExactDigits = 15;
constexpr uint64_t kFirstInexactInteger = uint64_t{1} << 53;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// A JSON number without an exponent that a double holds.
bool IsExactNumber(absl::string_view text) {
  absl::ConsumePrefix(&text, "-");
  const size_t point = text.find('.');
  const absl::string_view whole = text.substr(0, point);
  if (whole.empty() || (whole.size() > 1 && whole.front() == '0') ||
      !std::all_of(whole.begin(), whole.end(), IsDigit)) {
    return false;
  }
  if (point == absl::string_view::npos) {
    uint64_t number = 0;
    return absl::SimpleAtoi(whole, &number) && number < kFirstInexactInteger;
  }
  const absl::string_view fraction = text.substr(point + 1);
  if (fraction.empty() ||
      !std::all_of(fraction.begin(), fraction.end(), IsDigit)) {
    return false;
  }
  size_t significant = whole == "0" ? 0 : whole.size();
  for (const char digit : fraction) {
    if (significant > 0 || digit != '0') ++significant;
  }
  return significant <= kMaxExactDigits;
}

void AppendNumber(absl::string_view text, std::string& json) {
  // Some drivers leave the zero before the point out.
  std::string completed;
  if (absl::StartsWith(text, ".") || absl::StartsWith(text, "-.")) {
    const bool negative = absl::ConsumePrefix(&text, "-");
    completed = absl::StrCat(negative ? "-0" : "0", text);
    text = completed;
  }
  if (IsExactNumber(text)) {
    absl::StrAppend(&json, text);
  } else {
    AppendQuoted(text, json);
  }
}

void AppendBoolean(absl::string_view text, std::string& json) {
  // MariaDB's driver gives a bit as a byte.
  if (text == "1" || text == "\x01" || absl::EqualsIgnoreCase(text, "true")) {
    json += "true";
  } else if (text == "0" || text == absl::string_view("\0", 1) ||
             absl::EqualsIgnoreCase(text, "false")) {
    json += "false";
  } else {
    AppendQuoted(text, json);
  }
}

// True if the text looks like the pattern, in which 0 stands for any digit.
bool Matches(absl::string_view text, absl::string_view pattern) {
  if (text.size() != pattern.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (pattern[i] == '0' ? !IsDigit(text[i]) : text[i] != pattern[i]) {
      return false;
    }
  }
  return true;
}

// "+02:00" from "+02", "+0200", "+02:00" or " +02:00"; "Z" from nothing. Empty
// if it is something else.
std::string Offset(absl::string_view text) {
  absl::ConsumePrefix(&text, " ");
  if (text.empty() || text == "Z" || text == "UTC") return "Z";
  if (text.front() != '+' && text.front() != '-') return "";
  const absl::string_view digits = text.substr(1);
  if (Matches(digits, "00")) return absl::StrCat(text, ":00");
  if (Matches(digits, "00:00")) return std::string(text);
  if (Matches(digits, "0000")) {
    return absl::StrCat(text.substr(0, 3), ":", text.substr(3));
  }
  return "";
}

void AppendTimestamp(absl::string_view text, std::string& json) {
  constexpr absl::string_view kSeconds = "0000-00-00 00:00:00";
  std::string seconds(text.substr(0, kSeconds.size()));
  if (seconds.size() > 10 && seconds[10] == 'T') seconds[10] = ' ';
  if (!Matches(seconds, kSeconds) || seconds.substr(5, 2) == "00" ||
      seconds.substr(8, 2) == "00") {
    return AppendQuoted(text, json);
  }
  seconds[10] = 'T';
  absl::string_view rest = text.substr(kSeconds.size());
  absl::string_view fraction;
  if (absl::StartsWith(rest, ".")) {
    size_t end = 1;
    while (end < rest.size() && IsDigit(rest[end])) ++end;
    fraction = rest.substr(0, end);
    rest.remove_prefix(end);
    while (absl::ConsumeSuffix(&fraction, "0")) {
    }
    absl::ConsumeSuffix(&fraction, ".");
  }
  const std::string offset = Offset(rest);
  if (offset.empty()) return AppendQuoted(text, json);
  absl::StrAppend(&json, "\"", seconds, fraction, offset, "\"");
}

// Embeds JSON on one line. Not JSON: a string.
void AppendJson(absl::string_view text, std::string& json) {
  if (!nlohmann::json::accept(text.begin(), text.end())) {
    return AppendQuoted(text, json);
  }
  // Line breaks are only between tokens: strings have them escaped.
  std::transform(text.begin(), text.end(), std::back_inserter(json),
                 [](char c) { return c == '\n' || c == '\r' ? ' ' : c; });
}

}  // namespace

OdbcKind KindOf(int sql_type, absl::string_view type_name) {
  for (const char* json : {"json", "jsonb", "variant", "object", "super"}) {
    if (absl::EqualsIgnoreCase(type_name, json)) return OdbcKind::kJson;
  }
  switch (sql_type) {
    case SQL_TINYINT:
    case SQL_SMALLINT:
    case SQL_INTEGER:
    case SQL_BIGINT:
      return OdbcKind::kInteger;
    case SQL_DECIMAL:
    case SQL_NUMERIC:
      return OdbcKind::kDecimal;
    case SQL_FLOAT:
    case SQL_DOUBLE:
      return OdbcKind::kDouble;
    case SQL_REAL:
      return OdbcKind::kFloat;
    case SQL_BIT:
      return OdbcKind::kBoolean;
    case SQL_TYPE_TIMESTAMP:
    case SQL_TIMESTAMP:
      return OdbcKind::kTimestamp;
    case SQL_GUID:
      return OdbcKind::kUuid;
    case SQL_BINARY:
    case SQL_VARBINARY:
    case SQL_LONGVARBINARY:
      return OdbcKind::kBinary;
    default:
      break;
  }
  constexpr int kSqlServerTimestampOffset = -155;
  if (sql_type == kSqlServerTimestampOffset) return OdbcKind::kTimestamp;
  // SQLite's driver calls these text.
  if (absl::StartsWithIgnoreCase(type_name, "decimal") ||
      absl::StartsWithIgnoreCase(type_name, "numeric")) {
    return OdbcKind::kDecimal;
  }
  return absl::EqualsIgnoreCase(type_name, "unknown") ? OdbcKind::kUnknown
                                                      : OdbcKind::kText;
}

bool HasTimeZone(absl::string_view type_name, absl::string_view driver) {
  const std::string name = absl::AsciiStrToLower(type_name);
  if (name == "timestamp" && (absl::StrContains(driver, "maodbc") ||
                              absl::StrContains(driver, "myodbc"))) {
    return true;
  }
  return name == "timestamptz" || name == "timestamp_tz" ||
         name == "timestamp_ltz" || name == "datetimeoffset" ||
         (absl::StartsWith(name, "timestamp") &&
          absl::StrContains(name, "with") &&
          !absl::StrContains(name, "without"));
}

void AppendQuoted(absl::string_view text, std::string& json) {
  json.push_back('"');
  size_t plain = 0;  // where the text begins that is copied as it is
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    json.append(text.data() + plain, i - plain);
    plain = i + 1;
    switch (byte) {
      case '"':
        json += "\\\"";
        break;
      case '\\':
        json += "\\\\";
        break;
      case '\n':
        json += "\\n";
        break;
      case '\r':
        json += "\\r";
        break;
      case '\t':
        json += "\\t";
        break;
      default:
        absl::StrAppend(&json, "\\u", absl::Hex(byte, absl::kZeroPad4));
    }
  }
  json.append(text.data() + plain, text.size() - plain);
  json.push_back('"');
}

void AppendOdbcValue(OdbcKind kind, absl::string_view text, std::string& json) {
  switch (kind) {
    case OdbcKind::kInteger:
    case OdbcKind::kDecimal:
      return AppendNumber(text, json);
    case OdbcKind::kDouble:
    case OdbcKind::kFloat: {
      // A text that was not read as a double.
      double number;
      if (absl::SimpleAtod(text, &number) && nlohmann::json::accept(text)) {
        absl::StrAppend(&json, text);
        return;
      }
      return AppendQuoted(text, json);
    }
    case OdbcKind::kBoolean:
      return AppendBoolean(text, json);
    case OdbcKind::kTimestamp:
      return AppendTimestamp(text, json);
    case OdbcKind::kJson:
      return AppendJson(text, json);
    case OdbcKind::kUnknown:
      if (absl::StartsWith(text, "{") || absl::StartsWith(text, "[")) {
        return AppendJson(text, json);
      }
      return AppendQuoted(text, json);
    case OdbcKind::kText:
    case OdbcKind::kUuid:
    case OdbcKind::kBinary:
      return AppendQuoted(text, json);
  }
}

std::vector<std::pair<std::string, std::string>> ConnectionAttributes(
    absl::string_view connection) {
  std::vector<std::pair<std::string, std::string>> attributes;
  while (!connection.empty()) {
    const size_t equals = connection.find_first_of("=;");
    const std::string key(
        absl::StripAsciiWhitespace(connection.substr(0, equals)));
    if (equals == absl::string_view::npos) {
      if (!key.empty()) attributes.emplace_back(key, "");
      break;
    }
    const bool has_value = connection[equals] == '=';
    connection.remove_prefix(equals + 1);
    if (!has_value) {
      if (!key.empty()) attributes.emplace_back(key, "");
      continue;
    }
    std::string value;
    if (absl::ConsumePrefix(&connection, "{")) {
      while (!connection.empty()) {
        if (absl::ConsumePrefix(&connection, "}}")) {
          value.push_back('}');
        } else if (absl::ConsumePrefix(&connection, "}")) {
          break;
        } else {
          value.push_back(connection.front());
          connection.remove_prefix(1);
        }
      }
    }
    const size_t end = std::min(connection.find(';'), connection.size());
    absl::StrAppend(&value, connection.substr(0, end));
    connection.remove_prefix(std::min(end + 1, connection.size()));
    attributes.emplace_back(key, value);
  }
  return attributes;
}

bool IsSecretAttribute(absl::string_view key) {
  const std::string name = absl::AsciiStrToLower(key);
  if (absl::EndsWith(name, "file") || absl::EndsWith(name, "path")) {
    return false;
  }
  for (const char* part :
       {"pwd", "passw", "secret", "token", "passphrase", "privatekey",
        "private_key", "priv_key", "apikey", "api_key", "accesskey",
        "access_key", "credential"}) {
    if (absl::StrContains(name, part)) return true;
  }
  return false;
}

}  // namespace heapsync
