#include "server/access/token.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace heapsync {

TokenHash HashOf(absl::string_view token) {
  TokenHash hash;
  SHA256(reinterpret_cast<const uint8_t*>(token.data()), token.size(),
         hash.data());
  return hash;
}

std::optional<TokenHash> ParseTokenHash(absl::string_view hex) {
  TokenHash hash;
  size_t size = 0;
  if (hex.size() != 2 * hash.size() ||
      OPENSSL_hexstr2buf_ex(hash.data(), hash.size(), &size,
                            std::string(hex).c_str(), '\0') != 1 ||
      size != hash.size()) {
    return std::nullopt;
  }
  return hash;
}

std::string ToHex(const TokenHash& hash) {
  return absl::BytesToHexString(absl::string_view(
      reinterpret_cast<const char*>(hash.data()), hash.size()));
}

bool Equal(const TokenHash& a, const TokenHash& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::optional<std::string> NewToken() {
  std::array<uint8_t, 32> bytes;
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    return std::nullopt;
  }
  // Without padding, because it is never decoded.
  return absl::StrCat(
      "hst_", absl::WebSafeBase64Escape(absl::string_view(
                  reinterpret_cast<const char*>(bytes.data()), bytes.size())));
}

}  // namespace heapsync
