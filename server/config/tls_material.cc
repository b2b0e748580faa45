#include "server/config/tls_material.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Certificate = std::unique_ptr<X509, Free>;
using Key = std::unique_ptr<EVP_PKEY, Free>;

std::unique_ptr<BIO, Free> Open(const std::string& pem) {
  return std::unique_ptr<BIO, Free>(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// A key that asks for a password has to be refused, not asked about.
int NoPassword(char*, int, int, void*) { return -1; }

std::vector<Certificate> ReadCertificates(const std::string& pem,
                                          std::vector<std::string>& faults) {
  std::vector<Certificate> certificates;
  const auto bio = Open(pem);
  ERR_clear_error();
  while (X509* next =
             PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr)) {
    certificates.emplace_back(next);
  }
  const bool at_end =
      ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (certificates.empty()) {
    faults.emplace_back("must hold a certificate in PEM");
  } else if (!at_end) {
    faults.push_back(absl::StrCat("certificate ", certificates.size() + 1,
                                  " cannot be read"));
  }
  return certificates;
}

Key ReadKey(const std::string& pem) {
  const auto bio = Open(pem);
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  return key;
}

void CheckTimes(X509& certificate, std::time_t now,
                std::vector<std::string>& faults) {
  if (X509_cmp_time(X509_get0_notBefore(&certificate), &now) > 0) {
    faults.emplace_back("the certificate is not valid yet");
  }
  if (X509_cmp_time(X509_get0_notAfter(&certificate), &now) < 0) {
    faults.emplace_back("the certificate has run out");
  }
}

}  // namespace

TlsFaults CheckTlsMaterial(const TlsMaterial& material,
                           std::chrono::system_clock::time_point now) {
  TlsFaults faults;
  const auto chain =
      ReadCertificates(material.certificate_chain, faults.certificate);
  if (!chain.empty()) {
    CheckTimes(*chain.front(), std::chrono::system_clock::to_time_t(now),
               faults.certificate);
  }
  const Key key = ReadKey(material.private_key);
  if (key == nullptr) {
    faults.key.emplace_back(
        "must hold a private key in PEM, without a password");
  } else if (!chain.empty() &&
             X509_check_private_key(chain.front().get(), key.get()) != 1) {
    ERR_clear_error();
    faults.key.emplace_back("does not belong to the certificate");
  }
  if (!material.client_ca.empty()) {
    ReadCertificates(material.client_ca, faults.client_ca);
  }
  return faults;
}

std::vector<std::string> CheckCaFile(const std::string& pem) {
  std::vector<std::string> faults;
  ReadCertificates(pem, faults);
  return faults;
}

}  // namespace heapsync
