#include "client/cli/dry_run.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/cli/progress.h"
#include "client/cli/row_ledger.h"
#include "client/cli/table.h"
#include "client/cli/utf8.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "heapsync/client/bulk_writer.h"
#include "nlohmann/json.hpp"

namespace heapsync {
namespace {

constexpr std::chrono::milliseconds kPatience{100};

void AddFault(DryRunReport& report, uint64_t row,
              const std::vector<Violation>& violations) {
  ++report.rejected;
  for (const Violation& violation : violations) {
    DryRunReport::Fault& fault = report.faults[violation.reason];
    if (++fault.rows > 1) continue;
    fault.first_row = row;
    fault.field = violation.field;
    fault.description = violation.description;
  }
}

template <typename Item>
class TypedDryRun {
 public:
  TypedDryRun(const DryRunOptions& options, ImportInput& input,
              const std::atomic<bool>& stop, DryRunReport& report)
      : options_(options), input_(input), stop_(stop), report_(report) {}

  absl::Status Run(const Client& client) {
    if (!report_.asked_server) return ReadRows(nullptr);
    BulkWriterOptions stream = options_.import.stream;
    stream.validate_only = true;
    stream.on_rejected = [this](const v1::RejectedItem& item) {
      ledger_.RejectItem(item.index(), ViolationsOfRow(item));
    };
    stream.on_warned = [this](const v1::WarnedItem& item) {
      report_.warnings.Add(item, ledger_);
    };
    stream.on_unlisted_warnings = [this](const v1::UnlistedWarnings& each) {
      report_.warnings.Add(each, ledger_);
    };
    BulkWriter<Item> writer(client, std::move(stream));
    if (absl::Status status = ReadRows(&writer); !status.ok()) return status;
    while (true) {
      const auto result = writer.FinishFor(kPatience);
      Settle(writer.durable_position());
      if (writer.totals().warnings_are_partial) report_.warnings.SetPartial();
      if (result.has_value()) return result->status();
      if (stop_) return absl::CancelledError("interrupted");
    }
  }

 private:
  // Without a writer, the rows are only mapped.
  absl::Status ReadRows(BulkWriter<Item>* writer) {
    while (options_.max_rows == 0 || report_.rows < options_.max_rows) {
      if (stop_) return absl::CancelledError("interrupted");
      const absl::StatusOr<const Row*> row = input_.rows.Next();
      if (!row.ok()) return row.status();
      if (*row == nullptr) break;
      ++report_.rows;
      MappedRow mapped = input_.rows.Map(**row);
      if (!mapped.violations.empty()) {
        ledger_.AddRejected((*row)->line, "", std::move(mapped.violations));
      } else {
        report_.profile.Observe(mapped);
        ledger_.AddItem((*row)->line, "");
        if (absl::Status sent = Send(writer, ToItem<Item>(std::move(mapped)));
            !sent.ok()) {
          return sent;
        }
      }
      Settle(writer == nullptr ? ledger_.next_index()
                               : writer->durable_position());
    }
    return absl::OkStatus();
  }

  absl::Status Send(BulkWriter<Item>* writer, Item item) {
    while (writer != nullptr) {
      const absl::StatusOr<bool> added = writer->AddFor(item, kPatience);
      if (!added.ok()) return added.status();
      if (*added) break;
      if (stop_) return absl::CancelledError("interrupted");
    }
    return absl::OkStatus();
  }

  void Settle(uint64_t position) {
    for (const RejectedRow& row : ledger_.Settle(position)) {
      AddFault(report_, row.row, row.violations);
    }
  }

