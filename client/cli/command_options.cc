#include "client/cli/command_options.h"

#include <CLI/CLI.hpp>
#include <utility>

namespace heapsync {
namespace {

// CLI11 wants to know the other option, so that one must have been added.
CLI::Option* Apply(CLI::App& command, const OptionTraits& traits,
                   CLI::Option* option) {
  if (traits.environment != nullptr) option->envname(traits.environment);
  if (traits.needs != nullptr) option->needs(command.get_option(traits.needs));
  if (traits.excludes != nullptr) {
    option->excludes(command.get_option(traits.excludes));
  }
  if (traits.required) option->required();
  if (!traits.choices.empty()) option->check(CLI::IsMember(traits.choices));
  if (traits.check) option->check(traits.check);
  return option;
}

}  // namespace

CLI::App& AddSubcommand(CLI::App& command, const std::string& name,
                        const std::string& description) {
  return *command.add_subcommand(name, description);
}

void RequireSubcommand(CLI::App& command) { command.require_subcommand(1); }

void OnRun(CLI::App& command, std::function<void()> run) {
  command.callback(std::move(run));
}

void AddFlag(CLI::App& command, const std::string& name, bool& value,
             const std::string& help, const OptionTraits& traits) {
  Apply(command, traits, command.add_flag(name, value, help));
}

void AddFlagOrText(CLI::App& command, const std::string& name,
                   std::string& value, const std::string& help,
                   const OptionTraits& traits) {
  Apply(command, traits, command.add_flag(name, value, help));
}

void AddText(CLI::App& command, const std::string& name, std::string& value,
             const std::string& help, const OptionTraits& traits) {
  CLI::Option* option =
      Apply(command, traits, command.add_option(name, value, help));
  if (!value.empty() && !traits.required) option->capture_default_str();
}

void AddText(CLI::App& command, const std::string& name,
             std::function<void(const std::string&)> take,
             const std::string& default_value, const std::string& help,
             const OptionTraits& traits) {
  CLI::Option* option = Apply(
      command, traits,
      command.add_option_function<std::string>(name, std::move(take), help));
  if (!default_value.empty()) option->default_str(default_value);
}

void AddTexts(CLI::App& command, const std::string& name,
              std::vector<std::string>& values, Separator separator,
              const std::string& help, const OptionTraits& traits) {
  CLI::Option* option =
      Apply(command, traits, command.add_option(name, values, help));
  if (separator == Separator::kComma) option->delimiter(',');
  if (!option->get_positional()) option->allow_extra_args(false);
}

void AddCount(CLI::App& command, const std::string& name, size_t& value,
              const std::string& help, const OptionTraits& traits) {
  Apply(command, traits, command.add_option(name, value, help))
      ->capture_default_str();
}

void AddNumber(CLI::App& command, const std::string& name, double& value,
               double min, double max, const std::string& help,
               const OptionTraits& traits) {
  Apply(command, traits, command.add_option(name, value, help))
      ->check(CLI::Range(min, max))
      ->capture_default_str();
}

void AddSize(CLI::App& command, const std::string& name, size_t& value,
             size_t min, size_t max, const std::string& help,
             const OptionTraits& traits) {
  Apply(command, traits, command.add_option(name, value, help))
      ->check(CLI::Range(min, max))
      ->capture_default_str();
}

void ThrowUsageError(absl::string_view flag, absl::string_view message) {
  throw CLI::ValidationError(std::string(flag), std::string(message));
}

}  // namespace heapsync
