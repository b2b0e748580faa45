#include "tests/transport/self_signed.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdlib>

namespace heapsync {
namespace {

void Check(bool ok) {
  if (!ok) std::abort();
}

void AddExtension(X509* certificate, int id, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value);
  Check(extension != nullptr);
  Check(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

X509* NewCertificate(EVP_PKEY* key, int from_day, int to_day) {
  constexpr long kOneDay = 24 * 60 * 60;
  X509* certificate = X509_new();
  Check(certificate != nullptr);
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), from_day * kOneDay);
  X509_gmtime_adj(X509_getm_notAfter(certificate), to_day * kOneDay);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  const unsigned char common_name[] = "127.0.0.1";
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, common_name, -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  AddExtension(certificate, NID_subject_alt_name, "IP:127.0.0.1");
  AddExtension(certificate, NID_basic_constraints, "critical,CA:TRUE");
  Check(X509_sign(certificate, key, EVP_sha256()) > 0);
  return certificate;
}

}  // namespace

SelfSigned::SelfSigned(int from_day, int to_day)
    : context_(SSL_CTX_new(TLS_server_method())) {
  Check(context_ != nullptr);
  EVP_PKEY* key = EVP_EC_gen("P-256");
  Check(key != nullptr);
  X509* certificate = NewCertificate(key, from_day, to_day);
  Check(SSL_CTX_use_certificate(context_.get(), certificate) == 1);
  Check(SSL_CTX_use_PrivateKey(context_.get(), key) == 1);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

std::string SelfSigned::CertificatePem() const {
  BIO* memory = BIO_new(BIO_s_mem());
  Check(memory != nullptr);
  Check(PEM_write_bio_X509(memory, SSL_CTX_get0_certificate(context_.get())) ==
        1);
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(memory, &bytes);
  std::string pem(bytes, static_cast<size_t>(size));
  BIO_free(memory);
  return pem;
}

}  // namespace heapsync
