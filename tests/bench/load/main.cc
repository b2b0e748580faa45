// heapsync_bench: measures this server against a bare gRPC server, the limit of
// the machine, in one run and with the same load.

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "tests/bench/load/bare_server.h"
#include "tests/bench/load/event_messages.h"
#include "tests/bench/load/idle_spinners.h"
#include "tests/bench/load/progress.h"
#include "tests/bench/load/report.h"
#include "tests/bench/load/scenarios.h"
#include "tests/bench/load/sink.h"
#include "tests/bench/load/sync_probe.h"

namespace heapsync::bench {
namespace {

const std::vector<std::string> kAll = {
    "bulk", "unary", "path", "destinations", "backlog", "steady", "ghz"};

struct Flags {
  BenchOptions bench;
  std::vector<std::string> scenarios = kAll;
  bool full = false;
  bool bare_server = false;
  bool synced_server = false;
  bool keep_awake = false;
  double round_seconds = 4;
  double steady_seconds = 20;
  std::string json;
};

void Declare(CLI::App& app, Flags& flags) {
  BenchOptions& bench = flags.bench;
  const auto option = [&app](const char* name, auto& value, const char* text) {
    return app.add_option(name, value, text)->capture_default_str();
  };
  option("--scenarios", flags.scenarios, "What to measure")
      ->delimiter(',')
      ->check(CLI::IsMember(kAll));
  app.add_flag("--full", flags.full,
               "All at full size: 10,000,000 items of backlog; some five "
               "minutes and 8 GB of disk. Without it a tenth of that");
  option("--server", bench.server_binary, "heapsync-server to measure");
  option("--folder", bench.folder,
         "Where data folders are made, on the disk to be measured");
  option("--ghz", bench.ghz,
         "Program ghz, for one run with a load that is not ours");
  option("--json", flags.json, "Write all figures to this file");
  option("--rounds", bench.rounds, "Rounds of each server in turn");
  option("--round_seconds", flags.round_seconds, "Length of a round");
  option("--connections", bench.connections, "Connections of the load");
  option("--streams", bench.streams, "Bulk streams of the load");
  option("--callers", bench.callers, "Unary callers at once");
  option("--path_events", bench.path_events,
         "Events of a round of the whole path");
  option("--spread_chunks", bench.spread_chunks,
         "Chunks for each of 10,000 streams to many destinations");
  option("--backlog_events", bench.backlog_events, "Items of the backlog");
  option("--steady_seconds", flags.steady_seconds,
         "How long the steady load lasts");
  app.add_flag("--keep_awake", flags.keep_awake,
               "Keep idle cores from sleeping, by threads of the lowest "
               "priority: for virtual machines whose cores wake late");
  app.add_flag("--bare_server", flags.bare_server)->group("");
  app.add_flag("--synced_server", flags.synced_server)->group("");
}

std::chrono::milliseconds Seconds(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1'000));
}

void Run(const Flags& flags, Sink& sink) {
  Report report;
  Progress progress;
  const IdleSpinners spinners(flags.keep_awake);
  const EventMessages messages(64, 100);
  report.AddFigure("/machine/cores", std::thread::hardware_concurrency());
  report.AddFigure("/load/mean_event_bytes", messages.mean_event_bytes());
  const SyncTimes syncs = ProbeSyncs(flags.bench.folder);
  report.AddFigure("/machine/sync_p50_us", syncs.p50_us);
  report.AddFigure("/machine/sync_p99_us", syncs.p99_us);
  report.AddNote(absl::StrCat(
      std::thread::hardware_concurrency(), " cores; events of ",
      Fixed(messages.mean_event_bytes(), 0),
      " bytes; a sync of this disk, alone, takes ", Millis(syncs.p50_us),
      " (p50), ", Millis(syncs.p99_us), " (p99)",
      flags.keep_awake ? "; idle cores kept awake" : ""));

  Scenarios scenarios(flags.bench, messages, sink, progress, report);
  for (const std::string& name : kAll) {
    if (std::find(flags.scenarios.begin(), flags.scenarios.end(), name) ==
        flags.scenarios.end()) {
      continue;
    }
    if (name == "bulk") scenarios.Bulk();
    if (name == "unary") scenarios.Unary();
    if (name == "path") scenarios.WholePath();
    if (name == "destinations") scenarios.Destinations();
    if (name == "backlog") scenarios.Backlog();
    if (name == "steady") scenarios.Steady();
    if (name == "ghz" && !flags.bench.ghz.empty()) scenarios.Ghz();
  }
  progress.Clear();
  std::cout << report.Table();
  if (!flags.json.empty()) std::ofstream(flags.json) << report.Json() << "\n";
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Measures heapsync-server against a bare gRPC server with the same "
      "messages.",
      "heapsync_bench");
  Flags flags;
  BenchOptions& bench = flags.bench;
  bench.self = std::filesystem::read_symlink("/proc/self/exe");
  bench.server_binary = std::filesystem::path(bench.self)
                            .parent_path()
                            .parent_path()
                            .parent_path()
                            .parent_path() /
                        "server/heapsync-server";
  bench.folder = std::filesystem::temp_directory_path();
  bench.proto_folder = HEAPSYNC_SOURCE_DIR "/proto";
  bench.path_events = 1'000'000;
  bench.spread_chunks = 5;
  bench.backlog_events = 1'000'000;
  flags.steady_seconds = 5;
  flags.round_seconds = 2;
  Declare(app, flags);
  CLI11_PARSE(app, argc, argv);
  if (flags.bare_server) return RunBareServer();
  if (flags.synced_server) return RunSyncedServer(bench.folder);
  const auto unless_given = [&app](const char* name, auto& value, auto full) {
    if (app.count(name) == 0) value = full;
  };
  if (flags.full) {
    unless_given("--path_events", bench.path_events, 4'000'000);
    unless_given("--spread_chunks", bench.spread_chunks, 10);
    unless_given("--backlog_events", bench.backlog_events, 10'000'000);
    unless_given("--steady_seconds", flags.steady_seconds, 20);
    unless_given("--round_seconds", flags.round_seconds, 4);
  }
  bench.round = Seconds(flags.round_seconds);
  bench.steady = Seconds(flags.steady_seconds);
  signal(SIGPIPE, SIG_IGN);
  Sink sink;  // before any thread
  Run(flags, sink);
  return 0;
}

}  // namespace
}  // namespace heapsync::bench

int main(int argc, char** argv) { return heapsync::bench::Main(argc, argv); }
