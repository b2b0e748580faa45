#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_BATCH_BODY_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_BATCH_BODY_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "heap_adapter/model/app_id.h"
#include "heap_adapter/model/object_type.h"

namespace heapsync {

// Builds the body of one bulk request: {"app_id":"1234567890","events":[…]}.
class BatchBody {
 public:
  BatchBody(const AppId& app_id, ObjectType type);

  // Appends a copy of one item's JSON as ChunkEncoder wrote it.
  void AppendItem(absl::string_view item);

  // Reserves memory for `items` items of `item_bytes` bytes in total, to avoid
  // reallocation.
  void Reserve(size_t items, size_t item_bytes);

  // Size of the body that Finish() would return now, in bytes. An item adds its
  // own size and, unless it is the first, one byte for the comma.
  size_t size() const { return text_.size() + kEnd.size(); }

  bool empty() const { return text_.back() == '['; }

  // Returns the body. No other method may be called afterwards.
  std::string Finish() &&;

 private:
  static constexpr absl::string_view kEnd = "]}";

  std::string text_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_BATCH_BODY_H_
