#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/fake_heap/fake_heap_server.h"

namespace heapsync::fake_heap {
namespace {

struct Flags {
  ServerOptions server;
  std::string port_file;
  std::string faults;
  uint64_t max_event_mib = 512;
  uint64_t max_body_mib = 64;
  double event_window_seconds = 60;
  double request_window_seconds = 30;
};

Duration FromSeconds(double seconds) {
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(seconds));
}

void Declare(CLI::App& app, Flags& flags) {
  ServerOptions& server = flags.server;
  SimulatorOptions& simulator = server.simulator;
  PublishedLimits& limits = simulator.limits;
  server.listen_us = "127.0.0.1:8081";
  server.listen_eu = "127.0.0.1:8082";
  const auto option = [&](const char* name, auto& value, const char* text) {
    app.add_option(name, value, text)->capture_default_str();
  };
  option("--listen_us", server.listen_us,
         "Address and port of the US region; port 0 takes a free one");
  option("--listen_eu", server.listen_eu, "The same of the EU region");
  option("--port_file", flags.port_file,
         "Write the real ports to this file, as JSON, once they listen");
  option("--faults", flags.faults,
         "Fault script to begin with (see the README)");
  option("--limit_app_events", limits.app_events.most,
         "Bulk events per app id and window; 0: none");
  option("--limit_identity_events", limits.identity_events.most,
         "Bulk events per identity, app id and window; 0: none");
  option("--limit_user_requests", limits.identity_user_requests.most,
         "User property requests per identity, app id and window; 0: none");
  option("--limit_track_requests", limits.identity_track_requests.most,
         "Single track requests per identity, app id and window; 0: none");
  option("--event_window_seconds", flags.event_window_seconds,
         "Window of the limits on events");
  option("--request_window_seconds", flags.request_window_seconds,
         "Window of the limits on requests");
  app.add_flag("--enforce_limits", simulator.enforce_limits,
               "Answer 429 over a limit, instead of only reporting it");
  app.add_flag("--keep_events,!--nokeep_events", simulator.state.keep_events,
               "Keep the events' JSON (on unless --nokeep_events)");
  option("--max_event_mib", flags.max_event_mib,
         "Most MiB of events' JSON kept; events past it are only counted");
  option("--keep_requests", simulator.keep_requests,
         "How many of the last requests are remembered");
  app.add_flag("--keep_bodies", simulator.keep_bodies,
               "Remember the bodies of those requests too");
  app.add_flag("--no_store", simulator.state.count_only,
               "Only count items: no schema, keys, properties or limits per "
               "identity");
  option("--max_body_mib", flags.max_body_mib, "Larger bodies get 413");
}

absl::Status LoadFaults(const std::string& path, FakeHeapServer& server) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) {
    return absl::NotFoundError(absl::StrCat("cannot read ", path));
  }
  return server.SetFaults(text.str());
}

// Writes a second file and renames it, so that no reader sees half of it.
absl::Status WritePorts(const std::string& path, const FakeHeapServer& server) {
  nlohmann::json ports = {{"pid", getpid()}};
  for (const Region region : {Region::kUs, Region::kEu}) {
    ports[std::string(Name(region))] = {{"port", server.port(region)},
                                        {"url", server.url(region)}};
  }
  const std::string draft = absl::StrCat(path, ".", getpid());
  std::ofstream file(draft);
  file << ports.dump(2) << "\n";
  file.close();
  if (!file || std::rename(draft.c_str(), path.c_str()) != 0) {
    return absl::UnavailableError(absl::StrCat("cannot write ", path));
  }
  return absl::OkStatus();
}

absl::Status Serve(const Flags& flags) {
  // Blocked before the server's thread starts, so that only sigwait gets them.
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);

  auto server = FakeHeapServer::Start(flags.server);
  if (!server.ok()) return server.status();
  if (!flags.faults.empty()) {
    const absl::Status loaded = LoadFaults(flags.faults, **server);
    if (!loaded.ok()) return loaded;
  }
  for (const Region region : {Region::kUs, Region::kEu}) {
    std::cout << "fake-heap: " << Name(region) << " listening on "
              << (*server)->address(region) << std::endl;
  }
  if (!flags.port_file.empty()) {
    const absl::Status written = WritePorts(flags.port_file, **server);
    if (!written.ok()) return written;
  }
  int signal = 0;
  sigwait(&ending, &signal);
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  CLI::App app("Simulates Heap's server-side API for both regions.",
               "fake-heap");
  Flags flags;
  Declare(app, flags);
  CLI11_PARSE(app, argc, argv);
  ServerOptions& server = flags.server;
  server.max_body_bytes = flags.max_body_mib << 20;
  server.simulator.state.max_event_bytes = flags.max_event_mib << 20;
  PublishedLimits& limits = server.simulator.limits;
  limits.app_events.window = limits.identity_events.window =
      FromSeconds(flags.event_window_seconds);
  limits.identity_user_requests.window = limits.identity_track_requests.window =
      FromSeconds(flags.request_window_seconds);
  const absl::Status served = Serve(flags);
  if (!served.ok()) {
    std::cerr << "fake-heap: " << served.message() << std::endl;
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace heapsync::fake_heap

int main(int argc, char** argv) {
  return heapsync::fake_heap::Main(argc, argv);
}
