#include "packaging/program_reference.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace heapsync {
namespace {

// Text of a manual page: minus signs that can be searched for and copied, and
// no line that begins with a request of roff.
std::string Roff(absl::string_view text) {
  std::string escaped =
      absl::StrReplaceAll(text, {{"\\", "\\e"}, {"-", "\\-"}});
  if (absl::StartsWith(escaped, ".") || absl::StartsWith(escaped, "'")) {
    escaped.insert(0, "\\&");
  }
  return escaped;
}

std::vector<const CLI::Option*> OptionsOf(const CLI::App& command,
                                          bool positional) {
  return command.get_options([positional](const CLI::Option* option) {
    return !option->get_group().empty() &&
           option->get_positional() == positional;
  });
}

std::vector<const CLI::App*> SubcommandsOf(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App* each) {
    return !each->get_name().empty() && !each->get_group().empty();
  });
}

bool TakesValue(const CLI::Option& option) {
  return option.get_items_expected_max() > 0;
}

// The flags of one option, as "-h, --help".
std::string FlagsOf(const CLI::Option& option) {
  std::vector<std::string> flags;
  for (const std::string& name : option.get_snames()) {
    flags.push_back("-" + name);
  }
  for (const std::string& name : option.get_lnames()) {
    flags.push_back("--" + name);
  }
  return absl::StrJoin(flags, ", ");
}

// CLI11 shows the members of a fixed set as "{a,b}" in the type's name, and
// the table of the server's settings as "(a or b)" or "(a, b or c)".
std::vector<std::string> ChoicesOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t begin = type.find('{');
  const size_t end = type.find('}', begin);
  if (begin != std::string::npos && end != std::string::npos) {
    return absl::StrSplit(type.substr(begin + 1, end - begin - 1), ',');
  }
  const std::string& text = option.get_option_text();
  if (!absl::StartsWith(text, "(") || !absl::StrContains(text, " or ")) {
    return {};
  }
  std::vector<std::string> choices = absl::StrSplit(
      absl::StrReplaceAll(text.substr(1, text.find(')') - 1), {{" or ", ", "}}),
      ", ");
  const bool are_words =
      std::all_of(choices.begin(), choices.end(), [](const std::string& each) {
        return std::all_of(each.begin(), each.end(), [](char c) {
          return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                 c == '_' || c == '-';
        });
      });
  return are_words ? choices : std::vector<std::string>();
}

void AppendOption(const CLI::Option& option, std::string& page) {
  absl::StrAppend(
      &page, ".TP\n.B ",
      Roff(option.get_positional() ? option.get_name(true) : FlagsOf(option)));
  if (!option.get_option_text().empty()) {
    absl::StrAppend(&page, " ", Roff(option.get_option_text()));
  } else if (!option.get_positional() && TakesValue(option)) {
    absl::StrAppend(&page, " ", Roff(option.get_type_name()));
    if (!option.get_default_str().empty()) {
      absl::StrAppend(&page, " [", Roff(option.get_default_str()), "]");
    }
  }
  absl::StrAppend(&page, "\n", Roff(option.get_description()), "\n");
  if (!option.get_envname().empty()) {
    absl::StrAppend(&page, "Environment variable: ", Roff(option.get_envname()),
                    ".\n");
  }
}

void AppendOptions(const CLI::App& command, absl::string_view heading,
                   std::string& page) {
  for (const CLI::Option* option : OptionsOf(command, true)) {
    AppendOption(*option, page);
  }
  for (const std::string& group : command.get_groups()) {
    bool first = true;
    for (const CLI::Option* option : OptionsOf(command, false)) {
      if (option->get_group() != group) continue;
      if (first && group != "Options") {
        absl::StrAppend(&page, heading, " ", Roff(group), "\n");
      }
      first = false;
      AppendOption(*option, page);
    }
  }
}

void AppendCommand(const CLI::App& command, const std::string& path,
                   std::string& page) {
  const std::string name = absl::StrCat(path, " ", command.get_name());
  absl::StrAppend(&page, ".SS ", Roff(name), "\n",
                  Roff(command.get_description()), "\n");
  AppendOptions(command, ".P\n", page);
  for (const CLI::App* sub : SubcommandsOf(command)) {
    AppendCommand(*sub, name, page);
  }
}

