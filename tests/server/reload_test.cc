#include "server/reload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "heap_adapter/engines.h"
#include "server/access/access.h"
#include "server/config/server_config.h"
#include "tests/server/admin_world.h"
#include "tests/spool/memory_store.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;

constexpr char kOneDestination[] =
    R"({"destinations": [{"name": "a", "app_id": "1"}]})";
constexpr char kTwoDestinations[] =
    R"({"destinations": [{"name": "a", "app_id": "1"},
                         {"name": "b", "app_id": "2"}]})";
constexpr char kOneCaller[] =
    R"({"callers": [{"name": "a", "certificates": ["a"]}]})";
constexpr char kOtherCaller[] =
    R"({"callers": [{"name": "b", "certificates": ["b"]}]})";

// A server's engine and callers, and files in memory that may change.
class ReloadTest : public testing::Test {
 protected:
  ReloadTest() {
    ServerConfig config = *BuildServerConfig(
        {{"config", "heap.json"}, {"auth", "callers.json"}}, surroundings_);
    access_.SetRules(*config.access);
    engines_ = std::make_unique<Engines>(
        *Engine::Start(store_, heap_, SystemClock(),
                       {.destinations = config.destinations}, nullptr));
    reload_.emplace(config, *engines_, access_, nullptr, surroundings_);
  }

  std::vector<std::string> Destinations() const {
    std::vector<std::string> names;
    for (const Destination& each : engines_->destinations()) {
      names.push_back(each.name);
    }
    return names;
  }
  bool IsAdmitted(const std::string& certificate) const {
    Credentials credentials;
    credentials.certificate_names = {certificate};
    return std::holds_alternative<Caller>(
        access_.Admit(credentials, ServiceKind::kData));
  }

  std::map<std::string, std::string> files_ = {{"heap.json", kOneDestination},
                                               {"callers.json", kOneCaller}};
  const Surroundings surroundings_ = {
      .variable = [](const std::string&) -> std::optional<std::string> {
        return std::nullopt;
      },
      .file = [this](const std::string& path) -> absl::StatusOr<std::string> {
        const auto found = files_.find(path);
        if (found == files_.end()) return absl::NotFoundError("no such file");
        return found->second;
      }};
  MemoryStore store_;
  ScriptedTransport heap_;
  Access access_;
  std::unique_ptr<Engines> engines_;
  std::optional<Reload> reload_;
};

TEST_F(ReloadTest, PutsDestinationsAndCallersIntoForce) {
  files_["heap.json"] = kTwoDestinations;
  files_["callers.json"] = kOtherCaller;
  reload_->Run("a test");
  EXPECT_THAT(Destinations(), ElementsAre("a", "b"));
  EXPECT_FALSE(IsAdmitted("a"));
  EXPECT_TRUE(IsAdmitted("b"));
}

TEST_F(ReloadTest, CallersAreWithdrawnThoughTheDestinationsHaveAFault) {
  files_["heap.json"] = "{";
  files_["callers.json"] = kOtherCaller;
  reload_->Run("a test");
  EXPECT_THAT(Destinations(), ElementsAre("a"));
  EXPECT_FALSE(IsAdmitted("a"));
}

TEST_F(ReloadTest, CallersStayIfTheirFileHasAFault) {
  files_["heap.json"] = kTwoDestinations;
  files_.erase("callers.json");
  reload_->Run("a test");
  EXPECT_THAT(Destinations(), ElementsAre("a", "b"));
  EXPECT_TRUE(IsAdmitted("a"));
}

TEST_F(ReloadTest, WhatWasRefusedIsPutIntoForceOnceItIsMended) {
  files_["heap.json"] = "{";
  reload_->Run("a test");
  files_["heap.json"] = kTwoDestinations;
  reload_->Run("a test");
  EXPECT_THAT(Destinations(), ElementsAre("a", "b"));
}

}  // namespace
}  // namespace heapsync
