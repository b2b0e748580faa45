#include "client/cli/field_mapping.h"

#include <algorithm>
#include <cmath>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/cli/timestamp_parsing.h"
#include "client/cli/utf8.h"

namespace heapsync {
namespace {

constexpr absl::string_view kByteOrderMark = "\xEF\xBB\xBF";

using google::protobuf::FieldDescriptor;
using google::protobuf::Struct;
using google::protobuf::Timestamp;
using google::protobuf::Value;

template <typename Type>
bool Holds(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         field.message_type() == Type::descriptor();
}

// REQUIRES: Holds<Type>(field).
template <typename Type>
Type& Mutable(const FieldDescriptor& field, MappedRow& row) {
  return static_cast<Type&>(
      *row.item->GetReflection()->MutableMessage(row.item.get(), &field));
}

// The value under a key, or under a path of keys with dots; null if absent.
Value* FindPath(Struct& object, absl::string_view path) {
  auto& fields = *object.mutable_fields();
  if (const auto exact = fields.find(std::string(path));
      exact != fields.end()) {
    return &exact->second;
  }
  for (size_t dot = path.find('.'); dot != absl::string_view::npos;
       dot = path.find('.', dot + 1)) {
    const auto outer = fields.find(std::string(path.substr(0, dot)));
    if (outer != fields.end() && outer->second.has_struct_value()) {
      return FindPath(*outer->second.mutable_struct_value(),
                      path.substr(dot + 1));
    }
  }
  return nullptr;
}

// Removes the value that FindPath() finds, and the objects that are empty
// without it.
void ErasePath(Struct& object, absl::string_view path) {
  auto& fields = *object.mutable_fields();
  if (fields.erase(std::string(path)) > 0) return;
  for (size_t dot = path.find('.'); dot != absl::string_view::npos;
       dot = path.find('.', dot + 1)) {
    const auto outer = fields.find(std::string(path.substr(0, dot)));
    if (outer == fields.end() || !outer->second.has_struct_value()) continue;
    Struct& inner = *outer->second.mutable_struct_value();
    ErasePath(inner, path.substr(dot + 1));
    if (inner.fields().empty()) fields.erase(outer);
    return;
  }
}

// The key under which an object, which is no row itself, holds the rows: a list
// of objects or of lists. Empty if there is none.
std::string KeyOfRows(const Struct& object) {
  for (const auto& [key, value] : object.fields()) {
    const auto& list = value.list_value().values();
    if (!list.empty() &&
        (list[0].has_struct_value() || list[0].has_list_value())) {
      return key;
    }
  }
  return "";
}

bool IsEmpty(const Value& value) {
  return value.kind_case() == Value::KIND_NOT_SET || value.has_null_value() ||
         (value.has_string_value() && value.string_value().empty());
}

// The words that programs write for a missing value, besides markers that mean
// nothing else.
bool IsNullLike(absl::string_view text) {
  constexpr absl::string_view kWords[] = {"null", "none", "nan",
                                          "<na>", "#n/a", "nat"};
  return std::any_of(std::begin(kWords), std::end(kWords),
                     [&](absl::string_view word) {
                       return absl::EqualsIgnoreCase(text, word);
                     });
}

std::string Quoted(absl::string_view name) {
  return absl::StrCat("\"", PrintableName(name), "\"");
}

// True if no cell could belong to a person or an event.
bool LooksLikeNames(absl::Span<const absl::string_view> header) {
  return std::none_of(header.begin(), header.end(), [](absl::string_view cell) {
    double number;
    return absl::StrContains(cell, '@') || cell.size() > 64 ||
           absl::SimpleAtod(cell, &number) || ParseTimestamp(cell).ok();
  });
}

// The way to map a column whose name is that of a field in another case.
std::string HowToMap(absl::string_view field, absl::string_view column) {
  return absl::StrCat("--map=", field, "=", column,
                      " if it holds that, --map=", "properties.", column, "=",
                      column, " if it is a property");
}

// "; " between the problems; OK if there are none.
absl::Status ToStatus(const std::vector<std::string>& problems) {
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(problems, "; "));
}

// "(3 rows)", "(1 row)", "(3 rows affected)".
bool IsRowCount(absl::string_view line) {
  line = absl::StripAsciiWhitespace(line);
  if (!absl::ConsumePrefix(&line, "(") || !absl::ConsumeSuffix(&line, ")")) {
    return false;
  }
  const size_t digits =
      std::min(line.find_first_not_of("0123456789"), line.size());
  line.remove_prefix(digits);
  return digits > 0 && (line == " row" || line == " rows" ||
                        line == " row affected" || line == " rows affected");
}

}  // namespace

