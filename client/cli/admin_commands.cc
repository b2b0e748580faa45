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
  command.add_flag("--json", flags.json, "answers and errors as JSON");
  AddServerFlags(command, flags.server, timeout, meaning);
}

absl::StatusOr<v1::ListDestinationsResponse> ListAll(const Client& client) {
  v1::ListDestinationsResponse all;
  v1::ListDestinationsRequest request;
  do {
    auto page = CallAdmin(client, &AdminStub::ListDestinations, request);
    if (!page.ok()) return page;
    request.set_page_token(page->next_page_token());
    all.MergeFrom(*page);
  } while (!request.page_token().empty());
  all.clear_next_page_token();
  return all;
}

// The status as it is to be printed.
absl::StatusOr<std::string> StatusText(const Client& client,
                                       const AdminFlags& flags) {
  if (flags.destination.empty()) {
    auto all = ListAll(client);
    if (!all.ok()) return all.status();
    return flags.json ? ToJson(*all) : DestinationTable(all->destinations());
  }
  v1::GetDestinationRequest request;
  request.set_destination(flags.destination);
  auto one = CallAdmin(client, &AdminStub::GetDestination, request);
  if (!one.ok()) return one.status();
  return flags.json ? ToJson(*one) : DestinationText(one->destination());
}

void ShowStatus(const AdminFlags& flags, CommandContext& context) {
  const Client client(flags.server.ToClientOptions());
  const bool redraw = flags.watch && !flags.json &&
                      &context.out == &std::cout && isatty(STDOUT_FILENO) == 1;
  const uint64_t last = flags.watch ? flags.count : 1;
  for (uint64_t shown = 1;; ++shown) {
    const auto text = StatusText(client, flags);
    if (redraw) context.out << "\x1b[H\x1b[2J";
    if (text.ok()) {
      context.out << *text << std::flush;
    } else {
      // A watch goes on: the server may only be restarting.
      Fail(text.status(), flags, context);
    }
    if (shown == last) return;
    std::this_thread::sleep_for(std::chrono::duration<double>(flags.interval));
    if (!redraw && !flags.json) context.out << "\n";
  }
}

void AddStatus(CLI::App& program, CommandContext& context) {
  // Shared with the callback, which CLI11 keeps and copies.
  const auto flags = std::make_shared<AdminFlags>();
  CLI::App& command = *program.add_subcommand(
      "status", "Shows what waits for Heap and how it goes.");
  command.add_option("destination", flags->destination,
                     "show all of this one; left out: a line for each");
  CLI::Option* watch =
      command.add_flag("--watch", flags->watch, "show it again and again");
  command
      .add_option("--interval", flags->interval, "seconds between two times")
      ->needs(watch)
      ->check(CLI::Range(0.01, 86'400.0))
      ->capture_default_str();
  command
      .add_option("--count", flags->count,
                  "end after so many times; 0: only at Ctrl-C")
      ->needs(watch);
  AddShared(command, *flags, "10s", "bounds each call");
  command.callback([flags, &context] { ShowStatus(*flags, context); });
}

void ShowDelivery(const AdminFlags& flags, CommandContext& context) {
  const Client client(flags.server.ToClientOptions());
  v1::GetDeliveryRequest request;
  request.set_receipt(flags.receipt);
  v1::GetDeliveryResponse all;
  do {
    const uint64_t have = static_cast<uint64_t>(all.items_size());
    const uint64_t wanted = flags.limit == 0 ? 1'000 : flags.limit - have;
    request.set_page_size(
        static_cast<uint32_t>(std::min<uint64_t>(wanted, 1'000)));
    auto page = CallAdmin(client, &AdminStub::GetDelivery, request);
    if (!page.ok()) return Fail(page.status(), flags, context);
    request.set_page_token(page->next_page_token());
    all.MergeFrom(*page);
  } while (!request.page_token().empty() &&
           (flags.limit == 0 ||
            static_cast<uint64_t>(all.items_size()) < flags.limit));
  all.set_next_page_token(request.page_token());
  context.out << (flags.json ? ToJson(all) : DeliveryText(all));
  if (!request.page_token().empty() && !flags.json) {
    context.out << "more items: raise --limit\n";
  }
}

void AddReceipt(CLI::App& program, CommandContext& context) {
  const auto flags = std::make_shared<AdminFlags>();
  CLI::App& command = *program.add_subcommand(
      "receipt", "Shows what became of the items of a receipt.");
  command.add_option("receipt", flags->receipt, "as an answer named it")
      ->required();
  command
      .add_option("--limit", flags->limit, "show at most so many items; 0: all")
      ->capture_default_str();
  AddShared(command, *flags, "30s", "bounds each call");
  command.callback([flags, &context] { ShowDelivery(*flags, context); });
}

void AddFlush(CLI::App& program, CommandContext& context) {
  const auto flags = std::make_shared<AdminFlags>();
  CLI::App& command = *program.add_subcommand(
      "flush",
      "Waits until everything accepted so far is delivered or dead-lettered: "
      "exit code 0, or 1 if the time is over first.");
  command.add_option("destination", flags->destination,
                     "wait for this one only");
  AddShared(command, *flags, "5m", "how long to wait");
  command.callback([flags, &context] {
    const Client client(flags->server.ToClientOptions());
    v1::FlushRequest request;
    request.set_destination(flags->destination);
    const auto response = CallAdmin(client, &AdminStub::Flush, request);
    if (!response.ok()) return Fail(response.status(), *flags, context);
    if (flags->json) {
      context.out << ToJson(*response);
    } else {
      context.out << "waited for " << response->delivered() << " delivered and "
                  << response->dead_lettered() << " dead-lettered items\n";
    }
  });
}

// `pause` and `resume`, which differ in the call only.
template <typename Request, typename Response>
void AddSwitch(CLI::App& program, CommandContext& context, const char* name,
               const char* description,
               grpc::Status (AdminStub::*method)(grpc::ClientContext*,
                                                 const Request&, Response*)) {
  const auto flags = std::make_shared<AdminFlags>();
  CLI::App& command = *program.add_subcommand(name, description);
  command.add_option("destination", flags->destination,
                     "left out: the default destination");
  AddShared(command, *flags, "10s", "bounds the call");
  command.callback([flags, &context, method] {
    const Client client(flags->server.ToClientOptions());
    Request request;
    request.set_destination(flags->destination);
    const auto response = CallAdmin(client, method, request);
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
  AddSwitch(program, context, "pause",
            "Stops sending to a destination, also over restarts; it goes on "
            "accepting items.",
            &AdminStub::PauseDestination);
  AddSwitch(program, context, "resume", "Sends to a destination again.",
            &AdminStub::ResumeDestination);
}

}  // namespace heapsync
