// Replays what the fuzzers have found interesting.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <ostream>
#include <string>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tests/fuzz/encoding_targets.h"
#include "tests/fuzz/import_targets.h"
#include "tests/fuzz/spool_targets.h"
#include "tests/fuzz/text_targets.h"

namespace heapsync {
namespace {

struct Target {
  const char* name;
  void (*run)(absl::string_view);

  friend std::ostream& operator<<(std::ostream& out, const Target& target) {
    return out << target.name;
  }
};

class CorpusTest : public testing::TestWithParam<Target> {};

TEST_P(CorpusTest, BreaksNoPromise) {
  const std::filesystem::path folder =
      std::filesystem::path(HEAPSYNC_SOURCE_DIR "/tests/fuzz/corpus") /
      GetParam().name;
  int inputs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string input{std::istreambuf_iterator<char>(file), {}};
    SCOPED_TRACE(entry.path());
    GetParam().run(input);
    ++inputs;
  }
  EXPECT_GT(inputs, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Targets, CorpusTest,
    testing::Values(Target{"encode_event", FuzzEncodeEvent},
                    Target{"encode_user", FuzzEncodeUser},
                    Target{"encode_account", FuzzEncodeAccount},
                    Target{"encode_request", FuzzEncodeRequest},
                    Target{"name", FuzzName}, Target{"json_text", FuzzJsonText},
                    Target{"coalesced_update", FuzzCoalescedUpdate},
                    Target{"retry_after", FuzzRetryAfter},
                    Target{"named_item", FuzzNamedItem},
                    Target{"config", FuzzConfig}, Target{"block", FuzzBlock},
                    Target{"records", FuzzRecords},
                    Target{"receipt", FuzzReceipt},
                    Target{"log_file", FuzzLogFile},
                    Target{"csv_import", FuzzCsvImport},
                    Target{"ndjson_import", FuzzNdjsonImport}),
    testing::PrintToStringParamName());

}  // namespace
}  // namespace heapsync
