#include "tests/fake_heap/fault_script.h"

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"

namespace heapsync::fake_heap {

bool FaultScript::Rule::Matches(const FaultFacts& facts) const {
  return (!region || *region == facts.region) &&
         (app_id.empty() || app_id == facts.app_id) &&
         (path.empty() || path == facts.path) && facts.items >= min_items &&
         (body_contains.empty() ||
          absl::StrContains(facts.body, body_contains));
}

bool FaultScript::Rule::IsDue() const {
  if (matched <= after) return false;
  const uint64_t nth = matched - after;
  return (!first || nth <= *first) && nth % every == 0 &&
         (!times || fired < *times);
}

// The standard library's distributions differ between implementations; a script
// should not.
double FaultScript::Draw() {
  return static_cast<double>(random_() >> 11) * 0x1p-53;
}

std::optional<Fault> FaultScript::Decide(Moment moment,
                                         const FaultFacts& facts) {
  for (Rule& rule : rules_) {
    const bool at_headers = rule.fault.kind == Fault::Kind::kResetBeforeBody;
    if (at_headers != (moment == Moment::kHeaders)) continue;
    if (!rule.Matches(facts)) continue;
    ++rule.matched;
    if (!rule.IsDue()) continue;
    if (rule.probability < 1 && Draw() >= rule.probability) continue;
    ++rule.fired;
    Fault fault = rule.fault;
    fault.delay = rule.delay_from;
    if (rule.delay_to > rule.delay_from) {
      const auto range =
          static_cast<double>((rule.delay_to - rule.delay_from).count());
      fault.delay += Duration(static_cast<int64_t>(Draw() * range));
    }
    return fault;
  }
  return std::nullopt;
}

nlohmann::json FaultScript::Report() const {
  nlohmann::json rules = nlohmann::json::array();
  for (const Rule& rule : rules_) {
    rules.push_back({{"name", rule.fault.rule},
                     {"matched", rule.matched},
                     {"fired", rule.fired}});
  }
  return {{"rules", std::move(rules)}};
}

}  // namespace heapsync::fake_heap
