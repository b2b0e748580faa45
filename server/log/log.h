#ifndef HEAPSYNC_SERVER_LOG_LOG_H_
#define HEAPSYNC_SERVER_LOG_LOG_H_

#include <initializer_list>
#include <utility>

#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace heapsync {

enum class LogSeverity { kDebug, kInfo, kWarning, kError };

using LogFields =
    std::initializer_list<std::pair<absl::string_view, nlohmann::json>>;

// Lines below this are not written. kInfo at first. Any thread.
void SetLogSeverity(LogSeverity least);

// Whether lines of this severity are written. Any thread.
bool Logs(LogSeverity severity);

// Writes one line of JSON to standard error:
// {"time":"…","severity":"INFO","message":…,<fields>}. `message` is a fixed
// text; what varies stands in `fields`, none of which may carry an identity, a
// value or a full App ID. A line is cut at 8 KiB. Of one message at most 100
// lines a second are written, 1,000 of debugging; the others are counted. Any
// thread.
void Log(LogSeverity severity, absl::string_view message,
         LogFields fields = {});

// Writes how many lines of each message were held back in seconds that are
// over: {"message":…,"held_back":…}. To be called every now and then.
void LogSuppressedCounts();

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_LOG_LOG_H_
