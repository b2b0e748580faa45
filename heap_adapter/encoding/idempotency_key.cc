#include "heap_adapter/encoding/idempotency_key.h"

#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>

#include "absl/random/random.h"
#include "base/check.h"
#include "xxhash.h"

namespace heapsync {
namespace {

// Fetched once, because OpenSSL 3 looks an algorithm up by name under a lock,
// which takes longer than the hash. Never freed.
const EVP_MD* Sha1() {
  static const EVP_MD* const sha1 = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  HEAPSYNC_CHECK(sha1 != nullptr) << "OpenSSL has no SHA-1";
  return sha1;
}

// Namespace of derived keys, 1f153053-2795-4644-9f22-a2fa90c7cce4. It never
// changes.
constexpr uint8_t kNamespace[] = {0x1f, 0x15, 0x30, 0x53, 0x27, 0x95,
                                  0x46, 0x44, 0x9f, 0x22, 0xa2, 0xfa,
                                  0x90, 0xc7, 0xcc, 0xe4};

EVP_MD_CTX* AsContext(void* digest) { return static_cast<EVP_MD_CTX*>(digest); }

}  // namespace

IdempotencyKey IdempotencyKey::Random() {
  thread_local absl::BitGen generator;
  std::array<uint8_t, 16> bytes;
  const std::array<uint64_t, 2> random = {absl::Uniform<uint64_t>(generator),
                                          absl::Uniform<uint64_t>(generator)};
  std::memcpy(bytes.data(), random.data(), bytes.size());
  return IdempotencyKey(bytes, 4);
}

IdempotencyKey::IdempotencyKey(std::array<uint8_t, 16> bytes, uint8_t version) {
  constexpr char kHex[] = "0123456789abcdef";
  bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0f) | (version << 4));
  bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3f) | 0x80);
  char* at = text_.data();
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *at++ = '-';
    *at++ = kHex[bytes[i] >> 4];
    *at++ = kHex[bytes[i] & 0xf];
  }
}

void DerivedKeys::FreeDigest::operator()(void* context) const {
  EVP_MD_CTX_free(AsContext(context));
}

ContentDigest DigestContent(absl::string_view before, absl::string_view after) {
  XXH128_hash_t hash = XXH3_128bits(before.data(), before.size());
  // The seed makes the digest depend on where the first part ends.
  const XXH128_hash_t rest = XXH3_128bits_withSeed(after.data(), after.size(),
                                                   hash.low64 ^ hash.high64);
  hash.low64 += rest.low64;
  hash.high64 ^= rest.high64;
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  ContentDigest digest;
  static_assert(sizeof(canonical.digest) == sizeof(digest.bytes));
  std::memcpy(digest.bytes.data(), canonical.digest, sizeof(digest.bytes));
  return digest;
}

DerivedKeys::DerivedKeys(const KeyScope& scope)
    : digest_(EVP_MD_CTX_new()),
      name_(std::begin(kNamespace), std::end(kNamespace)) {
  if (digest_ == nullptr ||
      EVP_DigestInit_ex2(AsContext(digest_.get()), Sha1(), nullptr) != 1) {
    HEAPSYNC_CHECK(false) << "OpenSSL failed to compute SHA-1";
  }
  for (const absl::string_view part :
       {scope.caller, scope.destination, scope.request_id}) {
    name_.append(part.data(), part.size());
    name_ += '\0';
  }
}

IdempotencyKey DerivedKeys::At(uint64_t index, const ContentDigest& content) {
  std::array<char, std::numeric_limits<uint64_t>::digits10 + 1> digits;
  const char* const digits_end =
      std::to_chars(digits.data(), digits.data() + digits.size(), index).ptr;
  std::array<uint8_t, EVP_MAX_MD_SIZE> hash;
  EVP_MD_CTX* const context = AsContext(digest_.get());
  if (EVP_DigestInit_ex2(context, nullptr, nullptr) != 1 ||
      EVP_DigestUpdate(context, name_.data(), name_.size()) != 1 ||
      EVP_DigestUpdate(context, digits.data(),
                       static_cast<size_t>(digits_end - digits.data())) != 1 ||
      EVP_DigestUpdate(context, "\0", 1) != 1 ||
      EVP_DigestUpdate(context, content.bytes.data(), content.bytes.size()) !=
          1 ||
      EVP_DigestFinal_ex(context, hash.data(), nullptr) != 1) {
    HEAPSYNC_CHECK(false) << "OpenSSL failed to compute SHA-1";
  }
  std::array<uint8_t, 16> bytes;
  std::copy_n(hash.begin(), bytes.size(), bytes.begin());
  return IdempotencyKey(bytes, 5);
}

}  // namespace heapsync
