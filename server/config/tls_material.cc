#include "server/config/tls_material.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/certificate_times.h"

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

// The chain's first certificate and those that vouch for it.
void CheckTimes(const std::vector<Certificate>& chain, WallTime now,
                std::vector<std::string>& faults) {
  for (size_t i = 0; i < chain.size(); ++i) {
    const std::string fault = ValidityFault(TimesOf(*chain[i]), now);
    if (fault.empty()) continue;
    faults.push_back(i == 0 ? absl::StrCat("the certificate ", fault)
                            : absl::StrCat("certificate ", i + 1, " ", fault));
  }
}

}  // namespace

TlsFaults CheckTlsMaterial(const TlsMaterial& material,
                           std::chrono::system_clock::time_point now) {
  TlsFaults faults;
  const auto chain =
      ReadCertificates(material.certificate_chain, faults.certificate);
  CheckTimes(chain, std::chrono::time_point_cast<Duration>(now),
             faults.certificate);
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

std::vector<CertificateExpiry> ExpiriesOf(const TlsMaterial* tls,
                                          const std::string& heap_roots) {
  std::vector<CertificateExpiry> expiries;
  const auto add = [&](absl::string_view use, const std::string& pem,
                       auto first) {
    const std::vector<CertificateTimes> all = ReadCertificateTimes(pem);
    if (all.empty()) return;
    WallTime not_after = all.front().not_after;
    for (const CertificateTimes& each : all) {
      not_after = first(not_after, each.not_after);
    }
    expiries.push_back({.use = use, .not_after = not_after});
  };
  const auto earliest = [](WallTime a, WallTime b) { return std::min(a, b); };
  const auto latest = [](WallTime a, WallTime b) { return std::max(a, b); };
  if (tls != nullptr) {
    add("server", tls->certificate_chain, earliest);
    add("client_ca", tls->client_ca, latest);
  }
  add("heap_ca", heap_roots, latest);
  return expiries;
}

std::vector<std::string> CheckCaFile(const std::string& pem) {
  std::vector<std::string> faults;
  ReadCertificates(pem, faults);
  return faults;
}

}  // namespace heapsync