FieldMapping::FieldMapping(MappingOptions options)
    : options_(std::move(options)), fixed_(NewItem(options_.type)) {
  fields_ = FieldsOf(*fixed_->GetDescriptor());
}

std::string FieldMapping::Target::Name() const {
  return property ? absl::StrCat(field->name(), ".", *property) : field->name();
}

bool FieldMapping::Target::IsAllProperties() const {
  return !property && Holds<Struct>(*field);
}

FieldMapping::Target FieldMapping::Property(absl::string_view key) const {
  return {fields_.back(), std::string(key)};
}

MappedRow FieldMapping::NewRow() const {
  MappedRow row;
  row.item.reset(fixed_->New());
  if (!options_.fixed.empty()) row.item->CopyFrom(*fixed_);
  return row;
}

absl::StatusOr<FieldMapping> FieldMapping::ForCsv(
    MappingOptions options, absl::Span<const absl::string_view> header) {
  FieldMapping mapping{std::move(options)};
  std::vector<std::string> problems;
  if (const absl::Status fixed = mapping.ApplyFixed(); !fixed.ok()) {
    problems.emplace_back(fixed.message());
  }
  mapping.column_count_ = header.size();
  std::vector<absl::string_view> names;
  for (const absl::string_view cell : header) {
    names.push_back(absl::StripAsciiWhitespace(cell));
    mapping.column_names_.emplace_back(names.back());
  }
  mapping.text_columns_.resize(names.size());
  absl::flat_hash_map<std::string, size_t> position;
  absl::flat_hash_set<std::string> doubled;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) continue;  // spreadsheets leave such behind
    if (!position.emplace(names[i], i).second) doubled.emplace(names[i]);
  }

  bool any_found = false;
  absl::flat_hash_set<std::string> taken;
  std::vector<std::pair<std::string, Target>> present;
  std::vector<std::string> absent;
  for (auto& [column, target] : mapping.ColumnsOfFields(problems)) {
    const auto found = position.find(column);
    if (found == position.end()) {
      if (mapping.IsListed(target.Name())) absent.push_back(column);
      continue;
    }
    any_found = true;
    if (target.Name() == "user_id" && !mapping.IsListed("user_id")) {
      // Beside an identity it is a column like any other.
      if (position.contains("identity")) continue;
      problems.push_back(
          "the column \"user_id\" is not mapped: --map=user_id=user_id if it "
          "holds Heap's own user ids, --map=identity=user_id if it holds "
          "yours");
      continue;
    }
    taken.insert(column);
    mapping.cell_targets_.emplace_back(found->second, target);
    present.emplace_back(column, target);
  }

  std::vector<std::string> unmapped;
  const auto fills = [&](absl::string_view field) {
    return std::any_of(present.begin(), present.end(), [&](const auto& each) {
      return each.second.Name() == field;
    });
  };
  if (mapping.options_.properties) {
    for (const std::string& column : *mapping.options_.properties) {
      const auto found = position.find(column);
      if (found == position.end()) {
        absent.push_back(column);
        continue;
      }
      if (mapping.IsMappedProperty(column)) {
        problems.push_back(absl::StrCat("the property ", Quoted(column),
                                        " has a column of that name and one "
                                        "of --map"));
      }
      any_found = true;
      if (mapping.IsFixed(mapping.Property(column))) continue;
      taken.insert(column);
      mapping.cell_targets_.emplace_back(found->second,
                                         mapping.Property(column));
    }
  } else {
    for (size_t i = 0; i < names.size(); ++i) {
      Target target = mapping.Property(names[i]);
      if (names[i].empty() || taken.contains(names[i])) continue;
      if (mapping.IsFixed(target) || mapping.IsMappedProperty(names[i])) {
        continue;
      }
      if (const Field* field = mapping.FieldInAnotherCase(names[i]);
          field != nullptr && !fills(field->name())) {
        unmapped.push_back(absl::StrCat(
            "the column ", Quoted(names[i]),
            " is not mapped: ", HowToMap(field->name(), names[i])));
      }
      mapping.cell_targets_.emplace_back(i, std::move(target));
    }
    for (const std::string& name : doubled) taken.insert(name);
  }
  for (const std::string& column : mapping.options_.text_columns) {
    if (const auto found = position.find(column); found != position.end()) {
      mapping.text_columns_[found->second] = true;
    } else {
      absent.push_back(column);
    }
  }
  for (const std::string& name : doubled) {
    if (!taken.contains(name)) continue;
    problems.push_back(absl::StrCat("two columns are named ", Quoted(name),
                                    "; a column that is used has a name of "
                                    "its own (--properties chooses columns)"));
  }
  for (const std::string& column : absent) {
    const auto alike = std::find_if(
        names.begin(), names.end(),
        [&](absl::string_view name) { return LooksLike(name, column); });
    problems.push_back(alike == names.end()
                           ? absl::StrCat("no column is named ", Quoted(column))
                           : absl::StrCat("no column is named \"",
                                          CodePointsOf(column),
                                          "\", but one that looks like it \"",
                                          CodePointsOf(*alike), "\""));
  }
  std::string missing = mapping.MissingRequired(present);
  if (missing.empty()) {
    problems.insert(problems.end(), unmapped.begin(), unmapped.end());
  } else {
    problems.push_back(missing);
    // Snowflake and others export names in capitals.
    std::vector<std::string> pairs;
    for (const Field* field : mapping.fields_) {
      for (const absl::string_view name : names) {
        if (name != field->name() && !position.contains(field->name()) &&
            absl::EqualsIgnoreCase(name, field->name())) {
          pairs.push_back(absl::StrCat(field->name(), "=", name));
        }
      }
    }
    if (!pairs.empty()) {
      any_found = true;
      problems.push_back(absl::StrCat("the case of names counts: --map=",
                                      absl::StrJoin(pairs, ",")));
    }
  }
  if (!absent.empty() || !missing.empty()) {
    // A first line that is no header may be about a person.
    problems.push_back(
        any_found && LooksLikeNames(names)
            ? absl::StrCat(
                  "the columns are: ",
                  absl::StrJoin(names, ", ",
                                [](std::string* out, absl::string_view name) {
                                  out->append(Quoted(name));
                                }))
            : absl::StrCat("the first line, of ", names.size(),
                           " cells, may be no line of column names; "
                           "--columns=NAME,… names the columns of an input "
                           "without one"));
  }
  std::stable_partition(
      mapping.cell_targets_.begin(), mapping.cell_targets_.end(),
      [](const auto& t) { return t.second.IsAllProperties(); });
  if (absl::Status status = ToStatus(problems); !status.ok()) return status;
  return mapping;
}

