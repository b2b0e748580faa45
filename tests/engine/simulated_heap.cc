#include "tests/engine/simulated_heap.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(30);
// Of a request during which nothing at all is received.
constexpr Duration kStallTimeout = std::chrono::seconds(20);

HttpResponse Http(int status, std::string body = "{}") {
  return {.status = status, .retry_after = {}, .body = std::move(body)};
}

TransportFailure Failure(TransportFailure::Kind kind) {
  return {.kind = kind, .detail = "simulated"};
}

std::string PathOf(const std::string& url) {
  return url.substr(url.find("/api/"));
}

std::string HostOf(const std::string& url) {
  return url.substr(0, url.find("/api/"));
}

std::string ArrayOf(const std::string& path) {
  if (path == "/api/track") return "events";
  return path == "/api/add_user_properties" ? "users" : "accounts";
}

std::string WhoOf(const std::string& path, const nlohmann::json& item) {
  return item.at(path == "/api/add_account_properties" ? "account_id"
                                                       : "identity");
}

}  // namespace

SimulatedHeap::SimulatedHeap(uint64_t seed, Limits limits)
    : random_(seed), limits_(limits) {}

bool SimulatedHeap::Chance(double probability) {
  return std::uniform_real_distribution<>(0, 1)(random_) < probability;
}

Duration SimulatedHeap::Between(Duration least, Duration most) {
  return Duration(std::uniform_int_distribution<int64_t>(
      least.count(), most.count())(random_));
}

void SimulatedHeap::Send(HeapRequest request) {
  ++requests_;
  OnTheWay each{.request = std::move(request),
                .arrives = now_,
                .answered = now_,
                .fate = Fate::kTaken,
                .answer = {}};
  each.answer.request_id = each.request.id;
  const Duration latency =
      Between(std::chrono::milliseconds(1), faults.max_latency);
  each.answered = now_ + latency;
  each.arrives = now_ + Between(Duration(0), latency);
  using Kind = TransportFailure::Kind;
  if (faults.away.contains(PathOf(each.request.url))) {
    each.fate = Fate::kNotTaken;
    each.answer.result = Http(503);
    if (faults.away_hangs) {
      each.answered = now_ + kStallTimeout;
      each.answer.result = Failure(Kind::kTimeout);
    } else if (Chance(0.3)) {
      each.answer.result = Failure(Kind::kConnect);
    }
  } else if (Chance(faults.refused_connection)) {
    each.fate = Fate::kNotTaken;
    each.answer.result = Failure(Kind::kConnect);
  } else if (Chance(faults.unavailable)) {
    each.fate = Fate::kNotTaken;
    each.answer.result = Http(503);
  } else if (Chance(faults.throttled)) {
    each.fate = Fate::kNotTaken;
    HttpResponse answer = Http(429);
    if (Chance(0.5)) answer.retry_after = "7";
    each.answer.result = answer;
  } else if (Chance(faults.setup)) {
    each.fate = Fate::kNotTaken;
    each.answer.result = Http(403);
  } else if (Chance(faults.oversized) &&
             nlohmann::json::parse(each.request.body)
                     .at(ArrayOf(PathOf(each.request.url)))
                     .size() > 1) {
    each.fate = Fate::kNotTaken;
    each.answer.result = Http(413);
  } else if (Chance(faults.reset_after_taking)) {
    each.answer.result = Failure(Kind::kReset);
  } else if (Chance(faults.hang)) {
    if (Chance(0.5)) each.fate = Fate::kNotTaken;
    each.answered = now_ + kTimeout;
    each.answer.result = Failure(Kind::kTimeout);
  } else {
    each.answer.result = Http(200);
  }
  if (faults.on_crash != OnCrash::kTake &&
      absl::StrContains(each.request.body, "crash-me")) {
    Crash(each);
  }
  // An identity must not be in flight twice.
  const std::string path = PathOf(each.request.url);
  const nlohmann::json body = nlohmann::json::parse(each.request.body);
  if (path != "/api/track") {
    for (const auto& item : body.at(ArrayOf(path))) {
      const std::string who = absl::StrCat(
          path, " ", std::string(body.at("app_id")), " ", WhoOf(path, item));
      if (unanswered_.contains(who)) {
        broken_.push_back(absl::StrCat("in flight twice: ", who));
      }
      unanswered_.insert(who);
    }
  } else {
    for (const auto& item : body.at("events")) {
      ++carried_[item.at("idempotency_key")];
    }
  }
  on_the_way_.push_back(std::move(each));
  const std::string host = HostOf(on_the_way_.back().request.url);
  const auto of_host = std::count_if(
      on_the_way_.begin(), on_the_way_.end(),
      [&](const OnTheWay& other) { return HostOf(other.request.url) == host; });
  max_in_flight_ = std::max(max_in_flight_, static_cast<size_t>(of_host));
}