// One branch of the completion script's `case` for each command; `path` names
// the subcommands that lead to it, "/dead-letters/list".
void AppendCompletions(const CLI::App& command, const std::string& path,
                       std::string& words, std::string& values) {
  std::vector<std::string> offered;
  for (const CLI::App* sub : SubcommandsOf(command)) {
    offered.push_back(sub->get_name());
  }
  for (const CLI::Option* option : OptionsOf(command, false)) {
    for (const std::string& name : option->get_lnames()) {
      offered.push_back(
          absl::StrCat("--", name, TakesValue(*option) ? "=" : ""));
      if (!TakesValue(*option)) continue;
      const std::vector<std::string> choices = ChoicesOf(*option);
      if (choices.empty()) continue;
      absl::StrAppend(&values, "    '", path, " --", name, "') offered='",
                      absl::StrJoin(choices, " "), "' ;;\n");
    }
  }
  absl::StrAppend(&words, "    '", path, "') offered='",
                  absl::StrJoin(offered, " "), "' ;;\n");
  for (const CLI::App* sub : SubcommandsOf(command)) {
    AppendCompletions(*sub, absl::StrCat(path, "/", sub->get_name()), words,
                      values);
  }
}

void AppendPaths(const CLI::App& command, const std::string& path,
                 std::vector<std::string>& paths) {
  for (const CLI::App* sub : SubcommandsOf(command)) {
    paths.push_back(absl::StrCat(path, "/", sub->get_name()));
    AppendPaths(*sub, paths.back(), paths);
  }
}

}  // namespace

std::string MakeManualPage(const CLI::App& program, const ManualPage& page) {
  const std::string name = program.get_name();
  const bool has_commands = !SubcommandsOf(program).empty();
  std::string text = absl::StrCat(
      ".TH ", Roff(absl::AsciiStrToUpper(name)), " ", page.section, " \"\" \"",
      Roff(page.source), "\"\n.SH NAME\n", Roff(name), " \\- ",
      Roff(program.get_description()), "\n.SH SYNOPSIS\n.B ", Roff(name), "\n",
      has_commands ? ".I COMMAND\n[\\fIFLAG\\fR]...\n" : "[\\fIFLAG\\fR]...\n",
      ".SH OPTIONS\n");
  AppendOptions(program, ".SS", text);
  if (has_commands) text += ".SH COMMANDS\n";
  for (const CLI::App* command : SubcommandsOf(program)) {
    AppendCommand(*command, name, text);
  }
  absl::StrAppend(&text, ".SH NOTES\n", Roff(program.get_footer()), "\n");
  absl::StrAppend(&text, ".SH SEE ALSO\n", Roff(page.see_also), "\n");
  return text;
}

std::string MakeBashCompletion(const CLI::App& program) {
  std::vector<std::string> paths;
  AppendPaths(program, "", paths);
  std::string words, values;
  AppendCompletions(program, "", words, values);
  const std::string function =
      "_" + absl::StrReplaceAll(program.get_name(), {{"-", "_"}});
  std::string known;
  for (const std::string& path : paths) {
    absl::StrAppend(&known, " '", path, "'");
  }
  return absl::StrCat("# bash completion for ", program.get_name(), "\n",
                      function, R"(() {
  local cur prev words cword split
  _init_completion -s || return
  local path='' word offered='' known=()",
                      known, R"( )
  for word in "${words[@]:1:cword-1}"; do
    [[ " ${known[*]} " == *" ${path}/${word} "* ]] && path="${path}/${word}"
  done
  case "${path} ${prev}" in
)",
                      values, R"(  esac
  if [[ -n "${offered}" ]]; then
    mapfile -t COMPREPLY < <(compgen -W "${offered}" -- "${cur}")
    return
  fi
  if "${split}"; then
    _filedir
    return
  fi
  case "${path}" in
)",
                      words, R"(  esac
  mapfile -t COMPREPLY < <(compgen -W "${offered}" -- "${cur}")
  [[ "${COMPREPLY[0]-}" == *= ]] && compopt -o nospace
  ((${#COMPREPLY[@]})) || [[ "${cur}" == -* ]] || _filedir
} &&
  complete -F )",
                      function, " ", program.get_name(), "\n");
}

}  // namespace heapsync
