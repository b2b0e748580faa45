#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "server/config/settings.h"

namespace heapsync {
namespace {

// scripts/update_configuration_page.sh sets the variable.
TEST(ConfigurationPageTest, IsTheTextOfTheDocument) {
  const std::string path = HEAPSYNC_CONFIGURATION_PAGE;
  if (std::getenv("HEAPSYNC_UPDATE_CONFIGURATION_PAGE") != nullptr) {
    std::ofstream(path) << ConfigurationPage();
  }
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(text, ConfigurationPage())
      << "run scripts/update_configuration_page.sh";
}

TEST(SettingsTest, HaveAGroupAMeaningAndOneNameEach) {
  std::string groups;
  for (const Setting& setting : Settings()) {
    EXPECT_TRUE(setting.meaning.ends_with('.')) << setting.name;
    EXPECT_FALSE(setting.values.empty()) << setting.name;
    const auto same_name = [&](const Setting& other) {
      return other.name == setting.name;
    };
    EXPECT_EQ(std::count_if(Settings().begin(), Settings().end(), same_name), 1)
        << setting.name;
    if (!groups.ends_with(setting.group)) groups += "\n" + setting.group;
  }
  EXPECT_EQ(groups,
            "\nDestinations\nDelivery\nStorage\nPorts and their limits\n"
            "TLS and callers\nReload, logs, metrics");
}

}  // namespace
}  // namespace heapsync
