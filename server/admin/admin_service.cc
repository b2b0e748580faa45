#include "server/admin/admin_service.h"

#include "server/admin/admin_call.h"
#include "server/admin/dead_letter_rpcs.h"
#include "server/admin/delivery_rpcs.h"
#include "server/admin/destination_rpcs.h"

// The calls delete themselves when gRPC is done with them.

namespace heapsync {
namespace {

constexpr uint32_t kMaxOpenFlushes = 1'000;

}  // namespace

AdminService::AdminService(Engines& engines, const Access& access,
                           size_t max_message_bytes,
                           uint32_t caller_share_percent)
    : engines_(engines),
      access_(access),
      max_message_bytes_(max_message_bytes),
      flushes_(CallSlots::BoundsFor(kMaxOpenFlushes, caller_share_percent)),
      worker_(AdminWorker::Limits()) {}

AdminService::Reactor* AdminService::ListDestinations(Context* context,
                                                      const Bytes* request,
                                                      Bytes* response) {
  using Request = v1::ListDestinationsRequest;
  return new AdminCall<Request, v1::ListDestinationsResponse>(
      worker_, access_, max_message_bytes_, context, request, response,
      DestinationListing(engines_));
}

AdminService::Reactor* AdminService::GetDestination(Context* context,
                                                    const Bytes* request,
                                                    Bytes* response) {
  using Request = v1::GetDestinationRequest;
  return new AdminCall<Request, v1::GetDestinationResponse>(
      worker_, access_, max_message_bytes_, context, request, response,
      [this](const Caller& caller, const Request& r) {
        return heapsync::GetDestination(engines_, caller, r);
      });
}

AdminService::Reactor* AdminService::GetDelivery(Context* context,
                                                 const Bytes* request,
                                                 Bytes* response) {
  using Request = v1::GetDeliveryRequest;
  return new AdminCall<Request, v1::GetDeliveryResponse>(
      worker_, access_, max_message_bytes_, context, request, response,
      DeliveryQuestion(engines_));
}

AdminService::Reactor* AdminService::PauseDestination(Context* context,
                                                      const Bytes* request,
                                                      Bytes* response) {
  using Request = v1::PauseDestinationRequest;
  return new AdminCall<Request, v1::PauseDestinationResponse>(
      worker_, access_, max_message_bytes_, context, request, response,
      PauseChange<Request, v1::PauseDestinationResponse>(
          engines_, &Engine::Pause, *context));
}

AdminService::Reactor* AdminService::ResumeDestination(Context* context,
                                                       const Bytes* request,
                                                       Bytes* response) {
  using Request = v1::ResumeDestinationRequest;
  return new AdminCall<Request, v1::ResumeDestinationResponse>(
      worker_, access_, max_message_bytes_, context, request, response,
      PauseChange<Request, v1::ResumeDestinationResponse>(
          engines_, &Engine::Resume, *context));
}

AdminService::Reactor* AdminService::ListDeadLetters(Context* context,
                                                     const Bytes* request,
                                                     Bytes* response) {
  using Request = v1::ListDeadLettersRequest;
  return new AdminCall<Request, v1::ListDeadLettersResponse>(
      worker_, access_, max_message_bytes_, context, request, response,
      [this](const Caller& caller, const Request& r) {
        return heapsync::ListDeadLetters(engines_, caller, r);
      });
}

AdminService::Reactor* AdminService::ReplayDeadLetters(Context* context,
                                                       const Bytes* request,
                                                       Bytes* response) {
  using Request = v1::ReplayDeadLettersRequest;
  return new AdminCall<Request, v1::ReplayDeadLettersResponse>(
      worker_, access_, max_message_bytes_, context, request, response,
      DeadLetterReplay(engines_, *context));
}

AdminService::Reactor* AdminService::DiscardDeadLetters(Context* context,
                                                        const Bytes* request,
                                                        Bytes* response) {
  using Request = v1::DiscardDeadLettersRequest;
  return new AdminCall<Request, v1::DiscardDeadLettersResponse>(
      worker_, access_, max_message_bytes_, context, request, response,
      DeadLetterDiscard(engines_, *context));
}

AdminService::Reactor* AdminService::Flush(Context* context,
                                           const Bytes* request,
                                           Bytes* response) {
  return new FlushCall(engines_, access_, flushes_, max_message_bytes_, context,
                       request, response);
}

}  // namespace heapsync