  const DryRunOptions& options_;
  ImportInput& input_;
  const std::atomic<bool>& stop_;
  DryRunReport& report_;
  RowLedger ledger_{0, 0};
};

std::string TypesText(const InputProfile::Field& field) {
  return absl::StrJoin(
      field.types, ", ", [](std::string* out, const auto& type) {
        absl::StrAppend(out, WithThousands(type.second), " ", type.first);
      });
}

// The count, and a noun that takes an s.
std::string Counted(uint64_t count, absl::string_view noun) {
  return absl::StrCat(WithThousands(count), " ", noun, count == 1 ? "" : "s");
}

std::string ColumnOf(const DryRunReport& report, const std::string& field) {
  const auto found = report.columns.find(field);
  if (found != report.columns.end()) return found->second;
  absl::string_view key = field;
  absl::ConsumePrefix(&key, "properties.");
  return std::string(key);
}

std::string LimitsText(const InputProfile& profile, const TypePolicy& policy) {
  switch (policy.limit.unit) {
    case LimitedUnit::kItems:
      return absl::StrCat(
          "Heap's limits (15,000 events a minute for the App ID, 1,000 for one "
          "user): at least ",
          ShortDuration(profile.LeastDuration()),
          " if nothing else is sent; the busiest user has ",
          Counted(profile.busiest(), "event"), "\n");
    case LimitedUnit::kRequests:
      return absl::StrCat(
          "Heap's limit (30 updates in 30 s for one user) delays only users "
          "with more; updates that wait are coalesced; the busiest user has ",
          Counted(profile.busiest(), "row"), "\n");
    case LimitedUnit::kNothing:
      break;
  }
  return absl::StrCat("Heap publishes no limit for ", policy.array_key, "\n");
}

}  // namespace

absl::Status RunDryRun(const DryRunOptions& options, const Client& client,
                       const std::atomic<bool>& stop, DryRunReport& report) {
  ImportOptions import = options.import;
  import.state_path.clear();
  if (import.query) import.query->dry_run = true;
  if (import.query) import.query->state_path = options.import.state_path;
  absl::StatusOr<ImportInput> input = OpenInput(import, stop);
  if (!input.ok()) return input.status();
  for (const auto& [field, column] : input->rows.ColumnsByField()) {
    report.columns[field] = column;
  }
  for (const auto& [field, value] : import.mapping.fixed) {
    report.columns[field] = "(--set)";
  }
  if (input->query != nullptr) report.notes = input->query->notes();
  for (const std::string& column : input->rows.TextColumns()) {
    report.notes.push_back(absl::StrCat(
        "column \"", Printable(column),
        "\" stays text: as numbers, some of its cells would change"));
  }
  for (std::string& note : input->rows.NotesOnNames()) {
    report.notes.push_back(std::move(note));
  }
  const absl::Status health = client.CheckHealth("");
  report.asked_server =
      !absl::IsUnavailable(health) && !absl::IsDeadlineExceeded(health);
  if (!report.asked_server) {
    report.notes.push_back(absl::StrCat(
        "the server cannot be reached (", health.message(),
        "): only what the client checks is found; the server's rules for "
        "names, lengths and values are not applied"));
  }
  return WithItem(import.mapping.type, [&](auto item) {
    return TypedDryRun<decltype(item)>(options, *input, stop, report)
        .Run(client);
  });
}

std::string ToText(const DryRunReport& report) {
  const InputProfile& profile = report.profile;
  std::string text = "Dry run: nothing is stored.\n\n";
  Table table({{"COLUMN"}, {"FIELD"}, {"VALUES"}, {"EXAMPLE"}});
  for (const InputProfile::Field& field : profile.fields()) {
    table.AddRow({Printable(ColumnOf(report, field.name)),
                  Printable(field.name), TypesText(field),
                  Printable(field.example)});
  }
  absl::StrAppend(&text, table.ToString(),
                  profile.fields_are_complete() ? "" : "… and more fields\n",
                  "\n", Counted(report.rows, "row"), ": ",
                  WithThousands(report.rows - report.rejected),
                  " would be accepted, ", WithThousands(report.rejected),
                  " rejected\n");
  for (const auto& [reason, fault] : report.faults) {
    absl::StrAppend(
        &text, "  ", Printable(reason), ": ", Counted(fault.rows, "row"),
        ", first row ", fault.first_row, ": ", Printable(fault.field),
        fault.field.empty() ? "" : ": ", Printable(fault.description), "\n");
  }
  absl::StrAppend(&text, report.warnings.ToText());
  const TypePolicy& policy = PolicyOf(profile.type());
  absl::StrAppend(
      &text, profile.subjects_are_complete() ? "" : "at least ",
      Counted(profile.subjects(),
              policy.subject_field == "identity" ? "user" : "account"));
  if (policy.coalesces && profile.repeated_rows() > 0) {
    absl::StrAppend(&text, "; as many as ",
                    Counted(profile.repeated_rows(), "row"),
                    " may be coalesced with an earlier one that still waits");
  }
  absl::StrAppend(&text, "\n", LimitsText(profile, policy));
  return text;
}

std::string ToJsonLine(const DryRunReport& report, const absl::Status& status) {
  using nlohmann::ordered_json;
  const InputProfile& profile = report.profile;
  ordered_json fields = ordered_json::array();
  for (const InputProfile::Field& field : profile.fields()) {
    fields.push_back({{"column", ColumnOf(report, field.name)},
                      {"field", field.name},
                      {"types", field.types},
                      {"example", field.example}});
  }
  ordered_json faults = ordered_json::object();
  for (const auto& [reason, fault] : report.faults) {
    faults[reason] = {{"rows", fault.rows},
                      {"first_row", fault.first_row},
                      {"field", fault.field},
                      {"description", fault.description}};
  }
  const ordered_json json = {
      {"dry_run", true},
      {"complete", status.ok()},
      {"asked_server", report.asked_server},
      {"rows", report.rows},
      {"accepted", report.rows - report.rejected},
      {"rejected", report.rejected},
      {"fields", std::move(fields)},
      {"faults", std::move(faults)},
      {"warnings", report.warnings.ToJson()},
      {"subjects", profile.subjects()},
      {"repeated_rows", profile.repeated_rows()},
      {"busiest", profile.busiest()},
      {"least_seconds", profile.LeastDuration().count()}};
  return PrintableJson(json.dump(-1, ' ', false,
                                 ordered_json::error_handler_t::replace)) +
         "\n";
}

}  // namespace heapsync
