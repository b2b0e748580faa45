#ifndef HEAPSYNC_SERVER_NET_TLS_CREDENTIALS_H_
#define HEAPSYNC_SERVER_NET_TLS_CREDENTIALS_H_

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "heap_adapter/base/mutex.h"
#include "server/config/server_config.h"
#include "server/config/tls_material.h"

namespace heapsync {

// The certificates that new connections get. They can be exchanged while the
// server runs; open connections keep theirs. Any thread.
//
// gRPC's own watcher of files is not used: it takes a key that does not belong
// to its certificate, and then no client gets in.
class TlsCertificates {
 public:
  // REQUIRES: CheckTlsMaterial() finds no fault, here and in Set().
  explicit TlsCertificates(TlsMaterial material)
      : material_(std::move(material)) {}

  void Set(TlsMaterial material);

  // What gRPC should use from now on, unless it has it already.
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
