#include "client/cli/admin_text.h"

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/time_util.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "client/cli/progress.h"
#include "client/cli/table.h"
#include "client/cli/utf8.h"

namespace heapsync {
namespace {

using google::protobuf::util::TimeUtil;
constexpr Table::Align kRight = Table::Align::kRight;

// "dead lettered" for ITEM_STATE_DEAD_LETTERED.
std::string Words(const std::string& name, absl::string_view prefix) {
  return absl::StrReplaceAll(
      absl::AsciiStrToLower(absl::StripPrefix(name, prefix)), {{"_", " "}});
}

std::string Text(v1::DestinationState state) {
  return Words(v1::DestinationState_Name(state), "DESTINATION_STATE_");
}
std::string Text(v1::ItemState state) {
  return Words(v1::ItemState_Name(state), "ITEM_STATE_");
}
std::string Text(v1::ItemType type) {
  return Words(v1::ItemType_Name(type), "ITEM_TYPE_");
}
std::string Text(v1::HeapRegion region) {
  return Words(v1::HeapRegion_Name(region), "HEAP_REGION_");
}
std::string Text(v1::DeadLetterReason reason) {
  return Words(v1::DeadLetterReason_Name(reason), "DEAD_LETTER_REASON_");
}
std::string Text(v1::DeadLetterOutcome outcome) {
  return Words(v1::DeadLetterOutcome_Name(outcome), "DEAD_LETTER_OUTCOME_");
}

std::string Text(const google::protobuf::Duration& duration) {
  return ShortDuration(
      std::chrono::seconds(TimeUtil::DurationToSeconds(duration)));
}

std::string Text(const google::protobuf::Timestamp& time) {
  google::protobuf::Timestamp second = time;
  second.set_nanos(0);
  return TimeUtil::ToString(second);
}

std::string Bytes(uint64_t bytes) {
  if (bytes < 10'000) return absl::StrCat(bytes, " B");
  if (bytes < 10'000'000) return absl::StrCat(bytes / 1'000, " kB");
  return absl::StrCat(WithThousands(bytes / 1'000'000), " MB");
}

std::string Allowance(const v1::Destination& destination) {
  const std::string used = WithThousands(destination.allowance_used());
  if (destination.allowance_total() == 0) return used + "/unlimited";
  return absl::StrCat(used, "/", WithThousands(destination.allowance_total()));
}

std::string OldestAge(const v1::Destination& destination) {
  return destination.has_oldest_age() ? Text(destination.oldest_age()) : "-";
}

std::string DrainedIn(const v1::Destination& destination) {
  if (!destination.has_drained_in()) return "unknown";
  if (destination.queued_items() == 0) return "-";
  return Text(destination.drained_in());
}

// The last attempt in a few words: "HTTP 200", "in flight".
std::string LastAttempt(const v1::ItemDelivery& item) {
  if (item.attempts().empty()) return "-";
  const v1::DeliveryAttempt& last = item.attempts(item.attempts_size() - 1);
  return last.has_ended_at() ? last.summary() : "in flight";
}

std::string WhenEnded(const v1::ItemDelivery& item) {
  if (item.attempts().empty()) return "-";
  const v1::DeliveryAttempt& last = item.attempts(item.attempts_size() - 1);
  return last.has_ended_at() ? Text(last.ended_at()) : "-";
}

std::string Remark(const v1::ItemDelivery& item) {
  switch (item.state()) {
    case v1::ITEM_STATE_COALESCED:
    case v1::ITEM_STATE_REPLAYED:
      return absl::StrCat(
          item.state() == v1::ITEM_STATE_COALESCED ? "into " : "as ",
          item.into_sequence(), ", ", Text(item.into_state()));
    case v1::ITEM_STATE_DEAD_LETTERED:
      return absl::StrCat(Text(item.dead_letter_reason()), ", ",
                          item.dead_letter_id());
    default:
      return "";
  }
}

}  // namespace

std::string DestinationTable(
    const google::protobuf::RepeatedPtrField<v1::Destination>& destinations) {
  Table table({{"DESTINATION"},
               {"REGION"},
               {"APP ID"},
               {"STATE"},
               {"QUEUED", kRight},
               {"DEFERRED", kRight},
               {"OLDEST", kRight},
               {"EVENTS/MIN", kRight},
               {"REQUESTS", kRight},
               {"DRAINED IN", kRight},
               {"LAST ERROR"}});
  for (const v1::Destination& each : destinations) {
    table.AddRow(
        {absl::StrCat(each.name(), each.is_default() ? " *" : ""),
         Text(each.region()), each.masked_app_id(), Text(each.state()),
         WithThousands(each.queued_items()),
         WithThousands(each.deferred_items()), OldestAge(each), Allowance(each),
         absl::StrCat(each.in_flight_requests(), "/", each.concurrency_limit()),
         DrainedIn(each), each.last_error()});
  }
  std::string text = table.ToString();
  // Usually one server delivers all.
  std::map<std::string, std::vector<std::string>> owners;
  for (const v1::Destination& each : destinations) {
    if (each.delivered_by().empty()) continue;
    owners[each.delivered_by()].push_back(Printable(each.name()));
  }
  for (const auto& [owner, names] : owners) {
    absl::StrAppend(&text, "delivered by ", Printable(owner),
                    owners.size() == 1
                        ? ""
                        : absl::StrCat(": ", absl::StrJoin(names, ", ")),
                    "\n");
  }
  return text;
}

std::string DestinationText(const v1::Destination& destination) {
  std::string text = absl::StrCat(Printable(destination.name()),
                                  destination.is_default() ? " (default)" : "",
                                  ": ", Text(destination.state()), "\n");
  const auto line = [&text](absl::string_view name, absl::string_view value) {
    absl::StrAppend(&text, absl::StrFormat("  %-16s", name), Printable(value),
                    "\n");
  };
  line("region", Text(destination.region()));
  line("app id", destination.masked_app_id());
  line("queued", absl::StrCat(WithThousands(destination.queued_items()),
                              " items, ", Bytes(destination.queued_bytes())));
  line("deferred",
       absl::StrCat(WithThousands(destination.deferred_items()), ", ",
                    WithThousands(destination.isolated_items()), " isolated"));
  line("oldest", OldestAge(destination));
  line("drained in", DrainedIn(destination));
  line("events a minute", Allowance(destination));
  line("requests", absl::StrCat(destination.in_flight_requests(), " of ",
                                destination.concurrency_limit()));
  line("last error", destination.last_error().empty()
                         ? "none"
                         : absl::StrCat(destination.last_error(), " at ",
                                        Text(destination.last_error_at())));
  if (!destination.delivered_by().empty()) {
    line("delivered by", destination.delivered_by());
  }
  text += "\n";
  Table table({{"TYPE"},
               {"QUEUED", kRight},
               {"DEFERRED", kRight},
               {"OLDEST", kRight},
               {"ACCEPTED", kRight},
               {"DELIVERED", kRight},
               {"COALESCED", kRight},
               {"DEAD LETTERS", kRight},
               {"ITEMS/S", kRight}});
  for (const v1::ItemTypeStatus& type : destination.types()) {
    table.AddRow(
        {Text(type.type()), WithThousands(type.queued_items()),
         WithThousands(type.deferred_items()),
         type.has_oldest_age() ? Text(type.oldest_age()) : "-",
         WithThousands(type.accepted()), WithThousands(type.delivered()),
         WithThousands(type.coalesced()), WithThousands(type.dead_lettered()),
         absl::StrFormat("%.1f", type.delivered_per_second())});
  }
  text += table.ToString();
  for (const std::string& note : destination.notes()) {
    absl::StrAppend(&text, "note: ", note, "\n");
  }
  return text;
}

std::string DeliveryText(const v1::GetDeliveryResponse& delivery) {
  std::string text = absl::StrCat(WithThousands(delivery.total_items()), " ",
                                  Text(delivery.type()), " for ",
                                  Printable(delivery.destination()), "\n");
  Table table({{"SEQUENCE", kRight},
               {"STATE"},
               {"ATTEMPTS", kRight},
               {"LAST"},
               {"AT"},
               {"BATCH"},
               {"REMARK"}});
  for (const v1::ItemDelivery& item : delivery.items()) {
    const int attempts = item.attempts_size();
    table.AddRow({absl::StrCat(item.sequence()), Text(item.state()),
                  absl::StrCat(attempts), LastAttempt(item), WhenEnded(item),
                  attempts == 0
                      ? "-"
                      : absl::StrCat(item.attempts(attempts - 1).batch_id()),
                  Remark(item)});
  }
  return text + table.ToString();
}

std::string DeadLetterTable(
    const google::protobuf::RepeatedPtrField<v1::DeadLetter>& letters) {
  Table table({{"ID"},
               {"DESTINATION"},
               {"TYPE"},
               {"REASON"},
               {"GIVEN UP AT"},
               {"REPLAYS", kRight},
               {"HTTP", kRight}});
  for (const v1::DeadLetter& letter : letters) {
    table.AddRow(
        {letter.id(), letter.destination(), Text(letter.type()),
         Text(letter.reason()), Text(letter.dead_lettered_at()),
         absl::StrCat(letter.replays()),
         letter.http_status() == 0 ? "-" : absl::StrCat(letter.http_status())});
  }
  return table.ToString();
}

std::string DeadLetterText(const v1::DeadLetter& letter) {
  return absl::StrCat(
      Printable(letter.id()), "\n  destination  ",
      Printable(letter.destination()), "\n  type         ", Text(letter.type()),
      "\n  reason       ", Text(letter.reason()), "\n  accepted at  ",
      Text(letter.accepted_at()), "\n  given up at  ",
      Text(letter.dead_lettered_at()), "\n  replays      ", letter.replays(),
      "\n  http status  ",
      letter.http_status() == 0 ? "-" : absl::StrCat(letter.http_status()),
      "\n  heap's answer\n", PrintableLines(letter.heap_response()),
      "\n  item\n",
      letter.item_json().empty() ? "(damaged)"
                                 : PrintableLines(letter.item_json()),
      "\n");
}

std::string ResultTable(
    const google::protobuf::RepeatedPtrField<v1::DeadLetterResult>& results) {
  Table table({{"ID"}, {"OUTCOME"}, {"RECEIPT"}, {"REMARK"}});
  for (const v1::DeadLetterResult& result : results) {
    table.AddRow({result.id(), Text(result.outcome()), result.receipt(),
                  result.detail()});
  }
  return table.ToString();
}

}  // namespace heapsync
