#include "base/certificate_times.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace heapsync {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
};

WallTime TimeOf(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return WallTime();
  return std::chrono::time_point_cast<Duration>(
      absl::ToChronoTime(absl::FromTM(parts, absl::UTCTimeZone())));
}

}  // namespace

CertificateTimes TimesOf(const X509& certificate) {
  return {.not_before = TimeOf(X509_get0_notBefore(&certificate)),
          .not_after = TimeOf(X509_get0_notAfter(&certificate))};
}

std::vector<CertificateTimes> ReadCertificateTimes(const std::string& pem) {
  std::vector<CertificateTimes> times;
  const std::unique_ptr<BIO, Free> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  while (true) {
    const std::unique_ptr<X509, Free> next(
        PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (next == nullptr) break;
    times.push_back(TimesOf(*next));
  }
  // The end of the text is an error to OpenSSL, which would be found by the
  // next caller who looks for one.
  ERR_clear_error();
  return times;
}

std::string ValidityFault(const CertificateTimes& times, WallTime now) {
  if (times.not_before > now) {
    return absl::StrCat("is not valid before ", DateText(times.not_before));
  }
  if (times.not_after < now) {
    return absl::StrCat("expired on ", DateText(times.not_after));
  }
  return "";
}

std::string DateText(WallTime time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromChrono(time),
                          absl::UTCTimeZone());
}

}  // namespace heapsync
