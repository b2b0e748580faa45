#include "tests/fake_heap/query_router.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/fake_heap/report.h"

namespace heapsync::fake_heap {
namespace {

using nlohmann::json;

Reply JsonReply(int status, const json& value) {
  return {status,
          "application/json",
          {},
          value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"};
}

Reply ErrorReply(int status, absl::string_view text) {
  return JsonReply(status, {{"error", std::string(text)}});
}

std::string PercentDecode(absl::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto is_hex = [&](size_t at) {
      return at < text.size() &&
             absl::ascii_isxdigit(static_cast<unsigned char>(text[at]));
    };
    if (text[i] == '%' && is_hex(i + 1) && is_hex(i + 2)) {
      decoded += static_cast<char>(
          std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      decoded += text[i] == '+' ? ' ' : text[i];
    }
  }
  return decoded;
}

class Query {
 public:
  explicit Query(absl::string_view text) {
    for (const absl::string_view part :
         absl::StrSplit(text, '&', absl::SkipEmpty())) {
      const std::pair<absl::string_view, absl::string_view> pair =
          absl::StrSplit(part, absl::MaxSplits('=', 1));
      arguments_[PercentDecode(pair.first)] = PercentDecode(pair.second);
    }
  }

  std::optional<std::string> Text(absl::string_view name) const {
    const auto found = arguments_.find(name);
    if (found == arguments_.end()) return std::nullopt;
    return found->second;
  }

  // `fallback` for what is absent or no number.
  size_t Number(absl::string_view name, size_t fallback) const {
    uint64_t number = 0;
    const auto text = Text(name);
    return text && absl::SimpleAtoi(*text, &number) ? number : fallback;
  }

 private:
  std::map<std::string, std::string, std::less<>> arguments_;
};

constexpr size_t kDefaultLimit = 100;

Reply AnswerEvents(const AppStore& app, const Query& query) {
  const auto identity = query.Text("identity");
  std::optional<absl::string_view> view;
  if (identity) view = *identity;
  json events = json::array();
  for (const Event& event : app.Events(view, query.Number("offset", 0),
                                       query.Number("limit", kDefaultLimit))) {
    events.push_back(ToJson(event));
  }
  return JsonReply(
      200, {{"total", app.CountEvents(view)}, {"events", std::move(events)}});
}

Reply AnswerEvent(const AppStore& app, const Query& query) {
  const auto found = app.FindEvent(query.Text("key").value_or(""));
  if (!found) return ErrorReply(404, "no such key");
  json event = ToJson(found->event);
  event["count"] = found->count;
  return JsonReply(200, event);
}

Reply AnswerProfiles(const AppStore& app, ObjectType type, const char* name,
                     const Query& query) {
  if (const auto identity = query.Text(name)) {
    const Profile* const profile = app.FindProfile(type, *identity);
    if (profile == nullptr)
      return ErrorReply(404, "nothing was written for it");
    return JsonReply(200, ToJson(*profile, name));
  }
  json profiles = json::array();
  for (const Profile* profile :
       app.Profiles(type, query.Number("offset", 0),
                    query.Number("limit", kDefaultLimit))) {
    profiles.push_back(ToJson(*profile, name));
  }
  return JsonReply(200, {{"total", app.profiles(type)},
                         {std::string(HeapArrayKey(type)), profiles}});
}

Reply AnswerRequests(const HeapSimulator& simulator, const Query& query) {
  const auto& records = simulator.log().records();
  const size_t count =
      std::min(query.Number("limit", kDefaultLimit), records.size());
  json requests = json::array();
  for (size_t i = records.size() - count; i < records.size(); ++i) {
    requests.push_back(ToJson(records[i]));
  }
  return JsonReply(200, {{"requests", std::move(requests)}});
}

Reply AnswerViolations(const HeapSimulator& simulator) {
  json violations = json::array();
  for (const Violation& violation : simulator.meter().Violations()) {
    violations.push_back(ToJson(violation, simulator.meter().limits()));
  }
  return JsonReply(200, {{"total", simulator.meter().CountViolations()},
                         {"violations", std::move(violations)}});
}

Reply PutFaults(HeapSimulator& simulator, absl::string_view script) {
  auto parsed = FaultScript::Parse(script);
  if (!parsed.ok()) {
    const std::vector<std::string> faults =
        absl::StrSplit(std::string(parsed.status().message()), '\n');
    return JsonReply(400,
                     {{"error", "the script has faults"}, {"faults", faults}});
  }
  simulator.SetFaults(*std::move(parsed));
  return JsonReply(200, simulator.faults().Report());
}

Reply Change(HeapSimulator& simulator, absl::string_view method,
             absl::string_view path, absl::string_view body) {
  if (path == "/_fake/faults" && method == "PUT") {
    return PutFaults(simulator, body);
  }
  if (path == "/_fake/faults" && method == "DELETE") {
    simulator.SetFaults(FaultScript());
    return JsonReply(200, json::object());
  }
  if (path == "/_fake/state" && method == "DELETE") {
    simulator.Clear();
    return JsonReply(200, json::object());
  }
  return ErrorReply(405, absl::StrCat(method, " does not fit ", path));
}

}  // namespace

std::variant<Reply, KeyStream> AnswerQuery(HeapSimulator& simulator,
                                           absl::string_view method,
                                           absl::string_view target,
                                           absl::string_view body,
                                           const Now& now) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(target, absl::MaxSplits('?', 1));
  const absl::string_view path = parts.first;
  if (method != "GET") return Change(simulator, method, path, body);
  const Query query(parts.second);
  if (path == "/_fake/health") return JsonReply(200, {{"status", "ok"}});
  if (path == "/_fake/summary") return JsonReply(200, Summary(simulator, now));
  if (path == "/_fake/requests") return AnswerRequests(simulator, query);
  if (path == "/_fake/violations") return AnswerViolations(simulator);
  if (path == "/_fake/faults") {
    return JsonReply(200, simulator.faults().Report());
  }

