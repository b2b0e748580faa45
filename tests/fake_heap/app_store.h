#ifndef HEAPSYNC_TESTS_FAKE_HEAP_APP_STORE_H_
#define HEAPSYNC_TESTS_FAKE_HEAP_APP_STORE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/model/object_type.h"
#include "tests/fake_heap/post_body.h"
#include "tests/fake_heap/text_arena.h"

namespace heapsync::fake_heap {

// An event as Heap holds it. Views live as long as their AppStore.
struct Event {
  absl::string_view identity;
  absl::string_view key;   // idempotency key, empty: none
  absl::string_view text;  // as it was sent; empty where it was not kept
  Region region;
  uint32_t request;  // number of the request that brought it
  WallTime time;     // of its arrival
};

// A user's or an account's properties.
struct Profile {
  absl::string_view identity;
  std::map<std::string, std::string> properties;  // values as JSON text
  uint32_t writes = 0;  // items that came for it, not properties
  uint32_t first_request = 0;
  uint32_t last_request = 0;  // the latest that wrote it
};

// Number of times an idempotency key arrived: 1 is the write that counted.
struct KeyCount {
  absl::string_view key;
  uint32_t count;
};

// Contents of one app id. About 150 bytes per event besides its key and text.
// One thread at a time.
class AppStore {
 public:
  AppStore() = default;
  AppStore(const AppStore&) = delete;
  AppStore& operator=(const AppStore&) = delete;

  // Appends unless the key is known; false: it was a duplicate. Copies what
  // `event` views.
  bool Append(const Event& event);

  // Overwrites key by key. `type` is not kTrackEvent.
  void Overwrite(ObjectType type, absl::string_view identity,
                 const std::vector<Property>& properties, uint32_t request);

  void CountItems(ObjectType type, Region region, size_t items);

  uint64_t items(ObjectType type, Region region) const;
  uint64_t events() const { return events_.size(); }
  uint64_t duplicates() const { return duplicates_; }
  uint64_t unique_keys() const { return keys_.size(); }
  uint64_t event_identities() const { return identities_.size(); }
  uint64_t profiles(ObjectType type) const;
  uint64_t profile_writes(ObjectType type) const;

  // Events in the order of their arrival, those of one identity or of all.
  std::vector<Event> Events(std::optional<absl::string_view> identity,
                            size_t offset, size_t limit) const;
  uint64_t CountEvents(std::optional<absl::string_view> identity) const;

  // The event that a key stands for, and how often the key came.
  struct Found {
    Event event;
    uint32_t count;
  };
  std::optional<Found> FindEvent(absl::string_view key) const;

  // The `index`th key in the order of first arrival. REQUIRES: index <
  // unique_keys().
  KeyCount KeyAt(size_t index) const;

  // Null where nothing was written for it.
  const Profile* FindProfile(ObjectType type, absl::string_view identity) const;

  // Profiles in the order of their first write.
  std::vector<const Profile*> Profiles(ObjectType type, size_t offset,
                                       size_t limit) const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct EventRecord {
    const char* text;
    WallTime time;
    uint32_t text_size;
    uint32_t key;       // in keys_
    uint32_t identity;  // in identities_
    uint32_t previous;  // event of the same identity
    uint32_t request;
    Region region;
  };
  struct KeyRecord {
    absl::string_view text;
    uint32_t event;
    uint32_t count;
  };
  struct IdentityRecord {
    absl::string_view text;
    uint32_t last_event;
    uint32_t count;
  };
  struct ProfileTable {
    std::deque<Profile> all;
    absl::flat_hash_map<absl::string_view, uint32_t> index;
    uint64_t writes = 0;
  };

  Event ToEvent(const EventRecord& record) const;
  uint32_t IdentityIndex(absl::string_view identity);
  const ProfileTable& ProfilesOf(ObjectType type) const;

  TextArena texts_;
  std::deque<EventRecord> events_;
  std::deque<KeyRecord> keys_;
  std::deque<IdentityRecord> identities_;
  absl::flat_hash_map<absl::string_view, uint32_t> key_index_;
  absl::flat_hash_map<absl::string_view, uint32_t> identity_index_;
  ProfileTable users_;
  ProfileTable accounts_;
  uint64_t duplicates_ = 0;
  std::array<std::array<uint64_t, 2>, 3> items_{};  // by type, region
};

}  // namespace heapsync::fake_heap

#endif  // HEAPSYNC_TESTS_FAKE_HEAP_APP_STORE_H_
