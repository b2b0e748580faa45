#ifndef HEAPSYNC_TESTS_BENCH_LOAD_REPORT_H_
#define HEAPSYNC_TESTS_BENCH_LOAD_REPORT_H_

#include <string>
#include <utility>
#include <vector>

#include "nlohmann/json.hpp"

namespace heapsync::bench {

// What a run found: a table for people, and everything as JSON.
class Report {
 public:
  // A bound that a figure is held against.
  struct Target {
    enum class Bound { kAtLeast, kAtMost };
    Bound bound;
    double value;
    std::string text;  // as a person reads it
  };

  // One row. `shown` is the figure as a person reads it.
  void AddRow(std::string what, std::string shown);
  void AddRow(std::string what, std::string shown, double figure,
              Target target);
  // Something for the JSON alone; `path` such as "/bulk/heapsync/rate".
  void AddFigure(const std::string& path, nlohmann::json value);
  // A remark below the table.
  void AddNote(std::string note) { notes_.push_back(std::move(note)); }

  std::string Table() const;
  std::string Json() const;
  bool all_held() const { return all_held_; }

 private:
  struct Row {
    std::string what;
    std::string shown;
    std::string target;
    std::string held;
  };
  std::vector<Row> rows_;
  std::vector<std::string> notes_;
  nlohmann::ordered_json figures_;
  bool all_held_ = true;
};

// "412,000", "2.31", "18.4 ms", "34 MB".
std::string Count(double value);
std::string Fixed(double value, int digits);
std::string Millis(double microseconds);
std::string Megabytes(double bytes);

}  // namespace heapsync::bench

#endif  // HEAPSYNC_TESTS_BENCH_LOAD_REPORT_H_
