#include "tests/fake_heap/heap_simulator.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "heap_adapter/model/object_type.h"
#include "tests/fake_heap/post_body.h"

namespace heapsync::fake_heap {
namespace {

constexpr char kUnknownApp[] = "unknown";
constexpr char kOtherPath[] = "other";

size_t Column(Region region) { return region == Region::kUs ? 0 : 1; }

std::optional<ObjectType> TypeOf(absl::string_view path) {
  for (const ObjectType type : kObjectTypes) {
    if (HeapPath(type) == path) return type;
  }
  return std::nullopt;
}

bool IsJson(absl::string_view content_type) {
  const absl::string_view type = absl::StripAsciiWhitespace(
      content_type.substr(0, content_type.find(';')));
  return absl::EqualsIgnoreCase(type, "application/json");
}

Reply Success(ObjectType type) {
  if (type == ObjectType::kAccountProperties) {
    return {200, "text/plain", {}, "OK"};
  }
  return {200, "application/json", {}, "{}"};
}

Reply Refusal(int status, std::string text) {
  return {status, "text/plain", {}, std::move(text)};
}

std::string HttpDate(WallTime time) {
  return absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", absl::FromChrono(time),
                          absl::UTCTimeZone());
}

// The first place of the poison.
size_t PoisonedItem(const PostBody& body, absl::string_view poison) {
  for (size_t i = 0; i < body.items.size(); ++i) {
    if (absl::StrContains(body.items[i].text, poison)) return i;
  }
  return 0;
}

Load LoadOf(ObjectType type, const PostBody& body) {
  Load load{type,
            body.form == PostBody::Form::kBulk,
            body.app_id,
            body.items.size(),
            {}};
  load.identities.reserve(body.items.size());
  for (const PostItem& item : body.items) {
    load.identities.push_back(item.identity);
  }
  return load;
}

// Puts the fault's answer in the place of Heap's own.
void Overrule(const Fault& fault, ObjectType type, const PostBody& body,
              WallTime now, Reaction& reaction) {
  reaction.delay = fault.delay;
  switch (fault.kind) {
    case Fault::Kind::kPass:
    case Fault::Kind::kResetBeforeBody:
      return;
    case Fault::Kind::kHang:
      reaction.way = Reaction::Way::kHang;
      return;
    case Fault::Kind::kResetAfterBody:
      reaction.way = Reaction::Way::kReset;
      return;
    case Fault::Kind::kGarbage:
      reaction.way = Reaction::Way::kGarbage;
      reaction.garbage_bytes = fault.garbage_bytes;
      return;
    case Fault::Kind::kCutResponse:
      reaction.way = Reaction::Way::kCutResponse;
      reaction.cut = fault.cut;
      return;
    case Fault::Kind::kPoison:
      reaction.reply =
          Refusal(400, fault.name_item
                           ? absl::StrCat("postBody.", HeapArrayKey(type), "[",
                                          PoisonedItem(body, fault.poison),
                                          "].properties should be object")
                           : "Bad Request");
      if (fault.body) reaction.reply.body = *fault.body;
      return;
    case Fault::Kind::kStatus:
      reaction.reply = Refusal(fault.status, fault.body.value_or(""));
      reaction.reply.headers = fault.headers;
      if (fault.retry_after_date) {
        reaction.reply.headers.emplace_back(
            "Retry-After", HttpDate(now + *fault.retry_after_date));
      }
      return;
  }
}

std::string OutcomeOf(const Reaction& reaction) {
  switch (reaction.way) {
    case Reaction::Way::kAnswer:
      return absl::StrCat(reaction.reply.status);
    case Reaction::Way::kCutResponse:
      return "cut";
    case Reaction::Way::kGarbage:
      return "garbage";
    case Reaction::Way::kHang:
      return "hang";
    case Reaction::Way::kReset:
      return "reset";
  }
  return "";
}

}  // namespace

HeapSimulator::HeapSimulator(SimulatorOptions options)
    : options_(std::move(options)),
      state_(options_.state),
      meter_(options_.limits),
      log_(options_.keep_requests) {}

