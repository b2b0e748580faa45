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

  // Adds one item's JSON as ChunkEncoder wrote it; its bytes are copied.
  void AppendItem(absl::string_view item);

  // Makes room for items of so many bytes in all; saves copying.
  void Reserve(size_t items, size_t item_bytes);

  // Bytes that Finish would return now. An item adds its own bytes and, unless
  // it is the first, one for the comma.
  size_t size() const { return text_.size() + kEnd.size(); }

  bool empty() const { return text_.back() == '['; }

  // The body. Nothing may be called afterwards.
  std::string Finish() &&;

 private:
  static constexpr absl::string_view kEnd = "]}";

  std::string text_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_BATCH_BODY_H_
