#include "server/config/command_line.h"

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/config/settings.h"

namespace heapsync {
namespace {

// By C streams: those of C++ throw on a folder and do not tell why a file
// cannot be opened.
absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string text;
  const std::unique_ptr<std::FILE, Closer> file(std::fopen(path.c_str(), "rb"));
  if (file != nullptr) {
    std::array<char, 65'536> block;
    while (const size_t count =
               std::fread(block.data(), 1, block.size(), file.get())) {
      text.append(block.data(), count);
    }
    if (std::ferror(file.get()) == 0) return text;
  }
  return absl::NotFoundError(
      absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
}

CLI::Option* AddOption(CLI::App& program, const Setting& setting) {
  const std::string name = absl::StrCat("--", setting.name);
  CLI::Option* option = setting.is_switch
                            ? program.add_flag(name, setting.meaning)
                            : program.add_option(name, setting.meaning);
  std::string text = absl::StrCat("(", setting.values, ")");
  const std::string default_value = setting.text(ServerConfig());
  if (!default_value.empty()) absl::StrAppend(&text, " [", default_value, "]");
  // A later flag replaces an earlier one, which lets the arguments of a
  // container override those of its entry point.
  return option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)
      ->group(setting.group)
      ->option_text(text);
}

// Only the name is shown: anything else may hold an App ID.
std::string UnknownArgument(const std::string& argument) {
  if (!absl::StartsWith(argument, "--")) {
    return "command line: every setting is a --flag; arguments without one are "
           "not accepted";
  }
  return absl::StrCat("command line: there is no flag ",
                      argument.substr(0, argument.find('=')),
                      "; --help lists all");
}

using OptionByName = std::vector<std::pair<std::string, const CLI::Option*>>;

OptionByName Declare(CLI::App& program) {
  program.name("heapsync-server");
  program.description("Delivers events and properties to Heap.");
  program.footer(
      "Every flag can be given as an environment variable too: --data_dir as "
      "HEAPSYNC_DATA_DIR.");
  program.set_version_flag("--version", "heapsync-server " HEAPSYNC_VERSION);
  program.allow_extras();
  OptionByName options;
  for (const Setting& setting : Settings()) {
    options.emplace_back(setting.name, AddOption(program, setting));
  }
  return options;
}

}  // namespace

void DeclareServerFlags(CLI::App& program) { Declare(program); }

Surroundings ProcessSurroundings() {
  return {
      .variable = [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        if (value == nullptr) return std::nullopt;
        return value;
      },
      .file = ReadTextFile,
      .environment = ProcessEnvironment()};
}

StrayVariables StrayVariablesOf(const Environment& environment) {
  std::vector<std::string> read;
  for (const Setting& setting : Settings()) {
    read.push_back(EnvironmentVariable(setting.name));
  }
  return FindStrayVariables(environment, read, CommandVariables());
}

absl::StatusOr<ServerConfig> LoadServerConfig(
    int argc, const char* const* argv, const Surroundings& surroundings) {
  CLI::App program;
  const OptionByName options = Declare(program);

  std::vector<std::string> faults;
  try {
    program.parse(argc, argv);
    for (const std::string& argument : program.remaining()) {
      faults.push_back(UnknownArgument(argument));
    }
  } catch (const CLI::ParseError& error) {
    // Help and version come this way too, with code 0.
    if (error.get_exit_code() == 0) std::exit(program.exit(error));
    faults.push_back(absl::StrCat("command line: ", error.what()));
  }
  for (const StrayVariables::Misspelt& variable :
       StrayVariablesOf(surroundings.environment).misspelt) {
    faults.push_back(FaultOf(variable));
  }
  FlagValues flags;
  for (const auto& [name, option] : options) {
    if (option->count() > 0) flags.emplace(name, option->results().back());
  }
  absl::StatusOr<ServerConfig> config = BuildServerConfig(flags, surroundings);
  if (faults.empty()) return config;
  if (!config.ok()) faults.emplace_back(config.status().message());
  return absl::InvalidArgumentError(absl::StrJoin(faults, "\n"));
}

}  // namespace heapsync
