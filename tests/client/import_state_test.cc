#include "client/cli/import_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "nlohmann/json.hpp"
#include "tests/client/temporary_folder.h"

namespace heapsync {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ImportState Example() {
  ImportState state;
  state.request_id = "r-1";
  state.is_repeatable = true;
  state.input = {.head_hash = 0xFFFFFFFFFFFFFFFF, .size = 10, .modified_ns = 7};
  state.options = {{"type", "track"}, {"map", "identity=mail"}};
  state.rows_done = 5;
  state.next_index = 4;
  state.rows_hash = 0xFFFFFFFFFFFFFFF0;
  state.rejected_rows = 1;
  state.rejects_bytes = 99;
  return state;
}

TEST(ImportStateTest, WhatIsWrittenIsRead) {
  const TemporaryFolder folder;
  const std::string path = folder.File("state");
  ASSERT_TRUE(WriteImportState(path, Example()).ok());
  EXPECT_EQ(**ReadImportState(path), Example());
}

TEST(ImportStateTest, ReplacingLeavesNothingElseBehind) {
  const TemporaryFolder folder;
  const std::string path = folder.File("state");
  ImportState state = Example();
  ASSERT_TRUE(WriteImportState(path, state).ok());
  state.rows_done = 6;
  state.next_index = 5;
  ASSERT_TRUE(WriteImportState(path, state).ok());
  EXPECT_EQ((**ReadImportState(path)).rows_done, 6u);
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
}

TEST(ImportStateTest, IsReadableByItsOwnerOnly) {
  const TemporaryFolder folder;
  const std::string path = folder.File("state");
  ASSERT_TRUE(WriteImportState(path, Example()).ok());
  EXPECT_EQ(
      std::filesystem::status(path).permissions(),
      std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST(ImportStateTest, ALinkAtTheTemporaryNameIsNotFollowed) {
  const TemporaryFolder folder;
  const std::string path = folder.File("state");
  const std::string victim = folder.Write("victim", "precious");
  std::filesystem::create_symlink(victim, path + ".tmp");
  ASSERT_TRUE(WriteImportState(path, Example()).ok());
  EXPECT_EQ(TemporaryFolder::Read(victim), "precious");
  EXPECT_FALSE(std::filesystem::is_symlink(path));
  EXPECT_EQ(**ReadImportState(path), Example());
}

TEST(ImportStateTest, AStateThatContradictsItselfIsNoState) {
  const TemporaryFolder folder;
  const std::string path = folder.File("state");
  ASSERT_TRUE(WriteImportState(path, Example()).ok());
  const auto genuine = nlohmann::json::parse(TemporaryFolder::Read(path));
  const std::vector<std::pair<const char*, nlohmann::json>> changes = {
      {"rows_done", uint64_t{1} << 63},
      {"rows_done", -1},
      {"rows_done", 1.5},
      {"rows_done", 3},
      {"rows_done", 6},
      {"durable_position", 6},
      {"durable_position", -1},
      {"rejected_rows", 6},
      {"rejected_rows", 0},
      {"rejects_bytes", -1},
      {"rejects_bytes", UINT64_MAX},
      {"request_id", ""}};
  for (const auto& [key, value] : changes) {
    nlohmann::json changed = genuine;
    changed[key] = value;
    const auto state = ReadImportState(folder.Write("state", changed.dump()));
    EXPECT_EQ(state.status().code(), absl::StatusCode::kDataLoss)
        << key << ": " << value;
    EXPECT_THAT(std::string(state.status().message()),
                HasSubstr("is not the state of this import"));
  }
}

TEST(ImportStateTest, AMissingFileIsNoState) {
  const TemporaryFolder folder;
  const auto state = ReadImportState(folder.File("none"));
  ASSERT_TRUE(state.ok());
  EXPECT_FALSE(state->has_value());
}

TEST(ImportStateTest, AnyOtherFileIsAnErrorThatDoesNotQuoteIt) {
  const TemporaryFolder folder;
  for (const char* text :
       {"", "secret", "{}", "[1]", R"({"heapsync_import_state":2})",
        R"({"heapsync_import_state":1,"request_id":1})",
        R"({"heapsync_import_state":1,"request_id":"r"})"}) {
    const auto state = ReadImportState(folder.Write("state", text));
    EXPECT_EQ(state.status().code(), absl::StatusCode::kDataLoss) << text;
    EXPECT_THAT(std::string(state.status().message()),
                Not(HasSubstr("secret")));
  }
}

TEST(ImportStateTest, RemovingTwiceIsFine) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("state", "");
  EXPECT_TRUE(RemoveImportState(path).ok());
  EXPECT_TRUE(RemoveImportState(path).ok());
}

TEST(ImportStateTest, AChangedJobIsNamed) {
  EXPECT_TRUE(CheckSameJob(Example(), Example()).ok());
  ImportState other = Example();
  other.input.size = 11;
  other.options["map"] = "identity=id";
  const std::string message(CheckSameJob(Example(), other).message());
  EXPECT_THAT(message, HasSubstr("the input is another file"));
  EXPECT_THAT(message, HasSubstr("--map has changed"));
  EXPECT_THAT(message, Not(HasSubstr("--type")));
}

}  // namespace
}  // namespace heapsync
