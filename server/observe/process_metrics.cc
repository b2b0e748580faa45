#include "server/observe/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/log/log.h"
#include "server/observe/metric_rows.h"

namespace heapsync {
namespace {

using prometheus::MetricType;

std::string ReadWhole(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file),
          std::istreambuf_iterator<char>()};
}

// Fields of /proc/self/stat, numbered as in proc(5) minus three: parsing starts
// after the last parenthesis, because the process name may contain anything.
std::optional<std::vector<std::string>> StatFields() {
  const std::string stat = ReadWhole("/proc/self/stat");
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  return absl::StrSplit(absl::string_view(stat).substr(name_end + 1), ' ',
                        absl::SkipEmpty());
}
constexpr size_t kThreadsField = 17;
constexpr size_t kStartField = 19;
constexpr size_t kVirtualBytesField = 20;
constexpr size_t kResidentPagesField = 21;

double SecondsOf(const timeval& time) {
  return static_cast<double>(time.tv_sec) +
         static_cast<double>(time.tv_usec) / 1e6;
}

// Seconds since the epoch at which the machine started.
std::optional<double> BootTime() {
  const std::string stat = ReadWhole("/proc/stat");
  for (absl::string_view line : absl::StrSplit(stat, '\n')) {
    double seconds = 0;
    if (absl::ConsumePrefix(&line, "btime ") &&
        absl::SimpleAtod(line, &seconds)) {
      return seconds;
    }
  }
  return std::nullopt;
}

void Add(std::vector<prometheus::MetricFamily>& families, MetricType type,
         absl::string_view name, absl::string_view help, double value) {
  AddRow(families.emplace_back(NewFamily(type, name, help)), value);
}

}  // namespace

std::vector<prometheus::MetricFamily> ProcessMetrics::Collect() const {
  std::vector<prometheus::MetricFamily> families;
  Add(families, MetricType::Counter, "heapsync_log_lines_dropped_total",
      "Log lines dropped because standard error could not be written.",
      static_cast<double>(DroppedLogLines()));
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    Add(families, MetricType::Counter, "process_cpu_seconds_total",
        "CPU time used, in user and system mode.",
        SecondsOf(usage.ru_utime) + SecondsOf(usage.ru_stime));
  }
  std::error_code failed;
  std::filesystem::directory_iterator files("/proc/self/fd", failed);
  if (!failed) {
    // One of them is the open directory itself.
    const auto count = std::distance(begin(files), end(files)) - 1;
    Add(families, MetricType::Gauge, "process_open_fds",
        "Open file descriptors.", static_cast<double>(count));
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    Add(families, MetricType::Gauge, "process_max_fds",
        "Maximum number of open file descriptors.",
        static_cast<double>(limit.rlim_cur));
  }
  const auto fields = StatFields();
  if (!fields.has_value() || fields->size() <= kResidentPagesField) {
    return families;
  }
  const auto number = [&](size_t field) {
    double value = 0;
    return absl::SimpleAtod((*fields)[field], &value) ? value : 0;
  };
  Add(families, MetricType::Gauge, "process_virtual_memory_bytes",
      "Virtual memory.", number(kVirtualBytesField));
  Add(families, MetricType::Gauge, "process_resident_memory_bytes",
      "Resident memory.",
      number(kResidentPagesField) * static_cast<double>(sysconf(_SC_PAGESIZE)));
  Add(families, MetricType::Gauge, "process_threads", "Threads.",
      number(kThreadsField));
  if (const auto boot = BootTime(); boot.has_value()) {
    Add(families, MetricType::Gauge, "process_start_time_seconds",
        "Start time of the process, in seconds since the epoch.",
        *boot +
            number(kStartField) / static_cast<double>(sysconf(_SC_CLK_TCK)));
  }
  return families;
}

}  // namespace heapsync
