#ifndef HEAPSYNC_SERVER_ADMIN_DEAD_LETTER_RPCS_H_
#define HEAPSYNC_SERVER_ADMIN_DEAD_LETTER_RPCS_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "heap_adapter/engines.h"
#include "heapsync/v1/heap_sync_admin_service.pb.h"
#include "server/admin/admin_call.h"
#include "server/admin/dead_letter_choice.h"

namespace heapsync {

// The admin RPCs about dead letters. They wait for the disk: for the admin
// worker's thread.

CallResult<v1::ListDeadLettersResponse> ListDeadLetters(
    const Engines& engines, const Caller& caller,
    const v1::ListDeadLettersRequest& request);

// Changes of dead letters: one turn finds them and asks the engines, the next
// one tells what became of them.
template <typename Request, typename Response>
class DeadLetterChange {
 public:
  // `engines` and `context` must outlive it.
  DeadLetterChange(Engines& engines, const grpc::CallbackServerContext& context)
      : engines_(&engines), context_(&context) {}

  // The next turn, always with the same arguments.
  TurnResult<Response> operator()(const Caller& caller, const Request& request);

 private:
  // By shard, in the order of the parts that were chosen.
  using Results = absl::StatusOr<std::vector<std::vector<DeadLetterResult>>>;

  TurnResult<Response> Ask(const Caller& caller, const Request& request);

  Engines* engines_;
  const grpc::CallbackServerContext* context_;
  ChosenDeadLetters chosen_;  // without the letters, once they were asked for
  Awaited<Results> changed_;
};

using DeadLetterReplay = DeadLetterChange<v1::ReplayDeadLettersRequest,
                                          v1::ReplayDeadLettersResponse>;
using DeadLetterDiscard = DeadLetterChange<v1::DiscardDeadLettersRequest,
                                           v1::DiscardDeadLettersResponse>;

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ADMIN_DEAD_LETTER_RPCS_H_
