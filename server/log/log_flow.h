#ifndef HEAPSYNC_SERVER_LOG_LOG_FLOW_H_
#define HEAPSYNC_SERVER_LOG_LOG_FLOW_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heapsync {

// Rate limit for log lines: allows a maximum number of lines per message and
// second, and counts further ones. Not thread-safe.
class LogFlow {
 public:
  explicit LogFlow(uint64_t max_per_second) : max_per_second_(max_per_second) {}

  // True if a line of this message may be written in this second. Messages are
  // fixed texts, so their number is bounded.
  bool Take(std::string_view message, int64_t second) {
    auto found = flows_.find(message);
    if (found == flows_.end()) found = flows_.emplace(message, Flow()).first;
    Flow& flow = found->second;
    if (flow.second != second) {
      flow.second = second;
      flow.lines = 0;
    }
    if (++flow.lines <= max_per_second_) return true;
    ++flow.held_back;
    return false;
  }

  // Number of suppressed lines by message, in seconds before this one. Each
  // line is reported once.
  std::vector<std::pair<std::string, uint64_t>> TakeSuppressed(int64_t second) {
    std::vector<std::pair<std::string, uint64_t>> all;
    for (auto& [message, flow] : flows_) {
      if (flow.held_back == 0 || flow.second == second) continue;
      all.emplace_back(message, std::exchange(flow.held_back, 0));
    }
    return all;
  }

 private:
  struct Flow {
    int64_t second = 0;
    uint64_t lines = 0;
    uint64_t held_back = 0;
  };

  const uint64_t max_per_second_;
  std::map<std::string, Flow, std::less<>> flows_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_LOG_LOG_FLOW_H_
