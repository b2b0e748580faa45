#ifndef HEAPSYNC_TESTS_FAKE_HEAP_FAULT_SCRIPT_H_
#define HEAPSYNC_TESTS_FAKE_HEAP_FAULT_SCRIPT_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "heap_adapter/model/destination.h"

namespace heapsync::fake_heap {

// Action on a request, in place of Heap's own response.
struct Fault {
  enum class Kind {
    kPass,             // nothing, beside the delay
    kStatus,           // an HTTP answer of choice
    kPoison,           // 400 for the item that holds the matched text
    kHang,             // no answer until the client goes away
    kResetBeforeBody,  // TCP reset once the headers are there
    kResetAfterBody,   // TCP reset once the body is there
    kCutResponse,      // the first bytes of an answer, then the end
    kGarbage,          // bytes that are no HTTP, then the end
  };
  enum class Cut { kInHeaders, kInBody };

  Kind kind = Kind::kPass;
  std::string rule;  // its name
  // True if Heap takes the items nevertheless.
  bool apply = false;
  Duration delay{0};  // before the answer; the items are taken before it
  int status = 200;
  std::optional<std::string> body;  // none: what Heap would answer
  std::vector<std::pair<std::string, std::string>> headers;
  // Retry-After as an HTTP date this far ahead, on top of `headers`.
  std::optional<std::chrono::seconds> retry_after_date;
  Cut cut = Cut::kInBody;
  size_t garbage_bytes = 256;
  bool name_item = true;  // kPoison: whether Heap names the item
  std::string poison;     // kPoison: the text
};

// Input of the rules. `app_id`, `body` and `items` are set once the body has
// arrived.
struct FaultFacts {
  Region region;
  absl::string_view path;
  absl::string_view app_id;
  absl::string_view body;
  size_t items = 0;
};

// An ordered list of rules; the README shows their JSON. Of the rules that a
// request matches the first that is due decides, and rules after it don't see
// that request. Given the same script and requests it always does the same.
//
// One thread at a time.
class FaultScript {
 public:
  // A script without rules.
  FaultScript() = default;

  // Errors: kInvalidArgument, one line for every fault of the script:
  // "rules[2].action.status: 42 is not in [100, 599]".
  static absl::StatusOr<FaultScript> Parse(absl::string_view json);

  // Rules that reset before the body are asked when the headers are there, all
  // others when the body is, so the former come before the latter wherever they
  // stand.
  enum class Moment { kHeaders, kBody };
  std::optional<Fault> Decide(Moment moment, const FaultFacts& facts);

  // For each rule its name, how many requests matched it and how often it
  // fired.
  nlohmann::json Report() const;

 private:
  friend class FaultScriptParser;

  struct Rule {
    // Conditions for a matching request.
    std::optional<Region> region;
    std::string app_id;  // empty: any; likewise below
    std::string path;
    std::string body_contains;
    uint64_t min_items = 0;
    // For which of those it is due, counted from one.
    uint64_t after = 0;
    std::optional<uint64_t> first;
    uint64_t every = 1;
    std::optional<uint64_t> times;
    double probability = 1;

    Fault fault;
    Duration delay_from{0};
    Duration delay_to{0};

    uint64_t matched = 0;
    uint64_t fired = 0;

    bool Matches(const FaultFacts& facts) const;
    bool IsDue() const;
  };

  double Draw();

  std::vector<Rule> rules_;
  std::mt19937_64 random_;
};

}  // namespace heapsync::fake_heap

#endif  // HEAPSYNC_TESTS_FAKE_HEAP_FAULT_SCRIPT_H_
