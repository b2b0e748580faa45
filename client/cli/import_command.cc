#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/command.h"
#include "client/cli/command_line.h"
#include "client/cli/import_job.h"
#include "client/cli/progress.h"
#include "heapsync/client/client.h"
#include "nlohmann/json.hpp"

namespace heapsync {
namespace {

struct ImportFlags {
  ServerFlags server;
  std::string type, format, delimiter = ",", properties = "*",
                            progress = "auto";
  std::vector<std::string> map, set;
  bool typed = false, strings = false, resume = false, restart = false,
       json = false;
  ImportOptions options;
};

// Set by SIGINT and SIGTERM, which have nothing but the process to reach.
std::atomic<bool> interrupted{false};

// The first signal ends the import in order, the next one the process.
class InterruptGuard {
 public:
  InterruptGuard() {
    interrupted = false;
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = true; };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, &old_interrupt_);
    sigaction(SIGTERM, &action, &old_terminate_);
  }
  ~InterruptGuard() {
    sigaction(SIGINT, &old_interrupt_, nullptr);
    sigaction(SIGTERM, &old_terminate_, nullptr);
  }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  struct sigaction old_interrupt_;
  struct sigaction old_terminate_;
};

std::map<std::string, std::string> Pairs(
    absl::string_view flag, const std::vector<std::string>& values) {
  std::map<std::string, std::string> pairs;
  for (const std::string& value : values) {
    auto [name, text] = SplitPair(flag, value);
    if (!pairs.emplace(name, std::move(text)).second) {
      throw CLI::ValidationError(std::string(flag),
                                 absl::StrCat("\"", name, "\" is given twice"));
    }
  }
  return pairs;
}

char ParseDelimiter(const std::string& text) {
  if (text == "\\t" || text == "tab") return '\t';
  if (text.size() != 1 || std::strchr("\"\r\n", text.front()) != nullptr) {
    throw CLI::ValidationError("--delimiter", "expected one character, or tab");
  }
  return text.front();
}

ImportOptions ToOptions(const ImportFlags& flags) {
  ImportOptions options = flags.options;
  MappingOptions& mapping = options.mapping;
  mapping.type = flags.type == "track"  ? ItemType::kTrack
                 : flags.type == "user" ? ItemType::kUser
                                        : ItemType::kAccount;
  mapping.columns = Pairs("--map", flags.map);
  mapping.fixed = Pairs("--set", flags.set);
  if (flags.properties != "*") {
    mapping.properties =
        absl::StrSplit(flags.properties, ',', absl::SkipEmpty());
  }
  mapping.typing = flags.strings ? ValueTyping::kStrings : ValueTyping::kTyped;
  if (flags.format == "csv") options.rows.format = InputFormat::kCsv;
  if (flags.format == "ndjson") options.rows.format = InputFormat::kNdjson;
  options.rows.delimiter = ParseDelimiter(flags.delimiter);
  options.stream.give_up_after = flags.server.Timeout();
  options.start = flags.resume    ? ImportOptions::Start::kResume
                  : flags.restart ? ImportOptions::Start::kRestart
                                  : ImportOptions::Start::kFresh;
  return options;
}

ProgressWriter MakeProgress(const std::string& flag, std::ostream& err) {
  const bool terminal = &err == &std::cerr && isatty(STDERR_FILENO) == 1;
  winsize size{};
  const bool sized = terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 &&
                     size.ws_col > 1;
  const size_t width = sized ? size.ws_col - 1u : 79u;
  ProgressStyle style = terminal ? ProgressStyle::kBar : ProgressStyle::kLog;
  if (flag == "bar") style = ProgressStyle::kBar;
  if (flag == "log") style = ProgressStyle::kLog;
  if (flag == "none") style = ProgressStyle::kNone;
  return ProgressWriter(style, err, width);
}

std::string ToLine(const RejectedRow& row) {
  std::string text =
      absl::StrCat("  row ", row.row, " (line ", row.line, "): ");
  for (size_t i = 0; i < row.violations.size(); ++i) {
    const Violation& violation = row.violations[i];
    absl::StrAppend(&text, i > 0 ? "; " : "", violation.field,
                    violation.field.empty() ? "" : ": ", violation.reason, ": ",
                    violation.description);
  }
  return text;
}

void PrintSummaryJson(const ImportSummary& summary, const absl::Status& status,
                      std::ostream& out) {
  nlohmann::ordered_json json = {
      {"complete", status.ok()},
      {"rows", summary.rows},
      {"rows_before_this_run", summary.rows_before},
      {"accepted", summary.rows - summary.rejected},
      {"rejected", summary.rejected},
      {"delivered", summary.stream.delivered},
      {"dead_lettered", summary.stream.dead_lettered},
      {"reconnects", summary.stream.reconnects},
      {"request_id", summary.request_id},
      {"warnings", summary.warnings}};
  out << json.dump(-1, ' ', false,
                   nlohmann::ordered_json::error_handler_t::replace)
      << "\n";
}

