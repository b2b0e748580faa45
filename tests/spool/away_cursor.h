#ifndef HEAPSYNC_TESTS_SPOOL_AWAY_CURSOR_H_
#define HEAPSYNC_TESTS_SPOOL_AWAY_CURSOR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/spool/store.h"

namespace heapsync {

// The cursor of a store whose database is away.
class AwayCursor final : public StoreCursor {
 public:
  bool Valid() const override { return false; }
  absl::string_view key() const override { return {}; }
  absl::string_view value() const override { return {}; }
  void Next() override {}
  absl::Status status() const override {
    return absl::UnavailableError("away");
  }
};

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_SPOOL_AWAY_CURSOR_H_
