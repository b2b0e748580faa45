#include "tests/engine/storage_life.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "heap_adapter/spool/rocksdb/rocksdb_store.h"
#include "tests/intake/commit_pending.h"

namespace heapsync {
namespace {

constexpr char kFolder[] = "/data/spool";
constexpr int kMaxStarts = 8;

std::vector<Destination> MakeDestinations() {
  std::vector<Destination> destinations;
  for (int i = 0; i < 2; ++i) {
    Destination destination{.name = absl::StrCat("d", i),
                            .app_id = *AppId::Parse(absl::StrCat(1000 + i)),
                            .region = i == 0 ? Region::kUs : Region::kEu};
    // Low enough that identities are deferred.
    destination.limits = {.events_per_minute = 200,
                          .events_per_identity_per_minute = 12,
                          .user_requests_per_identity_per_30s = 2};
    destination.batch = {.max_items = 16,
                         .max_bytes = 1 << 20,
                         .max_wait = std::chrono::milliseconds(100)};
    destinations.push_back(std::move(destination));
  }
  return destinations;
}

}  // namespace

HttpResponse KeepingHeap::Take(const HeapRequest& request) {
  const nlohmann::json body = nlohmann::json::parse(request.body);
  const bool of_users = body.contains("users");
  const auto& items = body.at(of_users ? "users" : "events");
  for (size_t i = 0; i < items.size(); ++i) {
    if (of_users || items[i].at("event") != "poison") continue;
    return {.status = 400,
            .retry_after = {},
            .body = absl::StrCat("postBody.events[", i,
                                 "].properties should be object")};
  }
  for (const auto& item : items) {
    if (of_users) {
      users_[item.at("identity")] = item.at("properties").at("v");
      continue;
    }
    Arrived& arrived = events_[item.at("idempotency_key")];
    arrived.json = item.dump();
    ++arrived.times;
  }
  return {.status = 200, .retry_after = {}, .body = "{}"};
}

std::vector<HeapResponse> KeepingHeap::Wait(Duration) {
  std::vector<HeapResponse> answers;
  for (const HeapRequest& request : std::exchange(waiting_, {})) {
    HeapResponse answer;
    answer.request_id = request.id;
    const uint64_t fate = random_() % 100;
    if (fate < 5) {
      answer.result =
          HttpResponse{.status = 503, .retry_after = {}, .body = "busy"};
    } else {
      answer.result = Take(request);
      if (fate < 15) {
        answer.result = TransportFailure{.kind = TransportFailure::Kind::kReset,
                                         .detail = "simulated"};
      }
    }
    answers.push_back(std::move(answer));
  }
  return answers;
}

void KeepingHeap::LoseSender() {
  for (const HeapRequest& request : std::exchange(waiting_, {})) {
    if (random_() % 2 == 0) Take(request);
  }
}

StorageLife::StorageLife(uint64_t seed, size_t padding)
    : random_(seed),
      padding_(padding),
      // The environment does not own the disk.
      env_(rocksdb::NewCompositeEnv(std::shared_ptr<rocksdb::FileSystem>(
          std::shared_ptr<rocksdb::FileSystem>(), &disk_))),
      heap_(seed * 7919 + 1),
      destinations_(MakeDestinations()),
      wall_(std::chrono::seconds(1'700'000'000)),
      monotonic_(std::chrono::seconds(1'000)) {
  Start();
}

StorageLife::~StorageLife() { EndProcess(); }

int64_t StorageLife::Pick(int64_t least, int64_t most) {
  return std::uniform_int_distribution<int64_t>(least, most)(random_);
}

absl::Status StorageLife::TryStart() {
  auto store = OpenRocksDbStore({.path = kFolder,
                                 .write_buffer_bytes = 64 << 10,
                                 .env = env_.get(),
                                 .on_damage = [this](const std::string& line) {
                                   reports_.push_back(line);
                                 }});
  if (!store.ok()) return store.status();
  store_ = *std::move(store);
  auto spool = Spool::Open(*store_, 42);
  if (!spool.ok()) return spool.status();
  spool_ = *std::move(spool);
  auto lanes = spool_->Lanes();
  if (!lanes.ok()) return lanes.status();
  lanes_.clear();
  LaneId next = 1;
  for (const StoredLane& lane : *lanes) {
    lanes_[{lane.key.destination, lane.key.type}] = lane.id;
    next = std::max(next, lane.id + 1);
  }
  SpoolChange change;
  for (const Destination& destination : destinations_) {
    for (const ObjectType type :
         {ObjectType::kTrackEvent, ObjectType::kUserProperties}) {
      if (!lanes_.emplace(std::pair(destination.name, type), next).second) {
        continue;
      }
      const LaneKey key{.destination = destination.name, .type = type};
      change.PutLane(next, key);
      lanes->push_back({.id = next, .key = key, .progress = {}});
      ++next;
    }
  }
  change.RequireDisk();
  if (absl::Status stored = spool_->Commit(change); !stored.ok()) return stored;
  committer_ = std::make_unique<Committer>(
      *spool_, Committer::Options{.max_block_items = 7}, *lanes,
      [this](Committer::Notices notices) {
        notices_.push_back(std::move(notices));
      });
  dispatcher_ = std::make_unique<Dispatcher>(
      *spool_, *committer_, heap_, DeliveryRules(),
      [this] { return std::uniform_real_distribution<>(0, 1)(random_); },
      nullptr);
  return dispatcher_->Start(destinations_, *lanes, Time(), epoch_);
}

void StorageLife::Start() {
  for (int starts = 1;; ++starts) {
    const absl::Status started = TryStart();
    if (started.ok()) return;
    EndProcess();
    // Damage found by a read is repaired by reopening the store.
    if (absl::IsDataLoss(started) && starts == 1) continue;
    ++failures_;
    if (disk_.dead()) CrashMachine();
    disk_.Heal();  // As an operator who frees space.
    if (starts == kMaxStarts) {
      broken_.push_back(
          absl::StrCat("it starts no more: ", started.ToString()));
      return;
    }
  }
}

void StorageLife::EndProcess() {
  dispatcher_.reset();
  committer_.reset();
  notices_.clear();
  spool_.reset();
  store_.reset();
  heap_.LoseSender();
}

void StorageLife::EndMachine() {
  EndProcess();
  CrashMachine();
}

void StorageLife::CrashMachine() {
  disk_.CrashMachine();
  ++epoch_;
}

// After a failed write. A dead disk means a crash of the machine.
void StorageLife::Fail() {
  ++failures_;
  EndProcess();
  if (disk_.dead()) CrashMachine();
  Start();
}

void StorageLife::Append(int items) {
  const Destination& destination =
      destinations_[static_cast<size_t>(Pick(0, 1))];
  const ObjectType type =
      Pick(0, 2) == 0 ? ObjectType::kUserProperties : ObjectType::kTrackEvent;
  ChunkEncoder encoder(destination.encoding, wall_);
  std::vector<std::string> keys;
  std::map<std::string, int64_t> updates;
  for (int i = 0; i < items; ++i) {
    const int64_t v = ++next_item_;
    if (type == ObjectType::kTrackEvent) {
      v1::TrackEvent event;
      // Half of the events have one identity, which therefore exceeds its
      // limit.
      event.set_identity(absl::StrCat("w", Pick(0, 1) * Pick(0, 9)));
      const bool poison = Pick(0, 39) == 0;
      event.set_event(poison ? "poison" : "bought");
      keys.push_back(absl::StrCat("key-", 100'000 + v));
      event.set_idempotency_key(keys.back());
      (*event.mutable_properties()->mutable_fields())["v"].set_number_value(
          static_cast<double>(v));
      if (padding_ > 0) {
        // All different, or they would be compressed away.
        std::string text(padding_, ' ');
        for (char& c : text) c = static_cast<char>('0' + random_() % 64);
        (*event.mutable_properties()->mutable_fields())["text"]
            .set_string_value(text);
      }
      static_cast<void>(encoder.Add(event, {.field = "event"}, ""));
      events_[keys.back()].poison = poison;
    } else {
      v1::UserProperties user;
      user.set_identity(absl::StrCat(destination.name, "-u", Pick(0, 3)));
      (*user.mutable_properties()->mutable_fields())["v"].set_number_value(
          static_cast<double>(v));
      updates[user.identity()] = v;
      static_cast<void>(encoder.Add(user, {.field = "user"}));
    }
  }
  EncodedChunk chunk = encoder.Take();
  absl::string_view text = chunk.text;
  for (size_t i = 0; i < keys.size(); ++i) {
    events_[keys[i]].json =
        nlohmann::json::parse(text.substr(0, chunk.items[i].size)).dump();
    text.remove_prefix(chunk.items[i].size);
  }
  const auto done = [this, keys, updates](absl::StatusOr<SeqRange> range) {
    if (!range.ok()) {
      ++refused_;
      return;
    }
    acknowledged_ += range->size();
    for (const std::string& key : keys) events_[key].promised = true;
    for (const auto& [who, v] : updates) users_[who] = v;
  };
  const absl::Status queued = committer_->Append(
      lanes_.at({destination.name, type}), std::move(chunk), done);
  if (!queued.ok()) ++refused_;
}

void StorageLife::Turn() {
  if (committer_ == nullptr) return;
  const bool committed = CommitPending(*committer_);
  if (!committer_->healthy()) return Fail();
  for (Committer::Notices& each : std::exchange(notices_, {})) {
    dispatcher_->OnNotices(std::move(each), Time());
  }
  for (const HeapResponse& response : heap_.Wait(Duration(0))) {
    dispatcher_->OnResponse(response, Time());
  }
  const Duration idle = dispatcher_->Step(Time());
  const bool busy = (committed && !committer_->disk_full()) || heap_.busy();
  const Duration step =
      busy ? Duration(std::chrono::milliseconds(1))
           : std::clamp<Duration>(idle, std::chrono::milliseconds(1),
                                  std::chrono::milliseconds(200));
  monotonic_ += step;
  wall_ += step;
}

void StorageLife::Live(int chunks) {
  for (int i = 0; i < chunks && broken_.empty(); ++i) {
    Append(static_cast<int>(Pick(1, 12)));
    for (int64_t turns = Pick(1, 12); turns > 0; --turns) Turn();
  }
}

void StorageLife::Drain() {
  const auto drained = [this] {
    return dispatcher_->queued_items() == 0 && dispatcher_->in_flight() == 0 &&
           !CommitPending(*committer_) && notices_.empty();
  };
  const MonotonicTime last = monotonic_ + std::chrono::hours(12);
  while (broken_.empty() && !drained()) {
    Turn();
    if (monotonic_ > last) {
      broken_.emplace_back(absl::StrCat(dispatcher_->queued_items(),
                                        " items are never delivered"));
    }
  }
  const uint64_t before = acknowledged_;
  while (broken_.empty() && acknowledged_ == before && monotonic_ < last) {
    Append(1);
    Turn();
  }
  if (acknowledged_ == before)
    broken_.emplace_back("nothing is accepted again");
  while (broken_.empty() && !drained()) Turn();
}

uint64_t StorageLife::redelivered() const {
  uint64_t count = 0;
  for (const auto& [key, arrived] : heap_.events()) {
    count += arrived.times > 1 ? 1 : 0;
  }
  return count;
}

StorageLife::Judgement StorageLife::Judge() {
  Judgement judgement{.broken = broken_};
  std::vector<std::string> dead;
  if (spool_ != nullptr) {
    for (const auto& [key, lane] : lanes_) {
      const absl::Status read =
          spool_->VisitDeadLetters(lane, 0, [&](const DeadLetter& letter) {
            if (letter.reason == DeadLetterReason::kDamaged) {
              ++judgement.damaged;
            } else {
              dead.push_back(letter.text);
            }
            return true;
          });
      if (!read.ok()) judgement.broken.push_back(read.ToString());
    }
  }
  for (const auto& [key, arrived] : heap_.events()) {
    const auto sent = events_.find(key);
    if (sent == events_.end()) {
      judgement.broken.push_back(absl::StrCat("nobody sent ", key));
    } else if (sent->second.json != arrived.json) {
      judgement.broken.push_back(absl::StrCat(
          key, " arrived as ", arrived.json, ", sent was ", sent->second.json));
    }
  }
  for (const auto& event : events_) {
    const std::string& key = event.first;
    const Sent& sent = event.second;
    const bool is_dead = std::any_of(
        dead.begin(), dead.end(),
        [&](const std::string& text) { return absl::StrContains(text, key); });
    if (is_dead && !sent.poison) {
      judgement.broken.push_back(
          absl::StrCat("dead_lettered without reason: ", key));
    }
    if (sent.promised && !is_dead && !heap_.events().contains(key)) {
      ++judgement.lost;
    }
  }
  for (const auto& [who, v] : users_) {
    const auto held = heap_.users().find(who);
    if (held == heap_.users().end() || held->second < v) ++judgement.outdated;
  }
  return judgement;
}

}  // namespace heapsync
