#include "heap_adapter/model/response_class.h"

#include "base/check.h"

namespace heapsync {

absl::string_view Name(ResponseClass response_class) {
  switch (response_class) {
    case ResponseClass::kDelivered:
      return "delivered";
    case ResponseClass::kTransient:
      return "transient";
    case ResponseClass::kThrottled:
      return "throttled";
    case ResponseClass::kOversized:
      return "oversized";
    case ResponseClass::kInvalid:
      return "invalid";
    case ResponseClass::kMisconfigured:
      return "misconfigured";
  }
  HEAPSYNC_UNREACHABLE();
}

}  // namespace heapsync
