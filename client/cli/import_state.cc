#include "client/cli/import_state.h"

#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "client/cli/synced_file.h"
#include "nlohmann/json.hpp"

namespace heapsync {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;

json ToJson(const ImportState& state) {
  json input = {{"head_hash", state.input.head_hash}};
  if (state.input.size) input["size"] = *state.input.size;
  if (state.input.modified_ns) input["modified_ns"] = *state.input.modified_ns;
  return {{"heapsync_import_state", kVersion},
          {"request_id", state.request_id},
          {"is_repeatable", state.is_repeatable},
          {"input", input},
          {"options", state.options},
          {"rows_done", state.rows_done},
          {"rows_hash", state.rows_hash},
          {"durable_position", state.next_index},
          {"rejected_rows", state.rejected_rows},
          {"rejects_bytes", state.rejects_bytes}};
}

// Counts beyond this come from no import; below it, sums do not overflow.
constexpr uint64_t kMaxCount = uint64_t{1} << 53;

// A whole number that is not negative; json::get() would convert others. Throws
// json::exception.
uint64_t CountAt(const json& object, const char* key) {
  const json& value = object.at(key);
  return value.get_ref<const json::number_unsigned_t&>();
}

// Every row became an item or was rejected; the server may also have rejected
// items.
bool IsConsistent(const ImportState& state) {
  return state.rows_done <= kMaxCount && state.rejects_bytes <= kMaxCount &&
         state.rejected_rows <= state.rows_done &&
         state.next_index <= state.rows_done &&
         state.rows_done - state.next_index <= state.rejected_rows &&
         !state.request_id.empty();
}

// Throws json::exception.
ImportState FromJson(const json& object) {
  ImportState state;
  object.at("request_id").get_to(state.request_id);
  object.at("is_repeatable").get_to(state.is_repeatable);
  const json& input = object.at("input");
  input.at("head_hash").get_to(state.input.head_hash);
  if (input.contains("size")) state.input.size = input["size"].get<uint64_t>();
  if (input.contains("modified_ns")) {
    state.input.modified_ns = input["modified_ns"].get<int64_t>();
  }
  object.at("options").get_to(state.options);
  state.rows_done = CountAt(object, "rows_done");
  state.next_index = CountAt(object, "durable_position");
  state.rows_hash = CountAt(object, "rows_hash");
  state.rejected_rows = CountAt(object, "rejected_rows");
  state.rejects_bytes = CountAt(object, "rejects_bytes");
  return state;
}

absl::Status LastError(absl::string_view action, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", action, " ", path));
}

}  // namespace

absl::StatusOr<std::optional<ImportState>> ReadImportState(
    const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    if (errno == ENOENT) return std::nullopt;
    return LastError("read", path);
  }
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  try {
    const json object = json::parse(text);
    if (object.at("heapsync_import_state") == kVersion) {
      ImportState state = FromJson(object);
      if (IsConsistent(state)) return state;
    }
  } catch (const json::exception&) {
    // Answered below: its text would quote the file.
  }
  return absl::DataLossError(absl::StrCat(
      path,
      " is not the state of this import; remove it, or import with --restart"));
}

absl::Status WriteImportState(const std::string& path,
                              const ImportState& state) {
  return ReplaceFile(
      path,
      ToJson(state).dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

absl::Status RemoveImportState(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return LastError("remove", path);
  }
  return absl::OkStatus();
}

absl::Status CheckSameJob(const ImportState& saved, const ImportState& now) {
  std::vector<std::string> changes;
  if (saved.input != now.input) {
    changes.push_back("the input is another file or was changed");
  }
  for (const auto& [flag, value] : now.options) {
    const auto old = saved.options.find(flag);
    if (old == saved.options.end() || old->second != value) {
      changes.push_back(absl::StrCat("--", flag, " has changed"));
    }
  }
  if (changes.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "cannot resume the interrupted import: ", absl::StrJoin(changes, "; "),
      ". Run it with the same options and input, or start again with --restart "
      "(which sends rows again that were sent already)"));
}

}  // namespace heapsync
