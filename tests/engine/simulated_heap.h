#ifndef HEAPSYNC_TESTS_ENGINE_SIMULATED_HEAP_H_
#define HEAPSYNC_TESTS_ENGINE_SIMULATED_HEAP_H_

#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "heap_adapter/base/clock.h"
#include "heap_adapter/transport/transport.h"
#include "nlohmann/json.hpp"

namespace heapsync {

// How often what goes wrong, in [0, 1].
struct HeapFaults {
  double refused_connection = 0;
  double unavailable = 0;         // 503 without taking the body
  double reset_after_taking = 0;  // taken, then no answer
  double hang = 0;                // no answer; taken or not
  double throttled = 0;           // 429, sometimes with Retry-After
  double setup = 0;               // 403
  double oversized = 0;           // 413 to more than one item
  bool names_poison = false;      // a 400 names the bad item
  Duration max_latency = std::chrono::milliseconds(800);
};

// Heap in simulated time, and the network before it. Requests arrive at some
// moment after their sending, answers later still. It also is the judge: it
// notes every arrival, and says afterwards which rules were broken. It shares
// no code with what keeps them.
class SimulatedHeap final : public Transport {
 public:
  struct Limits {
    uint64_t events_per_minute;
    uint64_t events_per_identity_per_minute;
    uint64_t user_requests_per_identity_per_30s;
  };

  SimulatedHeap(uint64_t seed, Limits limits);

  HeapFaults faults;

  // --- the network
  void SetTime(MonotonicTime now) { now_ = now; }
  void Send(HeapRequest request) override;
  std::vector<HeapResponse> Wait(Duration timeout) override;
  void Wake() override {}
  // Lets everything arrive that arrives by now.
  void Advance();
  // The next moment at which something arrives or is answered; none: max().
  MonotonicTime NextMoment() const;
  // The sender dies: of what is on the way some arrives at once, the rest
  // never.
  void LoseSender();

  // --- what Heap holds
  // Event keys by App ID, each with the number of times it arrived.
  const std::map<std::string, std::map<std::string, int>>& events() const {
    return events_;
  }
  // Property "v" of each identity or account, by App ID.
  const std::map<std::string, std::map<std::string, int64_t>>& users() const {
    return users_;
  }
  const std::map<std::string, std::map<std::string, int64_t>>& accounts()
      const {
    return accounts_;
  }
  uint64_t requests() const { return requests_; }

  // --- the judge
  // Everything that broke a rule so far, in words.
  std::vector<std::string> Verdict() const;

 private:
  enum class Fate { kTaken, kNotTaken };
  struct OnTheWay {
    HeapRequest request;
    MonotonicTime arrives;
    MonotonicTime answered;
    Fate fate;
    bool arrived = false;
    HeapResponse answer;
  };
  struct Arrival {
    MonotonicTime time;
    uint64_t units;
  };

  bool Chance(double probability);
  Duration Between(Duration least, Duration most);
  void Arrive(OnTheWay& on_the_way);
  void Take(const std::string& path, const nlohmann::json& body);
  void Note(const std::string& limit, const std::string& who, uint64_t units);
  void CheckWindow(const std::string& limit, Duration window, uint64_t most);

  std::mt19937_64 random_;
  const Limits limits_;
  MonotonicTime now_;
  std::vector<OnTheWay> on_the_way_;
  uint64_t requests_ = 0;
  std::map<std::string, std::map<std::string, int>> events_;
  std::map<std::string, std::map<std::string, int64_t>> users_;
  std::map<std::string, std::map<std::string, int64_t>> accounts_;
  // By limit and whom it binds.
  std::map<std::string, std::map<std::string, std::vector<Arrival>>> arrivals_;
  // Identities of users and accounts whose request has no answer yet.
  std::multiset<std::string> unanswered_;
  std::vector<std::string> broken_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_ENGINE_SIMULATED_HEAP_H_
