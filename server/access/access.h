#ifndef HEAPSYNC_SERVER_ACCESS_ACCESS_H_
#define HEAPSYNC_SERVER_ACCESS_ACCESS_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "heap_adapter/base/mutex.h"
#include "heap_adapter/engine.h"
#include "server/access/access_rules.h"
#include "server/access/caller.h"
#include "server/wire/rich_status.h"

namespace heapsync {

// The request metadata in which a caller can say its own name, which counts
// only where nobody has to prove it.
inline constexpr char kCallerMetadata[] = "heapsync-caller";

// What a call brings to show who makes it. Holds no token, so that it may be
// kept as long as a stream.
struct Credentials {
  // Several `authorization` entries, or one that is no "Bearer …".
  bool malformed = false;
  std::optional<TokenHash> token;
  // Of the client's certificate, which the handshake verified: its DNS names,
  // URIs and common name.
  std::vector<std::string> certificate_names;
  std::string claimed_name;
};

using CallMetadata = std::multimap<grpc::string_ref, grpc::string_ref>;
Credentials CredentialsIn(const CallMetadata& metadata,
                          const grpc::AuthContext* peer);
Credentials CredentialsOf(const grpc::CallbackServerContext& context);

// What a call wants to get at.
enum class ServiceKind {
  kData,
  kAdmin,
  kReflection,  // whoever may do anything may look at the protos
};

// Decides who calls and whether it may. Without rules everybody may do
// everything, under the name that it claims. Every service asks here at the
// start of each call; health alone does not. Any thread.
class Access {
 public:
  Access() : state_(std::make_shared<const State>()) {}

  // From now on these count. A caller keeps what it has left of its rate if
  // that is the same. Calls in flight go on; streams ask again with their next
  // message.
  void SetRules(AccessRules rules);

  // The caller, or UNAUTHENTICATED or PERMISSION_DENIED. A token counts before
  // a certificate, and a wrong one is refused whatever else is there.
  std::variant<Caller, CallError> Admit(const Credentials& credentials,
                                        ServiceKind service) const;

  // False: the rules changed since, and the caller should be admitted anew.
  bool IsCurrent(const Caller& caller) const {
    return caller.generation == generation_.load(std::memory_order_acquire);
  }

 private:
  struct State {
    uint64_t generation = 0;
    std::optional<AccessRules> rules;
    absl::flat_hash_map<std::string, std::shared_ptr<CallerAllowance>>
        allowances;
  };

  mutable Mutex mutex_;
  // Shared with the calls that are looking into it.
  std::shared_ptr<const State> state_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> generation_{0};
};

// The destination that a call names, or means by naming none, if the caller may
// use it. Whether one that it may not use exists is not told.
std::variant<const Destination*, CallError> DestinationFor(
    const Engine& engine, const Caller& caller, const std::string& name);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ACCESS_ACCESS_H_
