#ifndef HEAPSYNC_SERVER_LOG_LOG_H_
#define HEAPSYNC_SERVER_LOG_LOG_H_

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <type_traits>
#include <variant>

#include "absl/strings/string_view.h"

namespace heapsync {

enum class LogSeverity { kDebug, kInfo, kWarning, kError };

// Name and value of a field of a line. Refers to both; a temporary that is an
// argument of Log() lives long enough.
class LogField {
 public:
  // std::monostate is JSON's null.
  using Value =
      std::variant<std::monostate, bool, int64_t, uint64_t, absl::string_view>;

  // `value` is a boolean, an integer, text, or an optional one of these, where
  // none is null.
  template <typename T>
  LogField(absl::string_view name, const T& value)
      : name_(name), value_(ValueOf(value)) {}

  absl::string_view name() const { return name_; }
  const Value& value() const { return value_; }

 private:
  template <typename T>
  static Value ValueOf(const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      return Value(std::in_place_type<bool>, value);
    } else if constexpr (std::is_integral_v<T>) {
      using Wide = std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>;
      return Value(std::in_place_type<Wide>, value);
    } else {
      return Value(std::in_place_type<absl::string_view>, value);
    }
  }
  template <typename T>
  static Value ValueOf(const std::optional<T>& value) {
    return value.has_value() ? ValueOf(*value) : Value();
  }

  absl::string_view name_;
  Value value_;
};

using LogFields = std::initializer_list<LogField>;

// Sets the minimum severity of lines that are written, initially kInfo. Any
// thread.
void SetLogSeverity(LogSeverity min);

// True if lines of this severity are written. Any thread.
bool Logs(LogSeverity severity);

// Writes one line of JSON, in ASCII, to standard error:
// {"time":"…","severity":"INFO","message":…,<fields>}. `message` is a fixed
// text; variable parts belong in `fields`, none of which may contain an
// identity, a value or a full App ID. A line is truncated to 8 KiB. At most 100
// lines per second of one message are written, or 1,000 at debug severity;
// further ones are counted. Never blocks: a thread writes the lines, and while
// standard error cannot be written and 1 MiB of lines waits, lines are dropped
// and counted. Any thread.
void Log(LogSeverity severity, absl::string_view message,
         LogFields fields = {});

// Logs `text`, a line of `library` from a place in its source. The message is
// "<library> <file>:<line>", with `file` shortened to its last component. At
// most 10 lines per second of one place are written; further ones are counted.
// Any thread.
void LogLibraryLine(LogSeverity severity, absl::string_view library,
                    absl::string_view file, int line, absl::string_view text);

// Writes the number of lines of each message that were suppressed in past
// seconds: {"message":…,"held_back":…}. Must be called regularly.
void LogSuppressedCounts();

// Waits until all lines are written, at most a second. Returns false if it
// expired. To be called before the process ends. Any thread.
bool FlushLog();

// Number of lines dropped because standard error could not be written. Any
// thread.
uint64_t DroppedLogLines();

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_LOG_LOG_H_
