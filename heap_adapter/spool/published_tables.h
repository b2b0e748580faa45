#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_PUBLISHED_TABLES_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_PUBLISHED_TABLES_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "heap_adapter/spool/records.h"
#include "heap_adapter/spool/store.h"

namespace heapsync {

// A command as it is stored.
struct StoredCommand {
  CommandId id = 0;
  // None: it was taken back, or is damaged. Its answer came too late.
  std::optional<CommandRecord> command;
  bool answered = false;
};

// Records by which the servers of a shared spool tell each other something.
// Reads: any thread. Errors are those of the store, and kDataLoss for a damaged
// record.
class PublishedTables {
 public:
  // `store` must outlive it.
  explicit PublishedTables(const Store& store) : store_(store) {}

  // The last figures that the server that delivers has published.
  absl::Status VisitFigures(
      absl::FunctionRef<void(absl::string_view, const OwnerFigures&)> visit)
      const;
  // The last snapshots that were published, of all destinations.
  absl::Status VisitSnapshots(
      absl::FunctionRef<void(absl::string_view, absl::string_view)> visit)
      const;
  // The same of some; none for one that never was.
  absl::StatusOr<std::vector<std::optional<std::string>>> ReadSnapshots(
      absl::Span<const absl::string_view> destinations) const;
  // All commands, as of one moment.
  absl::StatusOr<std::vector<StoredCommand>> Commands() const;
  // The answers to some; none: not yet.
  absl::StatusOr<std::vector<std::optional<CommandAnswer>>> ReadAnswers(
      absl::Span<const CommandId> commands) const;

 private:
  const Store& store_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_PUBLISHED_TABLES_H_
