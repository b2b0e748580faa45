#include "heap_adapter/model/destination.h"

namespace heapsync {

absl::string_view Name(Region region) {
  return region == Region::kUs ? "us" : "eu";
}

absl::string_view HeapUrl(Region region) {
  return region == Region::kUs ? "https://heapanalytics.com"
                               : "https://c.eu.heap-api.com";
}

absl::flat_hash_set<std::string> EncodingRules::DefaultDeniedIdentities() {
  return {"undefined", "null",    "nil",
          "none",      "nan",     "n/a",
          "na",        "user",    "user_id",
          "userid",    "id",      "identity",
          "anonymous", "anon",    "anonymous_user",
          "guest",     "unknown", "test",
          "true",      "false",   "[object object]",
          "0",         "-1",      "-",
          "\"\"",      "''"};
}

}  // namespace heapsync
