#ifndef HEAPSYNC_SERVER_ACCESS_ACCESS_H_
#define HEAPSYNC_SERVER_ACCESS_ACCESS_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "heap_adapter/engines.h"
#include "server/access/access_rules.h"
#include "server/access/call_slots.h"
#include "server/access/caller.h"
#include "server/wire/rich_status.h"

namespace heapsync {

// Request metadata with the name that a caller claims. Used only if there are
// no access rules.
inline constexpr char kCallerMetadata[] = "heapsync-caller";

// Credentials presented by a call. Contains no token in the clear, so it may be
// kept as long as a stream.
struct Credentials {
  // There are several `authorization` entries, or one that is not "Bearer …".
  bool malformed = false;
  std::optional<TokenHash> token;
  // DNS names, URIs and common name of the client's certificate, which the
  // handshake verified.
  std::vector<std::string> certificate_names;
  std::string claimed_name;
  // gRPC's name of the connection's other end; empty if unknown.
  std::string peer;
};

using CallMetadata = std::multimap<grpc::string_ref, grpc::string_ref>;
Credentials CredentialsIn(const CallMetadata& metadata,
                          const grpc::AuthContext* peer);
Credentials CredentialsOf(const grpc::CallbackServerContext& context);

// The service that a call is for.
enum class ServiceKind {
  kData,
  kAdmin,
  kReflection,  // open to every known caller
};

// Authenticates and authorizes callers. Without rules every caller may do
// everything, under the name that it claims. Every service except health calls
// this at the start of each call. Any thread.
class Access {
 public:
  Access() : state_(std::make_shared<const State>()) {}

  // Called on any thread with the peer of each call that has the rights it
  // needs, and its caller's name by the rules; empty without rules. An error
  // refuses the call.
  using OnAdmitted = std::function<std::optional<CallError>(
      const std::string& peer, const std::string& caller)>;
  // REQUIRES: no call was admitted yet.
  void SetOnAdmitted(OnAdmitted on_admitted) {
    on_admitted_ = std::move(on_admitted);
  }

  // Replaces the rules. A caller whose rate is unchanged keeps its remaining
  // allowance. Calls in flight continue; streams are admitted again with their
  // next message.
  void SetRules(AccessRules rules);

  // Returns the caller, or UNAUTHENTICATED, PERMISSION_DENIED, or what
  // OnAdmitted says. A token takes
  // precedence over a certificate, and an unknown token is always rejected.
  std::variant<Caller, CallError> Admit(const Credentials& credentials,
                                        ServiceKind service) const;

  // False if the rules have changed, so that the caller must be admitted again.
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

  // Admit() without the notice.
  std::variant<Caller, CallError> Decide(const Credentials& credentials,
                                         ServiceKind service) const;

  OnAdmitted on_admitted_;
  mutable Mutex mutex_;
  // Shared with calls that are reading it.
  std::shared_ptr<const State> state_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> generation_{0};
};

// The error for a call that gets no slot.
CallError NoSlot(CallSlots::Shortage shortage);

// The destination named by a call, or the default one if `name` is empty,
// provided that the caller may use it. The error for a destination that it may
// not use reveals neither whether the destination exists nor, for an empty
// name, which one is the default or whether there is one.
std::variant<const Destination*, CallError> DestinationFor(
    const Engines& engines, const Caller& caller, const std::string& name);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ACCESS_ACCESS_H_
