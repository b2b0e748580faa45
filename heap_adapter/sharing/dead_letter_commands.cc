#include "heap_adapter/sharing/dead_letter_commands.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/btree_map.h"
#include "base/mutex.h"

namespace heapsync {
namespace {

using Results = std::vector<DeadLetterResult>;

// Puts the answers of several commands together.
class Join {
 public:
  Join(size_t commands, OrdersDone done)
      : open_(commands), done_(std::move(done)) {}

  void End(const std::vector<DeadLetterPlace>& places,
           const absl::StatusOr<std::string>& answer) {
    const absl::StatusOr<Results> part =
        answer.ok() ? DecodeResults(*answer)
                    : absl::StatusOr<Results>(answer.status());
    absl::StatusOr<Results> all;
    {
      MutexLock lock(mutex_);
      if (part.ok()) {
        answered_ = true;
        results_.insert(results_.end(), part->begin(), part->end());
      } else {
        failure_.Update(part.status());
        for (const DeadLetterPlace place : places) {
          results_.push_back({.place = place,
                              .outcome = DeadLetterOutcome::kNotStored,
                              .into = std::nullopt,
                              .detail = std::string(part.status().message())});
        }
      }
      if (--open_ > 0) return;
      if (answered_) {
        all = std::move(results_);
      } else {
        all = failure_;
      }
    }
    done_(std::move(all));
  }

 private:
  Mutex mutex_;
  size_t open_ ABSL_GUARDED_BY(mutex_);
  bool answered_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  Results results_ ABSL_GUARDED_BY(mutex_);
  OrdersDone done_;  // used by the last End()
};

}  // namespace

void SendOrders(Sharing& sharing, const CommandRecord& command,
                MonotonicTime until,
                const std::vector<FoundDeadLetter>& letters,
                DeadLetterOrder order, OrdersDone done) {
  absl::btree_map<std::string, std::vector<DeadLetterPlace>> places;
  for (const FoundDeadLetter& letter : letters) {
    places[letter.key.destination].push_back(letter.place());
  }
  if (places.empty()) return done(Results());
  const auto join = std::make_shared<Join>(places.size(), std::move(done));
  for (auto& [destination, of_destination] : places) {
    CommandRecord each = command;
    each.destination = destination;
    order.places = of_destination;
    each.body = order.Encode();
    sharing.Send(std::move(each), {.until = until, .listener = std::nullopt},
                 [join, sent = std::move(of_destination)](
                     const absl::StatusOr<std::string>& answer) {
                   join->End(sent, answer);
                 });
  }
}

}  // namespace heapsync
