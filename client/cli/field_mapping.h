#ifndef HEAPSYNC_CLIENT_CLI_FIELD_MAPPING_H_
#define HEAPSYNC_CLIENT_CLI_FIELD_MAPPING_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/struct.pb.h>

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/cli/json_struct.h"
#include "client/cli/mapped_row.h"

namespace heapsync {

struct MappingOptions {
  ObjectType type = ObjectType::kTrackEvent;

  // Columns whose values stay text, whatever `typing` says.
  std::set<std::string> text_columns;

  // Cells and JSON strings that stand for no value. As a whole, to the letter.
  std::vector<std::string> nulls = {"\\N"};

  // Item field → column. Fields are those of the item's message, and
  // "properties.<key>" for a property of another name than its column. A field
  // that is not listed takes the column of its own name, unless another field
  // takes that column or contradicts it: identity and user_id exclude each
  // other, and user_id is Heap's own number, so that it has to be listed. In
  // NDJSON a column is a key, or else a path of keys with dots between them.
  // The case of names counts.
  std::map<std::string, std::string> columns;

  // The columns that become properties under their own names. Empty: all that
  // no field takes.
  std::optional<std::vector<std::string>> properties;

  // Item field → the value that every row gets, whatever its columns say.
  std::map<std::string, std::string> fixed;

  ValueTyping typing = ValueTyping::kTyped;
};

// Turns rows into items. Pure and immutable.
class FieldMapping {
 public:
  // For rows of cells under these column names. Errors: kInvalidArgument, with
  // everything that is wrong: unknown fields or columns, a name of two columns
  // that is used, a bad fixed value, a required field that nothing fills, a
  // column user_id that is not mapped, an event's column such as `Timestamp`
  // where nothing fills the field of that name. The names of columns are given
  // only if the header looks like one.
  static absl::StatusOr<FieldMapping> ForCsv(
      MappingOptions options, absl::Span<const absl::string_view> header);

  // For rows of one JSON object each. Errors: as above, as far as they show
  // without a row.
  static absl::StatusOr<FieldMapping> ForNdjson(MappingOptions options);

  // The number of columns of the header. REQUIRES: made by ForCsv().
  size_t column_count() const { return column_count_; }

  // True if the row repeats the names of the columns.
  bool AreColumnNames(absl::Span<const absl::string_view> cells) const;

  // Empty cells are left out. REQUIRES: made by ForCsv().
  MappedRow FromCells(absl::Span<const absl::string_view> cells) const;

  // Adds a column to those whose values stay text. REQUIRES: made by ForCsv();
  // a column of the header.
  void KeepText(size_t column) { text_columns_[column] = true; }

  // The names of the columns that become properties and stay text, though
  // `typing` is kTyped.
  std::vector<std::string> TextColumns() const;

  // Notes for people on the columns' names: those that look the same.
  std::vector<std::string> NotesOnNames() const;

  // The other columns that become properties, with their places.
  std::vector<std::pair<size_t, std::string>> NumberColumns() const;

  // The columns or paths of fields and listed properties, by the field's name,
  // such as "identity" or "properties.plan".
  std::map<std::string, std::string> ColumnsByField() const;

  // Nulls and empty strings are left out; lists and objects are kept as
  // property values. `text` is what `row` was read from. REQUIRES: made by
  // ForNdjson().
  MappedRow FromJson(google::protobuf::Struct row,
                     absl::string_view text) const;

 private:
  using Field = google::protobuf::FieldDescriptor;

  // Where a column or fixed value goes: to a field, or to one property in it.
  struct Target {
    const Field* field;
    std::optional<std::string> property;

    // "identity", or "properties.<key>".
    std::string Name() const;
    // True for the field `properties` as a whole.
    bool IsAllProperties() const;
  };

  explicit FieldMapping(MappingOptions options);

  Target Property(absl::string_view key) const;
  absl::StatusOr<Target> ParseTarget(absl::string_view name) const;
  absl::Status ApplyFixed();
  bool IsFixed(const Target& target) const;
  std::vector<std::pair<std::string, Target>> ColumnsOfFields(
      std::vector<std::string>& problems) const;
  std::string MissingRequired(
      const std::vector<std::pair<std::string, Target>>& columns) const;
  bool IsListed(const std::string& field) const;
  const Field* FieldInAnotherCase(absl::string_view column) const;
  // True if --map gives the property a column.
  bool IsMappedProperty(absl::string_view key) const;
  bool IsNull(absl::string_view column, absl::string_view text,
              MappedRow& row) const;
  void RequireFields(MappedRow& row) const;
  void SetNumber(const Target& target, double number, absl::string_view text,
                 MappedRow& row) const;
  void SetText(const Target& target, absl::string_view text, ValueTyping typing,
               MappedRow& row) const;
  void SetValue(const Target& target, google::protobuf::Value value,
                MappedRow& row) const;
  MappedRow NewRow() const;

  MappingOptions options_;
  std::vector<const Field*> fields_;  // of the type
  // What all rows have: the fixed values.
  std::shared_ptr<const google::protobuf::Message> fixed_;
  size_t column_count_ = 0;
  std::vector<std::string> column_names_;
  std::vector<bool> text_columns_;
  // CSV: what each mapped column becomes. Bags of properties come first, so
  // that a column beats a key of the same name.
  std::vector<std::pair<size_t, Target>> cell_targets_;
  // NDJSON: the same, by key or path.
  std::vector<std::pair<std::string, Target>> path_targets_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_FIELD_MAPPING_H_