void SimulatedHeap::GiveUp(uint64_t request_id) {
  for (OnTheWay& each : on_the_way_) {
    if (each.request.id != request_id || each.answered <= now_) continue;
    ++given_up_;
    if (!each.arrived && Chance(0.5)) Arrive(each);
    each.arrived = true;
    each.answered = now_;
    each.answer.result = Failure(TransportFailure::Kind::kTimeout);
  }
}

size_t SimulatedHeap::TakeMaxInFlight() {
  return std::exchange(max_in_flight_, 0);
}

void SimulatedHeap::Crash(OnTheWay& each) const {
  using Kind = TransportFailure::Kind;
  each.fate = Fate::kNotTaken;
  switch (faults.on_crash) {
    case OnCrash::kTake:
      break;
    case OnCrash::k403:
      each.answer.result = Http(403);
      break;
    case OnCrash::k500:
      each.answer.result = Http(500);
      break;
    case OnCrash::k503:
      each.answer.result = Http(503);
      break;
    case OnCrash::kHang:
      each.answered = now_ + kTimeout;
      each.answer.result = Failure(Kind::kTimeout);
      break;
    case OnCrash::kReset:
      each.answer.result = Failure(Kind::kReset);
      break;
  }
}

void SimulatedHeap::Arrive(OnTheWay& each) {
  each.arrived = true;
  if (each.fate == Fate::kNotTaken) return;
  const std::string path = PathOf(each.request.url);
  const nlohmann::json body = nlohmann::json::parse(each.request.body);
  const auto& items = body.at(ArrayOf(path));
  for (size_t i = 0; i < items.size(); ++i) {
    if (!absl::StrContains(items[i].dump(), "poison")) continue;
    // One bad item fails the whole request.
    if (auto* http = std::get_if<HttpResponse>(&each.answer.result)) {
      *http = Http(400, faults.names_poison
                            ? absl::StrCat("postBody.", ArrayOf(path), "[", i,
                                           "].properties should be object")
                            : "bad request");
    }
    return;
  }
  taken_[each.request.url] = now_;
  Take(path, body);
}

void SimulatedHeap::Take(const std::string& path, const nlohmann::json& body) {
  const std::string app = body.at("app_id");
  const auto& items = body.at(ArrayOf(path));
  std::map<std::string, uint64_t> by_identity;
  for (const auto& item : items) {
    const std::string who = WhoOf(path, item);
    if (path == "/api/track") {
      ++events_[app][item.at("idempotency_key")];
      ++by_identity[who];
      continue;
    }
    const int64_t v = item.at("properties").at("v");
    auto& held = path == "/api/add_user_properties" ? users_ : accounts_;
    const auto it = held[app].find(who);
    if (it != held[app].end() && it->second > v) {
      broken_.push_back(absl::StrCat("older after newer: ", path, " ", app, " ",
                                     who, " had ", it->second, ", got ", v));
    }
    held[app][who] = v;
    by_identity[who] = 1;
  }
  if (path == "/api/track") {
    Note("events", app, items.size());
    for (const auto& [who, count] : by_identity) {
      Note("identity events", absl::StrCat(app, "/", who), count);
    }
  } else if (path == "/api/add_user_properties") {
    for (const auto& [who, count] : by_identity) {
      Note("user requests", absl::StrCat(app, "/", who), 1);
    }
  }
}

void SimulatedHeap::Note(const std::string& limit, const std::string& who,
                         uint64_t units) {
  arrivals_[limit][who].push_back({now_, units});
}

void SimulatedHeap::Advance() {
  // In the order of their arrival, each processed at its own time.
  const MonotonicTime until = now_;
  while (true) {
    OnTheWay* next = nullptr;
    for (OnTheWay& each : on_the_way_) {
      if (each.arrived || each.arrives > until) continue;
      if (next == nullptr || each.arrives < next->arrives) next = &each;
    }
    if (next == nullptr) break;
    now_ = next->arrives;
    Arrive(*next);
  }
  now_ = until;
}

