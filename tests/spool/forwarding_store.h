#ifndef HEAPSYNC_TESTS_SPOOL_FORWARDING_STORE_H_
#define HEAPSYNC_TESTS_SPOOL_FORWARDING_STORE_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/spool/store.h"

namespace heapsync {

// Does what another store does; tests override what they change.
class ForwardingStore : public Store {
 public:
  // `store` must outlive this.
  explicit ForwardingStore(Store& store) : store_(store) {}

  absl::Status Write(const StoreBatch& batch, Durability durability) override {
    return store_.Write(batch, durability);
  }
  absl::Status Resume() override { return store_.Resume(); }
  absl::StatusOr<std::optional<std::string>> Get(
      absl::string_view key) const override {
    return store_.Get(key);
  }
  std::unique_ptr<StoreCursor> Scan(absl::string_view begin,
                                    absl::string_view end) const override {
    return store_.Scan(begin, end);
  }
  absl::StatusOr<std::optional<std::pair<std::string, std::string>>> Last(
      absl::string_view begin, absl::string_view end) const override {
    return store_.Last(begin, end);
  }

 private:
  Store& store_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_SPOOL_FORWARDING_STORE_H_
