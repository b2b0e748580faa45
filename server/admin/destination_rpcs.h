#ifndef HEAPSYNC_SERVER_ADMIN_DESTINATION_RPCS_H_
#define HEAPSYNC_SERVER_ADMIN_DESTINATION_RPCS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "heap_adapter/engine.h"
#include "heapsync/v1/heap_sync_admin_service.pb.h"
#include "server/admin/admin_call.h"

namespace heapsync {

// The admin RPCs about destinations. They wait for the engine and read the
// spool: for the admin worker's thread.

// Some destinations in each turn.
class DestinationListing {
 public:
  // `engine` must outlive it.
  explicit DestinationListing(Engine& engine) : engine_(&engine) {}

  // The next turn, always with the same arguments.
  TurnResult<v1::ListDestinationsResponse> operator()(
      const Caller& caller, const v1::ListDestinationsRequest& request);

 private:
  std::optional<CallError> Begin(const Caller& caller,
                                 const v1::ListDestinationsRequest& request);

  Engine* engine_;
  // The names of the page, and how many of them are listed; none before the
  // first turn.
  std::optional<std::vector<std::string>> page_;
  size_t listed_ = 0;
  v1::ListDestinationsResponse response_;
};

CallResult<v1::GetDestinationResponse> GetDestination(
    Engine& engine, const Caller& caller,
    const v1::GetDestinationRequest& request);

// PauseDestination and ResumeDestination: one turn asks the engine, the next
// one shows the destination.
template <typename Request, typename Response>
class PauseChange {
 public:
  using Change = void (Engine::*)(absl::string_view, const Asker&,
                                  Engine::PauseDone);

  // `engine` and `context` must outlive it.
  PauseChange(Engine& engine, Change change,
              const grpc::CallbackServerContext& context)
      : engine_(&engine), change_(change), context_(&context) {}

  // The next turn, always with the same arguments.
  TurnResult<Response> operator()(const Caller& caller, const Request& request);

 private:
  Engine* engine_;
  Change change_;
  const grpc::CallbackServerContext* context_;
  Awaited<absl::Status> changed_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ADMIN_DESTINATION_RPCS_H_
