#include "server/log/log.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "nlohmann/json.hpp"
#include "server/log/log_flow.h"
#include "server/log/log_writer.h"

namespace heapsync {
namespace {

constexpr size_t kMaxField = 2'048;
constexpr size_t kMaxLine = 8'192;
// A few seconds of lines at the maximum rate of several messages.
constexpr size_t kMaxQueuedBytes = 1 << 20;
constexpr std::chrono::seconds kFlushTimeout{1};

std::atomic<LogSeverity> min_severity{LogSeverity::kInfo};

const char* NameOf(LogSeverity severity) {
  switch (severity) {
    case LogSeverity::kDebug:
      return "DEBUG";
    case LogSeverity::kInfo:
      return "INFO";
    case LogSeverity::kWarning:
      return "WARNING";
    case LogSeverity::kError:
      return "ERROR";
  }
  return "ERROR";
}

// Maximum for one message; higher for debugging, lower for libraries, whose
// lines strangers can cause.
constexpr uint64_t kMaxLinesPerSecond = 100;
constexpr uint64_t kMaxDebugLinesPerSecond = 1'000;
constexpr uint64_t kMaxLibraryLinesPerSecond = 10;
Mutex flow_mutex;
LogFlow other_flow ABSL_GUARDED_BY(flow_mutex)(kMaxLinesPerSecond);
LogFlow debug_flow ABSL_GUARDED_BY(flow_mutex)(kMaxDebugLinesPerSecond);
LogFlow library_flow ABSL_GUARDED_BY(flow_mutex)(kMaxLibraryLinesPerSecond);

int64_t ThisSecond() { return absl::ToUnixSeconds(absl::Now()); }

std::string Dump(const nlohmann::ordered_json& line) {
  // In ASCII, because some terminals obey control characters beyond it.
  return line.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

struct JsonOf {
  nlohmann::ordered_json operator()(std::monostate) const { return nullptr; }
  nlohmann::ordered_json operator()(absl::string_view text) const {
    return std::string(text.substr(0, kMaxField));
  }
  template <typename T>
  nlohmann::ordered_json operator()(T value) const {
    return value;
  }
};

std::string LineOf(LogSeverity severity, absl::string_view message,
                   LogFields fields) {
  nlohmann::ordered_json line;
  line["time"] = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(),
                                  absl::UTCTimeZone());
  line["severity"] = NameOf(severity);
  line["message"] = std::string(message);
  for (const LogField& field : fields) {
    line[std::string(field.name())] = std::visit(JsonOf(), field.value());
  }
  std::string text = Dump(line);
  if (text.size() > kMaxLine) {
    line = {{"time", line["time"]},
            {"severity", line["severity"]},
            {"message", line["message"]},
            {"cut", true}};
    text = Dump(line);
  }
  return text;
}

std::string DropReport(uint64_t dropped_lines) {
  return LineOf(LogSeverity::kWarning,
                "log lines were dropped: standard error could not be written",
                {{"dropped_lines", dropped_lines}});
}

LogWriter& StandardError() {
  // Never destroyed: threads may log until the process ends.
  static LogWriter& writer =
      *new LogWriter(STDERR_FILENO, kMaxQueuedBytes, &DropReport);
  return writer;
}

}  // namespace

void SetLogSeverity(LogSeverity min) { min_severity = min; }

bool Logs(LogSeverity severity) {
  return severity >= min_severity.load(std::memory_order_relaxed);
}

void LogSuppressedCounts() {
  std::vector<std::pair<std::string, uint64_t>> suppressed;
  {
    MutexLock lock(flow_mutex);
    for (LogFlow* flow : {&other_flow, &debug_flow, &library_flow}) {
      for (auto& each : flow->TakeSuppressed(ThisSecond())) {
        suppressed.push_back(std::move(each));
      }
    }
  }
  for (const auto& [message, lines] : suppressed) {
    StandardError().Write(
        LineOf(LogSeverity::kWarning, message, {{"held_back", lines}}));
  }
}

void Log(LogSeverity severity, absl::string_view message, LogFields fields) {
  if (!Logs(severity)) return;
  {
    MutexLock lock(flow_mutex);
    LogFlow& flow = severity == LogSeverity::kDebug ? debug_flow : other_flow;
    if (!flow.Take({message.data(), message.size()}, ThisSecond())) return;
  }
  StandardError().Write(LineOf(severity, message, fields));
}

void LogLibraryLine(LogSeverity severity, absl::string_view library,
                    absl::string_view file, int line, absl::string_view text) {
  if (!Logs(severity)) return;
  const std::string message =
      absl::StrCat(library, " ", file.substr(file.rfind('/') + 1), ":", line);
  {
    MutexLock lock(flow_mutex);
    if (!library_flow.Take(message, ThisSecond())) return;
  }
  StandardError().Write(LineOf(severity, message, {{"text", text}}));
}

bool FlushLog() { return StandardError().Flush(kFlushTimeout); }

uint64_t DroppedLogLines() { return StandardError().dropped(); }

}  // namespace heapsync
