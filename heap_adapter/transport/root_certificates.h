#ifndef HEAPSYNC_HEAP_ADAPTER_TRANSPORT_ROOT_CERTIFICATES_H_
#define HEAPSYNC_HEAP_ADAPTER_TRANSPORT_ROOT_CERTIFICATES_H_

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <vector>

namespace heapsync {

// Root certificates to trust besides those of the system.
class RootCertificates {
 public:
  // `pem`: any number of certificates; what cannot be read ends the list.
  explicit RootCertificates(const std::string& pem);

  bool empty() const { return certificates_.empty(); }

  // Makes connections of `context` trust them, too. Any thread.
  void AddTo(SSL_CTX& context) const;

 private:
  struct Deleter {
    void operator()(X509* certificate) const { X509_free(certificate); }
  };
  std::vector<std::unique_ptr<X509, Deleter>> certificates_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_TRANSPORT_ROOT_CERTIFICATES_H_
