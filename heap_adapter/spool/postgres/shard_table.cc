#include "heap_adapter/spool/postgres/shard_table.h"

#include <algorithm>

namespace heapsync {
namespace {

constexpr SqlStatement kServers{
    "servers",
    "SELECT id, name, lease_until < now() FROM heapsync_server ORDER BY id"};
constexpr SqlStatement kShards{"shards",
                               "SELECT id, owner, epoch "
                               "FROM heapsync_shard ORDER BY id"};
constexpr SqlStatement kRemoveExpired{
    "remove_expired",
    "DELETE FROM heapsync_server WHERE lease_until < now() AND id <> $1"};
// An update that has waited for a lock sees the shard as it is then, but the
// servers as they were before: the epoch tells whether that may differ.
constexpr SqlStatement kClaim{
    "claim",
    "UPDATE heapsync_shard SET epoch = epoch + 1, owner = $2 "
    "WHERE id = $1 AND epoch = $3 AND NOT EXISTS (SELECT 1 FROM "
    "heapsync_server "
    "WHERE heapsync_server.id = heapsync_shard.owner) "
    "AND EXISTS (SELECT 1 FROM heapsync_server WHERE heapsync_server.id = $2) "
    "RETURNING epoch, last_write"};
constexpr SqlStatement kGiveBackShard{
    "give_back_shard",
    "UPDATE heapsync_shard SET owner = 0 WHERE id = $1 AND owner = $2"};

}  // namespace

ShareView ShardTable::View::shares() const {
  ShareView shares;
  for (const Server& server : servers) shares.servers.push_back(server.id);
  for (const Shard& shard : shards) shares.owners.push_back(shard.owner);
  return shares;
}

std::string ShardTable::View::OwnerOf(int32_t shard) const {
  if (shard < 0 || static_cast<size_t>(shard) >= shards.size()) return "";
  const auto owner =
      std::find_if(servers.begin(), servers.end(), [&](const Server& server) {
        return server.id == shards[static_cast<size_t>(shard)].owner;
      });
  return owner == servers.end() ? "" : owner->name;
}

absl::StatusOr<ShardTable::View> ShardTable::Read(
    PostgresConnection& connection, SqlDeadline deadline) {
  const SqlCommand commands[] = {{kServers}, {kShards}};
  const auto read = connection.RunTogether(commands, deadline);
  if (!read.ok()) return read.status();
  View view;
  const SqlResult& servers = (*read)[0];
  for (int row = 0; row < servers.rows(); ++row) {
    view.servers.push_back({.id = servers.Int8(row, 0),
                            .name = std::string(servers.Bytes(row, 1)),
                            .expired = servers.Bool(row, 2)});
  }
  const SqlResult& shards = (*read)[1];
  for (int row = 0; row < shards.rows(); ++row) {
    if (shards.Int4(row, 0) != row) {
      return absl::FailedPreconditionError("a shard of the spool is missing");
    }
    view.shards.push_back(
        {.owner = shards.Int8(row, 1), .epoch = shards.Int8(row, 2)});
  }
  return view;
}

absl::Status ShardTable::RemoveExpired(PostgresConnection& connection,
                                       ServerId self, SqlDeadline deadline) {
  return connection.Run({kRemoveExpired, SqlParameters().Int8(self)}, deadline)
      .status();
}

absl::StatusOr<std::optional<ShardClaim>> ShardTable::Claim(
    PostgresConnection& connection, int32_t shard, int64_t seen_epoch,
    ServerId server, SqlDeadline deadline) {
  const auto claimed = connection.Run(
      {kClaim, SqlParameters().Int4(shard).Int8(server).Int8(seen_epoch)},
      deadline);
  if (!claimed.ok()) return claimed.status();
  if (claimed->rows() == 0) return std::nullopt;
  return ShardClaim{.shard = shard,
                    .epoch = claimed->Int8(0, 0),
                    .last_write = claimed->Int8(0, 1)};
}

absl::Status ShardTable::GiveBack(PostgresConnection& connection, int32_t shard,
                                  ServerId server, SqlDeadline deadline) {
  return connection
      .Run({kGiveBackShard, SqlParameters().Int4(shard).Int8(server)}, deadline)
      .status();
}

}  // namespace heapsync
