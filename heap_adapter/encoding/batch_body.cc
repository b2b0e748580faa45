#include "heap_adapter/encoding/batch_body.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace heapsync {

BatchBody::BatchBody(const AppId& app_id, ObjectType type)
    : text_(absl::StrCat("{\"app_id\":\"", app_id.digits(), "\",\"",
                         HeapArrayKey(type), "\":[")) {}

void BatchBody::AppendItem(absl::string_view item) {
  if (!empty()) text_ += ',';
  text_.append(item.data(), item.size());
}

void BatchBody::Reserve(size_t items, size_t item_bytes) {
  text_.reserve(size() + items + item_bytes);
}

std::string BatchBody::Finish() && {
  text_.append(kEnd.data(), kEnd.size());
  return std::move(text_);
}

}  // namespace heapsync
