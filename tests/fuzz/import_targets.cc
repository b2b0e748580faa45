#include "tests/fuzz/import_targets.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "base/json_text.h"
#include "client/cli/csv_reader.h"
#include "client/cli/field_mapping.h"
#include "client/cli/json_reader.h"
#include "client/cli/json_struct.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "tests/fuzz/fuzz_check.h"

namespace heapsync {
namespace {

constexpr WallTime kAcceptedAt{std::chrono::seconds(1'705'314'600)};
constexpr size_t kMaxRowBytes = 4'096;

// A row that owns its texts.
struct KeptRow {
  uint64_t line;
  std::string raw;
  std::vector<std::string> cells;
  std::string fault;
  friend bool operator==(const KeptRow&, const KeptRow&) = default;
};

template <typename Reader>
void TakeRows(Reader& reader, std::vector<KeptRow>& rows) {
  while (const Row* row = reader.Next()) {
    Check(row->raw.size() <= kMaxRowBytes, "rows are bounded");
    Check(!row->fault.has_value() || row->cells.empty(),
          "a row with a fault has no cells");
    KeptRow kept{.line = row->line,
                 .raw = std::string(row->raw),
                 .cells = {},
                 .fault = row->fault ? std::string(row->fault->reason) : ""};
    for (const absl::string_view cell : row->cells) {
      kept.cells.emplace_back(cell);
    }
    rows.push_back(std::move(kept));
  }
}

// Reads the text in pieces of this many bytes.
template <typename Reader>
std::vector<KeptRow> ReadRows(Reader reader, absl::string_view text,
                              size_t piece) {
  std::vector<KeptRow> rows;
  for (size_t at = 0; at < text.size(); at += piece) {
    reader.Feed(text.substr(at, piece));
    TakeRows(reader, rows);
  }
  reader.FinishInput();
  TakeRows(reader, rows);
  return rows;
}

// With bit 3 of the choice, the first line of the text is the mapping, and is
// taken from it: "field=column", "field:value" and "column", with semicolons
// between.
MappingOptions OptionsOf(uint8_t choice, absl::string_view& text) {
  MappingOptions options;
  if ((choice & 8) != 0) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(text, absl::MaxSplits('\n', 1));
    text = parts.second;
    for (const absl::string_view part : absl::StrSplit(parts.first, ';')) {
      const size_t sign = part.find_first_of("=:");
      const std::string field(part.substr(0, sign));
      if (sign == absl::string_view::npos) {
        if (!options.properties.has_value()) options.properties.emplace();
        options.properties->push_back(field);
      } else if (part[sign] == '=') {
        options.columns[field] = std::string(part.substr(sign + 1));
      } else {
        options.fixed[field] = std::string(part.substr(sign + 1));
      }
    }
  }
  options.type = kObjectTypes[choice % kObjectTypes.size()];
  options.typing =
      (choice & 4) != 0 ? ValueTyping::kStrings : ValueTyping::kTyped;
  return options;
}

// REQUIRES: the field is a text.
std::string TextOf(const MappedRow& row, const std::string& field) {
  const auto& item = *row.item;
  const auto* found = item.GetDescriptor()->FindFieldByName(field);
  return found == nullptr ? "" : item.GetReflection()->GetString(item, found);
}

// What a row becomes is judged as a call of the API would be.
void CheckItem(const MappingOptions& options, MappedRow row) {
  for (const Violation& violation : row.violations) {
    Check(!violation.reason.empty() && !violation.description.empty(),
          "a violation says what and why");
  }
  if (!row.violations.empty()) return;
  for (const auto& [field, value] : options.fixed) {
    Check((field != "event" && field != "identity") ||
              TextOf(row, field) == value,
          "fixed values are fixed");
  }
  const EncodingRules rules;
  ChunkEncoder encoder(rules, kAcceptedAt);
  const Findings findings = WithItem(options.type, [&](auto empty) {
    using Item = decltype(empty);
    const Item item = ToItem<Item>(std::move(row));
    if constexpr (std::is_same_v<Item, v1::TrackEvent>) {
      return encoder.Add(item, {.field = "item"}, "key-of-a-row");
    } else {
      return encoder.Add(item, {.field = "item"});
    }
  });
  const std::string text = encoder.Take().text;
  Check(findings.ok() == !text.empty(), "an item is taken or refused");
  Check(text.empty() || nlohmann::json::accept(text), "what is sent is JSON");
}

}  // namespace

void FuzzCsvImport(absl::string_view input) {
  if (input.empty()) return;
  const uint8_t choice = static_cast<uint8_t>(input[0]);
  absl::string_view text = input.substr(1);
  const MappingOptions options = OptionsOf(choice, text);
  CsvDialect dialect;
  dialect.escape = static_cast<CsvEscape>((choice >> 4) % 4);
  dialect.quoting =
      (choice & 128) != 0 ? CsvQuoting::kNone : CsvQuoting::kQuotes;
  const std::vector<KeptRow> rows =
      ReadRows(CsvReader(dialect, kMaxRowBytes), text, text.size() + 1);
  Check(
      rows == ReadRows(CsvReader(dialect, kMaxRowBytes), text, 1 + choice % 7),
      "rows do not depend on the pieces");
  if (rows.empty() || !rows[0].fault.empty()) return;
  const std::vector<absl::string_view> header(rows[0].cells.begin(),
                                              rows[0].cells.end());
  const auto mapping = FieldMapping::ForCsv(options, header);
  if (!mapping.ok()) {
    Check(absl::IsInvalidArgument(mapping.status()) &&
              !mapping.status().message().empty(),
          "a header that is refused is explained");
    return;
  }
  for (size_t i = 1; i < rows.size(); ++i) {
    if (!rows[i].fault.empty()) continue;
    const std::vector<absl::string_view> cells(rows[i].cells.begin(),
                                               rows[i].cells.end());
    MappedRow row = mapping->FromCells(cells);
    if (const auto mapped = options.columns.find("event");
        mapped != options.columns.end() && row.violations.empty() &&
        !options.fixed.contains("event")) {
      const auto column =
          std::find(header.begin(), header.end(), mapped->second);
      Check(column != header.end() &&
                TextOf(row, "event") ==
                    cells[static_cast<size_t>(column - header.begin())],
            "a field takes its column");
    }
    CheckItem(options, std::move(row));
  }
}

void FuzzNdjsonImport(absl::string_view input) {
  if (input.empty()) return;
  const uint8_t choice = static_cast<uint8_t>(input[0]);
  absl::string_view text = input.substr(1);
  const MappingOptions options = OptionsOf(choice, text);
  const std::vector<KeptRow> rows =
      ReadRows(JsonReader(kMaxRowBytes), text, text.size() + 1);
  Check(rows == ReadRows(JsonReader(kMaxRowBytes), text, 1 + choice % 7),
        "rows do not depend on the pieces");
  const auto mapping = FieldMapping::ForNdjson(options);
  if (!mapping.ok()) return;
  for (const KeptRow& row : rows) {
    if (!row.fault.empty()) continue;
    auto object = ParseJsonObject(row.raw, options.typing);
    if (!object.ok()) continue;
    const auto json =
        nlohmann::json::parse(row.raw, nullptr, /*allow_exceptions=*/false);
    Check(json.is_object() &&
              json.size() == static_cast<size_t>(object->fields_size()),
          "what is read as an object is one, with the same keys");
    CheckItem(options, mapping->FromJson(*std::move(object), row.raw));
  }
}

}  // namespace heapsync