absl::StatusOr<FieldMapping> FieldMapping::ForNdjson(MappingOptions options) {
  FieldMapping mapping{std::move(options)};
  std::vector<std::string> problems;
  if (const absl::Status fixed = mapping.ApplyFixed(); !fixed.ok()) {
    problems.emplace_back(fixed.message());
  }
  mapping.path_targets_ = mapping.ColumnsOfFields(problems);
  if (mapping.options_.properties) {
    for (const std::string& column : *mapping.options_.properties) {
      if (mapping.IsFixed(mapping.Property(column))) continue;
      mapping.path_targets_.emplace_back(column, mapping.Property(column));
    }
  }
  std::stable_partition(
      mapping.path_targets_.begin(), mapping.path_targets_.end(),
      [](const auto& t) { return t.second.IsAllProperties(); });
  if (absl::Status status = ToStatus(problems); !status.ok()) return status;
  return mapping;
}

bool FieldMapping::AreColumnNames(
    absl::Span<const absl::string_view> cells) const {
  return std::equal(
      cells.begin(), cells.end(), column_names_.begin(), column_names_.end(),
      [](absl::string_view cell, absl::string_view name) {
        return cell == name || absl::StripAsciiWhitespace(cell) == name;
      });
}

MappedRow FieldMapping::FromCells(
    absl::Span<const absl::string_view> cells) const {
  // The beginning of a file that was put behind another one.
  if (!cells.empty() && absl::StartsWith(cells[0], kByteOrderMark)) {
    std::vector<absl::string_view> without(cells.begin(), cells.end());
    without[0].remove_prefix(kByteOrderMark.size());
    return FromCells(without);
  }
  MappedRow row = NewRow();
  if (cells.size() == 1 && IsRowCount(cells[0])) {
    row.violations.push_back(
        {"", "NOT_A_ROW",
         "the line is the count of rows that psql or sqlcmd prints behind them "
         "(psql --csv prints none)"});
    return row;
  }
  if (AreColumnNames(cells)) {
    row.violations.push_back(
        {"", "NOT_A_ROW",
         "the row repeats the names of the columns, as in a file that was put "
         "together from several"});
    return row;
  }
  if (cells.size() != column_count_) {
    row.violations.push_back(
        {"", "WRONG_CELL_COUNT",
         absl::StrCat("the header has ", column_count_,
                      " columns, this row has ", cells.size())});
    return row;
  }
  for (const auto& [index, target] : cell_targets_) {
    if (cells[index].empty()) continue;
    if (IsNull(column_names_[index], cells[index], row)) continue;
    SetText(target, cells[index],
            text_columns_[index] ? ValueTyping::kStrings : options_.typing,
            row);
  }
  RequireFields(row);
  return row;
}

