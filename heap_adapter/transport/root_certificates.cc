#include "heap_adapter/transport/root_certificates.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

namespace heapsync {

RootCertificates::RootCertificates(const std::string& pem) {
  struct BioDeleter {
    void operator()(BIO* bio) const { BIO_free(bio); }
  };
  const std::unique_ptr<BIO, BioDeleter> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    certificates_.emplace_back(next);
  }
  // The end of the text is an error to OpenSSL, which would be found by the
  // next caller who looks for one.
  ERR_clear_error();
}

void RootCertificates::AddTo(SSL_CTX& context) const {
  X509_STORE* store = SSL_CTX_get_cert_store(&context);
  // One that is in the store already, which libcurl shares between
  // connections, stays there.
  for (const auto& certificate : certificates_) {
    X509_STORE_add_cert(store, certificate.get());
  }
}

}  // namespace heapsync
