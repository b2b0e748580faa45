#include "tests/fake_heap/app_store.h"

#include <algorithm>

namespace heapsync::fake_heap {
namespace {

size_t Row(ObjectType type) { return static_cast<size_t>(type) - 1; }
size_t Column(Region region) { return region == Region::kUs ? 0 : 1; }

}  // namespace

void AppStore::CountItems(ObjectType type, Region region, size_t items) {
  items_[Row(type)][Column(region)] += items;
}

uint64_t AppStore::items(ObjectType type, Region region) const {
  return items_[Row(type)][Column(region)];
}

uint32_t AppStore::IdentityIndex(absl::string_view identity) {
  const auto found = identity_index_.find(identity);
  if (found != identity_index_.end()) return found->second;
  const auto index = static_cast<uint32_t>(identities_.size());
  const absl::string_view text = texts_.Store(identity);
  identities_.push_back({text, kNone, 0});
  identity_index_.emplace(text, index);
  return index;
}

bool AppStore::Append(const Event& event) {
  const auto event_index = static_cast<uint32_t>(events_.size());
  uint32_t key = kNone;
  if (!event.key.empty()) {
    const auto known = key_index_.find(event.key);
    if (known != key_index_.end()) {
      ++keys_[known->second].count;
      ++duplicates_;
      return false;
    }
    key = static_cast<uint32_t>(keys_.size());
    const absl::string_view text = texts_.Store(event.key);
    keys_.push_back({text, event_index, 1});
    key_index_.emplace(text, key);
  }
  const uint32_t identity_index = IdentityIndex(event.identity);
  IdentityRecord& identity = identities_[identity_index];
  const absl::string_view text = texts_.Store(event.text);
  events_.push_back({text.data(), event.time,
                     static_cast<uint32_t>(text.size()), key, identity_index,
                     identity.last_event, event.request, event.region});
  identity.last_event = event_index;
  ++identity.count;
  return true;
}

Event AppStore::ToEvent(const EventRecord& record) const {
  return {identities_[record.identity].text,
          record.key == kNone ? absl::string_view() : keys_[record.key].text,
          absl::string_view(record.text, record.text_size),
          record.region,
          record.request,
          record.time};
}

uint64_t AppStore::CountEvents(
    std::optional<absl::string_view> identity) const {
  if (!identity) return events_.size();
  const auto found = identity_index_.find(*identity);
  return found == identity_index_.end() ? 0 : identities_[found->second].count;
}

std::vector<Event> AppStore::Events(std::optional<absl::string_view> identity,
                                    size_t offset, size_t limit) const {
  const size_t total = CountEvents(identity);
  const size_t from = std::min(offset, total);
  const size_t to = from + std::min(limit, total - from);
  std::vector<Event> events;
  events.reserve(to - from);
  if (!identity) {
    for (size_t i = from; i < to; ++i) events.push_back(ToEvent(events_[i]));
    return events;
  }
  if (from == to) return events;
  uint32_t at = identities_[identity_index_.at(*identity)].last_event;
  for (size_t i = total; i > from; --i) {
    if (i <= to) events.push_back(ToEvent(events_[at]));
    at = events_[at].previous;
  }
  std::reverse(events.begin(), events.end());
  return events;
}

std::optional<AppStore::Found> AppStore::FindEvent(
    absl::string_view key) const {
  const auto found = key_index_.find(key);
  if (found == key_index_.end()) return std::nullopt;
  const KeyRecord& record = keys_[found->second];
  return Found{ToEvent(events_[record.event]), record.count};
}

KeyCount AppStore::KeyAt(size_t index) const {
  return {keys_[index].text, keys_[index].count};
}

void AppStore::Overwrite(ObjectType type, absl::string_view identity,
                         const std::vector<Property>& properties,
                         uint32_t request) {
  ProfileTable& table =
      type == ObjectType::kUserProperties ? users_ : accounts_;
  auto found = table.index.find(identity);
  if (found == table.index.end()) {
    const absl::string_view text = texts_.Store(identity);
    found = table.index.emplace(text, static_cast<uint32_t>(table.all.size()))
                .first;
    Profile profile;
    profile.identity = text;
    profile.first_request = request;
    table.all.push_back(std::move(profile));
  }
  Profile& profile = table.all[found->second];
  for (const auto& [key, value] : properties) profile.properties[key] = value;
  ++profile.writes;
  profile.last_request = request;
  ++table.writes;
}

const AppStore::ProfileTable& AppStore::ProfilesOf(ObjectType type) const {
  return type == ObjectType::kUserProperties ? users_ : accounts_;
}

uint64_t AppStore::profiles(ObjectType type) const {
  return ProfilesOf(type).all.size();
}

uint64_t AppStore::profile_writes(ObjectType type) const {
  return ProfilesOf(type).writes;
}

const Profile* AppStore::FindProfile(ObjectType type,
                                     absl::string_view identity) const {
  const ProfileTable& table = ProfilesOf(type);
  const auto found = table.index.find(identity);
  return found == table.index.end() ? nullptr : &table.all[found->second];
}

std::vector<const Profile*> AppStore::Profiles(ObjectType type, size_t offset,
                                               size_t limit) const {
  const ProfileTable& table = ProfilesOf(type);
  const size_t from = std::min(offset, table.all.size());
  const size_t to = from + std::min(limit, table.all.size() - from);
  std::vector<const Profile*> profiles;
  for (size_t i = from; i < to; ++i) profiles.push_back(&table.all[i]);
  return profiles;
}

}  // namespace heapsync::fake_heap
