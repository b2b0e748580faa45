#ifndef HEAPSYNC_SERVER_ACCESS_TOKEN_H_
#define HEAPSYNC_SERVER_ACCESS_TOKEN_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace heapsync {

// SHA-256 of a token. The server's file contains hashes only, so a reader of
// the file cannot make calls. A plain hash is sufficient, because a token is
// 256 random bits rather than a chosen password.
using TokenHash = std::array<uint8_t, 32>;

TokenHash HashOf(absl::string_view token);

// Parses 64 hexadecimal digits in either case; nullopt for anything else.
std::optional<TokenHash> ParseTokenHash(absl::string_view hex);
std::string ToHex(const TokenHash& hash);

// Compares in constant time.
bool Equal(const TokenHash& a, const TokenHash& b);

// Generates a token from the system's random source: "hst_" and 43 characters
// that need no escaping in a header or a shell. Nullopt if the random source
// fails.
std::optional<std::string> NewToken();

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ACCESS_TOKEN_H_
