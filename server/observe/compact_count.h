#ifndef HEAPSYNC_SERVER_OBSERVE_COMPACT_COUNT_H_
#define HEAPSYNC_SERVER_OBSERVE_COMPACT_COUNT_H_

#include <algorithm>
#include <cstdint>

namespace heapsync {

// A number of items in 16 bits, for charts: exact below 2,048, rounded to one
// part in 2,000 above, and cut at kMax.
class CompactCount {
 public:
  static constexpr uint64_t kMax = uint64_t{2'047} << 31;

  CompactCount() = default;
  explicit CompactCount(uint64_t count) {
    count = std::min(count, kMax);
    int exponent = 0;
    while (count >> exponent >= kMantissas) ++exponent;
    const uint64_t half = (uint64_t{1} << exponent) / 2;
    if ((count + half) >> exponent >= kMantissas) ++exponent;
    const uint64_t rounded = count + (uint64_t{1} << exponent) / 2;
    bits_ = static_cast<uint16_t>(static_cast<uint64_t>(exponent) << 11 |
                                  std::min(rounded, kMax) >> exponent);
  }

  uint64_t value() const {
    return static_cast<uint64_t>(bits_ % kMantissas) << (bits_ / kMantissas);
  }

 private:
  static constexpr uint16_t kMantissas = 2'048;

  uint16_t bits_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_COMPACT_COUNT_H_
