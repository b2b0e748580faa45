#include "client/cli/import_state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
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
          {"input", input},
          {"options", state.options},
          {"rows_done", state.rows_done},
          {"durable_position", state.next_index},
          {"rejected_rows", state.rejected_rows},
          {"rejects_bytes", state.rejects_bytes}};
}

// Throws json::exception.
ImportState FromJson(const json& object) {
  ImportState state;
  object.at("request_id").get_to(state.request_id);
  const json& input = object.at("input");
  input.at("head_hash").get_to(state.input.head_hash);
  if (input.contains("size")) state.input.size = input["size"].get<uint64_t>();
  if (input.contains("modified_ns")) {
    state.input.modified_ns = input["modified_ns"].get<int64_t>();
  }
  object.at("options").get_to(state.options);
  object.at("rows_done").get_to(state.rows_done);
  object.at("durable_position").get_to(state.next_index);
  object.at("rejected_rows").get_to(state.rejected_rows);
  object.at("rejects_bytes").get_to(state.rejects_bytes);
  return state;
}

absl::Status LastError(absl::string_view action, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", action, " ", path));
}

absl::Status WriteSynced(const std::string& path, absl::string_view text) {
  // Only for its owner: fixed values may name people.
  const int file =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return LastError("write", path);
  absl::Status status;
  while (status.ok() && !text.empty()) {
    const ssize_t count = ::write(file, text.data(), text.size());
    if (count < 0 && errno != EINTR) status = LastError("write", path);
    if (count > 0) text.remove_prefix(static_cast<size_t>(count));
  }
  if (status.ok() && ::fsync(file) != 0) status = LastError("sync", path);
  ::close(file);
  return status;
}

absl::Status SyncDirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory =
      slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int file = ::open(directory.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return LastError("open", directory);
  const absl::Status status =
      ::fsync(file) == 0 ? absl::OkStatus() : LastError("sync", directory);
  ::close(file);
  return status;
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
      return FromJson(object);
    }
  } catch (const json::exception&) {
    // Answered below: its text would quote the file.
  }
  return absl::DataLossError(absl::StrCat(
      path, " is not the state of an import, or of another version"));
}

absl::Status WriteImportState(const std::string& path,
                              const ImportState& state) {
  const std::string temporary = absl::StrCat(path, ".tmp");
  const std::string text =
      ToJson(state).dump(2, ' ', false, json::error_handler_t::replace) + "\n";
  if (absl::Status status = WriteSynced(temporary, text); !status.ok()) {
    return status;
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    return LastError("replace", path);
  }
  return SyncDirectoryOf(path);
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
    changes.push_back("the input is another file, or it was changed");
  }
  for (const auto& [flag, value] : now.options) {
    const auto old = saved.options.find(flag);
    if (old == saved.options.end() || old->second != value) {
      changes.push_back(absl::StrCat("--", flag, " is not as it was"));
    }
  }
  if (changes.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "cannot go on with the interrupted import: ",
      absl::StrJoin(changes, "; "),
      ". Run it as before, or begin anew with --restart (rows that were sent "
      "already are then sent again)"));
}

}  // namespace heapsync
