#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
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
#include "client/cli/command_options.h"
#include "client/cli/dry_run.h"
#include "client/cli/import_job.h"
#include "client/cli/progress.h"
#include "client/cli/query_flags.h"
#include "client/cli/utf8.h"
#include "heap_adapter/encoding/reasons.h"
#include "heapsync/client/client.h"
#include "nlohmann/json.hpp"

namespace heapsync {
namespace {

struct ImportFlags {
  ServerFlags server;
  std::string format, delimiter = ",", escape, quote = "double",
                      properties = "*", progress = "auto";
  std::vector<std::string> map, set, nulls, columns;
  std::string strings;
  QueryFlags query;
  bool dry_run = false;
  size_t limit = 0;
  bool typed = false, resume = false, restart = false, json = false;
  ImportOptions options;
};

// Set by the handler of SIGINT and SIGTERM.
std::atomic<bool> interrupted{false};

// The first signal stops the import cleanly, the second one the process.
class InterruptGuard {
 public:
  InterruptGuard() {
    interrupted = false;
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = true; };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, &old_interrupt_);
    sigaction(SIGTERM, &action, &old_terminate_);
    // An import goes on without a reader of its progress and its summary.
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &ignore, &old_pipe_);
  }
  ~InterruptGuard() {
    sigaction(SIGINT, &old_interrupt_, nullptr);
    sigaction(SIGTERM, &old_terminate_, nullptr);
    sigaction(SIGPIPE, &old_pipe_, nullptr);
  }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  struct sigaction old_interrupt_;
  struct sigaction old_terminate_;
  struct sigaction old_pipe_;
};

std::map<std::string, std::string> Pairs(
    absl::string_view flag, const std::vector<std::string>& values) {
  std::map<std::string, std::string> pairs;
  for (const std::string& value : values) {
    auto [name, text] = SplitPair(flag, value);
    if (!pairs.emplace(name, std::move(text)).second) {
      ThrowUsageError(flag, absl::StrCat("\"", name, "\" is given twice"));
    }
  }
  return pairs;
}

char ParseDelimiter(const std::string& text) {
  if (text == "\\t" || text == "tab") return '\t';
  if (text.size() != 1 || std::strchr("\"\r\n", text.front()) != nullptr) {
    ThrowUsageError("--delimiter", "expected one character, or tab");
  }
  return text.front();
}

ImportOptions ToOptions(const ImportFlags& flags) {
  ImportOptions options = flags.options;
  MappingOptions& mapping = options.mapping;
  mapping.columns = Pairs("--map", flags.map);
  mapping.fixed = Pairs("--set", flags.set);
  if (!flags.nulls.empty()) mapping.nulls = flags.nulls;
  options.rows.columns = flags.columns;
  if (flags.properties != "*") {
    mapping.properties =
        absl::StrSplit(flags.properties, ',', absl::SkipEmpty());
  }
  if (flags.strings == "true") {
    mapping.typing = ValueTyping::kStrings;
  } else {
    mapping.text_columns =
        absl::StrSplit(flags.strings, ',', absl::SkipEmpty());
  }
  if (flags.format == "csv") options.rows.format = InputFormat::kCsv;
  if (flags.format == "ndjson") options.rows.format = InputFormat::kNdjson;
  options.rows.csv.delimiter = ParseDelimiter(flags.delimiter);
  if (flags.escape == "double") options.rows.csv.escape = CsvEscape::kDoubled;
  if (flags.escape == "backslash") {
    options.rows.csv.escape = CsvEscape::kBackslash;
  }
  if (flags.escape == "spark") options.rows.csv.escape = CsvEscape::kSpark;
  if (flags.quote == "none") options.rows.csv.quoting = CsvQuoting::kNone;
  options.stream.give_up_after = flags.server.Timeout();
  options.start = flags.resume    ? ImportOptions::Start::kResume
                  : flags.restart ? ImportOptions::Start::kRestart
                                  : ImportOptions::Start::kFresh;
  return options;
}

