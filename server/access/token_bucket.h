#ifndef HEAPSYNC_SERVER_ACCESS_TOKEN_BUCKET_H_
#define HEAPSYNC_SERVER_ACCESS_TOKEN_BUCKET_H_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "base/clock.h"

namespace heapsync {

// Rate limit for the items of a caller: a bucket that holds up to `burst` items
// and is refilled with `per_second`.
//
// A call that cannot wait takes its item or is refused. A message that can
// wait joins a queue and is taken in once it is paid in full, so that no number
// of messages sends more than the rate allows. The first of the queue pays with
// what the bucket holds as soon as that is enough; until then it gets half of
// what comes in, and all that the bucket has no room for. So neither calls nor
// messages keep the other from getting half of the rate, and nothing is lost.
//
// Not thread-safe.
class TokenBucket {
 public:
  // REQUIRES: both are above zero. The bucket starts full.
  TokenBucket(double per_second, double burst)
      : per_second_(per_second), burst_(burst), level_(burst) {}

  // Takes `items` if the bucket holds them. More items than it can hold are
  // taken if it is full, because they could never be sent otherwise.
  bool TryTake(double items, MonotonicTime now);

  // Time until the bucket holds `items`, or is full; zero if it already is. At
  // most a day.
  Duration TimeUntil(double items, MonotonicTime now);

  // A message in the queue.
  using Ticket = uint64_t;

  // Appends a message of `items` to the queue.
  Ticket Join(double items, MonotonicTime now);
  // Zero if the message is paid: the ticket is then used up. Otherwise the
  // earliest time in which it can be, at most a day; it is later if calls take
  // items meanwhile, and earlier if a message in front leaves.
  // REQUIRES: a ticket that is not used up.
  Duration TimeUntilPaid(Ticket ticket, MonotonicTime now);
  // Takes the message out of the queue. What it has paid returns to the bucket,
  // and what the bucket has no room for is kept for the next message: perhaps
  // the same one, on a stream that goes on after a reset. At most what one
  // message had paid is kept.
  // REQUIRES: a ticket that is not used up.
  void Leave(Ticket ticket);

  size_t queue_length() const { return queue_.size(); }

 private:
  struct Message {
    Ticket ticket = 0;
    double unpaid = 0;  // items
    double paid = 0;
  };

  void Refill(MonotonicTime now);
  // Pays the messages for which enough is there, in their order.
  void PayFromBucket();
  // The first that is not paid; end() if all are.
  std::deque<Message>::iterator FirstUnpaid();
  std::deque<Message>::iterator Find(Ticket ticket);
  Duration TimeFor(double items) const;

  const double per_second_;
  const double burst_;
  double level_;
  double kept_ = 0;  // for messages
  std::deque<Message> queue_;
  Ticket next_ticket_ = 1;
  MonotonicTime refilled_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ACCESS_TOKEN_BUCKET_H_
