#ifndef HEAPSYNC_BASE_ENVIRONMENT_NAMES_H_
#define HEAPSYNC_BASE_ENVIRONMENT_NAMES_H_

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace heapsync {

// Environment variables by name.
using Environment = std::map<std::string, std::string>;

// The environment of this process. To be called before other threads start.
Environment ProcessEnvironment();

// The variables that the command heapsync reads.
const std::vector<std::string>& CommandVariables();

// Variables that are named like those of a program, but that it does not read.
struct StrayVariables {
  struct Misspelt {
    std::string name;
    std::string meant;  // the variable that it is probably meant for
  };
  std::vector<Misspelt> misspelt;
  std::vector<std::string> unknown;
};

// Looks for variables that begin with HEAPSYNC, in any case and with other
// underscores (HEAP_SYNC_REGION), and that are not among `read`, those of a
// program, or `others`, those of another one. Empty ones are no variables. Left
// out are those that are made for a service called "heapsync" and the like:
// by Kubernetes (HEAPSYNC_SERVICE_HOST, HEAPSYNC_PORT=tcp://10.0.0.1:50051) and
// by links of containers (HEAPSYNC_ENV_PATH).
StrayVariables FindStrayVariables(const Environment& environment,
                                  const std::vector<std::string>& read,
                                  const std::vector<std::string>& others);

// "HEAPSYNC_REGOIN is not read; HEAPSYNC_REGION is". Never a value.
std::string FaultOf(const StrayVariables::Misspelt& variable);

}  // namespace heapsync

#endif  // HEAPSYNC_BASE_ENVIRONMENT_NAMES_H_
