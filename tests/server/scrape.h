#ifndef HEAPSYNC_TESTS_SERVER_SCRAPE_H_
#define HEAPSYNC_TESTS_SERVER_SCRAPE_H_

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace heapsync {

// A text in Prometheus's format, taken apart line by line.
struct Scrape {
  std::map<std::string, double> samples;  // "name{labels}" → value
  std::map<std::string, std::string> types;
  std::vector<std::string> faults;

  double operator[](const std::string& sample) const {
    const auto it = samples.find(sample);
    return it == samples.end() ? -1 : it->second;
  }
};

inline std::string FamilyOf(const std::string& sample, const Scrape& scrape) {
  std::string name = sample.substr(0, sample.find('{'));
  if (scrape.types.contains(name)) return name;
  for (const char* suffix : {"_bucket", "_sum", "_count"}) {
    if (absl::EndsWith(name, suffix)) {
      return name.substr(0, name.size() - std::string(suffix).size());
    }
  }
  return name;
}

inline Scrape Parse(absl::string_view text) {
  Scrape scrape;
  std::set<std::string> helped;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (line.empty()) continue;
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (absl::StartsWith(line, "# HELP ")) {
      if (!helped.insert(words[2]).second || words.size() < 4) {
        scrape.faults.push_back(std::string(line));
      }
    } else if (absl::StartsWith(line, "# TYPE ")) {
      const bool fresh = scrape.types.emplace(words[2], words[3]).second;
      if (!fresh || !helped.contains(words[2])) {
        scrape.faults.push_back(std::string(line));
      }
    } else {
      const size_t space = line.rfind(' ');
      const std::string sample(line.substr(0, space));
      double value = 0;
      const bool number = absl::SimpleAtod(line.substr(space + 1), &value);
      const bool fresh = scrape.samples.emplace(sample, value).second;
      if (!number || !fresh ||
          !scrape.types.contains(FamilyOf(sample, scrape))) {
        scrape.faults.push_back(std::string(line));
      }
    }
  }
  return scrape;
}

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_SERVER_SCRAPE_H_
