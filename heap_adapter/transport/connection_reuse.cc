#include "heap_adapter/transport/connection_reuse.h"

#include <algorithm>

namespace heapsync {
namespace {

// "https://heapanalytics.com" of "https://heapanalytics.com/api/track".
absl::string_view OriginOf(absl::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == absl::string_view::npos) return url;
  return url.substr(0, url.find('/', scheme + 3));
}

}  // namespace

void ConnectionReuse::OnTimeout(absl::string_view url, MonotonicTime now) {
  last_timeouts_[OriginOf(url)] = now;
}

std::chrono::seconds ConnectionReuse::MaxAge(absl::string_view url,
                                             MonotonicTime now) const {
  const auto it = last_timeouts_.find(OriginOf(url));
  if (it == last_timeouts_.end()) return max_age_;
  // One second less, because libcurl rounds ages down and allows the maximum
  // itself: a connection that is as old as the time-out must be too old.
  const auto since =
      std::chrono::floor<std::chrono::seconds>(now - it->second) -
      std::chrono::seconds(1);
  return std::clamp(since, std::chrono::seconds(0), max_age_);
}

}  // namespace heapsync
