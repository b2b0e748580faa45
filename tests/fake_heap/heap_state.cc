#include "tests/fake_heap/heap_state.h"

namespace heapsync::fake_heap {

void HeapState::Apply(ObjectType type, const PostBody& body,
                      const Arrival& arrival) {
  AppStore& app = apps_[body.app_id];
  app.CountItems(type, arrival.region, body.items.size());
  if (options_.count_only) return;
  const auto request = static_cast<uint32_t>(arrival.request);
  for (const PostItem& item : body.items) {
    if (type != ObjectType::kTrackEvent) {
      app.Overwrite(type, item.identity, item.properties, request);
      continue;
    }
    const bool keep = options_.keep_events && event_bytes_ + item.text.size() <=
                                                  options_.max_event_bytes;
    const bool appended = app.Append({item.identity, item.idempotency_key,
                                      keep ? item.text : absl::string_view(),
                                      arrival.region, request, arrival.time});
    if (!appended) continue;
    if (keep) {
      event_bytes_ += item.text.size();
    } else {
      ++dropped_texts_;
    }
  }
}

std::vector<std::string> HeapState::AppIds() const {
  std::vector<std::string> ids;
  for (const auto& [id, app] : apps_) ids.push_back(id);
  return ids;
}

const AppStore* HeapState::Find(absl::string_view app_id) const {
  const auto found = apps_.find(app_id);
  return found == apps_.end() ? nullptr : &found->second;
}

void HeapState::Clear() {
  apps_.clear();
  event_bytes_ = 0;
  dropped_texts_ = 0;
}

}  // namespace heapsync::fake_heap
