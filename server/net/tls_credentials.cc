#include "server/net/tls_credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include <utility>

#include "base/check.h"

namespace heapsync {
namespace {

// Only gRPC's core, not its C++ layer, supports fetching certificates.
class FetchingCredentials final : public grpc::ServerCredentials {
 public:
  FetchingCredentials(const TlsCertificates& certificates,
                      grpc_ssl_client_certificate_request_type request)
      : certificates_(certificates),
        credentials_(grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config_fetcher(
                request, &FetchingCredentials::Fetch, this))) {}
  ~FetchingCredentials() override {
    grpc_server_credentials_release(credentials_);
  }

  // Callers are authenticated by server/access/access.h, also without TLS.
  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {
    HEAPSYNC_UNREACHABLE();
  }

 private:
  int AddPortToServer(const std::string& address,
                      grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  // Called at every handshake; for one port never concurrently.
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    auto& credentials = *static_cast<FetchingCredentials*>(self);
    const TlsCertificates::Fetched fetched = credentials.certificates_.Fetch();
    MutexLock lock(credentials.mutex_);
    if (fetched.version == credentials.version_) {
      return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    }
    const grpc_ssl_pem_key_cert_pair pair{
        .private_key = fetched.material.private_key.c_str(),
        .cert_chain = fetched.material.certificate_chain.c_str()};
    // gRPC requires a CA even if clients need no certificate.
    const std::string& ca = fetched.material.client_ca.empty()
                                ? fetched.material.certificate_chain
                                : fetched.material.client_ca;
    *config = grpc_ssl_server_certificate_config_create(ca.c_str(), &pair, 1);
    credentials.version_ = fetched.version;
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const TlsCertificates& certificates_;
  Mutex mutex_;
  uint64_t version_ ABSL_GUARDED_BY(mutex_) = 0;
  grpc_server_credentials* const credentials_;
};

}  // namespace

void TlsCertificates::Set(TlsMaterial material) {
  MutexLock lock(mutex_);
  if (material == material_) return;
  material_ = std::move(material);
  ++version_;
}

TlsCertificates::Fetched TlsCertificates::Fetch() const {
  MutexLock lock(mutex_);
  return {.material = material_, .version = version_};
}

std::shared_ptr<grpc::ServerCredentials> NewTlsCredentials(
    const TlsCertificates& certificates, ClientCertificates clients) {
  auto request = GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;
  switch (clients) {
    case ClientCertificates::kNone:
      break;
    case ClientCertificates::kOptional:
      request = GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY;
      break;
    case ClientCertificates::kRequired:
      request = GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
      break;
  }
  return std::make_shared<FetchingCredentials>(certificates, request);
}

}  // namespace heapsync