std::vector<std::string> FieldMapping::TextColumns() const {
  std::vector<std::string> names;
  if (options_.typing == ValueTyping::kStrings) return names;
  for (const auto& [index, target] : cell_targets_) {
    if (target.property && text_columns_[index]) {
      names.push_back(column_names_[index]);
    }
  }
  return names;
}

std::vector<std::string> FieldMapping::NotesOnNames() const {
  std::vector<std::string> notes;
  std::vector<absl::string_view> seen;
  for (const std::string& name : column_names_) {
    if (std::all_of(name.begin(), name.end(), [](char c) {
          return absl::ascii_isascii(static_cast<unsigned char>(c));
        })) {
      continue;
    }
    for (const absl::string_view other : seen) {
      if (!LooksLike(name, other)) continue;
      notes.push_back(absl::StrCat("the columns \"", CodePointsOf(other),
                                   "\" and \"", CodePointsOf(name),
                                   "\" look the same, and are two"));
    }
    seen.push_back(name);
  }
  return notes;
}

std::vector<std::pair<size_t, std::string>> FieldMapping::NumberColumns()
    const {
  std::vector<std::pair<size_t, std::string>> columns;
  if (options_.typing == ValueTyping::kStrings) return columns;
  for (const auto& [index, target] : cell_targets_) {
    if (target.property && !text_columns_[index]) {
      columns.emplace_back(index, column_names_[index]);
    }
  }
  return columns;
}

std::map<std::string, std::string> FieldMapping::ColumnsByField() const {
  std::map<std::string, std::string> columns;
  for (const auto& [index, target] : cell_targets_) {
    columns[target.Name()] = column_names_[index];
  }
  for (const auto& [path, target] : path_targets_)
    columns[target.Name()] = path;
  return columns;
}

