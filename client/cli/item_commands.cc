#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/command.h"
#include "client/cli/command_line.h"
#include "client/cli/command_options.h"
#include "client/cli/json_struct.h"
#include "client/cli/timestamp_parsing.h"
#include "client/cli/utf8.h"
#include "heapsync/client/client.h"

namespace heapsync {
namespace {

// Flags that all three commands share.
struct ItemFlags {
  ServerFlags server;
  std::string destination;
  v1::AckLevel ack_level = v1::ACK_LEVEL_DURABLE;
  std::string request_id;
  bool validate_only = false;
  bool json = false;
  std::vector<std::string> properties;
  std::string properties_json;

  // The item, as far as the command has the field.
  std::string identity, user_id, event, timestamp, session_id, idempotency_key,
      email, account_id;
};

void AddSharedFlags(CLI::App& command, ItemFlags& flags) {
  AddTexts(command, "--property", flags.properties, Separator::kNone,
           "key=value, always a string; may be repeated");
  AddText(command, "--property_json", flags.properties_json,
          "properties as a JSON object: '{\"amount\":49.99}'");
  AddText(command, "--destination", flags.destination,
          "name of a configured Heap environment; empty: the "
          "server's default");
  AddAckFlag(command, flags.ack_level);
  AddText(command, "--request_id", flags.request_id,
          "a repeated call with the same id makes no duplicate");
  AddFlag(
      command, "--validate_only", flags.validate_only,
      "store nothing; show the request that would be sent, and all violations");
  AddFlag(command, "--json", flags.json, "responses and errors as JSON");
  AddServerFlags(command, flags.server, "30s",
                 "bounds the call with all its retries");
}

google::protobuf::Struct PropertiesOf(const ItemFlags& flags) {
  google::protobuf::Struct properties;
  if (!flags.properties_json.empty()) {
    auto parsed = ParseJsonObject(flags.properties_json);
    if (!parsed.ok()) {
      ThrowUsageError("--property_json", parsed.status().message());
    }
    properties = *std::move(parsed);
  }
  for (const std::string& pair : flags.properties) {
    auto [key, value] = SplitPair("--property", pair);
    (*properties.mutable_fields())[key].set_string_value(std::move(value));
  }
  return properties;
}

template <typename Request>
Request MakeRequest(const ItemFlags& flags) {
  Request request;
  request.set_destination(flags.destination);
  request.set_ack_level(flags.ack_level);
  request.set_request_id(flags.request_id);
  request.set_validate_only(flags.validate_only);
  return request;
}

template <typename Item>
void SetProperties(const ItemFlags& flags, Item& item) {
  auto properties = PropertiesOf(flags);
  if (properties.fields_size() > 0) {
    *item.mutable_properties() = std::move(properties);
  }
}

void PrintFindings(
    std::ostream& out, absl::string_view kind,
    const google::protobuf::RepeatedPtrField<v1::FieldViolation>& findings) {
  for (const v1::FieldViolation& finding : findings) {
    out << kind << ": " << Printable(finding.field()) << ": "
        << Printable(finding.reason()) << ": "
        << Printable(finding.description()) << "\n";
  }
}

absl::string_view Describe(v1::AckLevel level, v1::DeliveryOutcome outcome) {
  if (level != v1::ACK_LEVEL_DELIVERED) return "accepted, on the server's disk";
  return outcome == v1::DELIVERY_OUTCOME_DEAD_LETTERED
             ? "dead-lettered: Heap rejected it"
             : "delivered to Heap";
}

template <typename Response>
void Print(const absl::StatusOr<Response>& response, const ItemFlags& flags,
           CommandContext& context) {
  if (!response.ok()) {
    PrintError(context.err, response.status(),
               flags.json ? ErrorFormat::kJson : ErrorFormat::kText);
    context.exit_code = kExitFailed;
    return;
  }
  if (response->violations_size() > 0 ||
      response->outcome() == v1::DELIVERY_OUTCOME_DEAD_LETTERED) {
    context.exit_code = kExitFailed;
  }
  if (flags.json) {
    context.out << ToJson(*response);
    return;
  }
  if (flags.validate_only) {
    if (!response->preview_json().empty()) {
      context.out << PrintableJson(response->preview_json()) << "\n";
    }
  } else {
    context.out << Describe(response->ack_level(), response->outcome())
                << "\nreceipt: " << Printable(response->receipt()) << "\n";
    if (!response->idempotency_key().empty()) {
      context.out << "idempotency key: "
                  << Printable(response->idempotency_key()) << "\n";
    }
  }
  PrintFindings(context.err, "wrong", response->violations());
  PrintFindings(context.err, "warning", response->warnings());
}

void AddTrackCommand(CLI::App& program, CommandContext& context) {
  // Shared with the callback, which is copied.
  const auto flags = std::make_shared<ItemFlags>();
  CLI::App& command = AddSubcommand(program, "track", "Sends one event.");
  AddText(command, "--identity", flags->identity, "who did it");
  AddText(command, "--user_id", flags->user_id,
          "Heap's own user id, instead of an identity");
  AddText(command, "--event", flags->event, "name of the event");
  AddText(command, "--timestamp", flags->timestamp,
          "RFC 3339 or \"YYYY-MM-DD HH:MM:SS\" (UTC); left out: "
          "the moment of acceptance");
  AddText(command, "--session_id", flags->session_id, "session, if tracked");
  AddText(command, "--idempotency_key", flags->idempotency_key,
          "Heap keeps the first event of each key");
  AddSharedFlags(command, *flags);
  OnRun(command, [flags, &context] {
    auto request = MakeRequest<v1::TrackEventRequest>(*flags);
    v1::TrackEvent& event = *request.mutable_event();
    event.set_identity(flags->identity);
    event.set_user_id(flags->user_id);
    event.set_event(flags->event);
    event.set_session_id(flags->session_id);
    event.set_idempotency_key(flags->idempotency_key);
    if (!flags->timestamp.empty()) {
      auto timestamp = ParseTimestamp(flags->timestamp);
      if (!timestamp.ok()) {
        ThrowUsageError("--timestamp", timestamp.status().message());
      }
      *event.mutable_timestamp() = *timestamp;
    }
    SetProperties(*flags, event);
    const Client client(flags->server.ToClientOptions(context.err));
    Print(client.TrackEvent(std::move(request)), *flags, context);
  });
}

void AddUserCommand(CLI::App& program, CommandContext& context) {
  const auto flags = std::make_shared<ItemFlags>();
  CLI::App& command =
      AddSubcommand(program, "user", "Sets properties of one user.");
  AddText(command, "--identity", flags->identity, "the user");
  AddText(command, "--email", flags->email, "fills Heap's built-in Email");
  AddSharedFlags(command, *flags);
  OnRun(command, [flags, &context] {
    auto request = MakeRequest<v1::UserPropertiesRequest>(*flags);
    request.mutable_user()->set_identity(flags->identity);
    request.mutable_user()->set_email(flags->email);
    SetProperties(*flags, *request.mutable_user());
    const Client client(flags->server.ToClientOptions(context.err));
    Print(client.UserProperties(std::move(request)), *flags, context);
  });
}

void AddAccountCommand(CLI::App& program, CommandContext& context) {
  const auto flags = std::make_shared<ItemFlags>();
  CLI::App& command =
      AddSubcommand(program, "account", "Sets properties of one account.");
  AddText(command, "--account_id", flags->account_id, "the account");
  AddSharedFlags(command, *flags);
  OnRun(command, [flags, &context] {
    auto request = MakeRequest<v1::AccountPropertiesRequest>(*flags);
    request.mutable_account()->set_account_id(flags->account_id);
    SetProperties(*flags, *request.mutable_account());
    const Client client(flags->server.ToClientOptions(context.err));
    Print(client.AccountProperties(std::move(request)), *flags, context);
  });
}

}  // namespace

void AddItemCommands(CLI::App& program, CommandContext& context) {
  AddTrackCommand(program, context);
  AddUserCommand(program, context);
  AddAccountCommand(program, context);
}

}  // namespace heapsync
