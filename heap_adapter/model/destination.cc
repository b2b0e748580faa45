#include "heap_adapter/model/destination.h"

namespace heapsync {

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
