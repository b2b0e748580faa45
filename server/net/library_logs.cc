#include "server/net/library_logs.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "server/log/log.h"

namespace heapsync {
namespace {

LogSeverity SeverityOf(gpr_log_severity severity) {
  switch (severity) {
    case GPR_LOG_SEVERITY_DEBUG:
      return LogSeverity::kDebug;
    case GPR_LOG_SEVERITY_INFO:
      return LogSeverity::kInfo;
    case GPR_LOG_SEVERITY_ERROR:
      break;
  }
  return LogSeverity::kWarning;
}

void LogGrpcLine(gpr_log_func_args* args) {
  const absl::string_view text = args->message;
  // gRPC aborts the process after this line.
  const bool fatal = absl::StartsWith(text, "assertion failed");
  // "Error parsing metadata: error=<what> key=<name> value=<anything>"
  LogLibraryLine(fatal ? LogSeverity::kError : SeverityOf(args->severity),
                 "gRPC", args->file, args->line,
                 text.substr(0, text.find(" value=")));
  if (fatal) FlushLog();
}

void LogProtobufLine(google::protobuf::LogLevel level, const char* file,
                     int line, const std::string& text) {
  // Protobuf ends the process after such a line.
  const bool fatal = level == google::protobuf::LOGLEVEL_FATAL;
  LogSeverity severity = LogSeverity::kWarning;
  if (fatal) severity = LogSeverity::kError;
  if (level == google::protobuf::LOGLEVEL_INFO) severity = LogSeverity::kInfo;
  LogLibraryLine(severity, "protobuf", file, line, text);
  if (fatal) FlushLog();
}

}  // namespace

void CaptureLibraryLogs() {
  gpr_set_log_function(&LogGrpcLine);
  google::protobuf::SetLogHandler(&LogProtobufLine);
}

}  // namespace heapsync
