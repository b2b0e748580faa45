#ifndef HEAPSYNC_BASE_JSON_FAULTS_H_
#define HEAPSYNC_BASE_JSON_FAULTS_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"

namespace heapsync {

// A JSON text and what is wrong with it, one line per fault. No value is ever
// quoted, and of keys only those that cannot be a misplaced App
// ID or token.
struct CheckedJson {
  // None when the text is not JSON, or nests far deeper than any setting.
  std::optional<nlohmann::json> value;
  std::vector<std::string> faults;  // syntax and repeated keys
};

// Parses JSON with comments. Syntax faults carry line and column (in bytes,
// both from 1).
CheckedJson ParseCheckedJson(absl::string_view text);

// "destinations[1]" and "region" make "destinations[1].region". A key with many
// digits is replaced, since it may be a misplaced App ID.
std::string KeyPath(absl::string_view parent, absl::string_view key);
std::string IndexPath(absl::string_view parent, size_t index);

// Takes the known keys of one JSON object and adds a fault for each value that
// does not fit. A value that is absent or does not fit reads as none.
class ObjectReader {
 public:
  // `faults` and `value` must outlive the reader. A `value` that is no object
  // is a fault and reads as an empty one.
  ObjectReader(const nlohmann::json& value, std::string path,
               std::vector<std::string>& faults);

  const nlohmann::json* Any(const char* key);
  const nlohmann::json* Array(const char* key);
  std::optional<bool> Bool(const char* key);
  std::optional<std::string> String(const char* key);
  // A key that is absent is a fault too.
  std::optional<std::string> RequiredString(const char* key);
  // The elements that are strings and not empty; any other is a fault.
  std::vector<std::string> Strings(const char* key);
  std::optional<double> Number(const char* key);
  std::optional<uint32_t> WholeNumber(const char* key, uint32_t least,
                                      uint32_t most);

  bool is_object() const { return object_ != nullptr; }
  std::string PathOf(const char* key) const { return KeyPath(path_, key); }
  void AddFault(const char* key, absl::string_view text);

  // Adds a fault for every key that was not asked for. To be called last.
  void RefuseOtherKeys();

 private:
  // The value at `key` if it is there and `fits`, else a fault that names
  // `expected`.
  const nlohmann::json* Take(const char* key,
                             bool (nlohmann::json::*fits)() const noexcept,
                             absl::string_view expected);

  const nlohmann::json* object_;
  const std::string path_;
  std::vector<std::string>& faults_;
  std::vector<std::string> known_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_BASE_JSON_FAULTS_H_
