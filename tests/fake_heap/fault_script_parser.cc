#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/fake_heap/fault_script.h"
#include "tests/fake_heap/object_reader.h"

namespace heapsync::fake_heap {

using nlohmann::json;
using Kind = Fault::Kind;

namespace {

constexpr uint64_t kMost = uint64_t{1} << 53;
constexpr uint64_t kMaxDelayMs = 24 * 3600 * 1000;

const std::vector<std::pair<std::string, Kind>>& Kinds() {
  static const auto* const kinds =
      new std::vector<std::pair<std::string, Kind>>{
          {"pass", Kind::kPass},
          {"status", Kind::kStatus},
          {"redirect", Kind::kStatus},
          {"poison", Kind::kPoison},
          {"hang", Kind::kHang},
          {"reset_before_body", Kind::kResetBeforeBody},
          {"reset_after_body", Kind::kResetAfterBody},
          {"cut_answer", Kind::kCutResponse},
          {"garbage", Kind::kGarbage}};
  return *kinds;
}

std::vector<std::string> KindNames() {
  std::vector<std::string> names;
  for (const auto& [name, kind] : Kinds()) names.push_back(name);
  return names;
}

// A header's text must not be able to begin another header.
bool IsHeaderText(absl::string_view text) {
  for (const char c : text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

}  // namespace

class FaultScriptParser {
 public:
  absl::StatusOr<FaultScript> Parse(absl::string_view text) {
    const json document =
        json::parse(text.begin(), text.end(), nullptr,
                    /*allow_exceptions=*/false, /*ignore_comments=*/true);
    if (document.is_discarded()) {
      return absl::InvalidArgumentError("the script is not JSON");
    }
    ObjectReader reader(document, "", faults_);
    if (const auto seed = reader.Whole("seed", 0, kMost)) {
      script_.random_.seed(*seed);
    }
    if (const json* const rules = reader.Any("rules"); rules == nullptr) {
      reader.Note("rules", "is missing");
    } else if (!rules->is_array()) {
      reader.Note("rules", "is not an array");
    } else {
      for (size_t i = 0; i < rules->size(); ++i) ReadRule((*rules)[i], i);
    }
    reader.NoteUnknown();
    if (!faults_.empty()) {
      return absl::InvalidArgumentError(absl::StrJoin(faults_, "\n"));
    }
    return std::move(script_);
  }

 private:
  void ReadRule(const json& value, size_t index) {
    const std::string path = absl::StrCat("rules[", index, "]");
    FaultScript::Rule rule;
    ObjectReader reader(value, path, faults_);
    rule.fault.rule = reader.Text("name").value_or(path);
    if (const json* const match = reader.Any("match")) {
      ReadMatch(*match, reader.PathOf("match"), rule);
    }
    rule.after = reader.Whole("after", 0, kMost).value_or(0);
    rule.first = reader.Whole("first", 1, kMost);
    rule.every = reader.Whole("every", 1, kMost).value_or(1);
    rule.times = reader.Whole("times", 1, kMost);
    rule.probability = reader.Number("probability", 0, 1).value_or(1);
    if (const json* const action = reader.Any("action")) {
      ReadAction(*action, reader.PathOf("action"), rule);
    } else {
      reader.Note("action", "is missing");
    }
    CheckTogether(rule, reader);
    reader.NoteUnknown();
    script_.rules_.push_back(std::move(rule));
  }

  void ReadMatch(const json& value, std::string path, FaultScript::Rule& rule) {
    ObjectReader reader(value, std::move(path), faults_);
    if (const auto region = reader.OneOf("region", {"us", "eu"})) {
      rule.region = *region == "us" ? Region::kUs : Region::kEu;
    }
    rule.app_id = reader.Text("app_id").value_or("");
    rule.path = reader
                    .OneOf("path", {"/api/track", "/api/add_user_properties",
                                    "/api/add_account_properties"})
                    .value_or("");
    rule.body_contains = reader.Text("body_contains").value_or("");
    rule.min_items = reader.Whole("min_items", 0, kMost).value_or(0);
    reader.NoteUnknown();
  }

  void ReadAction(const json& value, std::string path,
                  FaultScript::Rule& rule) {
    ObjectReader reader(value, std::move(path), faults_);
    ReadDelay(reader, rule);
    const json* const type = reader.Any("type");
    if (type == nullptr) {
      reader.Note("type", "is missing");
      return;
    }
    const auto name = reader.OneOf("type", KindNames());
    if (!name) return;
    for (const auto& [known, kind] : Kinds()) {
      if (known == *name) rule.fault.kind = kind;
    }
    ReadActionOf(*name, reader, rule.fault);
    reader.NoteUnknown();
  }

  // Each kind asks only for what means something to it; all else is unknown.
  void ReadActionOf(absl::string_view name, ObjectReader& reader,
                    Fault& fault) {
    switch (fault.kind) {
      case Kind::kPass:
        fault.apply = true;
        break;
      case Kind::kStatus:
        ReadStatus(name == "redirect", reader, fault);
        break;
      case Kind::kPoison:
        fault.status = 400;
        fault.name_item = reader.Truth("name_item").value_or(true);
        fault.body = reader.Text("body");
        break;
      case Kind::kHang:
        fault.apply = reader.Truth("apply").value_or(false);
        break;
      case Kind::kResetBeforeBody:
        break;
      case Kind::kResetAfterBody:
        fault.apply = reader.Truth("apply").value_or(true);
        break;
      case Kind::kCutResponse:
        fault.apply = reader.Truth("apply").value_or(true);
        if (reader.OneOf("in", {"headers", "body"}) == "headers") {
          fault.cut = Fault::Cut::kInHeaders;
        }
        break;
      case Kind::kGarbage:
        fault.apply = reader.Truth("apply").value_or(false);
        fault.garbage_bytes = reader.Whole("bytes", 1, 1 << 24).value_or(256);
        break;
    }
  }

  void ReadStatus(bool redirect, ObjectReader& reader, Fault& fault) {
    const auto status = redirect ? reader.Whole("status", 300, 399)
                                 : reader.Whole("status", 200, 599);
    if (!redirect && reader.Any("status") == nullptr) {
      reader.Note("status", "is missing");
    }
    fault.status = static_cast<int>(status.value_or(302));
    fault.apply = reader.Truth("apply").value_or(fault.status < 300);
    fault.body = reader.Text("body").value_or("");
    if (redirect) {
      AddHeader("location", "Location",
                reader.Text("location").value_or("/elsewhere"), reader, fault);
    }
    ReadHeaders(reader, fault);
    ReadRetryAfter(reader, fault);
  }

  void AddHeader(absl::string_view key, const std::string& name,
                 const std::string& text, ObjectReader& reader, Fault& fault) {
    if (name.empty() || !IsHeaderText(name) || !IsHeaderText(text)) {
      reader.Note(key, "has control characters, or no name");
      return;
    }
    fault.headers.emplace_back(name, text);
  }

  void ReadHeaders(ObjectReader& reader, Fault& fault) {
    const json* const headers = reader.Any("headers");
    if (headers == nullptr) return;
    if (!headers->is_object()) {
      reader.Note("headers", "is not an object");
      return;
    }
    for (const auto& [name, text] : headers->items()) {
      if (text.is_string()) {
        AddHeader("headers", name, text.get<std::string>(), reader, fault);
      } else {
        reader.Note(absl::StrCat("headers.", name), "is not a string");
      }
    }
  }

  void ReadRetryAfter(ObjectReader& reader, Fault& fault) {
    const json* const value = reader.Any("retry_after");
    if (value == nullptr) return;
    if (value->is_string()) {
      AddHeader("retry_after", "Retry-After", value->get<std::string>(), reader,
                fault);
    } else if (value->is_number_unsigned()) {
      AddHeader("retry_after", "Retry-After", value->dump(), reader, fault);
    } else if (value->is_object()) {
      ObjectReader date(*value, reader.PathOf("retry_after"), faults_);
      const auto seconds = date.Whole("date_in", 0, 1'000'000'000);
      if (date.Any("date_in") == nullptr) date.Note("date_in", "is missing");
      date.NoteUnknown();
      fault.retry_after_date = std::chrono::seconds(seconds.value_or(0));
    } else {
      reader.Note(
          "retry_after",
          "is neither a number of seconds, nor a text, nor {\"date_in\": "
          "seconds}");
    }
  }

  void ReadDelay(ObjectReader& reader, FaultScript::Rule& rule) {
    const json* const value = reader.Any("delay_ms");
    if (value == nullptr) return;
    const auto is_delay = [](const json& number) {
      return number.is_number_unsigned() &&
             number.get<uint64_t>() <= kMaxDelayMs;
    };
    const auto milliseconds = [](const json& number) {
      return Duration(std::chrono::milliseconds(number.get<int64_t>()));
    };
    if (is_delay(*value)) {
      rule.delay_from = rule.delay_to = milliseconds(*value);
    } else if (value->is_array() && value->size() == 2 &&
               is_delay((*value)[0]) && is_delay((*value)[1]) &&
               (*value)[0] <= (*value)[1]) {
      rule.delay_from = milliseconds((*value)[0]);
      rule.delay_to = milliseconds((*value)[1]);
    } else {
      reader.Note("delay_ms",
                  "is neither a whole number nor a rising pair of them, up to "
                  "a day");
    }
  }

  static void CheckTogether(FaultScript::Rule& rule, ObjectReader& reader) {
    if (rule.fault.kind == Kind::kPoison) {
      rule.fault.poison = rule.body_contains;
      if (rule.body_contains.empty()) {
        reader.Note("match.body_contains", "is needed to poison an item");
      }
    }
    if (rule.fault.kind == Kind::kResetBeforeBody &&
        (!rule.body_contains.empty() || !rule.app_id.empty() ||
         rule.min_items > 0)) {
      reader.Note("match",
                  "app_id, body_contains and min_items are not known before "
                  "the body is read");
    }
  }

  FaultScript script_;
  std::vector<std::string> faults_;
};

absl::StatusOr<FaultScript> FaultScript::Parse(absl::string_view text) {
  return FaultScriptParser().Parse(text);
}

}  // namespace heapsync::fake_heap
