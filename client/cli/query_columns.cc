#include "client/cli/query_columns.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/utf8.h"

namespace heapsync {
namespace {

using Names = absl::Span<const std::string>;

std::string Quoted(absl::string_view name) {
  return absl::StrCat("\"", Printable(name), "\"");
}

std::vector<std::string> Similar(Names names, absl::string_view name) {
  std::vector<std::string> similar;
  for (const std::string& candidate : names) {
    if (candidate == name) return {candidate};
    if (absl::EqualsIgnoreCase(candidate, name)) similar.push_back(candidate);
  }
  return similar;
}

// The column, or the path into one, that is meant.
std::string Resolve(Names names, const std::string& wanted,
                    std::vector<std::string>& problems) {
  for (size_t end = wanted.size(); end != std::string::npos;
       end = end == 0 ? std::string::npos : wanted.rfind('.', end - 1)) {
    const absl::string_view outer = absl::string_view(wanted).substr(0, end);
    const std::vector<std::string> found = Similar(names, outer);
    if (found.size() == 1) return absl::StrCat(found[0], wanted.substr(end));
    if (found.size() > 1) {
      problems.push_back(absl::StrCat("several columns may be meant by ",
                                      Quoted(wanted), ": ",
                                      absl::StrJoin(found, ", ")));
      return wanted;
    }
  }
  problems.push_back(absl::StrCat("no column is named ", Quoted(wanted)));
  return wanted;
}

}  // namespace

absl::StatusOr<QueryColumns> ResolveColumns(MappingOptions mapping,
                                            Names names) {
  std::vector<std::string> problems;
  std::set<std::string> named;  // columns that an option names
  for (auto& [field, column] : mapping.columns) {
    column = Resolve(names, column, problems);
    named.insert(column);
  }
  if (mapping.properties) {
    for (std::string& column : *mapping.properties) {
      column = Resolve(names, column, problems);
      named.insert(column);
    }
  }
  std::set<std::string> text_columns;
  for (const std::string& column : mapping.text_columns) {
    text_columns.insert(Resolve(names, column, problems));
  }
  named.insert(text_columns.begin(), text_columns.end());
  mapping.text_columns = std::move(text_columns);

  QueryColumns result;
  result.keys.assign(names.begin(), names.end());
  const auto mapped = [&](const std::string& field) {
    return mapping.columns.count(field) > 0 || mapping.fixed.count(field) > 0;
  };
  for (const auto* descriptor :
       FieldsOf(*NewItem(mapping.type)->GetDescriptor())) {
    const std::string& field = descriptor->name();
    if (mapped(field)) continue;
    const std::vector<std::string> found = Similar(names, field);
    if (found.size() != 1 || named.count(found[0]) > 0) continue;
    *std::find(result.keys.begin(), result.keys.end(), found[0]) = field;
  }
  const auto filled = [&](const std::string& field) {
    return mapped(field) || std::find(result.keys.begin(), result.keys.end(),
                                      field) != result.keys.end();
  };
  if (mapping.type == ObjectType::kTrackEvent && filled("user_id") &&
      !mapped("user_id") && !filled("identity")) {
    problems.push_back(
        "the column \"user_id\" is not mapped: --map=user_id=user_id if it "
        "holds Heap's own user ids, --map=identity=user_id if it holds yours");
  }
  const std::vector<std::string> missing = MissingFields(mapping.type, filled);
  if (!missing.empty()) {
    problems.push_back(absl::StrCat("nothing fills ",
                                    absl::StrJoin(missing, " and "),
                                    " (see --map and --set)"));
  }
  if (!problems.empty()) {
    problems.push_back(absl::StrCat(
        "the columns of the query are: ",
        absl::StrJoin(names, ", ", [](std::string* out, const std::string& n) {
          out->append(Quoted(n));
        })));
    return absl::InvalidArgumentError(absl::StrJoin(problems, "; "));
  }
  result.mapping = std::move(mapping);
  return result;
}

}  // namespace heapsync
