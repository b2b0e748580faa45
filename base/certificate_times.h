#ifndef HEAPSYNC_BASE_CERTIFICATE_TIMES_H_
#define HEAPSYNC_BASE_CERTIFICATE_TIMES_H_

#include <openssl/types.h>

#include <string>
#include <vector>

#include "base/clock.h"

namespace heapsync {

// When a certificate is valid.
struct CertificateTimes {
  WallTime not_before;
  WallTime not_after;
};

CertificateTimes TimesOf(const X509& certificate);

// Those of the certificates in a PEM text, in its order, up to the first that
// cannot be read.
std::vector<CertificateTimes> ReadCertificateTimes(const std::string& pem);

// "expired on 2026-01-15 10:30:00 UTC", "is not valid before …"; empty if it is
// valid at `now`.
std::string ValidityFault(const CertificateTimes& times, WallTime now);

// "2026-01-15 10:30:00 UTC".
std::string DateText(WallTime time);

}  // namespace heapsync

#endif  // HEAPSYNC_BASE_CERTIFICATE_TIMES_H_
