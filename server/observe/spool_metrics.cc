#include "server/observe/spool_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "base/file_system_space.h"
#include "server/observe/metric_rows.h"

namespace heapsync {
namespace {

using prometheus::MetricType;

// Seconds. A healthy disk syncs within a millisecond, a failing one takes
// seconds.
prometheus::Histogram::BucketBoundaries CommitBuckets() {
  return {0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
          0.05,    0.1,    0.25,  0.5,    1,     2.5,  10};
}

// Files may be created and removed meanwhile.
std::optional<uint64_t> BytesIn(const std::string& folder) {
  std::error_code failed;
  std::filesystem::directory_iterator files(folder, failed);
  if (failed) return std::nullopt;
  uint64_t bytes = 0;
  for (; files != std::filesystem::directory_iterator();
       files.increment(failed)) {
    std::error_code gone;
    const uint64_t size = files->file_size(gone);
    if (!gone) bytes += size;
    if (failed) break;
  }
  return bytes;
}

void Add(std::vector<prometheus::MetricFamily>& families, const char* name,
         const char* help, uint64_t value) {
  AddRow(families.emplace_back(NewFamily(MetricType::Gauge, name, help)),
         static_cast<double>(value));
}

}  // namespace

SpoolMetrics::SpoolMetrics(std::string folder, uint64_t reserve_bytes)
    : folder_(std::move(folder)),
      reserve_bytes_(reserve_bytes),
      synced_(prometheus::BuildHistogram()
                  .Name("heapsync_spool_commit_seconds")
                  .Help("Duration of a write to the spool; synced writes "
                        "include the wait for the disk.")
                  .Register(registry_)
                  .Add({{"synced", "true"}}, CommitBuckets())),
      unsynced_(prometheus::BuildHistogram()
                    .Name("heapsync_spool_commit_seconds")
                    .Help("Duration of a write to the spool; synced writes "
                          "include the wait for the disk.")
                    .Register(registry_)
                    .Add({{"synced", "false"}}, CommitBuckets())),
      bytes_(prometheus::BuildCounter()
                 .Name("heapsync_spool_written_bytes_total")
                 .Help("Bytes of keys and values written to the spool.")
                 .Register(registry_)
                 .Add({})),
      failures_(prometheus::BuildCounter()
                    .Name("heapsync_spool_write_failures_total")
                    .Help("Failed writes to the spool. Unless the disk was "
                          "full, nothing more is written until a restart.")
                    .Register(registry_)
                    .Add({})) {}

void SpoolMetrics::OnWrite(std::chrono::duration<double> took, size_t bytes,
                           bool synced, bool ok) {
  (synced ? synced_ : unsynced_).Observe(took.count());
  bytes_.Increment(static_cast<double>(bytes));
  if (!ok) failures_.Increment();
}

std::vector<prometheus::MetricFamily> SpoolMetrics::Collect() const {
  std::vector<prometheus::MetricFamily> families = registry_.Collect();
  if (const auto space = ReadFileSystemSpace(folder_); space.has_value()) {
    Add(families, "heapsync_spool_disk_free_bytes",
        "Free space on the spool's file system.", space->free_bytes);
    Add(families, "heapsync_spool_disk_size_bytes",
        "Size of the spool's file system.", space->size_bytes);
    Add(families, "heapsync_spool_disk_reserve_bytes",
        "New items are rejected while less space than this is free.",
        reserve_bytes_);
  }
  if (const auto bytes = BytesIn(folder_); bytes.has_value()) {
    Add(families, "heapsync_spool_bytes", "Size of the spool's files.", *bytes);
  }
  return families;
}

}  // namespace heapsync
