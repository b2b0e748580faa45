#ifndef HEAPSYNC_CLIENT_VIOLATION_H_
#define HEAPSYNC_CLIENT_VIOLATION_H_

#include <string>

namespace heapsync {

// One thing wrong, or doubtful, about an item. Never carries the value itself.
struct Violation {
  std::string field;   // "event.identity", "properties.plan"
  std::string reason;  // stable, UPPER_SNAKE; empty if the server named none
  std::string description;

  friend bool operator==(const Violation&, const Violation&) = default;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_VIOLATION_H_
