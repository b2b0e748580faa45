#include "tests/bench/load/report.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace heapsync::bench {

void Report::AddRow(std::string what, std::string shown) {
  rows_.push_back({.what = std::move(what),
                   .shown = std::move(shown),
                   .target = "",
                   .held = ""});
}

void Report::AddRow(std::string what, std::string shown, double figure,
                    Target target) {
  const bool held = target.bound == Target::Bound::kAtLeast
                        ? figure >= target.value
                        : figure <= target.value;
  all_held_ = all_held_ && held;
  nlohmann::ordered_json entry;
  entry["what"] = what;
  entry["figure"] = figure;
  entry["target"] = target.text;
  entry["held"] = held;
  figures_["targets"].push_back(std::move(entry));
  rows_.push_back({.what = std::move(what),
                   .shown = std::move(shown),
                   .target = std::move(target.text),
                   .held = held ? "yes" : "no"});
}

void Report::AddFigure(const std::string& path, nlohmann::json value) {
  figures_[nlohmann::ordered_json::json_pointer(path)] = std::move(value);
}

std::string Report::Table() const {
  size_t what = 4;
  size_t shown = 8;
  size_t target = 6;
  for (const Row& row : rows_) {
    what = std::max(what, row.what.size());
    shown = std::max(shown, row.shown.size());
    target = std::max(target, row.target.size());
  }
  const auto line = [&](absl::string_view a, absl::string_view b,
                        absl::string_view c, absl::string_view d) {
    return absl::StrFormat("| %-*s | %-*s | %-*s | %-4s |\n", what, a, shown, b,
                           target, c, d);
  };
  std::string table = line("what", "measured", "target", "held");
  absl::StrAppend(&table, "|", std::string(what + 2, '-'), "|",
                  std::string(shown + 2, '-'), "|",
                  std::string(target + 2, '-'), "|------|\n");
  for (const Row& row : rows_) {
    table += line(row.what, row.shown, row.target, row.held);
  }
  for (const std::string& note : notes_) absl::StrAppend(&table, note, "\n");
  return table;
}

std::string Report::Json() const {
  nlohmann::ordered_json all = figures_;
  all["notes"] = notes_;
  return all.dump(2);
}

std::string Count(double value) {
  std::string digits = absl::StrCat(static_cast<int64_t>(std::round(value)));
  for (int64_t at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<size_t>(at), ",");
  }
  return digits;
}

std::string Fixed(double value, int digits) {
  return absl::StrFormat("%.*f", digits, value);
}

std::string Millis(double microseconds) {
  return absl::StrCat(Fixed(microseconds / 1e3, microseconds < 1e4 ? 2 : 0),
                      " ms");
}

std::string Megabytes(double bytes) {
  return absl::StrCat(Fixed(bytes / 1e6, 0), " MB");
}

}  // namespace heapsync::bench
