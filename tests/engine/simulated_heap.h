#ifndef HEAPSYNC_TESTS_ENGINE_SIMULATED_HEAP_H_
#define HEAPSYNC_TESTS_ENGINE_SIMULATED_HEAP_H_

#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "heap_adapter/transport/transport.h"
#include "nlohmann/json.hpp"

namespace heapsync {

// What Heap does with a request that has "crash-me" in one of its items.
enum class OnCrash { kTake, k403, k500, k503, kHang, kReset };

// Probabilities of the simulated faults, in [0, 1].
struct HeapFaults {
  OnCrash on_crash = OnCrash::kTake;
  double refused_connection = 0;
  double unavailable = 0;         // 503 without taking the body
  double reset_after_taking = 0;  // taken, then no answer
  double hang = 0;                // no answer; taken or not
  double throttled = 0;           // 429, sometimes with Retry-After
  double setup = 0;               // 403
  double oversized = 0;           // 413 to more than one item
  bool names_poison = false;      // a 400 names the bad item
  std::set<std::string> away;     // paths that nobody answers, or with 503
  bool away_hangs = false;        // the connection is accepted, and that is all
  Duration max_latency = std::chrono::milliseconds(800);
};

// Heap and the network to it, in simulated time. Requests arrive some time
// after their sending, responses later still. It is also the judge: it records
// every arrival and reports afterwards which rules were broken. It shares no
// code with the implementation.
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
  // The body arrives now, or never.
  void GiveUp(uint64_t request_id) override;
  std::vector<HeapResponse> Wait(Duration timeout) override;
  void Wake() override {}
  // Delivers everything that is due by now.
  void Advance();
  // The time of the next arrival or response; max() if there is none.
  MonotonicTime NextMoment() const;
  // The sender dies: some of the requests on their way arrive immediately, the
  // others never. Of several senders, the one of the requests in `ids`.
  void LoseSender();
  void LoseSender(const std::set<uint64_t>& ids);

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
  uint64_t given_up() const { return given_up_; }
  // When Heap last took a request to this URL.
  MonotonicTime LastTaken(const std::string& url) const {
    const auto it = taken_.find(url);
    return it == taken_.end() ? MonotonicTime() : it->second;
  }
  // The most requests that waited for their answers at once, of any host, since
  // the last call.
  size_t TakeMaxInFlight();
  // Requests that carried the event, taken or not.
  int RequestsWith(const std::string& key) const {
    const auto it = carried_.find(key);
    return it == carried_.end() ? 0 : it->second;
  }

  // --- the judge
  // Broken rules so far, as sentences.
  std::vector<std::string> Verdict() const;
  // Events that Heap holds and that are not among those with `keys`.
  std::vector<std::string> NotAmong(const std::set<std::string>& keys) const;
  // Users and accounts whose value is older than promised, by App ID, "/u/" or
  // "/a/", and name.
  std::vector<std::string> OlderThan(
      const std::map<std::string, int64_t>& promised) const;

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

  void Crash(OnTheWay& on_the_way) const;
  void ForgetUnanswered(const HeapRequest& request);
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
  uint64_t given_up_ = 0;  // of these
  size_t max_in_flight_ = 0;
  std::map<std::string, MonotonicTime> taken_;  // by URL
  std::map<std::string, int> carried_;          // by event key
  std::map<std::string, std::map<std::string, int>> events_;
  std::map<std::string, std::map<std::string, int64_t>> users_;
  std::map<std::string, std::map<std::string, int64_t>> accounts_;
  // By limit and the identity or app that it applies to.
  std::map<std::string, std::map<std::string, std::vector<Arrival>>> arrivals_;
  // Identities of users and accounts whose request has no answer yet.
  std::multiset<std::string> unanswered_;
  std::vector<std::string> broken_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_ENGINE_SIMULATED_HEAP_H_
