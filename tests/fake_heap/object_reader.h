#ifndef HEAPSYNC_TESTS_FAKE_HEAP_OBJECT_READER_H_
#define HEAPSYNC_TESTS_FAKE_HEAP_OBJECT_READER_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace heapsync::fake_heap {

// Reads the members of one JSON object and collects all of its faults, so that
// a user can fix them together. An invalid member reads as absent. Both
// arguments must outlive the reader.
class ObjectReader {
 public:
  // `path` is the object's place, empty for the whole document. A value that is
  // not an object is a fault and reads as empty.
  ObjectReader(const nlohmann::json& object, std::string path,
               std::vector<std::string>& faults);

  std::optional<uint64_t> Whole(const char* key, uint64_t least, uint64_t most);
  std::optional<double> Number(const char* key, double least, double most);
  std::optional<std::string> Text(const char* key);
  std::optional<bool> Truth(const char* key);
  std::optional<std::string> OneOf(const char* key,
                                   const std::vector<std::string>& choices);
  // Null where it is absent. The caller judges the value.
  const nlohmann::json* Any(const char* key);

  void Note(absl::string_view key, absl::string_view fault);
  std::string PathOf(absl::string_view key) const;

  // Notes each member that was not read.
  void NoteUnknown();

 private:
  const nlohmann::json& object_;
  const std::string path_;
  std::vector<std::string>& faults_;
  std::set<std::string, std::less<>> asked_;
};

}  // namespace heapsync::fake_heap

#endif  // HEAPSYNC_TESTS_FAKE_HEAP_OBJECT_READER_H_
