#include "server/access/access.h"

#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace heapsync {
namespace {

absl::string_view ViewOf(const grpc::string_ref& text) {
  return absl::string_view(text.data(), text.size());
}

// The only value of `key`; empty if there is none or more than one.
absl::string_view Only(const CallMetadata& metadata, const char* key) {
  const auto [begin, end] = metadata.equal_range(key);
  if (begin == end || std::next(begin) != end) return {};
  return ViewOf(begin->second);
}

CallError Refused(grpc::StatusCode code, absl::string_view reason,
                  absl::string_view message) {
  return {.code = code,
          .reason = std::string(reason),
          .message = std::string(message),
          .violations = {}};
}

CallError Unauthenticated(absl::string_view reason, absl::string_view message) {
  return Refused(grpc::StatusCode::UNAUTHENTICATED, reason, message);
}

// The caller that the credentials belong to.
std::variant<std::shared_ptr<const CallerGrant>, CallError> Identify(
    const AccessRules& rules, const Credentials& credentials) {
  if (credentials.malformed) {
    return Unauthenticated("CREDENTIALS_MALFORMED",
                           "the metadata `authorization` must occur once, as "
                           "`Bearer <token>`");
  }
  if (credentials.token.has_value()) {
    auto grant = rules.FindByToken(*credentials.token);
    if (grant != nullptr) return grant;
    return Unauthenticated("TOKEN_UNKNOWN", "unknown or revoked token");
  }
  for (const std::string& name : credentials.certificate_names) {
    auto grant = rules.FindByCertificate(name);
    if (grant != nullptr) return grant;
  }
  if (!credentials.certificate_names.empty()) {
    return Unauthenticated("CERTIFICATE_UNKNOWN",
                           "no caller matches this client certificate");
  }
  return Unauthenticated(
      "CREDENTIALS_MISSING",
      "this server requires authentication: send the metadata `authorization: "
      "Bearer <token>`, or a client certificate if the server accepts them");
}

}  // namespace

Credentials CredentialsIn(const CallMetadata& metadata,
                          const grpc::AuthContext* peer) {
  Credentials credentials;
  const absl::string_view claimed = Only(metadata, kCallerMetadata);
  if (IsCallerName(claimed)) credentials.claimed_name = std::string(claimed);
  if (metadata.count("authorization") > 0) {
    constexpr absl::string_view kScheme = "bearer ";
    absl::string_view value = Only(metadata, "authorization");
    if (absl::StartsWithIgnoreCase(value, kScheme)) {
      value = absl::StripAsciiWhitespace(value.substr(kScheme.size()));
      credentials.malformed = value.empty();
      credentials.token = HashOf(value);
    } else {
      credentials.malformed = true;
    }
  }
  if (peer != nullptr && peer->IsPeerAuthenticated()) {
    for (const char* property : {"peer_dns", "peer_uri", "x509_common_name"}) {
      for (const grpc::string_ref& name : peer->FindPropertyValues(property)) {
        if (!name.empty()) {
          credentials.certificate_names.emplace_back(name.data(), name.size());
        }
      }
    }
  }
  return credentials;
}

Credentials CredentialsOf(const grpc::CallbackServerContext& context) {
  Credentials credentials =
      CredentialsIn(context.client_metadata(), context.auth_context().get());
  credentials.peer = context.peer();
  return credentials;
}

void Access::SetRules(AccessRules rules) {
  auto state = std::make_shared<State>();
  MutexLock lock(mutex_);
  for (const auto& caller : rules.callers()) {
    if (!caller->rate.has_value()) continue;
    const auto known = state_->allowances.find(caller->name);
    const bool same = known != state_->allowances.end() &&
                      known->second->rate() == *caller->rate;
    state->allowances.emplace(
        caller->name, same ? known->second
                           : std::make_shared<CallerAllowance>(*caller->rate));
  }
  state->rules = std::move(rules);
  state->generation = state_->generation + 1;
  generation_.store(state->generation, std::memory_order_release);
  state_ = std::move(state);
}

std::variant<Caller, CallError> Access::Admit(const Credentials& credentials,
                                              ServiceKind service) const {
  auto admitted = Decide(credentials, service);
  const Caller* const caller = std::get_if<Caller>(&admitted);
  if (caller == nullptr || on_admitted_ == nullptr) return admitted;
  // A claimed name is anybody's.
  auto error =
      on_admitted_(credentials.peer,
                   caller->grant == nullptr ? std::string() : caller->name);
  if (error.has_value()) return *std::move(error);
  return admitted;
}

std::variant<Caller, CallError> Access::Decide(const Credentials& credentials,
                                               ServiceKind service) const {
  std::shared_ptr<const State> state;
  {
    MutexLock lock(mutex_);
    state = state_;
  }
  if (!state->rules.has_value()) {
    return Caller{.name = credentials.claimed_name,
                  .grant = nullptr,
                  .allowance = nullptr,
                  .generation = state->generation};
  }
  auto identified = Identify(*state->rules, credentials);
  if (auto* error = std::get_if<CallError>(&identified)) {
    return std::move(*error);
  }
  Caller caller{.name = {},
                .grant = std::get<0>(std::move(identified)),
                .allowance = nullptr,
                .generation = state->generation};
  caller.name = caller.grant->name;
  const bool allowed = service == ServiceKind::kReflection ||
                       (service == ServiceKind::kData ? caller.grant->data
                                                      : caller.grant->admin);
  if (!allowed) {
    return Refused(grpc::StatusCode::PERMISSION_DENIED, "SERVICE_NOT_ALLOWED",
                   service == ServiceKind::kData
                       ? "this caller may not use the data service"
                       : "this caller may not use the admin service");
  }
  const auto allowance = state->allowances.find(caller.name);
  if (allowance != state->allowances.end()) {
    caller.allowance = allowance->second;
  }
  return caller;
}

CallError NoSlot(CallSlots::Shortage shortage) {
  return shortage == CallSlots::Shortage::kAllTaken ? TooManyCalls()
                                                    : CallerShareTaken();
}

std::variant<const Destination*, CallError> DestinationFor(
    const Engines& engines, const Caller& caller, const std::string& name) {
  const Destination* destination = engines.FindDestination(name);
  const bool allowed =
      destination == nullptr && name.empty()
          ? caller.MayUseAll()
          : caller.MayUse(destination == nullptr ? name : destination->name);
  if (!allowed) return DestinationNotAllowed(name);
  if (destination == nullptr) return UnknownDestination(name);
  return destination;
}

}  // namespace heapsync
