#include "tests/bench/load/scenarios.h"

#include <signal.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "tests/bench/load/load_generator.h"
#include "tests/bench/load/measured_server.h"

namespace heapsync::bench {
namespace {

using Bound = Report::Target::Bound;

constexpr char kOurs[] = "this server";
constexpr char kBare[] = "bare gRPC";

double NowNs() {
  return static_cast<double>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(
          std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

[[noreturn]] void Fail(const std::string& why) {
  std::cerr << "heapsync_bench: " << why << std::endl;
  std::exit(1);
}

// What one server did under one load.
struct Measured {
  LoadResult load;
  double cpu_seconds = 0;
  double peak_rss = 0;

  // Microseconds for each event.
  double cpu_us() const {
    return load.events == 0
               ? 0
               : cpu_seconds * 1e6 / static_cast<double>(load.events);
  }
  // While the load lasted.
  double core_percent() const { return 100 * cpu_seconds / load.seconds; }
};

void Measure(MeasuredServer& server, const std::function<LoadResult()>& load,
             Measured& sum) {
  const double before = server.process().CpuSeconds();
  LoadResult result = load();
  sum.cpu_seconds += server.process().CpuSeconds() - before;
  sum.peak_rss = std::max(sum.peak_rss,
                          static_cast<double>(server.process().PeakRssBytes()));
  sum.load.Add(std::move(result));
  if (!sum.load.error.empty()) Fail(sum.load.error);
}

void AddFigures(Report& report, const std::string& path, Measured& measured) {
  report.AddFigure(path + "/events_per_second", measured.load.rate());
  report.AddFigure(path + "/events", measured.load.events);
  report.AddFigure(path + "/server_cpu_us_per_event", measured.cpu_us());
  report.AddFigure(path + "/p50_us", measured.load.Percentile(0.5));
  report.AddFigure(path + "/p99_us", measured.load.Percentile(0.99));
  report.AddFigure(path + "/p999_us", measured.load.Percentile(0.999));
  report.AddFigure(path + "/peak_rss_bytes", measured.peak_rss);
}

std::string LatencyText(LoadResult& load) {
  return absl::StrCat(Millis(load.Percentile(0.5)), " / ",
                      Millis(load.Percentile(0.99)), " / ",
                      Millis(load.Percentile(0.999)));
}

void AddComparison(Report& report, const std::string& what, Measured& ours,
                   Measured& bare) {
  report.AddRow(absl::StrCat(what, ": server CPU per event"),
                absl::StrCat(Fixed(ours.cpu_us(), 2), " us, bare ",
                             Fixed(bare.cpu_us(), 2), " us"));
  report.AddRow(
      absl::StrCat(what, ": p50 / p99 / p99.9"),
      absl::StrCat(LatencyText(ours.load), ", bare ", LatencyText(bare.load)));
  report.AddRow(absl::StrCat(what, ": peak memory"),
                absl::StrCat(Megabytes(ours.peak_rss), ", bare ",
                             Megabytes(bare.peak_rss)));
}

std::string RatesText(double ours, double other,
                      const std::string& name = "bare") {
  return absl::StrCat(Count(ours), "/s, ", name, " ", Count(other),
                      "/s: ", Fixed(ours / other, 2));
}

std::string CoreText(const Measured& measured) {
  return absl::StrCat(Fixed(measured.core_percent(), 1), " % of a core");
}

// One of the servers that a scenario measures in turn, with connections of its
// own.
struct Contender {
  Contender(std::string called, std::unique_ptr<MeasuredServer> started,
            int connections, const EventMessages& messages)
      : name(std::move(called)),
        server(std::move(started)),
        generator(server->port(), connections, messages) {}

  const std::string name;  // as a person reads it
  const std::unique_ptr<MeasuredServer> server;
  const LoadGenerator generator;
  Measured measured;
};

// How often and how long each contender is measured.
struct Rounds {
  std::string scenario;
  int count = 1;
  std::chrono::milliseconds length{0};
  std::chrono::milliseconds warm_up{1'000};  // before the first round
};

using Load = std::function<LoadResult(const LoadGenerator&,
                                      std::chrono::milliseconds duration)>;

// Puts the same load on each contender in turn, round by round, so that what
// else the machine does meets them all. Exits this process with a message if a
// call fails.
void MeasureInTurn(const Rounds& rounds,
                   const std::vector<Contender*>& contenders, const Load& load,
                   Progress& progress) {
  progress.Begin(rounds.scenario + ": warming up");
  // Backwards, so that what a server has yet to do after its last answer is not
  // in flight in the round of the first.
  for (auto it = contenders.rbegin(); it != contenders.rend(); ++it) {
    load((*it)->generator, rounds.warm_up);
  }
  for (int i = 0; i < rounds.count; ++i) {
    for (Contender* contender : contenders) {
      progress.Begin(absl::StrCat(rounds.scenario, ": ", contender->name,
                                  ", round ", i + 1));
      Measure(
          *contender->server,
          [&] { return load(contender->generator, rounds.length); },
          contender->measured);
    }
  }
}

}  // namespace

Scenarios::Scenarios(const BenchOptions& options, const EventMessages& messages,
                     Sink& sink, Progress& progress, Report& report)
    : options_(options),
      messages_(messages),
      sink_(sink),
      progress_(progress),
      report_(report) {}

void Scenarios::Bulk() {
  const ScratchFolder folder(options_.folder);
  Contender ours(
      kOurs,
      MeasuredServer::StartHeapSync({.binary = options_.server_binary,
                                     .folder = folder.path(),
                                     .sink_url = sink_.url()}),
      options_.connections, messages_);
  Contender bare(kBare, MeasuredServer::StartBare(options_.self, folder.path()),
                 options_.connections, messages_);
  MeasureInTurn(
      {.scenario = "bulk", .count = options_.rounds, .length = options_.round},
      {&bare, &ours},
      [&](const LoadGenerator& generator, std::chrono::milliseconds duration) {
        return generator.Bulk(
            {.streams = options_.streams, .duration = duration}, progress_);
      },
      progress_);
  AddFigures(report_, "/bulk/heapsync", ours.measured);
  AddFigures(report_, "/bulk/bare", bare.measured);
  const double ratio = ours.measured.load.rate() / bare.measured.load.rate();
  report_.AddRow(
      "bulk stream, durable, chunks of 100",
      RatesText(ours.measured.load.rate(), bare.measured.load.rate()), ratio,
      {Bound::kAtLeast, 0.5, ">= 0.5 x bare"});
  AddComparison(report_, "bulk", ours.measured, bare.measured);
}

void Scenarios::Unary() {
  const ScratchFolder folder(options_.folder);
  Contender ours(
      kOurs,
      MeasuredServer::StartHeapSync({.binary = options_.server_binary,
                                     .folder = folder.path(),
                                     .sink_url = sink_.url()}),
      options_.connections, messages_);
  Contender bare(kBare, MeasuredServer::StartBare(options_.self, folder.path()),
                 options_.connections, messages_);
  Contender synced("bare gRPC with a sync",
                   MeasuredServer::StartSynced(options_.self, folder.path()),
                   options_.connections, messages_);
  MeasureInTurn(
      {.scenario = "unary", .count = options_.rounds, .length = options_.round},
      {&bare, &synced, &ours},
      [&](const LoadGenerator& generator, std::chrono::milliseconds duration) {
        return generator.Unary(
            {.callers = options_.callers, .duration = duration});
      },
      progress_);
  AddFigures(report_, "/unary/heapsync", ours.measured);
  AddFigures(report_, "/unary/bare", bare.measured);
  AddFigures(report_, "/unary/synced", synced.measured);
  LoadResult& our_load = ours.measured.load;
  LoadResult& bare_load = bare.measured.load;
  report_.AddRow(
      absl::StrCat("unary, durable, ", options_.callers, " callers at once"),
      RatesText(our_load.rate(), bare_load.rate()),
      our_load.rate() / bare_load.rate(),
      {Bound::kAtLeast, 0.7, ">= 0.7 x bare"});
  const double slower = our_load.Percentile(0.99) / bare_load.Percentile(0.99);
  report_.AddRow(
      "unary: p99",
      absl::StrCat(Millis(our_load.Percentile(0.99)), ", bare ",
                   Millis(bare_load.Percentile(0.99)), ": ", Fixed(slower, 2)),
      slower, {Bound::kAtMost, 2, "<= 2 x bare"});
  AddComparison(report_, "unary", ours.measured, bare.measured);
  report_.AddRow(
      "unary against a bare server that only syncs",
      RatesText(our_load.rate(), synced.measured.load.rate(), "synced"));
  report_.AddRow("unary, synced: server CPU per event",
                 absl::StrCat(Fixed(synced.measured.cpu_us(), 2), " us"));
  report_.AddRow("unary, synced: p50 / p99 / p99.9",
                 LatencyText(synced.measured.load));
}

bool Scenarios::WaitForSink(uint64_t events) {
  uint64_t before = 0;
  auto last_news = std::chrono::steady_clock::now();
  while (true) {
    const uint64_t now = sink_.counters().events.load();
    if (now >= events) return true;
    if (now != before) last_news = std::chrono::steady_clock::now();
    before = now;
    if (std::chrono::steady_clock::now() - last_news >
        std::chrono::seconds(10)) {
      return false;
    }
    progress_.Update(absl::StrCat(now, " of ", events, " events delivered"));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

const Scenarios::PathRates& Scenarios::MeasurePath() {
  if (path_.has_value()) return *path_;
  const ScratchFolder folder(options_.folder);
  const auto server =
      MeasuredServer::StartHeapSync({.binary = options_.server_binary,
                                     .folder = folder.path(),
                                     .sink_url = sink_.url(),
                                     .limits = Limits::kNone});
  const auto bare = MeasuredServer::StartBare(options_.self, folder.path());
  const LoadGenerator to_server(server->port(), options_.connections,
                                messages_);
  const LoadGenerator to_bare(bare->port(), options_.connections, messages_);
  LoadGenerator::BulkLoad load{.streams = options_.streams,
                               .events = options_.path_events / 10,
                               .ack_level = v1::ACK_LEVEL_DELIVERED};
  progress_.Begin("whole path: warming up");
  to_server.Bulk(load, progress_);
  to_bare.Bulk(load, progress_);
  load.events = options_.path_events;
  Measured ours;
  Measured theirs;
  double sink_cpu = 0;
  for (int i = 0; i < 2; ++i) {
    progress_.Begin(absl::StrCat("whole path: bare gRPC, round ", i + 1));
    Measure(
        *bare, [&] { return to_bare.Bulk(load, progress_); }, theirs);
    progress_.Begin(absl::StrCat("whole path: this server, round ", i + 1));
    sink_.Reset();
    const double before = sink_.CpuSeconds();
    const uint64_t sent = ours.load.events;
    Measure(
        *server, [&] { return to_server.Bulk(load, progress_); }, ours);
    sink_cpu += sink_.CpuSeconds() - before;
    if (sink_.counters().events != ours.load.events - sent) {
      Fail(absl::StrCat(ours.load.events - sent, " events acknowledged, but ",
                        sink_.counters().events.load(), " delivered"));
    }
  }
  AddFigures(report_, "/path/heapsync", ours);
  AddFigures(report_, "/path/bare", theirs);
  report_.AddFigure("/path/sink_cpu_us_per_event",
                    sink_cpu * 1e6 / static_cast<double>(ours.load.events));
  path_ = PathRates{.whole_path = ours.load.rate(),
                    .bare_bulk = theirs.load.rate(),
                    .cpu_ratio = ours.cpu_us() / theirs.cpu_us()};
  report_.AddRow("accepted, spooled, batched, posted and acknowledged",
                 RatesText(ours.load.rate(), theirs.load.rate()),
                 ours.load.rate() / theirs.load.rate(),
                 {Bound::kAtLeast, 0.3, ">= 0.3 x bare bulk"});
  report_.AddRow("whole path: server CPU per event against bare",
                 Fixed(path_->cpu_ratio, 2), path_->cpu_ratio,
                 {Bound::kAtMost, 4, "<= 4 x bare"});
  AddComparison(report_, "whole path", ours, theirs);
  return *path_;
}

void Scenarios::WholePath() { MeasurePath(); }

double Scenarios::SpreadRate(uint64_t destinations) {
  const ScratchFolder folder(options_.folder);
  progress_.Begin(absl::StrCat(destinations, " destinations"));
  const auto server =
      MeasuredServer::StartHeapSync({.binary = options_.server_binary,
                                     .folder = folder.path(),
                                     .sink_url = sink_.url(),
                                     .destinations = destinations,
                                     .limits = Limits::kNone});
  const LoadGenerator generator(server->port(), options_.connections,
                                messages_);
  sink_.Reset();
  Measured ours;
  const double began = NowNs();
  Measure(
      *server,
      [&] {
        LoadResult sent = generator.Spread({.destinations = destinations,
                                            .streams = options_.spread_streams,
                                            .chunks = options_.spread_chunks},
                                           progress_);
        if (!WaitForSink(sent.events)) Fail("deliveries stopped");
        return sent;
      },
      ours);
  const auto last =
      static_cast<double>(sink_.counters().last_arrival_ns.load());
  const double rate =
      static_cast<double>(ours.load.events) / ((last - began) * 1e-9);
  const std::string path = absl::StrCat("/destinations/of_", destinations);
  report_.AddFigure(path + "/events", ours.load.events);
  report_.AddFigure(path + "/events_per_second", rate);
  report_.AddFigure(path + "/requests_to_sink",
                    sink_.counters().requests.load());
  report_.AddFigure(path + "/server_cpu_us_per_event", ours.cpu_us());
  report_.AddRow(
      absl::StrCat(Count(static_cast<double>(destinations)),
                   " destinations: server CPU per event, peak memory"),
      absl::StrCat(Fixed(ours.cpu_us(), 2), " us, ", Megabytes(ours.peak_rss)));
  report_.AddFigure(path + "/peak_rss_bytes", ours.peak_rss);
  report_.AddFigure(path + "/seconds_to_serving", server->seconds_to_serving());
  return rate;
}

void Scenarios::Destinations() {
  const double few = SpreadRate(10);
  const double many = SpreadRate(10'000);
  report_.AddRow("10,000 destinations against 10, same total",
                 absl::StrCat(Count(many), "/s, ", Count(few),
                              "/s: ", Fixed(many / few, 2)),
                 many / few, {Bound::kAtLeast, 0.9, ">= 0.9"});
}

void Scenarios::Backlog() {
  const double empty_start = MeasurePath().whole_path;
  const ScratchFolder folder(options_.folder);
  ServerPlan plan{.binary = options_.server_binary,
                  .folder = folder.path(),
                  .sink_url = sink_.url()};
  progress_.Begin("backlog: idle");
  auto server = MeasuredServer::StartHeapSync(plan);
  std::this_thread::sleep_for(std::chrono::seconds(2));
  const auto idle = static_cast<double>(server->process().RssBytes());
  report_.AddRow("memory, idle", Megabytes(idle), idle,
                 {Bound::kAtMost, 40e6, "<= 40 MB"});
  report_.AddFigure("/memory/idle_rss_bytes", idle);

  progress_.Begin("backlog: filling");
  sink_.Reset();
  uint64_t accepted = 0;
  {
    const LoadGenerator generator(server->port(), options_.connections,
                                  messages_);
    Measured filled;
    Measure(
        *server,
        [&] {
          return generator.Bulk(
              {.streams = options_.streams, .events = options_.backlog_events},
              progress_);
        },
        filled);
    accepted = filled.load.events;
    AddFigures(report_, "/backlog/fill", filled);
  }
  std::this_thread::sleep_for(std::chrono::seconds(2));
  const uint64_t delivered = sink_.counters().events;
  const auto waiting = static_cast<double>(accepted - delivered);
  const auto full = static_cast<double>(server->process().RssBytes());
  const auto peak = static_cast<double>(server->process().PeakRssBytes());
  report_.AddRow(absl::StrCat("memory, ", Count(waiting), " items waiting"),
                 absl::StrCat(Megabytes(full), ", at most ", Megabytes(peak)),
                 peak, {Bound::kAtMost, 200e6, "<= 200 MB"});
  report_.AddFigure("/memory/backlog_rss_bytes", full);
  report_.AddFigure("/memory/backlog_peak_rss_bytes", peak);

  progress_.Begin("backlog: start after kill -9, and drain");
  server->process().End(SIGKILL);
  server.reset();
  sink_.Reset();
  plan.limits = Limits::kNone;
  server = MeasuredServer::StartHeapSync(plan);
  const double serving = server->seconds_to_serving();
  const auto started =
      static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                              server->process().started().time_since_epoch())
                              .count());
  const uint64_t rest = accepted - delivered;
  if (!WaitForSink(rest)) Fail("the drain stopped");
  const double cpu = server->process().CpuSeconds();
  const auto first =
      static_cast<double>(sink_.counters().first_arrival_ns.load());
  const auto last =
      static_cast<double>(sink_.counters().last_arrival_ns.load());
  const double to_first = (first - started) * 1e-9;
  const double rate = static_cast<double>(rest) / ((last - first) * 1e-9);
  const auto drain_peak = static_cast<double>(server->process().PeakRssBytes());
  report_.AddRow(
      absl::StrCat("start with ", Count(waiting), " items waiting"),
      absl::StrCat("serving in ", Fixed(serving, 2),
                   " s, first batch at Heap in ", Fixed(to_first, 2), " s"),
      std::max(serving, to_first), {Bound::kAtMost, 2, "<= 2 s"});
  report_.AddRow("their drain against the whole path from an empty start",
                 absl::StrCat(Count(rate), "/s, ", Count(empty_start),
                              "/s: ", Fixed(rate / empty_start, 2)),
                 rate / empty_start, {Bound::kAtLeast, 0.9, ">= 0.9"});
  report_.AddRow("drain: server CPU per event; peak memory",
                 absl::StrCat(Fixed(cpu * 1e6 / static_cast<double>(rest), 2),
                              " us; ", Megabytes(drain_peak)));
  report_.AddFigure("/backlog/seconds_to_serving", serving);
  report_.AddFigure("/backlog/seconds_to_first_batch", to_first);
  report_.AddFigure("/backlog/drain_events_per_second", rate);
  report_.AddFigure("/backlog/drain_cpu_us_per_event",
                    cpu * 1e6 / static_cast<double>(rest));
  report_.AddFigure("/backlog/drain_peak_rss_bytes", drain_peak);
  report_.AddFigure("/backlog/sent_again",
                    sink_.counters().events.load() - rest);
}

void Scenarios::Steady() {
  constexpr double kRate = 10'000;
  const ScratchFolder folder(options_.folder);
  Contender ours(
      kOurs,
      MeasuredServer::StartHeapSync({.binary = options_.server_binary,
                                     .folder = folder.path(),
                                     .sink_url = sink_.url(),
                                     .limits = Limits::kNone}),
      1, messages_);
  Contender bare(kBare, MeasuredServer::StartBare(options_.self, folder.path()),
                 1, messages_);
  MeasureInTurn(
      {.scenario = "steady",
       .length = options_.steady,
       .warm_up = std::chrono::seconds(3)},
      {&bare, &ours},
      [&](const LoadGenerator& generator, std::chrono::milliseconds duration) {
        return generator.Bulk(
            {.streams = 1, .duration = duration, .events_per_second = kRate},
            progress_);
      },
      progress_);
  report_.AddRow("steady 10,000 events/s, delivered at once: CPU",
                 absl::StrCat(CoreText(ours.measured), " (",
                              Count(ours.measured.load.rate()), "/s)"),
                 ours.measured.core_percent(), {Bound::kAtMost, 10, "<= 10 %"});
  report_.AddRow("steady, of it gRPC alone: CPU of the bare server",
                 absl::StrCat(CoreText(bare.measured), " (",
                              Count(bare.measured.load.rate()), "/s)"));
  report_.AddRow("steady 10,000 events/s: peak memory",
                 Megabytes(ours.measured.peak_rss), ours.measured.peak_rss,
                 {Bound::kAtMost, 64e6, "<= 64 MB"});
  report_.AddRow("steady: p50 / p99 / p99.9 of a chunk",
                 LatencyText(ours.measured.load));
  AddFigures(report_, "/steady/heapsync", ours.measured);
  AddFigures(report_, "/steady/bare", bare.measured);
}

void Scenarios::RunGhz(int port, const std::string& folder, GhzResult& sum) {
  const std::string data = folder + "/ghz_request.json";
  const std::string result = folder + "/ghz_result.json";
  std::ofstream(data) << messages_.single_json();
  ChildProcess ghz(
      {options_.ghz,
       "--insecure",
       "--call",
       "heapsync.v1.HeapSyncService.TrackEvent",
       "--import-paths",
       options_.proto_folder,
       "--proto",
       options_.proto_folder + "/heapsync/v1/heap_sync_service.proto",
       "--concurrency",
       absl::StrCat(options_.callers),
       "--connections",
       absl::StrCat(options_.connections),
       "--duration",
       absl::StrCat(options_.round.count(), "ms"),
       "--duration-stop",
       "wait",
       "--data-file",
       data,
       "--format",
       "json",
       "--output",
       result,
       absl::StrCat("127.0.0.1:", port)},
      folder + "/ghz.log");
  if (!ghz.Wait()) Fail("ghz failed");
  std::ifstream file(result);
  const auto json = nlohmann::json::parse(file, nullptr, false);
  if (json.is_discarded()) Fail("ghz gave no JSON");
  const auto& codes = json["statusCodeDistribution"];
  if (codes.size() != 1 || !codes.contains("OK")) Fail("ghz: calls failed");
  const double calls = json["count"].get<double>();
  sum.calls += calls;
  sum.seconds += json["total"].get<double>() * 1e-9;
  for (const auto& entry : json["latencyDistribution"]) {
    const double us = entry["latency"].get<double>() * 1e-3;
    const int percentage = entry["percentage"].get<int>();
    if (percentage == 50) sum.p50_us = std::max(sum.p50_us, us);
    if (percentage == 99) sum.p99_us = std::max(sum.p99_us, us);
  }
}

void Scenarios::Ghz() {
  const ScratchFolder folder(options_.folder);
  const auto server =
      MeasuredServer::StartHeapSync({.binary = options_.server_binary,
                                     .folder = folder.path(),
                                     .sink_url = sink_.url()});
  const auto bare = MeasuredServer::StartBare(options_.self, folder.path());
  GhzResult ours;
  GhzResult theirs;
  for (int i = 0; i < options_.rounds; ++i) {
    progress_.Begin(absl::StrCat("ghz: bare gRPC, round ", i + 1));
    RunGhz(bare->port(), folder.path(), theirs);
    progress_.Begin(absl::StrCat("ghz: this server, round ", i + 1));
    RunGhz(server->port(), folder.path(), ours);
  }
  report_.AddRow(
      absl::StrCat("ghz: unary, durable, ", options_.callers,
                   " callers at once"),
      absl::StrCat(RatesText(ours.rate(), theirs.rate()), "; p99 ",
                   Millis(ours.p99_us), ", bare ", Millis(theirs.p99_us)));
  for (const auto& [name, result] :
       {std::pair<const char*, GhzResult*>("heapsync", &ours),
        std::pair<const char*, GhzResult*>("bare", &theirs)}) {
    const std::string path = absl::StrCat("/ghz/", name);
    report_.AddFigure(path + "/events_per_second", result->rate());
    report_.AddFigure(path + "/p50_us", result->p50_us);
    report_.AddFigure(path + "/p99_us", result->p99_us);
  }
}

}  // namespace heapsync::bench
