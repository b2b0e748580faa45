#include "heap_adapter/sharing/command_runner.h"

#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"

namespace heapsync {

CommandRunner::CommandRunner(const Spool& spool, Committer& committer,
                             Owns owns, Obey obey)
    : spool_(spool),
      committer_(committer),
      owns_(std::move(owns)),
      obey_(std::move(obey)) {}

absl::Status CommandRunner::Look(MonotonicTime now) {
  const auto stored = spool_.published().Commands();
  if (!stored.ok()) return stored.status();
  SpoolChange change;
  absl::flat_hash_set<CommandId> seen;
  size_t running = 0;
  for (const auto& [id, known] : known_) {
    if (known.wanted != nullptr) ++running;
  }
  std::vector<const StoredCommand*> begun;
  for (const StoredCommand& each : *stored) {
    if (!each.command.has_value()) {
      change.DeleteCommand(each.id);
      continue;
    }
    if (!owns_(each.command->destination)) continue;
    const auto [it, is_new] = known_.try_emplace(each.id);
    Known& known = it->second;
    if (is_new || known.beat != each.command->beat) {
      known.beat = each.command->beat;
      known.beat_at = now;
    }
    if (now - known.beat_at >= kForget) {
      change.DeleteCommand(each.id);
      continue;
    }
    seen.insert(each.id);
    if (each.answered || known.wanted != nullptr) continue;
    if (running == kMaxRunning) continue;
    ++running;
    known.wanted = std::make_shared<const CommandId>(each.id);
    begun.push_back(&each);
  }
  absl::erase_if(known_, [&seen](const auto& known) {
    return !seen.contains(known.first);
  });
  if (!change.empty()) committer_.Apply(std::move(change), nullptr);
  for (const StoredCommand* each : begun) {
    obey_(*each, known_.at(each->id).wanted,
          [&committer = committer_, id = each->id](CommandAnswer answer,
                                                   SpoolChange along) {
            along.PutAnswer(id, answer);
            along.RequireDisk();
            // A server that stops may have refused a part of it: the next one
            // does the rest, and answers.
            static_cast<void>(committer.Change(std::move(along), nullptr));
          });
  }
  return absl::OkStatus();
}

}  // namespace heapsync
