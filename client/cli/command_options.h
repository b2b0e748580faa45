#ifndef HEAPSYNC_CLIENT_CLI_COMMAND_OPTIONS_H_
#define HEAPSYNC_CLIENT_CLI_COMMAND_OPTIONS_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace CLI {
class App;
}  // namespace CLI

namespace heapsync {

// The options of commands, over CLI11, whose header only command_options.cc and
// command_line.cc include: it takes seconds to compile.
//
// Each function adds something to `command`. A variable that is passed by
// reference receives the value, must outlive the command, and holds the
// default, which the help shows unless it is empty. A name without dashes is a
// positional argument. Texts are copied.

struct OptionTraits {
  const char* environment = nullptr;  // variable that gives the value
  const char* needs = nullptr;        // an option that must be given too
  const char* excludes = nullptr;     // an option that must not be given too
  bool required = false;

  // The values that are allowed. Empty: all.
  std::vector<std::string> choices;

  // Says what is wrong with a value; empty if nothing is.
  std::function<std::string(const std::string&)> check;
};

// Adds a subcommand, which `command` owns.
CLI::App& AddSubcommand(CLI::App& command, const std::string& name,
                        const std::string& description);

// Exactly one of the subcommands must be given.
void RequireSubcommand(CLI::App& command);

// Runs the command once its options are parsed. `run` may throw what
// ThrowUsageError() throws.
void OnRun(CLI::App& command, std::function<void()> run);

void AddFlag(CLI::App& command, const std::string& name, bool& value,
             const std::string& help, const OptionTraits& traits = {});

// A flag that may have a value, as --name=value: "true" without one.
void AddFlagOrText(CLI::App& command, const std::string& name,
                   std::string& value, const std::string& help,
                   const OptionTraits& traits = {});

void AddText(CLI::App& command, const std::string& name, std::string& value,
             const std::string& help, const OptionTraits& traits = {});

// A text that `take` stores; it is called at most once, during parsing.
void AddText(CLI::App& command, const std::string& name,
             std::function<void(const std::string&)> take,
             const std::string& default_value, const std::string& help,
             const OptionTraits& traits = {});

// Several texts: the option may be repeated, with one value each time, or with
// several between separators. Positional: all arguments that remain.
enum class Separator { kNone, kComma };
void AddTexts(CLI::App& command, const std::string& name,
              std::vector<std::string>& values, Separator separator,
              const std::string& help, const OptionTraits& traits = {});

void AddCount(CLI::App& command, const std::string& name, size_t& value,
              const std::string& help, const OptionTraits& traits = {});

// A number from `min` to `max`, both allowed.
void AddNumber(CLI::App& command, const std::string& name, double& value,
               double min, double max, const std::string& help,
               const OptionTraits& traits = {});
void AddSize(CLI::App& command, const std::string& name, size_t& value,
             size_t min, size_t max, const std::string& help,
             const OptionTraits& traits = {});

// Ends the command with exit code 2 and "flag: message".
[[noreturn]] void ThrowUsageError(absl::string_view flag,
                                  absl::string_view message);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_COMMAND_OPTIONS_H_
