#include "client/random_id.h"

#include <array>
#include <cstdint>
#include <random>

#include "absl/strings/str_format.h"

namespace heapsync {

std::string RandomId() {
  std::random_device entropy;
  std::array<uint32_t, 4> words;
  for (uint32_t& word : words) word = entropy();
  words[1] = (words[1] & 0xFFFF0FFFu) | 0x00004000u;
  words[2] = (words[2] & 0x3FFFFFFFu) | 0x80000000u;
  return absl::StrFormat("%08x-%04x-%04x-%04x-%04x%08x", words[0],
                         words[1] >> 16, words[1] & 0xFFFFu, words[2] >> 16,
                         words[2] & 0xFFFFu, words[3]);
}

double RandomFraction() {
  thread_local std::minstd_rand generator{std::random_device()()};
  return std::uniform_real_distribution<double>(0.0, 1.0)(generator);
}

}  // namespace heapsync
