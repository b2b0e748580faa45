#ifndef HEAPSYNC_SERVER_CALLER_H_
#define HEAPSYNC_SERVER_CALLER_H_

#include <grpcpp/grpcpp.h>

#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace heapsync {

// Who makes a call. The name decides only whose work waits with whose: callers
// take turns, and one that sends much delays itself.
struct Caller {
  // Empty: nobody said. Otherwise IsCallerName().
  std::string name;
};

// The request metadata in which a caller can say its own name.
inline constexpr char kCallerMetadata[] = "heapsync-caller";

// 1 to 64 characters of a-z, 0-9, '_', '.', '-'.
bool IsCallerName(absl::string_view name);

// What the caller says of itself. A name that is not one counts as none, and so
// do several: what nobody is answerable for must not be guessed.
Caller CallerByMetadata(
    const std::multimap<grpc::string_ref, grpc::string_ref>& metadata);

// Who makes this call.
inline Caller CallerOf(const grpc::CallbackServerContext& context) {
  return CallerByMetadata(context.client_metadata());
}

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_CALLER_H_
