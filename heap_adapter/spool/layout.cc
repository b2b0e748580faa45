#include "heap_adapter/spool/layout.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace heapsync::layout {

std::string Key(Table table) {
  return std::string(1, static_cast<char>(table));
}

std::string Key(Table table, uint32_t lane) {
  std::string key = Key(table);
  AppendBigEndian32(key, lane);
  return key;
}

std::string Key(Table table, uint32_t lane, uint64_t a) {
  std::string key = Key(table, lane);
  AppendBigEndian64(key, a);
  return key;
}

std::string Key(Table table, uint32_t lane, uint64_t a, uint64_t b) {
  std::string key = Key(table, lane, a);
  AppendBigEndian64(key, b);
  return key;
}

std::string AttemptKey(Table table, AttemptId id) {
  std::string key = Key(table);
  AppendBigEndian64(key, id);
  return key;
}

std::string CommandKey(CommandId id, CommandPart part) {
  std::string key = Key(Table::kCommand);
  AppendBigEndian64(key, id);
  key.push_back(static_cast<char>(part));
  return key;
}

Store::KeyRange Only(std::string key) {
  std::string end = absl::StrCat(key, std::string(1, '\0'));
  return {.begin = std::move(key), .end = std::move(end)};
}

std::string PrefixEnd(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) {
    prefix.pop_back();
  }
  if (!prefix.empty()) ++prefix.back();
  return prefix;
}

LaneId LaneOf(absl::string_view key) {
  return Reader(key.substr(1)).BigEndian32();
}

AttemptId AttemptOf(absl::string_view key) {
  return Reader(key.substr(1)).BigEndian64();
}

absl::Status Located(const absl::Status& status, absl::string_view where) {
  return absl::Status(status.code(),
                      absl::StrCat(where, ": ", status.message()));
}

}  // namespace heapsync::layout
