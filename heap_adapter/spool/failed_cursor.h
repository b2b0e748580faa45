#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_FAILED_CURSOR_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_FAILED_CURSOR_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/spool/store.h"

namespace heapsync {

// The cursor of a scan that could not begin, for the reason `status`.
class FailedCursor final : public StoreCursor {
 public:
  explicit FailedCursor(absl::Status status) : status_(std::move(status)) {}
  bool Valid() const override { return false; }
  absl::string_view key() const override { return {}; }
  absl::string_view value() const override { return {}; }
  void Next() override {}
  absl::Status status() const override { return status_; }

 private:
  const absl::Status status_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_FAILED_CURSOR_H_
