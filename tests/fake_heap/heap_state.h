#ifndef HEAPSYNC_TESTS_FAKE_HEAP_HEAP_STATE_H_
#define HEAPSYNC_TESTS_FAKE_HEAP_HEAP_STATE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/model/object_type.h"
#include "tests/fake_heap/app_store.h"
#include "tests/fake_heap/post_body.h"

namespace heapsync::fake_heap {

// Contents of a Heap data center: events, each idempotency key once, and the
// latest properties of users and accounts, by app id. Unlike two real data
// centers, both regions share one key space, so an item that went to both is
// counted as a duplicate.
//
// One thread at a time. Returned views are valid until Clear().
class HeapState {
 public:
  struct Options {
    bool keep_events = true;
    // Bytes of event texts kept, over all app ids. Past it events still count
    // and their keys are still known, but their texts are gone.
    size_t max_event_bytes = size_t{512} << 20;
    // Count items and forget them: nothing else can be asked afterwards.
    bool count_only = false;
  };

  explicit HeapState(Options options) : options_(options) {}

  // Place and time of a request.
  struct Arrival {
    Region region;
    uint64_t request;
    WallTime time;
  };

  // Takes the items of a valid body. REQUIRES: !body.fault.
  void Apply(ObjectType type, const PostBody& body, const Arrival& arrival);

  // App ids that were seen, in order.
  std::vector<std::string> AppIds() const;

  // Null where nothing came for this app id.
  const AppStore* Find(absl::string_view app_id) const;

  // Event texts that are kept, and those that were not.
  size_t event_bytes() const { return event_bytes_; }
  uint64_t dropped_texts() const { return dropped_texts_; }

  // Forgets everything.
  void Clear();

 private:
  const Options options_;
  std::map<std::string, AppStore, std::less<>> apps_;
  size_t event_bytes_ = 0;
  uint64_t dropped_texts_ = 0;
};

}  // namespace heapsync::fake_heap

#endif  // HEAPSYNC_TESTS_FAKE_HEAP_HEAP_STATE_H_