  const bool is_keys = path == "/_fake/keys";
  const bool is_events = path == "/_fake/events";
  const bool is_event = path == "/_fake/event";
  const bool is_users = path == "/_fake/users";
  const bool is_accounts = path == "/_fake/accounts";
  if (!(is_keys || is_events || is_event || is_users || is_accounts)) {
    return ErrorReply(404, absl::StrCat("there is no ", path));
  }
  const auto app_id = query.Text("app_id");
  if (!app_id) return ErrorReply(400, "app_id is needed");
  if (is_keys) return KeyStream{*app_id};
  static const AppStore* const nothing = new AppStore();
  const AppStore* app = simulator.state().Find(*app_id);
  if (app == nullptr) app = nothing;
  if (is_events) return AnswerEvents(*app, query);
  if (is_event) return AnswerEvent(*app, query);
  return is_users ? AnswerProfiles(*app, ObjectType::kUserProperties,
                                   "identity", query)
                  : AnswerProfiles(*app, ObjectType::kAccountProperties,
                                   "account_id", query);
}

KeyLines NextKeys(const HeapSimulator& simulator, const KeyStream& stream,
                  size_t from) {
  constexpr size_t kBytes = 256 * 1024;
  KeyLines lines{"", from, false};
  const AppStore* const app = simulator.state().Find(stream.app_id);
  const size_t count = app == nullptr ? 0 : app->unique_keys();
  while (lines.next < count && lines.text.size() < kBytes) {
    const KeyCount key = app->KeyAt(lines.next++);
    const bool plain =
        std::none_of(key.key.begin(), key.key.end(), absl::ascii_iscntrl);
    absl::StrAppend(
        &lines.text,
        plain ? std::string(key.key) : json(std::string(key.key)).dump(), "\t",
        key.count, "\n");
  }
  lines.last = lines.next >= count;
  return lines;
}

}  // namespace heapsync::fake_heap
