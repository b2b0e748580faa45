#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_IDEMPOTENCY_KEY_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_IDEMPOTENCY_KEY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace heapsync {

// The namespace of derived keys. Part of the contract with callers, who may
// compute the same keys: never change it.
inline constexpr absl::string_view kIdempotencyNamespace =
    "1f153053-2795-4644-9f22-a2fa90c7cce4";

// A UUID (RFC 9562) as 36 lowercase characters.
class IdempotencyKey {
 public:
  // Version 4, from a generator of the calling thread that the operating system
  // seeded. Any thread.
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

// The keys of one request's items: the version 5 UUID of
// "<request_id>/<index>", the index in decimal, under kIdempotencyNamespace. A
// repeated request yields the same keys without anybody remembering them. In
// Python: uuid.uuid5(uuid.UUID(namespace), f"{request_id}/{index}").
//
// Making one costs an allocation, a key costs a hash. One thread at a time.
class DerivedKeys {
 public:
  // REQUIRES: `request_id` is not empty (two requests without one would share
  // their keys).
  explicit DerivedKeys(absl::string_view request_id);

  // `index`: where the item stands in the whole job, from 0.
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
