#ifndef HEAPSYNC_TESTS_BENCH_LOAD_MEASURED_SERVER_H_
#define HEAPSYNC_TESTS_BENCH_LOAD_MEASURED_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/load/child_process.h"

namespace heapsync::bench {

// A folder that is gone when its owner is.
class ScratchFolder {
 public:
  // Below `parent`, which must be on the disk that is to be measured.
  explicit ScratchFolder(const std::string& parent);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

enum class Limits { kHeaps, kNone };

// How the real server is started.
struct ServerPlan {
  std::string binary;
  std::string folder;  // of its data, its configuration and its log
  std::string sink_url;
  uint64_t destinations = 1;
  Limits limits = Limits::kHeaps;
};

// A server under measurement, ready for calls.
class MeasuredServer {
 public:
  static std::unique_ptr<MeasuredServer> StartHeapSync(const ServerPlan& plan);
  // `self` is this program.
  static std::unique_ptr<MeasuredServer> StartBare(const std::string& self,
                                                   const std::string& folder);
  // The bare server that answers after a sync of a file in `folder`.
  static std::unique_ptr<MeasuredServer> StartSynced(const std::string& self,
                                                     const std::string& folder);

  int port() const { return port_; }
  ChildProcess& process() { return process_; }
  // From the start of the process to the first answer of its health service
  // that says SERVING.
  double seconds_to_serving() const { return seconds_to_serving_; }

 private:
  MeasuredServer(std::vector<std::string> argv, const std::string& log,
                 bool has_health);

  ChildProcess process_;
  int port_ = 0;
  double seconds_to_serving_ = 0;
};

}  // namespace heapsync::bench

#endif  // HEAPSYNC_TESTS_BENCH_LOAD_MEASURED_SERVER_H_
