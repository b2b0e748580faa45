#include "heap_adapter/membership.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace heapsync {
namespace {

// Interval at which the database is asked who is there, and whether others have
// appended something.
constexpr std::chrono::milliseconds kPoll{100};
// The same while they do.
constexpr std::chrono::milliseconds kBusyPoll{20};
constexpr std::chrono::seconds kBusyFor{1};
// Others are looked for at least this often, whatever they have written.
constexpr std::chrono::seconds kLook{1};
constexpr std::chrono::seconds kKeepOrder{2};
constexpr std::chrono::minutes kSeen{1};
constexpr std::chrono::seconds kPatience{5};
constexpr std::chrono::seconds kSchemaPatience{30};
// Servers that could not renew their leases because the database was away do so
// as soon as it is back: the first to return leaves them this time.
constexpr std::chrono::seconds kTimeToReturn{5};

SqlDeadline Soon() { return std::chrono::steady_clock::now() + kPatience; }

}  // namespace

absl::StatusOr<std::unique_ptr<PostgresConnection>> Membership::Connected(
    const std::string& uri, SpoolPart& part) {
  auto connection = PostgresConnection::Open(uri);
  if (!connection.ok()) return connection.status();
  const auto spool_id = PrepareSchema(
      **connection, part, std::chrono::steady_clock::now() + kSchemaPatience);
  if (!spool_id.ok()) return spool_id.status();
  part.spool_id = *spool_id;
  return connection;
}

Membership::Membership(std::string uri, const SpoolPart& part,
                       std::unique_ptr<PostgresConnection> connection,
                       ServerLease& lease, Hooks hooks)
    : uri_(std::move(uri)),
      part_(part),
      lease_(lease),
      hooks_(std::move(hooks)),
      connection_(std::move(connection)),
      connected_at_(std::chrono::steady_clock::now()),
      seen_at_(connected_at_) {
  thread_ = std::thread([this] { Run(); });
}

void Membership::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyOne();
  if (!thread_.joinable()) return;
  thread_.join();
  connection_.reset();
}

std::vector<ShardClaim> Membership::TakeClaims() {
  MutexLock lock(mutex_);
  return std::exchange(claims_, {});
}

std::vector<int32_t> Membership::ToGiveBack() const {
  MutexLock lock(mutex_);
  return give_back_;
}

void Membership::Release(int32_t shard) {
  {
    MutexLock lock(mutex_);
    released_.push_back(shard);
  }
  wake_.NotifyOne();
}

std::string Membership::error() const {
  MutexLock lock(mutex_);
  return error_;
}

ClusterView Membership::cluster() const {
  MutexLock lock(mutex_);
  return cluster_;
}

void Membership::Run() {
  while (true) {
    const absl::Status status = Round();
    reachable_ = status.ok();
    if (!status.ok()) hooks_.away(status);
    const bool busy = std::chrono::steady_clock::now() - wrote_at_ < kBusyFor;
    MutexLock lock(mutex_);
    error_ = std::string(status.message());
    if (!stopping_ && (released_.empty() || !status.ok())) {
      wake_.WaitFor(mutex_, busy ? kBusyPoll : kPoll);
    }
    if (stopping_) break;
  }
  // The last shards that were handed back.
  if (connection_ != nullptr && connection_->usable()) {
    static_cast<void>(ReleaseAll());
  }
}

absl::Status Membership::Connect() {
  if (connection_ != nullptr && connection_->usable()) return absl::OkStatus();
  connection_.reset();
  auto connection = Connected(uri_, part_);
  if (!connection.ok()) return connection.status();
  connection_ = *std::move(connection);
  connected_at_ = std::chrono::steady_clock::now();
  return absl::OkStatus();
}

absl::Status Membership::Round() {
  const Time now = std::chrono::steady_clock::now();
  if (absl::Status s = Connect(); !s.ok()) return s;
  // First: a session that is stuck may hold what the others wait for.
  if (absl::Status s = KeepOrder(now); !s.ok()) return s;
  if (absl::Status s = ReleaseAll(); !s.ok()) return s;
  if (absl::Status s = HaveFairPart(now); !s.ok()) return s;
  return LookForAppends(now);
}