void PrintSummary(const ImportSummary& summary, const ImportOptions& options,
                  std::ostream& out) {
  out << WithThousands(summary.rows)
      << " rows: " << WithThousands(summary.rows - summary.rejected)
      << " accepted, " << WithThousands(summary.rejected) << " rejected\n";
  if (options.stream.ack_level == v1::ACK_LEVEL_DELIVERED) {
    out << WithThousands(summary.stream.delivered) << " delivered to Heap, "
        << WithThousands(summary.stream.dead_lettered) << " dead letters\n";
    if (summary.stream.ack_level != v1::ACK_LEVEL_DELIVERED) {
      out << "the connection broke, so these two count only what was reported; "
             "all accepted rows are on the server's disk\n";
    }
  }
  for (const RejectedRow& row : summary.first_rejected) {
    out << ToLine(row) << "\n";
  }
  if (summary.rejected > summary.first_rejected.size()) out << "  …\n";
  if (summary.rejected > 0) {
    out << (options.rejects_path.empty()
                ? "  (--rejects=FILE keeps rejected rows with their reasons)"
                : absl::StrCat("  all rejected rows: ", options.rejects_path))
        << "\n";
  }
  for (const auto& [reason, count] : summary.warnings) {
    out << "warning: " << reason << " (" << WithThousands(count) << " times)\n";
  }
}

int RunImport(const ImportFlags& flags, CommandContext& context) {
  const ErrorFormat errors =
      flags.json ? ErrorFormat::kJson : ErrorFormat::kText;
  const ImportOptions options = ToOptions(flags);
  const InterruptGuard guard;
  auto job = ImportJob::Prepare(options);
  if (!job.ok()) {
    PrintError(context.err, job.status(), errors);
    return absl::IsInvalidArgument(job.status()) ? kExitUsage : kExitFailed;
  }
  const ImportSummary& summary = (*job)->summary();
  for (const std::string& note : summary.notes) {
    context.err << "import: " << note << "\n";
  }
  const Client client(flags.server.ToClientOptions());
  ProgressWriter progress = MakeProgress(flags.progress, context.err);
  const absl::Status status = (*job)->Run(client, progress, interrupted);
  if (flags.json) {
    PrintSummaryJson(summary, status, context.out);
  } else {
    PrintSummary(summary, options, context.out);
  }
  if (!status.ok()) {
    PrintError(context.err, status, errors);
    if (!summary.state_path.empty() && !flags.json) {
      context.err << "  the same command with --resume goes on after row "
                  << summary.rows << "\n";
    }
    return kExitFailed;
  }
  return summary.rejected > 0 || summary.stream.dead_lettered > 0
             ? kExitRejected
             : kExitOk;
}

void AddMappingFlags(CLI::App& command, ImportFlags& flags) {
  command.add_option("--type", flags.type, "what the rows are")
      ->required()
      ->check(CLI::IsMember({"track", "user", "account"}));
  command
      .add_option("--format", flags.format,
                  "csv or ndjson; left out: by the first character")
      ->check(CLI::IsMember({"csv", "ndjson"}));
  command
      .add_option("--delimiter", flags.delimiter,
                  "between the cells of CSV: one character, or tab")
      ->capture_default_str();
  command
      .add_option("--map", flags.map,
                  "field=column, separated by commas: "
                  "identity=email,event=event_name; also "
                  "properties.<key>=column. Other fields take the column of "
                  "their own name; in NDJSON a.b looks into objects")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      .add_option("--properties", flags.properties,
                  "columns that become properties, separated by commas; *: "
                  "all that no field takes. A column `properties` holds a "
                  "JSON object")
      ->capture_default_str();
  command
      .add_option("--set", flags.set,
                  "field=value or properties.<key>=value for every row; may "
                  "be repeated")
      ->allow_extra_args(false);
  auto* typed = command.add_flag(
      "--typed", flags.typed,
      "numbers and true/false become such where nothing is lost (default)");
  command.add_flag("--strings", flags.strings, "property values stay text")
      ->excludes(typed);
  command
      .add_option("--max_row_bytes", flags.options.rows.max_row_bytes,
                  "longer rows are rejected; bounds the memory")
      ->check(CLI::Range(1, 64 << 20))
      ->capture_default_str();
}

void AddRunFlags(CLI::App& command, ImportFlags& flags) {
  BulkWriterOptions& stream = flags.options.stream;
  command.add_option("--destination", stream.destination,
                     "name of a configured Heap environment; empty: the "
                     "server's default");
  AddAckFlag(command, stream.ack_level);
  command.add_option("--request_id", stream.request_id,
                     "a repeated import with the same id and input makes no "
                     "duplicates; left out: random");
  command.add_option("--rejects", flags.options.rejects_path,
                     "file for rejected rows with their reasons, as NDJSON; "
                     "overwritten");
  auto* resume = command.add_flag(
      "--resume", flags.resume,
      "go on with an interrupted import; begin if there is none");
  command.add_flag("--restart", flags.restart, "forget an interrupted import")
      ->excludes(resume);
  command.add_option("--state", flags.options.state_path,
                     "where the import's progress is kept; left out: "
                     "FILE.heapsync-state, nothing for pipes");
  command.add_option("--progress", flags.progress, "on standard error")
      ->check(CLI::IsMember({"auto", "bar", "log", "none"}))
      ->capture_default_str();
  command.add_flag("--json", flags.json, "summary and errors as JSON");
}

}  // namespace

void AddImportCommand(CLI::App& program, CommandContext& context) {
  // Shared with the callback, which CLI11 keeps and copies.
  const auto flags = std::make_shared<ImportFlags>();
  CLI::App& command = *program.add_subcommand(
      "import",
      "Sends the rows of a CSV or NDJSON file, plain, gzip or Zstandard. "
      "Rows that are wrong are set aside and do not stop the others.");
  command
      .add_option("file", flags->options.input, "the input; -: standard input")
      ->required();
  AddMappingFlags(command, *flags);
  AddRunFlags(command, *flags);
  AddServerFlags(command, flags->server, "5m",
                 "how long to go on while the server cannot be reached");
  command.callback(
      [flags, &context] { context.exit_code = RunImport(*flags, context); });
}

}  // namespace heapsync
