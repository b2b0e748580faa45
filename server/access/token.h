#ifndef HEAPSYNC_SERVER_ACCESS_TOKEN_H_
#define HEAPSYNC_SERVER_ACCESS_TOKEN_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace heapsync {

// SHA-256 of a token. The server's file holds these and never a token: who
// reads the file cannot call. A plain hash is enough, since a token is 256
// random bits and nothing that somebody made up.
using TokenHash = std::array<uint8_t, 32>;

TokenHash HashOf(absl::string_view token);

// 64 hexadecimal digits in either case; none for anything else.
std::optional<TokenHash> ParseTokenHash(absl::string_view hex);
std::string ToHex(const TokenHash& hash);

// Takes the same time wherever the two differ.
bool Equal(const TokenHash& a, const TokenHash& b);

// A new token from the system's randomness, "hst_" and 43 characters that fit
// into a header and a shell. None if the system has no randomness.
std::optional<std::string> NewToken();

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ACCESS_TOKEN_H_
