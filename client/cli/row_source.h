#ifndef HEAPSYNC_CLIENT_CLI_ROW_SOURCE_H_
#define HEAPSYNC_CLIENT_CLI_ROW_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/byte_source.h"
#include "client/cli/column_typing.h"
#include "client/cli/csv_reader.h"
#include "client/cli/field_mapping.h"
#include "client/cli/json_reader.h"
#include "client/cli/mapped_row.h"
#include "client/cli/row.h"

namespace heapsync {

enum class InputFormat { kCsv, kNdjson };

struct RowSourceOptions {
  // Empty: JSON if the name says so, or if the text begins with a brace, or
  // with a bracket before one; else CSV.
  std::optional<InputFormat> format;
  // The name of the file, or "-".
  std::string name;
  // A first line `sep=;` overrides the default delimiter.
  CsvDialect csv;
  // Names for the columns of CSV without a header. Empty: the first row is one.
  std::vector<std::string> columns;
  // Bounds the memory for one row; longer ones are refused.
  size_t max_row_bytes = 1 << 20;
};

// The rows of an input, mapped to items. One thread at a time.
class RowSource {
 public:
  // Reads as far as the header. Errors: those of ByteSource and FieldMapping.
  static absl::StatusOr<RowSource> Open(ByteSource bytes,
                                        const RowSourceOptions& options,
                                        MappingOptions mapping);

  // The next row of the input, without the CSV header; null at the end, which
  // of a file that grew is the last complete row that it held at first. Valid
  // until the next call. Errors: those of ByteSource::Read(), and
  // kInvalidArgument where the text can be read in two ways: nothing behind
  // that place is given as a row. Final.
  absl::StatusOr<const Row*> Next();

  // See ByteSource.
  void SetWhileWaiting(std::function<absl::Status()> while_waiting) {
    bytes_.SetWhileWaiting(std::move(while_waiting));
  }

  // The number of rows given so far.
  uint64_t rows_given() const { return rows_given_; }

  // What the row becomes, with everything that is wrong with it.
  MappedRow Map(const Row& row) const;

  // The columns of CSV that stay text because a number would change some of
  // their cells, or may do so: those that are named like versions. A file is
  // read to its end for that, a pipe is not.
  std::vector<std::string> TextColumns() const {
    return mapping_.TextColumns();
  }

  // See FieldMapping.
  std::vector<std::string> NotesOnNames() const {
    return mapping_.NotesOnNames();
  }

  // The columns of CSV, of those rows that were given, in which numbers were
  // changed, because the input could not be read to its end before: they would
  // have stayed text.
  std::vector<std::string> ChangedColumns() const;

  // See FieldMapping::ColumnsByField().
  std::map<std::string, std::string> ColumnsByField() const {
    return mapping_.ColumnsByField();
  }

  InputFormat format() const { return format_; }
  const ByteSource& bytes() const { return bytes_; }

 private:
  using Reader = std::variant<CsvReader, JsonReader>;

  RowSource(ByteSource bytes, InputFormat format, Reader reader,
            FieldMapping mapping, ValueTyping typing);

  ByteSource bytes_;
  InputFormat format_;
  Reader reader_;
  FieldMapping mapping_;
  ValueTyping typing_;
  CsvEscape escape_ = CsvEscape::kUnstated;
  std::optional<ColumnTyping> watched_;
  // Not empty: a first row that is the same is a header after all.
  std::vector<std::string> columns_;
  uint64_t rows_given_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_ROW_SOURCE_H_
