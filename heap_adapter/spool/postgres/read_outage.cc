#include "heap_adapter/spool/postgres/read_outage.h"

namespace heapsync {
namespace {

constexpr std::chrono::seconds kAskInterval{1};

}  // namespace

absl::StatusOr<ReadOutage::Time> ReadOutage::GiveUpAt(
    Time now, std::chrono::milliseconds patience) {
  MutexLock lock(mutex_);
  if (error_.ok()) return now + patience;
  if (now < ask_again_at_) return error_;
  ask_again_at_ = now + kAskInterval;
  return now;
}

void ReadOutage::Ended() {
  MutexLock lock(mutex_);
  error_ = absl::OkStatus();
}

void ReadOutage::Failed(const absl::Status& error, Time now) {
  MutexLock lock(mutex_);
  error_ = error;
  ask_again_at_ = now + kAskInterval;
}

}  // namespace heapsync
