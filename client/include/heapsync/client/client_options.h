#ifndef HEAPSYNC_CLIENT_CLIENT_OPTIONS_H_
#define HEAPSYNC_CLIENT_CLIENT_OPTIONS_H_

#include <chrono>
#include <optional>
#include <string>

#include "heapsync/client/retry_policy.h"

namespace heapsync {

// The material of a TLS connection, all in PEM.
struct TlsOptions {
  std::string ca;  // who may vouch for the server; empty: the system's CAs

  // This client's own, where the server asks for one: both or neither.
  std::string certificate;
  std::string key;

  // The name that the server's certificate must have; empty: the one in
  // `server`.
  std::string server_name;
};

// The HTTP proxy through which the server is reached.
enum class ProxyUse {
  kNone,
  kEnvironment  // the one that https_proxy, http_proxy or grpc_proxy names
};

struct ClientOptions {
  // host:port, or any other target that gRPC resolves.
  std::string server = "localhost:50051";

  // None: plaintext. Keep that inside a trusted network.
  std::optional<TlsOptions> tls;

  // Sent with every call as `authorization: Bearer …`, where MayCarryToken().
  std::string token;

  // Let the token go over a plaintext connection to another machine, where
  // something else encrypts.
  bool allow_plaintext_token = false;

  ProxyUse proxy = ProxyUse::kNone;

  // Bounds one call with all its retries.
  std::chrono::milliseconds timeout{30'000};

  RetryPolicy retry;
};

// True if nobody on the network can read what these options send: with TLS, to
// a target on this machine (localhost, 127.0.0.0/8, [::1], unix:) without a
// proxy, or where the options allow it explicitly. Otherwise the token is left
// out.
bool MayCarryToken(const ClientOptions& options);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLIENT_OPTIONS_H_
