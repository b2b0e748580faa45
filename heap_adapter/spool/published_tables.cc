#include "heap_adapter/spool/published_tables.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "heap_adapter/spool/coding.h"
#include "heap_adapter/spool/layout.h"

namespace heapsync {
namespace {

using layout::CommandKey;
using layout::CommandPart;
using layout::Key;
using layout::Only;
using layout::PrefixEnd;
using layout::Table;

}  // namespace

absl::Status PublishedTables::VisitFigures(
    absl::FunctionRef<void(absl::string_view, const OwnerFigures&)> visit)
    const {
  const std::string prefix = Key(Table::kFigures);
  const auto cursor = store_.Scan(prefix, PrefixEnd(prefix));
  for (; cursor->Valid(); cursor->Next()) {
    const auto figures = OwnerFigures::Decode(cursor->value());
    if (!figures.ok()) return figures.status();
    visit(cursor->key().substr(prefix.size()), *figures);
  }
  return cursor->status();
}

absl::Status PublishedTables::VisitSnapshots(
    absl::FunctionRef<void(absl::string_view, absl::string_view)> visit) const {
  const std::string prefix = Key(Table::kSnapshot);
  const auto cursor = store_.Scan(prefix, PrefixEnd(prefix));
  for (; cursor->Valid(); cursor->Next()) {
    visit(cursor->key().substr(prefix.size()), cursor->value());
  }
  return cursor->status();
}

absl::StatusOr<std::vector<std::optional<std::string>>>
PublishedTables::ReadSnapshots(
    absl::Span<const absl::string_view> destinations) const {
  std::vector<Store::KeyRange> keys;
  for (const absl::string_view destination : destinations) {
    keys.push_back(Only(absl::StrCat(Key(Table::kSnapshot), destination)));
  }
  auto entries = store_.FirstOfEach(keys);
  if (!entries.ok()) return entries.status();
  std::vector<std::optional<std::string>> snapshots;
  for (auto& entry : *entries) {
    snapshots.emplace_back();
    if (entry.has_value()) snapshots.back() = std::move(entry->second);
  }
  return snapshots;
}

absl::StatusOr<std::vector<StoredCommand>> PublishedTables::Commands() const {
  std::vector<StoredCommand> commands;
  const std::string prefix = Key(Table::kCommand);
  const auto cursor = store_.Scan(prefix, PrefixEnd(prefix));
  for (; cursor->Valid(); cursor->Next()) {
    Reader reader(cursor->key().substr(prefix.size()));
    const CommandId id = reader.BigEndian64();
    if (commands.empty() || commands.back().id != id) {
      commands.push_back({.id = id, .command = std::nullopt});
    }
    if (reader.rest() ==
        std::string(1, static_cast<char>(CommandPart::kAnswer))) {
      commands.back().answered = true;
      continue;
    }
    auto command = CommandRecord::Decode(cursor->value());
    if (command.ok()) commands.back().command = *std::move(command);
  }
  if (!cursor->status().ok()) return cursor->status();
  return commands;
}

absl::StatusOr<std::vector<std::optional<CommandAnswer>>>
PublishedTables::ReadAnswers(absl::Span<const CommandId> commands) const {
  std::vector<Store::KeyRange> keys;
  for (const CommandId id : commands) {
    keys.push_back(Only(CommandKey(id, CommandPart::kAnswer)));
  }
  const auto entries = store_.FirstOfEach(keys);
  if (!entries.ok()) return entries.status();
  std::vector<std::optional<CommandAnswer>> answers;
  for (const auto& entry : *entries) {
    answers.emplace_back();
    if (!entry.has_value()) continue;
    auto answer = CommandAnswer::Decode(entry->second);
    answers.back() = answer.ok() ? *std::move(answer)
                                 : CommandAnswer{.status = answer.status()};
  }
  return answers;
}

}  // namespace heapsync