MappedRow FieldMapping::FromJson(Struct source, absl::string_view text) const {
  MappedRow row = NewRow();
  std::vector<std::string> taken;
  // Digits and exponents as they stand, which a double has lost.
  std::optional<Struct> as_written;
  const auto written = [&](const std::string& path) {
    if (!as_written) {
      as_written =
          ParseJsonObject(text, ValueTyping::kStrings).value_or(Struct());
    }
    const Value* value = FindPath(*as_written, path);
    return value == nullptr ? Value() : *value;
  };
  // Numbers that a double does not hold, and all with --strings, are strings in
  // `source`.
  std::optional<Struct> as_doubles;
  const auto number_at = [&](const std::string& path,
                             const Value& value) -> std::optional<double> {
    if (value.has_number_value()) return value.number_value();
    double number;
    if (!value.has_string_value() ||
        !absl::SimpleAtod(value.string_value(), &number)) {
      return std::nullopt;
    }
    if (!as_doubles) {
      as_doubles =
          ParseJsonObject(text, ValueTyping::kDoubles).value_or(Struct());
    }
    const Value* found = FindPath(*as_doubles, path);
    if (found == nullptr || !found->has_number_value()) return std::nullopt;
    return found->number_value();
  };
  for (const auto& [path, target] : path_targets_) {
    Value* value = FindPath(source, path);
    if (value == nullptr) continue;
    if (!target.property && target.field->name() == "user_id" &&
        !IsListed("user_id")) {
      // Beside an identity it is a key like any other.
      if (row.Has("identity") || IsEmpty(*value)) continue;
      row.violations.push_back(
          {"user_id", "NOT_MAPPED",
           "--map=user_id=user_id if it holds Heap's own user ids, "
           "--map=identity=user_id if it holds yours"});
      return row;
    }
    taken.push_back(path);
    if (IsEmpty(*value)) continue;
    if (value->has_string_value() && IsNull(path, value->string_value(), row)) {
      continue;
    }
    if (!target.property && !target.IsAllProperties()) {
      if (const std::optional<double> number = number_at(path, *value)) {
        SetNumber(target, *number, written(path).string_value(), row);
        continue;
      }
    }
    if (options_.text_columns.count(path) > 0) *value = written(path);
    // Copied: two fields may share a column.
    Value copy = *value;
    if (target.IsAllProperties() && copy.has_struct_value()) {
      for (const auto& [other, unused] : path_targets_) {
        absl::string_view inner = other;
        if (absl::ConsumePrefix(&inner, path) &&
            absl::ConsumePrefix(&inner, ".")) {
          ErasePath(*copy.mutable_struct_value(), inner);
        }
      }
    }
    SetValue(target, std::move(copy), row);
  }
  RequireFields(row);
  if (std::none_of(fields_.begin(), fields_.end(), [&](const Field* field) {
        return field->cpp_type() == Field::CPPTYPE_STRING &&
               row.item->GetReflection()->HasField(*row.item, field);
      })) {
    const std::string key = KeyOfRows(source);
    if (key == "violations" && source.fields().contains("raw")) {
      row.violations.push_back(
          {"", "ROWS_INSIDE_AN_OBJECT",
           "the input is a file of --rejects; the refused rows are the texts "
           "in \"raw\", as jq -r .raw prints them"});
      return row;
    }
    if (!key.empty()) {
      row.violations.push_back(
          {"", "ROWS_INSIDE_AN_OBJECT",
           absl::StrCat("the rows seem to be inside of ", Quoted(key),
                        "; each has to be an object of its own, as jq -c "
                        "makes them")});
      return row;
    }
  }
  if (options_.properties) return row;
  for (const std::string& path : taken) ErasePath(source, path);
  for (auto& [key, value] : *source.mutable_fields()) {
    const Target target = Property(key);
    if (IsEmpty(value) || IsFixed(target) || IsMappedProperty(key) ||
        (value.has_string_value() && IsNull(key, value.string_value(), row))) {
      continue;
    }
    if (const Field* field = FieldInAnotherCase(key);
        field != nullptr && !row.Has(field->name())) {
      row.violations.push_back(
          {key, "NOT_MAPPED", HowToMap(field->name(), key)});
      return row;
    }
    if (options_.text_columns.count(key) > 0) value = written(key);
    SetValue(target, std::move(value), row);
  }
  return row;
}

