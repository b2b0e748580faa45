#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_IDEMPOTENCY_KEY_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_IDEMPOTENCY_KEY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace heapsync {

// A UUID (RFC 9562) as 36 lowercase characters.
class IdempotencyKey {
 public:
  // A version 4 UUID from a generator per thread, seeded by the operating
  // system. Any thread.
  static IdempotencyKey Random();

  absl::string_view view() const { return {text_.data(), text_.size()}; }

  friend bool operator==(const IdempotencyKey&,
                         const IdempotencyKey&) = default;

 private:
  friend class DerivedKeys;

  // Writes `bytes` with RFC 9562's version and variant in place.
  IdempotencyKey(std::array<uint8_t, 16> bytes, uint8_t version);

  std::array<char, 36> text_;
};

// Digest of an event's content: XXH3-128 of its JSON, without the idempotency
// key and without the time of acceptance. Equal for equal events, whatever the
// order of their properties and whenever they arrive.
struct ContentDigest {
  std::array<uint8_t, 16> bytes;

  friend bool operator==(const ContentDigest&, const ContentDigest&) = default;
};

// Digests the JSON of an event, in the two parts around the time of acceptance.
ContentDigest DigestContent(absl::string_view before, absl::string_view after);

// The JSON of an event, which is digested where a key depends on it. The text
// must outlive it.
class EventContent {
 public:
  // See DigestContent().
  EventContent(absl::string_view before, absl::string_view after)
      : before_(before), after_(after) {}

  ContentDigest Digest() const { return DigestContent(before_, after_); }

 private:
  absl::string_view before_;
  absl::string_view after_;
};

// The part of a key's name that all keys of one request share.
struct KeyScope {
  absl::string_view caller;       // its name; may be empty
  absl::string_view destination;  // its name
  absl::string_view request_id;
};

// Keys of the items of one request, version 5 UUIDs. A repeated request has the
// same keys, although they are not stored. An item with other content, at
// another index, or from another caller has another key, so that Heap does not
// take it for a repetition.
//
// The constructor allocates; a key costs one hash of about 100 bytes. One
// thread at a time.
class DerivedKeys {
 public:
  // REQUIRES: `scope.request_id` is not empty (two requests without one would
  // share their keys), and the two names have no zero bytes.
  explicit DerivedKeys(const KeyScope& scope);

  // `index` is the position of the item in the whole job, starting at 0.
  IdempotencyKey At(uint64_t index, const ContentDigest& content);

 private:
  struct FreeDigest {
    void operator()(void* context) const;
  };

  std::unique_ptr<void, FreeDigest> digest_;  // an EVP_MD_CTX
  std::string name_;  // namespace and scope; a zero byte behind each part
};

// Gives the idempotency keys of a request's items: derived from its scope and
// each item's content, or random where it has no request id.
class KeySource {
 public:
  explicit KeySource(const KeyScope& scope) {
    if (!scope.request_id.empty()) derived_.emplace(scope);
  }
  IdempotencyKey At(uint64_t index, const EventContent& content) {
    return derived_.has_value() ? derived_->At(index, content.Digest())
                                : IdempotencyKey::Random();
  }

 private:
  std::optional<DerivedKeys> derived_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_IDEMPOTENCY_KEY_H_
