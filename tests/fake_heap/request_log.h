#ifndef HEAPSYNC_TESTS_FAKE_HEAP_REQUEST_LOG_H_
#define HEAPSYNC_TESTS_FAKE_HEAP_REQUEST_LOG_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "heap_adapter/model/destination.h"

namespace heapsync::fake_heap {

// One request, as it is remembered.
struct RequestRecord {
  uint64_t number;  // from one, over both regions
  WallTime arrival;
  Region region;
  uint64_t connection;
  std::string method;
  std::string path;
  std::string app_id;   // empty: none could be read
  size_t items;         // zero where they could not be counted
  std::string outcome;  // a status, or what was done instead of an answer
  std::string rule;     // of the fault script; empty: none fired
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  // empty unless bodies are kept
  size_t body_bytes;
};

// The last requests. One thread at a time.
class RequestLog {
 public:
  // `capacity`: how many are remembered; zero remembers none.
  explicit RequestLog(size_t capacity) : capacity_(capacity) {}

  void Add(RequestRecord record) {
    if (capacity_ == 0) return;
    if (records_.size() == capacity_) records_.pop_front();
    records_.push_back(std::move(record));
  }

  // Oldest first.
  const std::deque<RequestRecord>& records() const { return records_; }

  void Clear() { records_.clear(); }

 private:
  const size_t capacity_;
  std::deque<RequestRecord> records_;
};

}  // namespace heapsync::fake_heap

#endif  // HEAPSYNC_TESTS_FAKE_HEAP_REQUEST_LOG_H_
