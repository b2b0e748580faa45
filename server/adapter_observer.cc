#include "server/adapter_observer.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "server/log/call_log.h"
#include "server/log/log.h"

namespace heapsync {
namespace {

int64_t Milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration)
      .count();
}

void LogAttempt(const AttemptEvent& event) {
  LogSeverity severity = LogSeverity::kWarning;
  if (event.verdict.response_class == ResponseClass::kDelivered) {
    severity = LogSeverity::kDebug;
  } else if (event.verdict.response_class == ResponseClass::kMisconfigured) {
    severity = LogSeverity::kError;
  }
  std::optional<int64_t> next_try;
  if (event.next_try_in.has_value()) {
    next_try = Milliseconds(*event.next_try_in);
  }
  std::optional<std::string> trace_id;
  std::optional<std::string> span_id;
  if (event.trace.has_value()) {
    trace_id = event.trace->context.TraceId();
    span_id = SpanId(event.trace->span);
  }
  Log(severity, "attempt ended",
      {{"destination", event.destination.name},
       {"type", Name(event.type)},
       {"batch", event.batch_id},
       {"attempt", event.attempt_id},
       {"tries", event.tries},
       {"items", event.items.size()},
       {"class", Name(event.verdict.response_class)},
       {"summary", event.verdict.summary},
       {"latency_ms", Milliseconds(event.latency)},
       {"oldest_item_age_ms", Milliseconds(event.oldest_item_age)},
       {"next_try_in_ms", next_try},
       {"trace_id", trace_id},
       {"span_id", span_id}});
}

void LogExpiry(const ExpiryEvent& event) {
  Log(LogSeverity::kError, "items expired",
      {{"destination", event.destination.name},
       {"type", Name(event.type)},
       {"items", event.items}});
}

void LogCommand(const ObeyedCommand& obeyed) {
  LogObeyedCommand({.call = Name(obeyed.command.kind),
                    .server = obeyed.command.server,
                    .caller = obeyed.command.caller,
                    .destination = obeyed.command.destination},
                   obeyed.status);
}

}  // namespace

AdapterOptions AdapterOptionsOf(const ServerConfig& config) {
  return {.destinations = config.destinations,
          .data_folder = config.data_dir,
          .shared_spool = {.uris = config.spool,
                           .shards = config.spool_shards,
                           .lease = config.spool_lease,
                           .patience = config.spool_patience},
          .delivery = {.region_urls = {config.heap_us_url, config.heap_eu_url},
                       .max_retry_after = config.max_retry_after,
                       .max_age = config.max_age,
                       .send_traceparent = config.send_traceparent},
          .min_free_disk_bytes = config.min_free_disk_bytes,
          .extra_roots = config.heap_way.extra_roots,
          .proxy = config.heap_way.proxy,
          .proxy_user = config.heap_way.proxy_user,
          .proxy_password = config.heap_way.proxy_password,
          .user_agent = "heapsync/" HEAPSYNC_VERSION};
}

AdapterObserver::AdapterObserver(const ServerConfig& config)
    : destinations_(config.metrics_destinations),
      attempts_(destinations_),
      spool_(config.spool.empty() ? config.data_dir + "/spool" : "",
             config.min_free_disk_bytes) {
  for (const Destination& destination : config.destinations.destinations) {
    destinations_.HasOwn(destination.name);
  }
}

AdapterEvents AdapterObserver::Events() {
  return {.attempt =
              [this](const AttemptEvent& event) {
                LogAttempt(event);
                attempts_.OnAttempt(event);
              },
          .expiry = LogExpiry,
          .step = [this](Duration duration) { dispatcher_.OnStep(duration); },
          .write =
              [this](const StoreWrite& write) {
                spool_.OnWrite(write.took, write.bytes, write.synced, write.ok);
              },
          .command = LogCommand,
          .damage =
              [](const std::string& line) {
                Log(LogSeverity::kError, "spool damage", {{"detail", line}});
              },
          .write_waits =
              [](const std::string& line) {
                Log(LogSeverity::kWarning,
                    "a write waits for the spool's database",
                    {{"detail", line}});
              },
          .shard_taken =
              [](int32_t shard, int64_t epoch) {
                Log(LogSeverity::kInfo, "this server owns a shard of the spool",
                    {{"shard", shard}, {"epoch", epoch}});
              },
          .shard_handed_back =
              [](int32_t shard) {
                Log(LogSeverity::kInfo, "a shard of the spool is handed back",
                    {{"shard", shard}});
              },
          .database_away =
              [](int32_t database, const std::string& where,
                 const absl::Status& why) {
                Log(LogSeverity::kWarning,
                    "a database of the spool is away: its destinations wait",
                    {{"database", database + 1},
                     {"where", where},
                     {"detail", why.message()}});
              },
          .database_back =
              [](int32_t database, const std::string& where) {
                Log(LogSeverity::kInfo, "a database of the spool is back",
                    {{"database", database + 1}, {"where", where}});
              },
          .database_left =
              [](int32_t database, const std::string& where,
                 const absl::Status& why) {
                Log(LogSeverity::kError,
                    "the place in a database of the spool is lost: this server "
                    "takes a new one",
                    {{"database", database + 1},
                     {"where", where},
                     {"detail", why.message()}});
              }};
}

}  // namespace heapsync
