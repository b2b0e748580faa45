#include "client/cli/destination_watch.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "heapsync/v1/heap_sync_admin_service.grpc.pb.h"

namespace heapsync {
namespace {

constexpr std::chrono::seconds kBetweenQuestions{2};
constexpr std::chrono::seconds kDeadline{10};

v1::ItemType ItemTypeOf(ObjectType type) {
  switch (type) {
    case ObjectType::kTrackEvent:
      return v1::ITEM_TYPE_TRACK_EVENT;
    case ObjectType::kUserProperties:
      return v1::ITEM_TYPE_USER_PROPERTIES;
    case ObjectType::kAccountProperties:
      return v1::ITEM_TYPE_ACCOUNT_PROPERTIES;
  }
  return v1::ITEM_TYPE_UNSPECIFIED;
}

std::string WithError(absl::string_view what, const v1::Destination& of) {
  if (of.last_error().empty()) return std::string(what);
  return absl::StrCat(what, " (", of.last_error(), ")");
}

}  // namespace

std::string HoldUpOf(const v1::Destination& destination, ObjectType type) {
  switch (destination.state()) {
    case v1::DESTINATION_STATE_PAUSED:
      return "the destination is paused";
    case v1::DESTINATION_STATE_NEEDS_ATTENTION:
      return WithError("Heap refuses everything", destination);
    case v1::DESTINATION_STATE_BACKING_OFF:
      return WithError("Heap is failing", destination);
    default:
      break;
  }
  for (const v1::ItemTypeStatus& each : destination.types()) {
    if (each.type() != ItemTypeOf(type) || each.queued_items() == 0) continue;
    if (each.isolated_items() == each.queued_items()) {
      return WithError(absl::StrCat("Heap fails at ", each.isolated_items(),
                                    " items, which wait alone"),
                       destination);
    }
    if (each.deferred_items() == each.queued_items()) {
      return absl::StrCat(each.deferred_items(),
                          " items wait for the limit of their identity");
    }
    if (type == ObjectType::kTrackEvent && destination.allowance_total() > 0 &&
        destination.allowance_used() >= destination.allowance_total()) {
      return "Heap's limit is used up";
    }
  }
  return "";
}

struct DestinationWatch::Question {
  explicit Question(const Client& client) : stub(client.channel()) {}

  v1::HeapSyncAdminService::Stub stub;
  grpc::ClientContext context;
  v1::GetDestinationRequest request;
  v1::GetDestinationResponse response;
  grpc::Status status;
  absl::Notification answered;
};

DestinationWatch::DestinationWatch(const Client& client,
                                   std::string destination, ObjectType type)
    : client_(client), destination_(std::move(destination)), type_(type) {}

DestinationWatch::~DestinationWatch() {
  if (open_ == nullptr) return;
  open_->context.TryCancel();
  open_->answered.WaitForNotification();
}

std::string DestinationWatch::HoldUp(Time now) {
  if (open_ != nullptr && open_->answered.HasBeenNotified()) {
    const grpc::StatusCode code = open_->status.error_code();
    may_ask_ = code != grpc::StatusCode::PERMISSION_DENIED &&
               code != grpc::StatusCode::UNIMPLEMENTED;
    hold_up_ = open_->status.ok()
                   ? HoldUpOf(open_->response.destination(), type_)
                   : "";
    open_.reset();
  }
  if (open_ == nullptr && may_ask_ && now >= next_question_) {
    next_question_ = now + kBetweenQuestions;
    open_ = std::make_unique<Question>(client_);
    Question* question = open_.get();
    question->request.set_destination(destination_);
    question->context.set_deadline(std::chrono::system_clock::now() +
                                   kDeadline);
    question->stub.async()->GetDestination(
        &question->context, &question->request, &question->response,
        [question](grpc::Status status) {
          question->status = std::move(status);
          question->answered.Notify();
        });
  }
  return hold_up_;
}

}  // namespace heapsync