// Ends the command (ThrowUsageError) unless there is one input, and flags that
// fit it.
void SetInput(const ImportFlags& flags, std::ostream& err,
              ImportOptions& options) {
  options.query = ToQueryOptions(flags.query, err);
  if (!options.query) {
    if (options.input.empty()) {
      ThrowUsageError("file", "is required, or a query by --odbc");
    }
    return;
  }
  if (!options.input.empty()) {
    ThrowUsageError("--odbc", absl::StrCat("excludes a file (", options.input,
                                           "): an import has one input"));
  }
  if (flags.format == "csv") {
    ThrowUsageError("--format", "is not for --odbc: a query has typed rows");
  }
  // NULL is no text there.
  options.mapping.nulls = flags.nulls;
  if (options.query->is_incremental()) {
    if (options.state_path.empty()) {
      ThrowUsageError("--state",
                      "is missing: it names the file that keeps how "
                      "far --cursor has come");
    }
    if (!options.stream.request_id.empty()) {
      ThrowUsageError("--request_id",
                      "is not for --cursor: each import sends "
                      "other rows");
    }
  } else if (flags.resume || flags.restart || !options.state_path.empty()) {
    ThrowUsageError(flags.resume    ? "--resume"
                    : flags.restart ? "--restart"
                                    : "--state",
                    "needs --cursor with --odbc: a query may give other rows, "
                    "in another order, the next time");
  }
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
    absl::StrAppend(&text, i > 0 ? "; " : "", Printable(violation.field),
                    violation.field.empty() ? "" : ": ",
                    Printable(violation.reason), ": ",
                    Printable(violation.description));
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
      {"counts_are_partial", summary.counts_are_partial},
      {"reconnects", summary.stream.reconnects},
      {"request_id", summary.request_id},
      {"warnings", summary.warnings.ToJson()},
      {"null_cells", summary.null_cells},
      {"null_like_cells", summary.null_like_cells},
      {"changed_columns", summary.changed_columns},
      {"reused_keys",
       {{"rows", summary.reused_keys.count},
        {"first_rows", summary.reused_keys.first_places}}}};
  out << PrintableJson(json.dump(
             -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace))
      << "\n";
}

