#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/admin_call.h"
#include "client/cli/admin_text.h"
#include "client/cli/command.h"
#include "client/cli/command_line.h"
#include "client/cli/command_options.h"
#include "client/cli/timestamp_parsing.h"
#include "heapsync/client/client.h"

namespace heapsync {
namespace {

struct DeadLetterFlags {
  ServerFlags server;
  v1::DeadLetterFilter filter;
  std::string since, until, item;
  std::vector<std::string> ids;
  bool all = false, dry_run = false, force = false, json = false;
  uint64_t limit = 100;
};

void Fail(const absl::Status& status, const DeadLetterFlags& flags,
          CommandContext& context) {
  PrintError(context.err, status,
             flags.json ? ErrorFormat::kJson : ErrorFormat::kText);
  context.exit_code = kExitFailed;
}

void AddShared(CLI::App& command, DeadLetterFlags& flags) {
  AddFlag(command, "--json", flags.json, "responses and errors as JSON");
  AddServerFlags(command, flags.server, "30s", "bounds each call");
}

// The options that choose dead letters.
void AddFilter(CLI::App& command, DeadLetterFlags& flags) {
  static const std::map<std::string, v1::DeadLetterReason> kReasons = {
      {"refused", v1::DEAD_LETTER_REASON_REFUSED},
      {"too_large", v1::DEAD_LETTER_REASON_TOO_LARGE},
      {"expired", v1::DEAD_LETTER_REASON_EXPIRED},
      {"damaged", v1::DEAD_LETTER_REASON_DAMAGED}};
  AddTexts(command, "ids", flags.ids, Separator::kNone,
           "dead letters, by the ids that `list` shows");
  AddText(command, "--destination", *flags.filter.mutable_destination(),
          "only dead letters of this destination");
  AddTypeOption(
      command,
      [&flags](ObjectType type) {
        flags.filter.set_type(static_cast<v1::ItemType>(type));
      },
      "only dead letters of this type", /*required=*/false);
  AddText(command, "--reason",
          [&flags](const std::string& name) {
            flags.filter.set_reason(kReasons.at(name));
          },
          "", "only items that were dead-lettered for this reason",
          {.choices = {"refused", "too_large", "expired", "damaged"}});
  AddText(command, "--since", flags.since,
          "only items dead-lettered at this time or later: RFC 3339 or "
          "\"YYYY-MM-DD HH:MM:SS\" (UTC)");
  AddText(command, "--until", flags.until,
          "only items dead-lettered before this time");
  AddText(command, "--receipt", *flags.filter.mutable_receipt(),
          "only items of this receipt");
}

google::protobuf::Timestamp TimeOf(const char* flag, const std::string& text) {
  auto time = ParseTimestamp(text);
  if (!time.ok()) {
    ThrowUsageError(flag, time.status().message());
  }
  return *time;
}

v1::DeadLetterFilter FilterOf(const DeadLetterFlags& flags) {
  v1::DeadLetterFilter filter = flags.filter;
  if (!flags.since.empty()) {
    *filter.mutable_since() = TimeOf("--since", flags.since);
  }
  if (!flags.until.empty()) {
    *filter.mutable_until() = TimeOf("--until", flags.until);
  }
  for (const std::string& id : flags.ids) filter.add_ids(id);
  return filter;
}

absl::StatusOr<v1::ListDeadLettersResponse> List(const DeadLetterFlags& flags,
                                                 CommandContext& context) {
  const Client client(flags.server.ToClientOptions(context.err));
  v1::ListDeadLettersRequest request;
  *request.mutable_filter() = FilterOf(flags);
  v1::ListDeadLettersResponse all;
  const auto have = [&all] {
    return static_cast<uint64_t>(all.dead_letters_size());
  };
  do {
    const uint64_t wanted = flags.limit == 0 ? 1'000 : flags.limit - have();
    request.set_page_size(
        static_cast<uint32_t>(std::min<uint64_t>(wanted, 1'000)));
    auto page = CallAdmin(client, request);
    if (!page.ok()) return page;
    request.set_page_token(page->next_page_token());
    all.MergeFrom(*page);
  } while (!request.page_token().empty() &&
           (flags.limit == 0 || have() < flags.limit));
  all.set_next_page_token(request.page_token());
  return all;
}

// Reports ids that were not found on `err`, in JSON mode too.
void ReportMissing(const v1::ListDeadLettersResponse& list,
                   CommandContext& context) {
  for (const std::string& id : list.not_found_ids()) {
    context.err << "no such dead letter: " << id << "\n";
    context.exit_code = kExitFailed;
  }
}

void AddList(CLI::App& group, CommandContext& context) {
  // Shared with the callback, which is copied.
  const auto flags = std::make_shared<DeadLetterFlags>();
  CLI::App& command = AddSubcommand(
      group, "list", "Lists dead letters: items that were not delivered.");
  AddFilter(command, *flags);
  AddCount(command, "--limit", flags->limit,
           "maximum number of dead letters to list (0: all)");
  AddShared(command, *flags);
  OnRun(command, [flags, &context] {
    const auto list = List(*flags, context);
    if (!list.ok()) return Fail(list.status(), *flags, context);
    if (flags->json) {
      context.out << ToJson(*list);
    } else if (list->dead_letters().empty()) {
      context.out << "no dead letters\n";
    } else {
      context.out << DeadLetterTable(list->dead_letters());
      if (!list->next_page_token().empty()) {
        context.out << "there are more dead letters: raise --limit\n";
      }
    }
    ReportMissing(*list, context);
  });
}

void AddShow(CLI::App& group, CommandContext& context) {
  const auto flags = std::make_shared<DeadLetterFlags>();
  flags->limit = 0;
  CLI::App& command = AddSubcommand(
      group, "show",
      "Shows dead letters in full: Heap's response and the item.");
  AddTexts(command, "ids", flags->ids, Separator::kNone,
           "the ids that `list` shows", {.required = true});
  AddShared(command, *flags);
  OnRun(command, [flags, &context] {
    const auto list = List(*flags, context);
    if (!list.ok()) return Fail(list.status(), *flags, context);
    if (flags->json) {
      context.out << ToJson(*list);
    } else {
      for (const v1::DeadLetter& letter : list->dead_letters()) {
        context.out << DeadLetterText(letter);
      }
    }
    ReportMissing(*list, context);
  });
}

// Goes through all pages of a change, showing each as it comes, so that what
// was done is known even if a later page fails.
template <typename Request, typename CountOf>
void Change(Request request, const DeadLetterFlags& flags, const char* done,
            const CountOf& count_of, CommandContext& context) {
  const Client client(flags.server.ToClientOptions(context.err));
  *request.mutable_filter() = FilterOf(flags);
  request.set_all(flags.all);
  request.set_dry_run(flags.dry_run);
  request.set_page_size(1'000);
  uint64_t looked_at = 0, changed = 0;
  do {
    auto page = CallAdmin(client, request);
    if (!page.ok()) return Fail(page.status(), flags, context);
    request.set_page_token(page->next_page_token());
    looked_at += static_cast<uint64_t>(page->results_size());
    changed += count_of(*page);
    if (flags.json) {
      context.out << ToJson(*page);
    } else if (!page->results().empty()) {
      context.out << ResultTable(page->results());
    }
  } while (!request.page_token().empty());
  if (!flags.json) {
    context.out << changed << " of " << looked_at
                << (flags.dry_run ? " would be " : " ") << done << "\n";
  }
  if (changed < looked_at) context.exit_code = kExitFailed;
}

void AddChangeFlags(CLI::App& command, DeadLetterFlags& flags) {
  AddFilter(command, flags);
  AddFlag(command, "--all", flags.all,
          "every dead letter of the server, without a filter");
  AddFlag(command, "--dry_run", flags.dry_run, "only show what would happen");
}

void AddReplay(CLI::App& group, CommandContext& context) {
  const auto flags = std::make_shared<DeadLetterFlags>();
  CLI::App& command = AddSubcommand(
      group, "replay",
      "Accepts dead letters again, with the same idempotency keys.");
  AddChangeFlags(command, *flags);
  AddFlag(command, "--force", flags->force,
          "also replay items that were dead-lettered three times already");
  AddText(command, "--item", flags->item,
          "with one id: the item to send instead, as JSON");
  AddShared(command, *flags);
  OnRun(command, [flags, &context] {
    v1::ReplayDeadLettersRequest request;
    request.set_force(flags->force);
    request.set_edited_item_json(flags->item);
    Change(
        std::move(request), *flags, "replayed",
        [](const auto& page) { return page.replayed(); }, context);
  });
}

void AddDiscard(CLI::App& group, CommandContext& context) {
  const auto flags = std::make_shared<DeadLetterFlags>();
  CLI::App& command =
      AddSubcommand(group, "discard", "Removes dead letters permanently.");
  AddChangeFlags(command, *flags);
  AddShared(command, *flags);
  OnRun(command, [flags, &context] {
    Change(
        v1::DiscardDeadLettersRequest(), *flags, "discarded",
        [](const auto& page) { return page.discarded(); }, context);
  });
}

}  // namespace

void AddDeadLetterCommands(CLI::App& program, CommandContext& context) {
  CLI::App& group = AddSubcommand(
      program, "dead-letters",
      "Items that were not delivered: list, show, replay, discard.");
  RequireSubcommand(group);
  AddList(group, context);
  AddShow(group, context);
  AddReplay(group, context);
  AddDiscard(group, context);
}

}  // namespace heapsync
