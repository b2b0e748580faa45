#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_SUSPICION_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_SUSPICION_H_

#include <cstddef>
#include <cstdint>

#include "heap_adapter/delivery/batch.h"

namespace heapsync {

// Tells a failure that follows the content from an outage, for the items of one
// type of one destination. Both look the same in one response (a 5xx, a reset,
// a time-out, a response cut short), so the judgement comes from trying:
//
//  - A batch that failed several times is tried in parts. Keys stay, so nothing
//    is duplicated; each part is as large as the square root of the batch, so
//    two rounds of parts reach the single item.
//  - A delivery of the same type is the proof that Heap is up. A part that
//    fails although something was delivered since it was suspected holds the
//    cause: it is tried in parts again, before the others, which soon gives the
//    next proof, or isolated if it is a single item.
//  - Each proof convicts once, but for a single item that failed alone three
//    times. In an outage that begins during a search at most one part is
//    divided wrongly, and items that are isolated wrongly wait a minute longer.
//  - Without proof nothing is isolated. The parts take turns with other items,
//    one request at a time, and few are divided further: an outage, however
//    long, leaves a small number of parts behind. The more suspected plans a
//    lane has, the later another of its batches is suspected without proof.
//  - A refusal that names no item is judged in the same way: a single item is a
//    dead letter once another got through since the search for it began, or if
//    nothing else is there to compare it with. Where several items in a row are
//    refused alone and none gets through, the destination is at fault: it is
//    held, and nothing becomes a dead letter.
//  - An answer of a wrong set-up (403, 302, a page that is not Heap's) may come
//    from a firewall that dislikes one text. So the batch is tried in parts at
//    once, and of the first part that is refused each item. The first that gets
//    through proves it; until then the destination is held longer and longer,
//    and the parts are its probes.
//  - An isolated item waits on disk, apart from its lane, and is tried alone at
//    growing intervals while the rest of the lane gets through. A restart keeps
//    it isolated. It is a dead letter only once it expires or Heap refuses it.
//
// Pure; one thread.
class Suspicion {
 public:
  // What a failure says of the request.
  enum class Failure {
    kNotSent,  // Heap never saw it: the content is not the cause
    kTimeout,  // each costs a long time, so fewer raise suspicion
    // With a Retry-After that is worth finding out whom it is meant for.
    kAsksToWaitLong,
    kThrottled,  // mostly not for the content, so more raise suspicion
    kOther,
  };
  struct FailedPlan {
    Standing standing;
    size_t items;         // objects in the request
    int failures;         // in a row, with this one unless it was not sent
    uint64_t deliveries;  // see BatchPlan
    size_t suspected;     // suspected plans of the lane, without this one
    // It hung together with others, of which none got through.
    bool in_silence = false;
  };
  enum class Step {
    kRetry,      // send it again as it is, before anything else
    kTryLater,   // it is suspected: try others before it
    kDivide,     // it is suspected: try its parts after the others that are
    kDivideNow,  // it is suspected: try its parts before them
    kIsolate,    // a single item: it waits alone from now on
    kWaitAlone,  // isolated: it waits alone again
  };
  struct Judgement {
    Step step;
    // The content is the cause; otherwise it may be an outage.
    bool content = false;
  };

  // Heap took a batch of the type.
  void OnDelivered() {
    ++deliveries_;
    refused_items_ = 0;
  }
  uint64_t deliveries() const { return deliveries_; }

  // What to do with a plan that failed.
  Judgement OnFailure(Failure failure, const FailedPlan& plan);

  // The same for a plan that was answered as by a wrong set-up. `others_wait`:
  // there are items to compare it with.
  Judgement OnWrongSetUp(const FailedPlan& plan, bool others_wait);

  enum class Refusal {
    kDeadLetter,
    kTryLater,  // it is suspected: try others before it
    kHold,      // the same, and the destination is to be held
  };
  // What to do with a single item that Heap refused, with a response that names
  // no item, for the `refusals`th time in a row. `deliveries`: deliveries()
  // when the search for it began.
  Refusal OnRefused(int refusals, uint64_t deliveries);
  // True if several items in a row were refused alone, and none got through.
  bool refuses_all() const { return refused_items_ >= kRefusedToHold; }

 private:
  bool ProvenSince(uint64_t deliveries) const {
    return deliveries_ > deliveries && deliveries_ > used_;
  }

  uint64_t deliveries_ = 0;
  static constexpr int kRefusedToHold = 3;

  uint64_t used_ = 0;      // deliveries_ at the last conviction
  int refused_items_ = 0;  // alone, since the last delivery
};

// Items of each part of a suspected batch of `items` items; at least one.
size_t PartSize(size_t items);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_SUSPICION_H_
