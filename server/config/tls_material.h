#ifndef HEAPSYNC_SERVER_CONFIG_TLS_MATERIAL_H_
#define HEAPSYNC_SERVER_CONFIG_TLS_MATERIAL_H_

#include <chrono>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/clock.h"

namespace heapsync {

// Certificates and key for TLS, in PEM.
struct TlsMaterial {
  std::string certificate_chain;  // the server's own first
  std::string private_key;
  std::string client_ca;  // empty: clients show no certificates

  bool operator==(const TlsMaterial&) const = default;
};

// Faults of each part at this time; empty: none. A certificate that does not
// belong to the key, that has expired or that is not valid yet is a fault.
struct TlsFaults {
  std::vector<std::string> certificate;
  std::vector<std::string> key;
  std::vector<std::string> client_ca;
};
TlsFaults CheckTlsMaterial(const TlsMaterial& material,
                           std::chrono::system_clock::time_point now);

// When what a file holds stops working.
struct CertificateExpiry {
  absl::string_view use;  // "server", "client_ca", "heap_ca"; static
  WallTime not_after;
};
// Those of the files that are used: the first to expire of a chain, the last of
// a file of CA certificates, in which new ones stand beside the old. `tls`:
// null without TLS.
std::vector<CertificateExpiry> ExpiriesOf(const TlsMaterial* tls,
                                          const std::string& heap_roots);

// The faults of a file of CA certificates in PEM; empty: none.
std::vector<std::string> CheckCaFile(const std::string& pem);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_CONFIG_TLS_MATERIAL_H_
