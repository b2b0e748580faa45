#ifndef HEAPSYNC_PACKAGING_PROGRAM_REFERENCE_H_
#define HEAPSYNC_PACKAGING_PROGRAM_REFERENCE_H_

#include <string>

namespace CLI {
class App;
}  // namespace CLI

namespace heapsync {

// What a manual page says beyond the flags.
struct ManualPage {
  int section = 1;     // 1 for commands, 8 for servers
  std::string source;  // "heapsync 0.1.0"
  std::string see_also;
};

// The manual page of a program in man(7) format, made of its flags and
// subcommands.
std::string MakeManualPage(const CLI::App& program, const ManualPage& page);

// A bash completion script for a program: its subcommands, flags, the values of
// flags that have a fixed set of them, and file names elsewhere. To be loaded
// by the bash-completion package, 2.0 or later.
std::string MakeBashCompletion(const CLI::App& program);

}  // namespace heapsync

#endif  // HEAPSYNC_PACKAGING_PROGRAM_REFERENCE_H_
