#include "client/cli/row_source.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "client/cli/utf8.h"

namespace heapsync {
namespace {

// Null at the end of the input.
template <typename Reader>
absl::StatusOr<const Row*> NextRow(ByteSource& bytes, Reader& reader) {
  while (true) {
    if (const Row* row = reader.Next()) return row;
    const absl::StatusOr<absl::string_view> text = bytes.Read();
    if (!text.ok()) return text.status();
    if (text->empty()) {
      // The rest may be the beginning of a row.
      if (bytes.grown_by() > 0) return nullptr;
      reader.FinishInput();
      return reader.Next();
    }
    reader.Feed(*text);
  }
}

// A file of this name holds JSON, packed or not.
bool IsJsonName(absl::string_view name) {
  for (const char* packed : {".gz", ".gzip", ".zst", ".zstd"}) {
    if (absl::ConsumeSuffix(&name, packed)) break;
  }
  return absl::EndsWithIgnoreCase(name, ".ndjson") ||
         absl::EndsWithIgnoreCase(name, ".jsonl") ||
         absl::EndsWithIgnoreCase(name, ".json");
}

InputFormat GuessFormat(absl::string_view text, absl::string_view name) {
  if (IsJsonName(name)) return InputFormat::kNdjson;
  absl::ConsumePrefix(&text, "\xEF\xBB\xBF");
  text = absl::StripLeadingAsciiWhitespace(text);
  if (absl::ConsumePrefix(&text, "[")) {
    text = absl::StripLeadingAsciiWhitespace(text);
    if (absl::StartsWith(text, "]")) return InputFormat::kNdjson;
  }
  return absl::StartsWith(text, "{") ? InputFormat::kNdjson : InputFormat::kCsv;
}

// The delimiter that a first line like `sep=;` names, as Excel reads it.
std::optional<char> SeparatorLine(absl::string_view text) {
  absl::ConsumePrefix(&text, "\xEF\xBB\xBF");
  if (!absl::StartsWithIgnoreCase(text, "sep=") || text.size() < 6 ||
      (text[5] != '\n' && text[5] != '\r') || text[4] == '"') {
    return std::nullopt;
  }
  return text[4];
}

// The mapping's error, with the delimiter that a first line of one cell seems
// to have.
absl::Status WithDelimiterHint(const absl::Status& status,
                               absl::Span<const absl::string_view> names) {
  if (names.size() != 1) return status;
  for (const auto& [byte, flag] :
       {std::pair('\t', "tab"), std::pair(';', "';'"), std::pair('|', "'|'")}) {
    if (!absl::StrContains(names[0], byte)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(status.message(),
                     "; perhaps its cells are separated otherwise: "
                     "--delimiter=",
                     flag));
  }
  return status;
}

// Why JSON that programs write is refused; empty if that is not seen.
absl::string_view JsonHint(absl::string_view text, ValueTyping typing) {
  text = absl::StripTrailingAsciiWhitespace(text);
  if (absl::ConsumeSuffix(&text, ",") && ParseJsonObject(text, typing).ok()) {
    return "; a comma follows the object, as in an array without its brackets";
  }
  if (absl::StrContains(text, "NaN") || absl::StrContains(text, "Infinity")) {
    return "; NaN and Infinity are no JSON, write null";
  }
  if (absl::StrContains(text, "{'")) return "; JSON has double quotes";
  return "";
}

// Reads a table to its end. The first `skipped_rows` hold no values.
// Lines of column names, wherever they are, say nothing of the values.
ColumnTyping TypingOf(ByteSource bytes, const CsvDialect& dialect,
                      size_t max_row_bytes, int skipped_rows,
                      const FieldMapping& mapping) {
  ColumnTyping typing;
  CsvReader reader(dialect, max_row_bytes);
  while (true) {
    const absl::StatusOr<const Row*> row = NextRow(bytes, reader);
    // The import itself reports what cannot be read.
    if (!row.ok() || *row == nullptr ||
        ((*row)->fault &&
         (*row)->fault->extent == RowFault::Extent::kRestOfInput)) {
      return typing;
    }
    if (skipped_rows-- > 0 || mapping.AreColumnNames((*row)->cells)) continue;
    for (size_t i = 0; i < (*row)->cells.size(); ++i) {
      typing.Observe(i, (*row)->cells[i]);
    }
  }
}

}  // namespace

RowSource::RowSource(ByteSource bytes, InputFormat format, Reader reader,
                     FieldMapping mapping, ValueTyping typing)
    : bytes_(std::move(bytes)),
      format_(format),
      reader_(std::move(reader)),
      mapping_(std::move(mapping)),
      typing_(typing) {}

std::vector<std::string> RowSource::ChangedColumns() const {
  std::vector<std::string> names;
  if (!watched_) return names;
  for (const auto& [index, name] : mapping_.NumberColumns()) {
    if (watched_->KeepsText(index)) names.push_back(name);
  }
  return names;
}

absl::StatusOr<RowSource> RowSource::Open(ByteSource bytes,
                                          const RowSourceOptions& options,
                                          MappingOptions mapping_options) {
  const ValueTyping typing = mapping_options.typing;
  const absl::StatusOr<absl::string_view> text = bytes.Read();
  if (!text.ok()) return text.status();
  const InputFormat format =
      options.format.value_or(GuessFormat(*text, options.name));
  if (format == InputFormat::kNdjson) {
    JsonReader reader(options.max_row_bytes);
    reader.Feed(*text);
    auto mapping = FieldMapping::ForNdjson(std::move(mapping_options));
    if (!mapping.ok()) return mapping.status();
    return RowSource(std::move(bytes), format, std::move(reader),
                     *std::move(mapping), typing);
  }
  CsvDialect dialect = options.csv;
  const std::optional<char> separator = SeparatorLine(*text);
  if (separator && dialect.delimiter == CsvDialect().delimiter) {
    dialect.delimiter = *separator;
  }
  CsvReader reader(dialect, options.max_row_bytes);
  reader.Feed(*text);
  if (separator) {
    const absl::StatusOr<const Row*> skipped = NextRow(bytes, reader);
    if (!skipped.ok()) return skipped.status();
  }
  std::vector<absl::string_view> names(options.columns.begin(),
                                       options.columns.end());
  if (names.empty()) {
    const absl::StatusOr<const Row*> header = NextRow(bytes, reader);
    if (!header.ok()) return header.status();
    if (*header == nullptr && bytes.grown_by() > 0) {
      return absl::FailedPreconditionError(
          "the input is being written: its line of column names is not "
          "complete");
    }
    if (*header == nullptr) {
      return absl::InvalidArgumentError(
          "the input is empty: CSV begins with a line of column names "
          "(--columns names those of an input without one)");
    }
    if ((*header)->fault) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the line of column names: ", (*header)->fault->description));
    }
    if (!IsValidUtf8((*header)->raw)) {
      return absl::InvalidArgumentError(
          "the line of column names is not UTF-8; convert the input first "
          "(iconv -f WINDOWS-1252 -t UTF-8)");
    }
    names = (*header)->cells;
  }
  auto mapping = FieldMapping::ForCsv(std::move(mapping_options), names);
  if (!mapping.ok()) return WithDelimiterHint(mapping.status(), names);
  const bool can_be_read_twice = bytes.fingerprint().size.has_value();
  std::optional<ColumnTyping> columns;
  if (typing == ValueTyping::kTyped && can_be_read_twice) {
    absl::StatusOr<ByteSource> again =
        ByteSource::Open(options.name == "-" ? "/dev/stdin" : options.name);
    if (!again.ok()) return again.status();
    columns = TypingOf(*std::move(again), dialect, options.max_row_bytes,
                       separator ? 1 : 0, *mapping);
  }
  if (typing == ValueTyping::kTyped) {
    for (size_t i = 0; i < names.size(); ++i) {
      const bool versions =
          NamesVersions(names[i]) && (!columns || columns->HasNumbers(i));
      if (versions || (columns && columns->KeepsText(i))) mapping->KeepText(i);
    }
  }
  RowSource source(std::move(bytes), format, std::move(reader),
                   *std::move(mapping), typing);
  source.escape_ = dialect.escape;
  if (typing == ValueTyping::kTyped && !columns) source.watched_.emplace();
  source.columns_ = options.columns;
  return source;
}