std::vector<HeapResponse> SimulatedHeap::Wait(Duration) {
  std::vector<HeapResponse> answers;
  std::vector<OnTheWay> rest;
  for (OnTheWay& each : on_the_way_) {
    if (each.answered > now_) {
      rest.push_back(std::move(each));
      continue;
    }
    ForgetUnanswered(each.request);
    answers.push_back(std::move(each.answer));
  }
  on_the_way_ = std::move(rest);
  return answers;
}

void SimulatedHeap::ForgetUnanswered(const HeapRequest& request) {
  const std::string path = PathOf(request.url);
  if (path == "/api/track") return;
  const nlohmann::json body = nlohmann::json::parse(request.body);
  for (const auto& item : body.at(ArrayOf(path))) {
    unanswered_.erase(unanswered_.find(absl::StrCat(
        path, " ", std::string(body.at("app_id")), " ", WhoOf(path, item))));
  }
}

MonotonicTime SimulatedHeap::NextMoment() const {
  MonotonicTime next = MonotonicTime::max();
  for (const OnTheWay& each : on_the_way_) {
    next = std::min(next, each.arrived ? each.answered : each.arrives);
  }
  return next;
}

void SimulatedHeap::LoseSender() {
  for (OnTheWay& each : on_the_way_) {
    if (!each.arrived && Chance(0.5)) Arrive(each);
  }
  on_the_way_.clear();
  unanswered_.clear();
}

void SimulatedHeap::LoseSender(const std::set<uint64_t>& ids) {
  std::vector<OnTheWay> rest;
  for (OnTheWay& each : on_the_way_) {
    if (!ids.contains(each.request.id)) {
      rest.push_back(std::move(each));
      continue;
    }
    if (!each.arrived && Chance(0.5)) Arrive(each);
    ForgetUnanswered(each.request);
  }
  on_the_way_ = std::move(rest);
}

void SimulatedHeap::CheckWindow(const std::string& limit, Duration window,
                                uint64_t most) {
  for (const auto& [who, arrivals] : arrivals_[limit]) {
    for (size_t last = 0; last < arrivals.size(); ++last) {
      uint64_t sum = 0;
      for (size_t i = last + 1; i-- > 0;) {
        if (arrivals[last].time - arrivals[i].time >= window) break;
        sum += arrivals[i].units;
      }
      if (sum <= most) continue;
      broken_.push_back(absl::StrCat(limit, " of ", who, ": ", sum, " in ",
                                     window.count(), " us, allowed ", most));
      break;
    }
  }
}

std::vector<std::string> SimulatedHeap::Verdict() const {
  SimulatedHeap copy = *this;
  copy.CheckWindow("events", std::chrono::seconds(60),
                   limits_.events_per_minute);
  copy.CheckWindow("identity events", std::chrono::seconds(60),
                   limits_.events_per_identity_per_minute);
  copy.CheckWindow("user requests", std::chrono::seconds(30),
                   limits_.user_requests_per_identity_per_30s);
  return copy.broken_;
}

std::vector<std::string> SimulatedHeap::NotAmong(
    const std::set<std::string>& keys) const {
  std::vector<std::string> broken;
  for (const auto& [app, held] : events_) {
    for (const auto& [key, times] : held) {
      if (!keys.contains(key)) {
        broken.push_back(absl::StrCat("nobody sent: ", key));
      }
    }
  }
  return broken;
}

std::vector<std::string> SimulatedHeap::OlderThan(
    const std::map<std::string, int64_t>& promised) const {
  std::vector<std::string> broken;
  for (const auto& [who, v] : promised) {
    const std::string app = who.substr(0, who.find('/'));
    const bool user = who[app.size() + 1] == 'u';
    const std::string name = who.substr(app.size() + 3);
    const auto& held = user ? users_ : accounts_;
    const auto of_app = held.find(app);
    const int64_t final_v =
        of_app == held.end() || !of_app->second.contains(name)
            ? 0
            : of_app->second.at(name);
    if (final_v < v) {
      broken.push_back(absl::StrCat("final value of ", who, " is ", final_v,
                                    ", promised was ", v));
    }
  }
  return broken;
}

}  // namespace heapsync
