#include "client/cli/delivery_wait.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <algorithm>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cli/admin_call.h"
#include "client/grpc_status.h"
#include "heapsync/client/status_details.h"
#include "heapsync/v1/heap_sync_admin_service.grpc.pb.h"

namespace heapsync {
namespace {

constexpr absl::Duration kPatience = absl::Milliseconds(100);
constexpr absl::Duration kPauseAfterFailure = absl::Seconds(1);

// The destination that an empty name stands for: the admin service takes an
// empty name for all of them.
absl::StatusOr<std::string> DefaultDestination(const Client& client) {
  const auto list = CallAdmin(client, v1::ListDestinationsRequest());
  if (!list.ok()) return list.status();
  for (const v1::Destination& destination : list->destinations()) {
    if (destination.is_default()) return destination.name();
  }
  return absl::NotFoundError("the server names no default destination");
}

// One call without a deadline, since Heap may be away for days.
absl::Status Flush(const Client& client, const std::string& destination,
                   const std::function<absl::Status()>& while_waiting) {
  v1::HeapSyncAdminService::Stub stub(client.channel());
  grpc::ClientContext context;
  v1::FlushRequest request;
  request.set_destination(destination);
  v1::FlushResponse response;
  absl::Status result, interrupted;
  absl::Notification done;
  stub.async()->Flush(&context, &request, &response, [&](grpc::Status status) {
    result = ToAbslStatus(status);
    done.Notify();
  });
  while (!done.WaitForNotificationWithTimeout(kPatience)) {
    if (!interrupted.ok()) continue;
    interrupted = while_waiting();
    if (!interrupted.ok()) context.TryCancel();
  }
  return interrupted.ok() ? result : interrupted;
}

}  // namespace

absl::Status AwaitDelivery(const Client& client, std::string destination,
                           std::chrono::milliseconds give_up_after,
                           const std::function<absl::Status()>& while_waiting) {
  absl::Time failing_since = absl::InfiniteFuture();
  while (true) {
    absl::Status status;
    if (destination.empty()) {
      auto name = DefaultDestination(client);
      status = name.status();
      if (name.ok()) destination = *std::move(name);
    }
    if (status.ok()) status = Flush(client, destination, while_waiting);
    if (!IsRetryable(status)) return status;
    failing_since = std::min(failing_since, absl::Now());
    const absl::Time next = absl::Now() + kPauseAfterFailure;
    if (next - failing_since > absl::FromChrono(give_up_after)) return status;
    while (absl::Now() < next) {
      if (absl::Status stopped = while_waiting(); !stopped.ok()) return stopped;
      absl::SleepFor(kPatience);
    }
  }
}

}  // namespace heapsync
