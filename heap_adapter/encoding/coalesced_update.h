#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_COALESCED_UPDATE_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_COALESCED_UPDATE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/encoding/property_writer.h"

namespace heapsync {

// Maximum number of properties that updates are coalesced to. Our own limit: it
// bounds what reading one such update again costs.
inline constexpr size_t kMaxCoalescedProperties = 4 * kMaxProperties;

// Several updates of one user or account as a single one, with the effect of
// all of them in turn: of each property the newest value counts. Adding an
// update costs time in proportion to that update, however much was gathered;
// only the first text is not read before a second one comes.
//
// The texts are items as ChunkEncoder writes them. Values are kept as they are
// written, so that the result is what ChunkEncoder would write for all
// properties at once. One thread.
class CoalescedUpdate {
 public:
  // `text` need not be sound: if it is not, nothing can be added to it.
  explicit CoalescedUpdate(std::string text);

  // Adds a newer update, unless that would make the text longer than it is and
  // than `max_bytes`. Errors, with which nothing changes: kOutOfRange if the
  // result would be too long or have too many properties (send the two one
  // after the other), kFailedPrecondition if `newer` belongs to another
  // identity or account, kDataLoss if it, or the first text, is not an encoded
  // user or account.
  absl::Status Add(absl::string_view newer, size_t max_bytes = kMaxItemBytes);

  // Size of Text(), in bytes.
  size_t bytes() const { return bytes_; }
  std::string Text() const&;
  std::string Text() &&;

  // Properties that were read so far, of all texts: a measure of the work.
  uint64_t properties_read() const { return properties_read_; }

 private:
  enum class First : uint8_t { kUnread, kRead, kUnsound };
  struct Scanned;

  void ReadFirst();
  void Apply(const Scanned& update);
  bool Fits(const Scanned& update, size_t max_bytes) const;

  First first_ = First::kUnread;
  std::string text_;  // the first text; empty once it was read
  size_t bytes_;
  uint64_t properties_read_ = 0;
  // From the time when the first text was read:
  std::string subject_;  // "identity":"…" or "account_id":"…"
  bool has_properties_ = false;
  // "key":value by key, the latter without its escapes.
  absl::btree_map<std::string, std::string> properties_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_COALESCED_UPDATE_H_