absl::Status Membership::ReleaseAll() {
  while (true) {
    int32_t shard = 0;
    {
      MutexLock lock(mutex_);
      if (released_.empty()) return absl::OkStatus();
      shard = released_.back();
    }
    const absl::Status given =
        ShardTable::GiveBack(*connection_, shard, lease_.id(), Soon());
    if (!given.ok()) return given;
    own_.erase(shard);
    MutexLock lock(mutex_);
    std::erase(released_, shard);
  }
}

absl::Status Membership::HaveFairPart(Time now) {
  auto view = ShardTable::Read(*connection_, Soon());
  if (!view.ok()) return view.status();
  const bool some_expired =
      std::any_of(view->servers.begin(), view->servers.end(),
                  [](const auto& server) { return server.expired; });
  if (some_expired && now - connected_at_ >= kTimeToReturn) {
    const absl::Status removed =
        ShardTable::RemoveExpired(*connection_, lease_.id(), Soon());
    if (!removed.ok()) return removed;
    const absl::Status forgotten =
        OtherWriters::ForgetLost(*connection_, Soon());
    if (!forgotten.ok()) return forgotten;
    view = ShardTable::Read(*connection_, Soon());
    if (!view.ok()) return view.status();
  }
  for (size_t i = 0; i < view->shards.size(); ++i) {
    const auto shard = static_cast<int32_t>(i);
    const bool owns = view->shards[i].owner == lease_.id();
    if (own_.contains(shard) && !owns) {
      // As after a fail-over that lost the claim.
      lease_.Lose();
      return absl::AbortedError("a shard of this server has another owner");
    }
    if (!owns || own_.contains(shard)) continue;
    // A claim whose answer was lost: nobody delivers it.
    const absl::Status given =
        ShardTable::GiveBack(*connection_, shard, lease_.id(), Soon());
    if (!given.ok()) return given;
    view->shards[i].owner = kNoServer;
  }
  ShareMoves moves = MovesOf(lease_.id(), view->shares());
  Publish(*view, std::move(moves.give_back));
  return Claim(moves.claim, *view);
}

absl::Status Membership::Claim(const std::vector<int32_t>& shards,
                               const ShardTable::View& view) {
  for (const int32_t shard : shards) {
    const auto claim = ShardTable::Claim(
        *connection_, shard, view.shards[static_cast<size_t>(shard)].epoch,
        lease_.id(), Soon());
    if (!claim.ok()) return claim.status();
    if (!claim->has_value()) continue;
    own_.insert(shard);
    MutexLock lock(mutex_);
    claims_.push_back(**claim);
  }
  return absl::OkStatus();
}

void Membership::Publish(const ShardTable::View& view,
                         std::vector<int32_t> give_back) {
  ClusterView shown;
  for (const ShardTable::Server& server : view.servers) {
    shown.members.push_back(
        {.name = server.name,
         .shards = static_cast<size_t>(std::count_if(
             view.shards.begin(), view.shards.end(),
             [&](const auto& shard) { return shard.owner == server.id; })),
         .self = server.id == lease_.id()});
  }
  for (size_t shard = 0; shard < view.shards.size(); ++shard) {
    shown.owners.push_back(view.OwnerOf(static_cast<int32_t>(shard)));
  }
  MutexLock lock(mutex_);
  give_back_ = std::move(give_back);
  cluster_ = std::move(shown);
}

absl::Status Membership::LookForAppends(Time now) {
  const auto written = others_.ShardsWritten(*connection_, Soon());
  if (!written.ok()) return written.status();
  for (const int32_t shard : *written) {
    if (!own_.contains(shard)) continue;
    wrote_at_ = now;
    hooks_.look(shard);
  }
  if (now - looked_at_ < kLook) return absl::OkStatus();
  looked_at_ = now;
  for (const int32_t shard : own_) hooks_.look(shard);
  return absl::OkStatus();
}

absl::Status Membership::KeepOrder(Time now) {
  if (now - order_kept_at_ >= kKeepOrder) {
    order_kept_at_ = now;
    const absl::Status ended = OtherWriters::EndStuck(*connection_, Soon());
    if (!ended.ok()) return ended;
    const absl::Status forgotten =
        OtherWriters::ForgetLost(*connection_, Soon());
    if (!forgotten.ok()) return forgotten;
  }
  if (now - seen_at_ < kSeen) return absl::OkStatus();
  seen_at_ = now;
  const absl::Status seen =
      OtherWriters::Seen(*connection_, lease_.id(), Soon());
  if (!seen.ok()) return seen;
  return OtherWriters::ForgetOld(*connection_, Soon());
}

}  // namespace heapsync
