#ifndef HEAPSYNC_TESTS_TRANSPORT_SELF_SIGNED_H_
#define HEAPSYNC_TESTS_TRANSPORT_SELF_SIGNED_H_

#include <openssl/ssl.h>

#include <memory>
#include <string>

namespace heapsync {

// A fresh key and a certificate for 127.0.0.1 that it signed itself, valid from
// a number of days after now to another.
class SelfSigned {
 public:
  explicit SelfSigned(int from_day = -1, int to_day = 1);

  // For servers; shared by their threads.
  SSL_CTX* context() const { return context_.get(); }
  std::string CertificatePem() const;

 private:
  struct Deleter {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  std::unique_ptr<SSL_CTX, Deleter> context_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_TRANSPORT_SELF_SIGNED_H_
