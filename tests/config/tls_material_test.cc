#include "server/config/tls_material.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <chrono>
#include <ctime>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Time = std::chrono::system_clock::time_point;

const Time kNow = std::chrono::system_clock::from_time_t(1'800'000'000);
constexpr std::chrono::hours kDay{24};

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Key NewKey() { return Key(EVP_EC_gen("P-256"), EVP_PKEY_free); }

template <typename Write>
std::string Pem(Write write) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()),
                                                      BIO_free);
  EXPECT_EQ(write(bio.get()), 1);
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

std::string KeyPem(const Key& key, const EVP_CIPHER* cipher = nullptr) {
  return Pem([&](BIO* bio) {
    const unsigned char password[] = "password";
    return PEM_write_bio_PrivateKey(
        bio, key.get(), cipher, cipher == nullptr ? nullptr : password,
        cipher == nullptr ? 0 : 8, nullptr, nullptr);
  });
}

// A certificate for `key`, signed by itself.
std::string CertificatePem(const Key& key, Time begin, Time end) {
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(),
                                                                X509_free);
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()),
                std::chrono::system_clock::to_time_t(begin));
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()),
                std::chrono::system_clock::to_time_t(end));
  X509_set_pubkey(certificate.get(), key.get());
  EXPECT_GT(X509_sign(certificate.get(), key.get(), EVP_sha256()), 0);
  return Pem(
      [&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); });
}

class TlsMaterialTest : public testing::Test {
 protected:
  TlsFaults Check() const { return CheckTlsMaterial(material_, kNow); }

  const Key key_ = NewKey();
  TlsMaterial material_{
      .certificate_chain = CertificatePem(key_, kNow - kDay, kNow + kDay),
      .private_key = KeyPem(key_),
      .client_ca = {}};
};

TEST_F(TlsMaterialTest, ACertificateWithItsKeyHasNoFault) {
  const TlsFaults faults = Check();
  EXPECT_THAT(faults.certificate, IsEmpty());
  EXPECT_THAT(faults.key, IsEmpty());
  EXPECT_THAT(faults.client_ca, IsEmpty());
}

TEST_F(TlsMaterialTest, ACertificateCountsOnlyInItsTime) {
  material_.certificate_chain =
      CertificatePem(key_, kNow - 2 * kDay, kNow - kDay);
  EXPECT_THAT(
      Check().certificate,
      ElementsAre("the certificate expired on 2027-01-14 08:00:00 UTC"));
  material_.certificate_chain =
      CertificatePem(key_, kNow + kDay, kNow + 2 * kDay);
  EXPECT_THAT(
      Check().certificate,
      ElementsAre(
          "the certificate is not valid before 2027-01-16 08:00:00 UTC"));
}

TEST_F(TlsMaterialTest, TheKeyOfAnotherCertificateIsRefused) {
  material_.private_key = KeyPem(NewKey());
  EXPECT_THAT(Check().key, ElementsAre("does not belong to the certificate"));
}

TEST_F(TlsMaterialTest, AKeyWithAPasswordIsRefusedWithoutAskingForIt) {
  material_.private_key = KeyPem(key_, EVP_aes_128_cbc());
  EXPECT_THAT(
      Check().key,
      ElementsAre("must hold a private key in PEM, without a password"));
}

TEST_F(TlsMaterialTest, EachPartIsCheckedWhateverTheOthersAre) {
  material_ = {
      .certificate_chain = "none", .private_key = "none", .client_ca = "none"};
  const TlsFaults faults = Check();
  EXPECT_THAT(faults.certificate,
              ElementsAre("must hold a certificate in PEM"));
  EXPECT_THAT(
      faults.key,
      ElementsAre("must hold a private key in PEM, without a password"));
  EXPECT_THAT(faults.client_ca, ElementsAre("must hold a certificate in PEM"));
}

TEST_F(TlsMaterialTest, ADamagedCertificateBehindAGoodOneIsFound) {
  const std::string good = material_.certificate_chain;
  EXPECT_THAT(CheckCaFile(good + good), IsEmpty());
  EXPECT_THAT(CheckCaFile(absl::StrCat(good, good.substr(0, good.size() / 2))),
              ElementsAre("certificate 2 cannot be read"));
}

}  // namespace
}  // namespace heapsync
