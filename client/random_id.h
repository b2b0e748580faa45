#ifndef HEAPSYNC_CLIENT_RANDOM_ID_H_
#define HEAPSYNC_CLIENT_RANDOM_ID_H_

#include <string>

namespace heapsync {

// A random UUID (RFC 4122, version 4) from the operating system's entropy.
std::string RandomId();

// In [0, 1), for jitter. Thread-safe.
double RandomFraction();

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_RANDOM_ID_H_