void PrintSummary(const ImportSummary& summary, const ImportOptions& options,
                  const absl::Status& status, std::ostream& out) {
  out << WithThousands(summary.rows)
      << " rows: " << WithThousands(summary.rows - summary.rejected)
      << " accepted, " << WithThousands(summary.rejected) << " rejected\n";
  if (options.stream.ack_level == v1::ACK_LEVEL_DELIVERED) {
    out << WithThousands(summary.stream.delivered) << " delivered to Heap, "
        << WithThousands(summary.stream.dead_lettered) << " dead letters\n";
    if (summary.counts_are_partial) {
      out << (status.ok()
                  ? "rows sent before an interruption are not counted here; "
                    "Heap has them, too, unless they are dead letters\n"
                  : "rows sent before an interruption are not counted here\n");
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
  for (const auto& [column, count] : summary.null_cells) {
    out << "NULL in column \"" << Printable(column)
        << "\": " << WithThousands(count) << " cells, left out\n";
  }
  for (const auto& [column, count] : summary.null_like_cells) {
    out << "warning: column \"" << Printable(column) << "\" holds "
        << WithThousands(count)
        << " cells like NULL, None or NaN, which were taken for text; "
           "--null=TEXT leaves them out\n";
  }
  for (const std::string& column : summary.changed_columns) {
    out << "warning: column \"" << Printable(column)
        << "\" holds cells that numbers have changed (01067, 1.10), which is "
           "known only at the end of a pipe; --strings="
        << Printable(column) << " keeps them as text\n";
  }
  out << summary.warnings.ToText();
  if (summary.reused_keys.count > 0) {
    out << "warning: " << reason::kIdempotencyKeyReused << ": "
        << WithThousands(summary.reused_keys.count)
        << " rows have an idempotency_key that was first used with other "
           "content, and Heap keeps only the first event of a key: rows "
        << summary.reused_keys.PlacesText() << "\n";
  }
}

int PrintDryRun(const ImportFlags& flags, const ImportOptions& options,
                CommandContext& context) {
  DryRunReport report(options.mapping.type);
  ClientOptions client = flags.server.ToClientOptions(context.err);
  // A server that is away is no reason to wait.
  constexpr std::chrono::seconds kPatience{3};
  client.timeout =
      std::min<std::chrono::milliseconds>(client.timeout, kPatience);
  const absl::Status status =
      RunDryRun({options, flags.limit}, Client(client), interrupted, report);
  for (const std::string& note : report.notes) {
    context.err << "import: " << Printable(note) << "\n";
  }
  if (status.ok() || report.rows > 0) {
    context.out << (flags.json ? ToJsonLine(report, status) : ToText(report));
  }
  if (!status.ok()) {
    PrintError(context.err, status,
               flags.json ? ErrorFormat::kJson : ErrorFormat::kText);
    return absl::IsInvalidArgument(status) ? kExitUsage : kExitFailed;
  }
  return report.rejected > 0 ? kExitRejected : kExitOk;
}

int RunImport(const ImportFlags& flags, CommandContext& context) {
  const ErrorFormat errors =
      flags.json ? ErrorFormat::kJson : ErrorFormat::kText;
  ImportOptions options = ToOptions(flags);
  SetInput(flags, context.err, options);
  const InterruptGuard guard;
  if (flags.dry_run) return PrintDryRun(flags, options, context);
  auto job = ImportJob::Prepare(options, interrupted);
  if (!job.ok()) {
    PrintError(context.err, job.status(), errors);
    return absl::IsInvalidArgument(job.status()) ? kExitUsage : kExitFailed;
  }
  const ImportSummary& summary = (*job)->summary();
  for (const std::string& note : summary.notes) {
    context.err << "import: " << note << "\n";
  }
  const Client client(flags.server.ToClientOptions(context.err));
  ProgressWriter progress = MakeProgress(flags.progress, context.err);
  const absl::Status status = (*job)->Run(client, progress);
  if (flags.json) {
    PrintSummaryJson(summary, status, context.out);
  } else {
    PrintSummary(summary, options, status, context.out);
  }
  if (!status.ok()) {
    PrintError(context.err, status, errors);
    if (!summary.state_path.empty() && !flags.json) {
      context.err
          << "  run the same command with --resume to continue after row "
          << summary.rows << "\n";
    }
    if (options.query && options.query->is_incremental() && !flags.json) {
      context.err << "  run the same command again to continue\n";
    }
    return kExitFailed;
  }
  if (!context.out.flush()) {
    context.err << "heapsync: the import is complete, but its summary could "
                   "not be written to standard output\n";
    if (!summary.state_path.empty()) {
      context.err << "  the same command with --resume shows it again\n";
    }
    return kExitFailed;
  }
  if (const absl::Status concluded = (*job)->Conclude(); !concluded.ok()) {
    PrintError(context.err, concluded, errors);
    return kExitFailed;
  }
  return summary.rejected > 0 || summary.stream.dead_lettered > 0
             ? kExitRejected
             : kExitOk;
}

void AddMappingFlags(CLI::App& command, ImportFlags& flags) {
  AddTypeOption(
      command, [&flags](ObjectType type) { flags.options.mapping.type = type; },
      "type of the items in the input", /*required=*/true);
  AddText(command, "--format", flags.format,
          "format of the input (default: detected by its name and its first "
          "character)",
          {.choices = {"csv", "ndjson"}});
  AddText(command, "--delimiter", flags.delimiter,
          "separator of CSV cells: one character, or tab");
  AddText(command, "--escape", flags.escape,
          "how CSV writes a quote inside a quoted cell: double, as RFC 4180 "
          "says; spark: with a backslash before it, which is text outside of "
          "quotes; backslash: with one that escapes everywhere, as MySQL does "
          "(default: double, but the import stops where a backslash could make "
          "a difference)",
          {.choices = {"double", "spark", "backslash"}});
  AddText(command, "--quote", flags.quote,
          "quotes of CSV cells; none: a quote is text",
          {.choices = {"double", "none"}});
  AddTexts(command, "--map", flags.map, Separator::kComma,
           "field=column, separated by commas: "
           "identity=email,event=event_name; also properties.<key>=column. "
           "Other fields take the column of their own name; in NDJSON a.b "
           "looks into objects");
  AddTexts(command, "--columns", flags.columns, Separator::kComma,
           "names of the columns, separated by commas, of CSV without a line "
           "of names");
  AddTexts(command, "--null", flags.nulls, Separator::kNone,
           "whole cell that means NULL; may be repeated "
           "(default: \\N)");
  AddText(command, "--properties", flags.properties,
          "columns that become properties, separated by commas; *: all "
          "columns that no field takes. A column `properties` holds a JSON "
          "object");
  AddTexts(command, "--set", flags.set, Separator::kNone,
           "field=value or properties.<key>=value for every row; may be "
           "repeated");
  AddFlag(command, "--typed", flags.typed,
          "numbers and true/false become JSON numbers and booleans where that "
          "loses nothing (default)");
  AddFlagOrText(command, "--strings", flags.strings,
                "keep all property values as text; --strings=a,b: those of "
                "these columns",
                {.excludes = "--typed"});
  AddSize(command, "--max_row_bytes", flags.options.rows.max_row_bytes, 1,
          64 << 20, "longer rows are rejected; bounds the memory");
}

void AddRunFlags(CLI::App& command, ImportFlags& flags) {
  BulkWriterOptions& stream = flags.options.stream;
  AddText(command, "--destination", stream.destination,
          "name of a configured Heap environment (default: the server's "
          "default)");
  AddAckFlag(command, stream.ack_level);
  AddText(command, "--request_id", stream.request_id,
          "repeating an import with the same id and input creates no "
          "duplicates (default: random)");
  AddText(command, "--rejects", flags.options.rejects_path,
          "file for rejected rows with their reasons, as NDJSON; overwritten");
  AddFlag(command, "--dry_run", flags.dry_run,
          "store nothing: show what the columns become, with masked examples, "
          "what would be refused and why, and how long Heap's limits will "
          "need");
  AddCount(command, "--limit", flags.limit,
           "with --dry_run: most rows to read; 0: all", {.needs = "--dry_run"});
  AddFlag(command, "--resume", flags.resume,
          "resume an interrupted import; start from the beginning if there is "
          "none");
  AddFlag(command, "--restart", flags.restart,
          "discard the progress of an interrupted import",
          {.excludes = "--resume"});
  AddText(command, "--state", flags.options.state_path,
          "file that keeps the import's progress (default: "
          "FILE.heapsync-state; none for pipes)");
  AddText(command, "--progress", flags.progress,
          "how progress is shown on standard error",
          {.choices = {"auto", "bar", "log", "none"}});
  AddFlag(command, "--json", flags.json, "summary and errors as JSON");
}

}  // namespace

void AddImportCommand(CLI::App& program, CommandContext& context) {
  // Shared with the callback, which is copied.
  const auto flags = std::make_shared<ImportFlags>();
  CLI::App& command = AddSubcommand(
      program, "import",
      "Sends the rows of a CSV or NDJSON file, plain, gzip or Zstandard, or of "
      "a query by ODBC. Invalid rows are rejected and do not stop the others.");
  flags->options.input.clear();
  AddText(command, "file", flags->options.input,
          "the input; -: standard input");
  AddQueryFlags(command, flags->query);
  AddMappingFlags(command, *flags);
  AddRunFlags(command, *flags);
  AddServerFlags(command, flags->server, "5m",
                 "how long to retry while the server is unreachable");
  OnRun(command,
        [flags, &context] { context.exit_code = RunImport(*flags, context); });
}

}  // namespace heapsync
