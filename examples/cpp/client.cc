// Sends events to Heap Sync: client track IDENTITY EVENT, or client bulk
// FILE.ndjson REQUEST_ID. Environment: HEAPSYNC_SERVER (localhost:50051),
// HEAPSYNC_TLS_CA and HEAPSYNC_TOKEN_FILE for TLS and a bearer token.
#include "heapsync/client/client.h"

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/time_util.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/strip.h"
#include "heapsync/client/bulk_writer.h"
#include "heapsync/client/status_details.h"
#include "heapsync/v1/heap_sync_service.pb.h"
#include "heapsync/v1/items.pb.h"

namespace {

std::string ReadFile(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

heapsync::ClientOptions Options() {
  heapsync::ClientOptions options;
  if (const char* server = std::getenv("HEAPSYNC_SERVER")) {
    options.server = server;
  }
  if (const char* ca = std::getenv("HEAPSYNC_TLS_CA")) {
    options.tls = heapsync::TlsOptions{.ca = ReadFile(ca)};
  }
  if (const char* file = std::getenv("HEAPSYNC_TOKEN_FILE")) {
    const std::string token = ReadFile(file);
    options.token = std::string(absl::StripSuffix(token, "\n"));
  }
  options.timeout = std::chrono::seconds(10);
  return options;
}

void Report(const absl::Status& error) {
  const heapsync::ErrorDetails details = heapsync::DetailsOf(error);
  std::cerr << absl::StatusCodeToString(error.code()) << ' '
            << (details.reason.empty() ? "-" : details.reason) << ": "
            << error.message() << std::endl;
  for (const heapsync::Violation& each : details.violations) {
    std::cerr << "  " << each.field << ": " << each.reason << ": "
              << each.description << std::endl;
  }
}

// The client sets the request id and repeats what is worth it.
absl::Status Track(const heapsync::Client& client, const std::string& identity,
                   const std::string& name) {
  heapsync::v1::TrackEventRequest request;
  heapsync::v1::TrackEvent& event = *request.mutable_event();
  event.set_identity(identity);
  event.set_event(name);
  *event.mutable_timestamp() =
      google::protobuf::util::TimeUtil::GetCurrentTime();
  const auto response = client.TrackEvent(std::move(request));
  if (!response.ok()) return response.status();
  std::cout << "receipt " << response->receipt() << std::endl;
  return absl::OkStatus();
}

// The writer keeps what is not durable, and resumes by itself.
absl::Status Bulk(const heapsync::Client& client, const std::string& path,
                  const std::string& request_id) {
  heapsync::BulkWriterOptions options;
  options.request_id = request_id;
  options.on_rejected = [](const heapsync::v1::RejectedItem& item) {
    for (const heapsync::v1::FieldViolation& each : item.violations()) {
      std::cout << "rejected " << item.index() << ": " << each.field() << ' '
                << each.reason() << std::endl;
    }
  };
  heapsync::BulkWriter<heapsync::v1::TrackEvent> writer(client, options);
  std::ifstream lines(path);
  for (std::string line; std::getline(lines, line);) {
    heapsync::v1::TrackEvent event;
    const auto parsed =
        google::protobuf::util::JsonStringToMessage(line, &event);
    if (!parsed.ok()) return absl::InvalidArgumentError(parsed.ToString());
    const absl::Status added = writer.Add(std::move(event));
    if (!added.ok()) return added;
  }
  std::optional<absl::StatusOr<heapsync::BulkTotals>> totals;
  for (uint64_t position = 0; !totals.has_value();) {
    totals = writer.FinishFor(std::chrono::milliseconds(100));
    if (writer.durable_position() == position) continue;
    position = writer.durable_position();
    std::cout << "durable " << position << std::endl;
  }
  if (!totals->ok()) return totals->status();
  const heapsync::BulkTotals& all = **totals;
  std::cout << "done: " << all.accepted << " accepted, " << all.rejected
            << " rejected, " << all.reconnects << " reconnects" << std::endl;
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  const heapsync::Client client(Options());
  if (argc != 4) return 2;
  const absl::Status done = std::string(argv[1]) == "bulk"
                                ? Bulk(client, argv[2], argv[3])
                                : Track(client, argv[2], argv[3]);
  if (!done.ok()) Report(done);
  return done.ok() ? 0 : 1;
}
