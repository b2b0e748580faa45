#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_IDEMPOTENCY_KEY_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_IDEMPOTENCY_KEY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace heapsync {

// Namespace of derived keys. Callers may compute the same keys, so it never
// changes.
inline constexpr absl::string_view kIdempotencyNamespace =
    "1f153053-2795-4644-9f22-a2fa90c7cce4";

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

// Keys of the items of one request: the version 5 UUID of
// "<request_id>/<index>", with the index in decimal, under
// kIdempotencyNamespace. A repeated request has the same keys, although they
// are not stored. In Python:
// uuid.uuid5(uuid.UUID(namespace), f"{request_id}/{index}").
//
// The constructor allocates; a key costs one hash. One thread at a time.
class DerivedKeys {
 public:
  // REQUIRES: `request_id` is not empty (two requests without one would share
  // their keys).
  explicit DerivedKeys(absl::string_view request_id);

  // `index` is the position of the item in the whole job, starting at 0.
  IdempotencyKey At(uint64_t index);

 private:
  struct FreeDigest {
    void operator()(void* context) const;
  };

  std::unique_ptr<void, FreeDigest> digest_;  // an EVP_MD_CTX
  std::string name_;                          // namespace, request id, "/"
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_IDEMPOTENCY_KEY_H_
