#include "server/caller.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"

namespace heapsync {

bool IsCallerName(absl::string_view name) {
  constexpr size_t kLongest = 64;
  return !name.empty() && name.size() <= kLongest &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) ||
                  c == '_' || c == '.' || c == '-';
         });
}

Caller CallerByMetadata(
    const std::multimap<grpc::string_ref, grpc::string_ref>& metadata) {
  const auto [begin, end] = metadata.equal_range(kCallerMetadata);
  if (begin == end || std::next(begin) != end) return {};
  const absl::string_view name(begin->second.data(), begin->second.size());
  if (!IsCallerName(name)) return {};
  return {.name = std::string(name)};
}

}  // namespace heapsync
