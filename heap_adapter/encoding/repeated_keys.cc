#include "heap_adapter/encoding/repeated_keys.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "xxhash.h"

namespace heapsync {

bool RepeatedKeys::IsReused(absl::string_view key,
                            const ContentDigest& content) {
  uint64_t digest;
  std::memcpy(&digest, content.bytes.data(), sizeof(digest));
  const uint64_t hash = XXH3_64bits(key.data(), key.size());
  auto known = recent_.find(hash);
  if (known == recent_.end()) {
    if (recent_.size() >= max_keys_) previous_ = std::exchange(recent_, {});
    const auto older = previous_.find(hash);
    known =
        recent_.emplace(hash, older == previous_.end() ? digest : older->second)
            .first;
  }
  return known->second != digest;
}

void ReusedKeys::Add(uint64_t place) {
  ++count;
  if (first_places.size() < kMaxPlaces) first_places.push_back(place);
}

std::string ReusedKeys::PlacesText() const {
  return absl::StrCat(absl::StrJoin(first_places, ", "),
                      count > first_places.size() ? ", …" : "");
}

}  // namespace heapsync