// Notes what looks like a NULL; true if it is one.
bool FieldMapping::IsNull(absl::string_view column, absl::string_view text,
                          MappedRow& row) const {
  if (std::find(options_.nulls.begin(), options_.nulls.end(), text) !=
      options_.nulls.end()) {
    row.null_columns.emplace_back(column);
    return true;
  }
  if (IsNullLike(text)) row.null_like_columns.emplace_back(column);
  return false;
}

// Refuses a row in which a NULL took the place of a required field.
void FieldMapping::RequireFields(MappedRow& row) const {
  if (row.null_columns.empty() || !row.violations.empty()) return;
  for (std::string& field : MissingFields(
           options_.type, [&](const auto& name) { return row.Has(name); })) {
    row.violations.push_back(
        {std::move(field), "REQUIRED", "the field is empty or NULL"});
  }
}

absl::StatusOr<FieldMapping::Target> FieldMapping::ParseTarget(
    absl::string_view name) const {
  absl::string_view key = name;
  if (absl::ConsumePrefix(&key, "properties.") && !key.empty()) {
    return Property(key);
  }
  std::vector<absl::string_view> known;
  for (const Field* field : fields_) {
    if (name == field->name()) return Target{field, std::nullopt};
    known.push_back(field->name());
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", name,
      "\" is no field of --type=", PolicyOf(options_.type).short_name,
      "; fields are: ", absl::StrJoin(known, ", "), ", properties.<key>"));
}

absl::Status FieldMapping::ApplyFixed() {
  std::vector<std::string> problems;
  MappedRow fixed = NewRow();
  for (const auto& [name, text] : options_.fixed) {
    const absl::StatusOr<Target> target = ParseTarget(name);
    if (!target.ok()) {
      problems.emplace_back(target.status().message());
      continue;
    }
    if (options_.columns.count(name) > 0) {
      problems.push_back(
          absl::StrCat("\"", name, "\" has both a column and a fixed value"));
    }
    SetText(*target, text, options_.typing, fixed);
  }
  fixed_ = std::move(fixed.item);
  for (const Violation& violation : fixed.violations) {
    problems.push_back(absl::StrCat("fixed value of \"", violation.field,
                                    "\": ", violation.description));
  }
  return ToStatus(problems);
}

bool FieldMapping::IsFixed(const Target& target) const {
  return !options_.fixed.empty() && options_.fixed.count(target.Name()) > 0;
}

std::vector<std::pair<std::string, FieldMapping::Target>>
FieldMapping::ColumnsOfFields(std::vector<std::string>& problems) const {
  std::vector<std::pair<std::string, Target>> result;
  for (const auto& [name, column] : options_.columns) {
    absl::StatusOr<Target> target = ParseTarget(name);
    if (target.ok()) {
      result.emplace_back(column, *std::move(target));
    } else {
      problems.emplace_back(target.status().message());
    }
  }
  const auto given = [&](const std::string& field) {
    return IsListed(field) || options_.fixed.count(field) > 0;
  };
  for (const Field* field : fields_) {
    const std::string& name = field->name();
    if (given(name)) continue;
    // One person has one of the two.
    if (name == "identity" && given("user_id")) continue;
    if (name == "user_id" && given("identity")) continue;
    // Only an address often serves twice.
    if (name != "email" && name != "properties" &&
        std::any_of(
            options_.columns.begin(), options_.columns.end(),
            [&](const auto& mapped) { return mapped.second == name; })) {
      continue;
    }
    result.emplace_back(name, Target{field, std::nullopt});
  }
  return result;
}

bool FieldMapping::IsMappedProperty(absl::string_view key) const {
  return !options_.columns.empty() &&
         options_.columns.count(absl::StrCat("properties.", key)) > 0;
}