absl::StatusOr<const Row*> RowSource::Next() {
  const auto next = [&] {
    return std::visit([&](auto& reader) { return NextRow(bytes_, reader); },
                      reader_);
  };
  absl::StatusOr<const Row*> row = next();
  if (rows_given_ == 0 && !columns_.empty() && row.ok() && *row != nullptr &&
      std::equal(columns_.begin(), columns_.end(), (*row)->cells.begin(),
                 (*row)->cells.end())) {
    row = next();
  }
  if (!row.ok() || *row == nullptr) return row;
  ++rows_given_;
  if (watched_) {
    for (size_t i = 0; i < (*row)->cells.size(); ++i) {
      watched_->Observe(i, (*row)->cells[i]);
    }
  }
  std::optional<RowFault> fault = (*row)->fault;
  // A misplaced quote can also join lines to a row that looks well-formed.
  if (!fault && format_ == InputFormat::kCsv &&
      (*row)->cells.size() != mapping_.column_count() &&
      (*row)->raw.find_first_of("\r\n") != absl::string_view::npos) {
    fault = {.reason = "WRONG_CELL_COUNT",
             .description = absl::StrCat(
                 "the row spans lines and has ", (*row)->cells.size(),
                 " cells, where the header has ", mapping_.column_count(),
                 ", so a quote may be misplaced; correct it, or try "
                 "--escape=spark or --quote=none"),
             .extent = RowFault::Extent::kRestOfInput};
  }
  if (fault && fault->extent == RowFault::Extent::kRestOfInput) {
    return absl::InvalidArgumentError(
        absl::StrCat("stopped before row ", rows_given_, " (line ",
                     (*row)->line, "): ", fault->description));
  }
  return row;
}

MappedRow RowSource::Map(const Row& row) const {
  const auto refuse = [](absl::string_view reason, std::string description) {
    MappedRow mapped;
    mapped.violations.push_back(
        {"", std::string(reason), std::move(description)});
    return mapped;
  };
  // A row that was cut may end inside a character. Otherwise a wrong encoding
  // comes first: other faults may only be its consequence.
  const bool cut = row.fault && row.fault->reason == "ROW_TOO_LONG";
  if (!cut && !IsValidUtf8(row.raw)) {
    return refuse("INVALID_UTF8", "the row is not UTF-8");
  }
  if (row.fault) return refuse(row.fault->reason, row.fault->description);
  if (format_ == InputFormat::kCsv) {
    MappedRow from_cells = mapping_.FromCells(row.cells);
    if (row.cells.size() != mapping_.column_count() &&
        escape_ == CsvEscape::kBackslash && absl::StrContains(row.raw, '\\')) {
      absl::StrAppend(&from_cells.violations.back().description,
                      "; where a backslash outside of quotes is text, use "
                      "--escape=spark");
    }
    return from_cells;
  }
  auto parsed = ParseJsonObject(row.raw, typing_);
  if (!parsed.ok()) {
    return refuse("INVALID_JSON", absl::StrCat(parsed.status().message(),
                                               JsonHint(row.raw, typing_)));
  }
  return mapping_.FromJson(*std::move(parsed), row.raw);
}

}  // namespace heapsync
