#include "client/cli/cursor_state.h"

#include <cerrno>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/synced_file.h"
#include "nlohmann/json.hpp"

namespace heapsync {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;
constexpr char kVersionKey[] = "heapsync_cursor_state";

}  // namespace

absl::StatusOr<std::optional<CursorState>> ReadCursorState(
    const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    if (errno == ENOENT) return std::nullopt;
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  }
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  try {
    const json object = json::parse(text);
    if (object.at(kVersionKey) == kVersion) {
      CursorState state;
      object.at("cursor").get_to(state.value);
      object.at("options").get_to(state.options);
      return state;
    }
  } catch (const json::exception&) {
    // Answered below: its text would quote the file.
  }
  return absl::DataLossError(absl::StrCat(
      path,
      " is not the state of an incremental import; name another file "
      "with --state"));
}

absl::StatusOr<CursorFile> CursorFile::Open(const std::string& path) {
  absl::StatusOr<RunLock> lock = RunLock::Acquire(path);
  if (!lock.ok()) return lock.status();
  CursorFile file(path, *std::move(lock));
  auto state = ReadCursorState(path);
  if (!state.ok()) return state.status();
  file.state_ = *std::move(state);
  return file;
}

absl::Status CursorFile::Save(const CursorState& state) {
  if (state_ == state) return absl::OkStatus();
  const json object = {{kVersionKey, kVersion},
                       {"cursor", state.value},
                       {"options", state.options}};
  if (absl::Status status = ReplaceFile(
          path_,
          object.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
      !status.ok()) {
    return status;
  }
  state_ = state;
  return absl::OkStatus();
}

absl::Status CheckSameOptions(const CursorState& saved,
                              const std::map<std::string, std::string>& now) {
  std::vector<std::string> changes;
  for (const auto& [flag, value] : now) {
    const auto old = saved.options.find(flag);
    if (old == saved.options.end() || old->second != value) {
      changes.push_back(absl::StrCat("--", flag, " has changed"));
    }
  }
  if (changes.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the state is that of another incremental import: ",
      absl::StrJoin(changes, "; "),
      ". To go on with these options, give --restart and, as --cursor_start, "
      "the value to begin after (the state has the present one)"));
}

}  // namespace heapsync