// The field that a column may be meant to fill, though no mapping says so. A
// wrong time, session or key of an event cannot be corrected afterwards.
const FieldMapping::Field* FieldMapping::FieldInAnotherCase(
    absl::string_view column) const {
  if (options_.type != ObjectType::kTrackEvent) return nullptr;
  const auto found =
      std::find_if(fields_.begin(), fields_.end(), [&](const Field* field) {
        return field->name() != "identity" && field->name() != "user_id" &&
               field->name() != column &&
               absl::EqualsIgnoreCase(field->name(), column);
      });
  return found == fields_.end() || options_.fixed.count((*found)->name()) > 0
             ? nullptr
             : *found;
}

bool FieldMapping::IsListed(const std::string& field) const {
  return options_.columns.count(field) > 0;
}

std::string FieldMapping::MissingRequired(
    const std::vector<std::pair<std::string, Target>>& columns) const {
  const std::vector<std::string> missing =
      MissingFields(options_.type, [&](const std::string& field) {
        return options_.fixed.count(field) > 0 ||
               std::any_of(columns.begin(), columns.end(), [&](const auto& c) {
                 return c.second.Name() == field;
               });
      });
  if (missing.empty()) return "";
  return absl::StrCat("nothing fills ", absl::StrJoin(missing, " and "),
                      " (see --map and --set)");
}

void FieldMapping::SetText(const Target& target, absl::string_view text,
                           ValueTyping typing, MappedRow& row) const {
  if (target.property) {
    auto& properties = Mutable<Struct>(*target.field, row);
    (*properties.mutable_fields())[*target.property] = CellValue(text, typing);
    return;
  }
  if (target.IsAllProperties()) {
    absl::StatusOr<Struct> parsed = ParseJsonObject(text, typing);
    if (!parsed.ok()) {
      row.violations.push_back({"properties", "INVALID_JSON",
                                std::string(parsed.status().message())});
      return;
    }
    Value value;
    *value.mutable_struct_value() = *std::move(parsed);
    SetValue(target, std::move(value), row);
    return;
  }
  if (Holds<Timestamp>(*target.field)) {
    auto parsed = ParseTimestamp(text);
    if (parsed.ok()) {
      Mutable<Timestamp>(*target.field, row) = *std::move(parsed);
    } else {
      row.violations.push_back({"timestamp", "INVALID_TIMESTAMP",
                                std::string(parsed.status().message())});
    }
    return;
  }
  row.item->GetReflection()->SetString(row.item.get(), target.field,
                                       std::string(text));
}

void FieldMapping::SetValue(const Target& target, Value value,
                            MappedRow& row) const {
  if (target.property) {
    auto& properties = Mutable<Struct>(*target.field, row);
    (*properties.mutable_fields())[*target.property] = std::move(value);
    return;
  }
  const std::string& name = target.field->name();
  if (target.IsAllProperties()) {
    if (!value.has_struct_value()) {
      row.violations.push_back(
          {name, "WRONG_TYPE", "properties are a JSON object"});
      return;
    }
    for (auto& [key, entry] : *value.mutable_struct_value()->mutable_fields()) {
      if (entry.has_null_value() || IsFixed(Property(key))) continue;
      auto& properties = Mutable<Struct>(*target.field, row);
      (*properties.mutable_fields())[key] = std::move(entry);
    }
    return;
  }
  if (!value.has_string_value()) {
    row.violations.push_back(
        {name, "WRONG_TYPE", "must be a string or a number"});
    return;
  }
  SetText(target, value.string_value(), ValueTyping::kStrings, row);
}

// `text`: the number as it stands in the input.
void FieldMapping::SetNumber(const Target& target, double number,
                             absl::string_view text, MappedRow& row) const {
  constexpr double kMaxExact = 9'007'199'254'740'992;  // 2^53
  Value value;
  value.set_string_value(std::string(text));
  if (!Holds<Timestamp>(*target.field) &&
      (std::trunc(number) != number || std::abs(number) >= kMaxExact ||
       text.find_first_of("eE") != absl::string_view::npos)) {
    row.violations.push_back(
        {target.field->name(), "ID_MANGLED",
         "a number that names something is whole, below 2^53 and without an "
         "exponent; write others as strings"});
    return;
  }
  SetValue(target, std::move(value), row);
}

}  // namespace heapsync
