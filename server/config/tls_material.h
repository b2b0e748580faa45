#ifndef HEAPSYNC_SERVER_CONFIG_TLS_MATERIAL_H_
#define HEAPSYNC_SERVER_CONFIG_TLS_MATERIAL_H_

#include <chrono>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace heapsync {

// Certificates and key for TLS, in PEM.
struct TlsMaterial {
  std::string certificate_chain;  // the server's own first
  std::string private_key;
  std::string client_ca;  // empty: clients show no certificates

  bool operator==(const TlsMaterial&) const = default;
};

// Faults of each part at this time; empty: none. A certificate that does not
// belong to the key, or that has expired, is a fault.
struct TlsFaults {
  std::vector<std::string> certificate;
  std::vector<std::string> key;
  std::vector<std::string> client_ca;
};
TlsFaults CheckTlsMaterial(const TlsMaterial& material,
                           std::chrono::system_clock::time_point now);

// The faults of a file of CA certificates in PEM; empty: none.
std::vector<std::string> CheckCaFile(const std::string& pem);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_CONFIG_TLS_MATERIAL_H_