bool HeapSimulator::ResetsBeforeBody(const IncomingRequest& request,
                                     const Now& now) {
  const auto fault = faults_.Decide(FaultScript::Moment::kHeaders,
                                    {request.region, request.path, "", "", 0});
  if (!fault) return false;
  ++requests_;
  Note(request, "", 0, "reset_before_body", fault->rule, now);
  return true;
}

Reply HeapSimulator::RefuseSize(const IncomingRequest& request,
                                const Now& now) {
  ++requests_;
  Note(request, "", 0, "413", "", now);
  return Refusal(413, "request entity too large");
}

Reaction HeapSimulator::Take(const IncomingRequest& request, const Now& now) {
  ++requests_;
  Reaction reaction;
  const auto type = TypeOf(request.path);
  if (!type || request.method != "POST") {
    reaction.reply = Refusal(
        404, absl::StrCat("Cannot ", request.method, " ", request.path));
    Note(request, "", 0, OutcomeOf(reaction), "", now);
    return reaction;
  }
  // Express, which Heap's texts point to, doesn't look into a body of any other
  // type.
  const PostBody body = ReadPostBody(
      *type, IsJson(request.content_type) ? request.body : "{}",
      options_.state.count_only ? ReadDepth::kCount : ReadDepth::kFull);
  const auto fault = faults_.Decide(FaultScript::Moment::kBody,
                                    {request.region, request.path, body.app_id,
                                     request.body, body.items.size()});
  reaction = Judge(request, body, *type, fault, now);
  Note(request, body.app_id, body.items.size(), OutcomeOf(reaction),
       fault ? fault->rule : "", now);
  return reaction;
}

Reaction HeapSimulator::Judge(const IncomingRequest& request,
                              const PostBody& body, ObjectType type,
                              const std::optional<Fault>& fault,
                              const Now& now) {
  Reaction reaction;
  bool takes = !body.fault;
  reaction.reply = body.fault ? Refusal(400, *body.fault) : Success(type);
  if (!body.app_id.empty()) {
    const Load load = LoadOf(type, body);
    if (options_.enforce_limits && meter_.WouldBreak(load, now.monotonic)) {
      reaction.reply = Refusal(429, "Too Many Requests");
      takes = false;
    } else {
      // Refused and broken requests count too: nobody knows which of them Heap
      // counts, so a sender must allow for all.
      meter_.Record(load, now);
    }
  }
  if (fault) {
    Overrule(*fault, type, body, now.wall, reaction);
    takes = takes && fault->apply;
  }
  if (takes) state_.Apply(type, body, {request.region, requests_, now.wall});
  return reaction;
}

void HeapSimulator::Note(const IncomingRequest& request,
                         absl::string_view app_id, size_t items,
                         const std::string& outcome, absl::string_view rule,
                         const Now& now) {
  RegionTally& region = tally(request.region);
  ++region.requests;
  region.body_bytes += request.body.size();
  const std::string path =
      TypeOf(request.path) ? std::string(request.path) : kOtherPath;
  const std::string app =
      app_id.empty() ? std::string(kUnknownApp) : std::string(app_id);
  ++apps_[app].outcomes[Column(request.region)][path][outcome];
  log_.Add({requests_, now.wall, request.region, request.connection,
            std::string(request.method), std::string(request.path),
            std::string(app_id), items, outcome, std::string(rule),
            request.headers,
            options_.keep_bodies ? std::string(request.body) : "",
            request.body.size()});
}

void HeapSimulator::CountConnection(Region region, int change) {
  Connections& connections = tally(region).connections;
  if (change > 0) {
    ++connections.accepted;
    ++connections.open;
  } else {
    --connections.open;
  }
}

HeapSimulator::RegionTally& HeapSimulator::tally(Region region) {
  return tallies_[Column(region)];
}

const HeapSimulator::RegionTally& HeapSimulator::tally(Region region) const {
  return tallies_[Column(region)];
}

void HeapSimulator::Clear() {
  state_.Clear();
  meter_.Clear();
  log_.Clear();
  apps_.clear();
  for (RegionTally& region : tallies_) {
    region.requests = 0;
    region.body_bytes = 0;
    region.connections.accepted = region.connections.open;
  }
  requests_ = 0;
}

}  // namespace heapsync::fake_heap
