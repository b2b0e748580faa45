#ifndef HEAPSYNC_SERVER_NET_TLS_CREDENTIALS_H_
#define HEAPSYNC_SERVER_NET_TLS_CREDENTIALS_H_

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "base/mutex.h"
#include "server/config/server_config.h"
#include "server/config/tls_material.h"

namespace heapsync {

// The certificates for new connections. They can be replaced while the server
// runs; open connections keep theirs. Any thread.
//
// gRPC's own file watcher is not used, because it accepts a key that does not
// match its certificate, after which no client can connect.
class TlsCertificates {
 public:
  // REQUIRES: CheckTlsMaterial() finds no fault, here and in Set().
  explicit TlsCertificates(TlsMaterial material)
      : material_(std::move(material)) {}

  void Set(TlsMaterial material);

  // The current certificates. `version` changes with every Set().
  struct Fetched {
    TlsMaterial material;
    uint64_t version = 0;
  };
  Fetched Fetch() const;

 private:
  mutable Mutex mutex_;
  TlsMaterial material_ ABSL_GUARDED_BY(mutex_);
  uint64_t version_ ABSL_GUARDED_BY(mutex_) = 1;
};

// Credentials for one listening port. `certificates` must outlive the server.
std::shared_ptr<grpc::ServerCredentials> NewTlsCredentials(
    const TlsCertificates& certificates, ClientCertificates clients);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_NET_TLS_CREDENTIALS_H_
