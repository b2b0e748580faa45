#include "server/config/listen_address.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "heap_adapter/config/setting_checks.h"

namespace heapsync {

bool IsListenAddress(absl::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos || colon == 0) return false;
  const absl::string_view host = address.substr(0, colon);
  const absl::string_view port = address.substr(colon + 1);
  uint32_t number = 0;
  const bool bracketed = host.front() == '[' && host.back() == ']';
  return (bracketed ||
          host.find_first_of(":[]/ ") == absl::string_view::npos) &&
         std::all_of(port.begin(), port.end(), absl::ascii_isdigit) &&
         absl::SimpleAtoi(port, &number) && number <= 65'535;
}

bool IsLoopbackAddress(absl::string_view address) {
  return IsLoopbackHost(std::string(address.substr(0, address.rfind(':'))));
}

}  // namespace heapsync
