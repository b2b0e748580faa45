#ifndef HEAPSYNC_SERVER_DATA_KEY_SOURCE_H_
#define HEAPSYNC_SERVER_DATA_KEY_SOURCE_H_

#include <cstdint>
#include <optional>

#include "heap_adapter/encoding/idempotency_key.h"

namespace heapsync {

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

#endif  // HEAPSYNC_SERVER_DATA_KEY_SOURCE_H_
