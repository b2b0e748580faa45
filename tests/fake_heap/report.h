#ifndef HEAPSYNC_TESTS_FAKE_HEAP_REPORT_H_
#define HEAPSYNC_TESTS_FAKE_HEAP_REPORT_H_

#include <nlohmann/json_fwd.hpp>

#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "tests/fake_heap/app_store.h"
#include "tests/fake_heap/heap_simulator.h"
#include "tests/fake_heap/limit_meter.h"
#include "tests/fake_heap/request_log.h"

namespace heapsync::fake_heap {

// Contents of fake-heap as JSON; the README shows each form. Times are RFC 3339
// with microseconds, UTC.
nlohmann::json ToJson(const Event& event);

// `id_name`: "identity" or "account_id".
nlohmann::json ToJson(const Profile& profile, absl::string_view id_name);

nlohmann::json ToJson(const RequestRecord& record);

nlohmann::json ToJson(const Violation& violation,
                      const PublishedLimits& limits);

// Everything countable: in total, by region and by app id.
nlohmann::json Summary(const HeapSimulator& simulator, const Now& now);

}  // namespace heapsync::fake_heap

#endif  // HEAPSYNC_TESTS_FAKE_HEAP_REPORT_H_
