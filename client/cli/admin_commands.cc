#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "client/cli/admin_call.h"
#include "client/cli/admin_text.h"
#include "client/cli/command.h"
#include "client/cli/command_line.h"
#include "client/cli/command_options.h"
#include "heapsync/client/client.h"

namespace heapsync {
namespace {

struct AdminFlags {
  ServerFlags server;
  std::string destination, receipt;
  bool json = false, watch = false;
  double interval = 1;
  uint64_t count = 0, limit = 100;

  ErrorFormat error_format() const {
    return json ? ErrorFormat::kJson : ErrorFormat::kText;
  }
};

void Fail(const absl::Status& status, const AdminFlags& flags,
          CommandContext& context) {
  PrintError(context.err, status, flags.error_format());
  context.exit_code = kExitFailed;
}

void AddShared(CLI::App& command, AdminFlags& flags, absl::string_view timeout,
               absl::string_view meaning) {
  AddFlag(command, "--json", flags.json, "responses and errors as JSON");
  AddServerFlags(command, flags.server, timeout, meaning);
}

absl::StatusOr<v1::ListDestinationsResponse> ListAll(const Client& client) {
  v1::ListDestinationsResponse all;
  v1::ListDestinationsRequest request;
  do {
    auto page = CallAdmin(client, request);
    if (!page.ok()) return page;
    request.set_page_token(page->next_page_token());
    all.MergeFrom(*page);
  } while (!request.page_token().empty());
  all.clear_next_page_token();
  return all;
}

// The text or JSON to print.
absl::StatusOr<std::string> StatusText(const Client& client,
                                       const AdminFlags& flags) {
  if (flags.destination.empty()) {
    auto all = ListAll(client);
    if (!all.ok()) return all.status();
    return flags.json ? ToJson(*all) : DestinationTable(all->destinations());
  }
  v1::GetDestinationRequest request;
  request.set_destination(flags.destination);
  auto one = CallAdmin(client, request);
  if (!one.ok()) return one.status();
  return flags.json ? ToJson(*one) : DestinationText(one->destination());
}

void ShowStatus(const AdminFlags& flags, CommandContext& context) {
  const Client client(flags.server.ToClientOptions(context.err));
  const bool redraw = flags.watch && !flags.json &&
                      &context.out == &std::cout && isatty(STDOUT_FILENO) == 1;
  const uint64_t last = flags.watch ? flags.count : 1;
  for (uint64_t shown = 1;; ++shown) {
    const auto text = StatusText(client, flags);
    if (redraw) context.out << "\x1b[H\x1b[2J";
    if (text.ok()) {
      context.out << *text << std::flush;
    } else {
      // Keep watching: the server may only be restarting.
      Fail(text.status(), flags, context);
    }
    if (shown == last) return;
    std::this_thread::sleep_for(std::chrono::duration<double>(flags.interval));
    if (!redraw && !flags.json) context.out << "\n";
  }
}

void AddStatus(CLI::App& program, CommandContext& context) {
  // Shared with the callback, which is copied.
  const auto flags = std::make_shared<AdminFlags>();
  CLI::App& command = AddSubcommand(
      program, "status",
      "Shows the queue and the delivery status of each destination.");
  AddText(command, "destination", flags->destination,
          "show this destination in detail (default: one line for each)");
  AddFlag(command, "--watch", flags->watch, "refresh until interrupted");
  AddNumber(command, "--interval", flags->interval, 0.01, 86'400,
            "seconds between refreshes", {.needs = "--watch"});
  AddCount(command, "--count", flags->count,
           "number of refreshes before exiting (0: until interrupted)",
           {.needs = "--watch"});
  AddShared(command, *flags, "10s", "bounds each call");
  OnRun(command, [flags, &context] { ShowStatus(*flags, context); });
}

void ShowDelivery(const AdminFlags& flags, CommandContext& context) {
  const Client client(flags.server.ToClientOptions(context.err));
  v1::GetDeliveryRequest request;
  request.set_receipt(flags.receipt);
  v1::GetDeliveryResponse all;
  do {
    const uint64_t have = static_cast<uint64_t>(all.items_size());
    const uint64_t wanted = flags.limit == 0 ? 1'000 : flags.limit - have;
    request.set_page_size(
        static_cast<uint32_t>(std::min<uint64_t>(wanted, 1'000)));
    auto page = CallAdmin(client, request);
    if (!page.ok()) return Fail(page.status(), flags, context);
    request.set_page_token(page->next_page_token());
    all.MergeFrom(*page);
  } while (!request.page_token().empty() &&
           (flags.limit == 0 ||
            static_cast<uint64_t>(all.items_size()) < flags.limit));
  all.set_next_page_token(request.page_token());
  context.out << (flags.json ? ToJson(all) : DeliveryText(all));
  if (!request.page_token().empty() && !flags.json) {
    context.out << "there are more items: raise --limit\n";
  }
}

void AddReceipt(CLI::App& program, CommandContext& context) {
  const auto flags = std::make_shared<AdminFlags>();
  CLI::App& command =
      AddSubcommand(program, "receipt",
                    "Shows the delivery status of the items of a receipt.");
  AddText(command, "receipt", flags->receipt, "the receipt in a response",
          {.required = true});
  AddCount(command, "--limit", flags->limit,
           "maximum number of items to show (0: all)");
  AddShared(command, *flags, "30s", "bounds each call");
  OnRun(command, [flags, &context] { ShowDelivery(*flags, context); });
}

void AddFlush(CLI::App& program, CommandContext& context) {
  const auto flags = std::make_shared<AdminFlags>();
  CLI::App& command = AddSubcommand(
      program, "flush",
      "Waits until everything accepted so far is delivered or dead-lettered: "
      "exit code 0, or 1 on timeout.");
  AddText(command, "destination", flags->destination,
          "wait for this destination only");
  AddShared(command, *flags, "5m", "how long to wait");
  OnRun(command, [flags, &context] {
    const Client client(flags->server.ToClientOptions(context.err));
    v1::FlushRequest request;
    request.set_destination(flags->destination);
    const auto response = CallAdmin(client, request);
    if (!response.ok()) return Fail(response.status(), *flags, context);
    if (flags->json) {
      context.out << ToJson(*response);
    } else {
      context.out << "waited for " << response->delivered() << " delivered and "
                  << response->dead_lettered() << " dead-lettered items\n";
    }
  });
}

// `pause` and `resume`, which differ only in the call.
template <typename Request>
void AddSwitch(CLI::App& program, CommandContext& context, const char* name,
               const char* description) {
  const auto flags = std::make_shared<AdminFlags>();
  CLI::App& command = AddSubcommand(program, name, description);
  AddText(command, "destination", flags->destination,
          "the destination (default: the server's default)");
  AddShared(command, *flags, "10s", "bounds the call");
  OnRun(command, [flags, &context] {
    const Client client(flags->server.ToClientOptions(context.err));
    Request request;
    request.set_destination(flags->destination);
    const auto response = CallAdmin(client, request);
    if (!response.ok()) return Fail(response.status(), *flags, context);
    context.out << (flags->json ? ToJson(*response)
                                : DestinationText(response->destination()));
  });
}

}  // namespace

void AddAdminCommands(CLI::App& program, CommandContext& context) {
  AddStatus(program, context);
  AddReceipt(program, context);
  AddFlush(program, context);
  AddSwitch<v1::PauseDestinationRequest>(
      program, context, "pause",
      "Stops sending to a destination, until `resume` and across restarts; "
      "items are still accepted.");
  AddSwitch<v1::ResumeDestinationRequest>(
      program, context, "resume", "Starts sending to a destination again.");
}

}  // namespace heapsync
