#ifndef HEAPSYNC_BASE_CHECK_H_
#define HEAPSYNC_BASE_CHECK_H_

#include <cstdlib>
#include <iostream>
#include <sstream>

namespace heapsync::check_internal {

// Collects the message of a failed check. The destructor prints it to standard
// error and aborts the process.
class Failure {
 public:
  Failure(const char* file, int line, const char* condition) {
    message_ << file << ':' << line << ": check failed: " << condition << ' ';
  }
  Failure(const Failure&) = delete;
  Failure& operator=(const Failure&) = delete;
  ~Failure() {
    message_ << '\n';
    std::cerr << message_.str() << std::flush;
    std::abort();
  }

  std::ostream& stream() { return message_; }

 private:
  std::ostringstream message_;
};

[[noreturn]] inline void Unreachable(const char* file, int line) {
  std::cerr << file << ':' << line << ": unreachable code\n" << std::flush;
  std::abort();
}

// Gives both branches of HEAPSYNC_CHECK the type void.
struct Void {
  void operator&(const std::ostream&) const {}
};

}  // namespace heapsync::check_internal

// Aborts with the source location, the condition and the streamed text unless
// `condition` holds, in every build. For broken invariants of this program
// only, never for input. The text must not contain values of items:
//
//   HEAPSYNC_CHECK(it != lanes_.end()) << "lane " << lane;
#define HEAPSYNC_CHECK(condition)                                           \
  (condition) ? static_cast<void>(0)                                        \
              : ::heapsync::check_internal::Void() &                        \
                    ::heapsync::check_internal::Failure(__FILE__, __LINE__, \
                                                        #condition)         \
                        .stream()

// For code that cannot be reached, such as behind a switch over every value of
// an enum.
#define HEAPSYNC_UNREACHABLE() \
  ::heapsync::check_internal::Unreachable(__FILE__, __LINE__)

#endif  // HEAPSYNC_BASE_CHECK_H_
