#include "tests/bench/load/progress.h"

#include <unistd.h>

#include <iostream>
#include <utility>

namespace heapsync::bench {
namespace {

constexpr auto kBetweenLines = std::chrono::seconds(5);

}  // namespace

Progress::Progress() : terminal_(isatty(STDERR_FILENO) == 1) {}

void Progress::Begin(std::string what) {
  what_ = std::move(what);
  last_line_ = std::chrono::steady_clock::now();
  if (terminal_) {
    std::cerr << "\r\033[K" << what_ << std::flush;
  } else {
    std::cerr << what_ << std::endl;
  }
}

void Progress::Update(const std::string& how_far) {
  if (terminal_) {
    std::cerr << "\r\033[K" << what_ << ": " << how_far << std::flush;
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  if (now - last_line_ < kBetweenLines) return;
  last_line_ = now;
  std::cerr << what_ << ": " << how_far << std::endl;
}

void Progress::Clear() {
  if (terminal_) std::cerr << "\r\033[K" << std::flush;
}

}  // namespace heapsync::bench
