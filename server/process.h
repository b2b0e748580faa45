#ifndef HEAPSYNC_SERVER_PROCESS_H_
#define HEAPSYNC_SERVER_PROCESS_H_

#include <chrono>

#include "server/config/server_config.h"

namespace heapsync {

// Blocks SIGTERM, SIGINT and SIGHUP in this thread and those that it starts, so
// that only the functions below get them, and ignores SIGPIPE. To be called
// before any thread starts.
void BlockSignals();

// Sets what belongs to the process as a whole: permissions of new files, limits
// of the system, core dumps, log level and the logs of libraries. To be called
// before any thread starts.
void PrepareProcess(const ServerConfig& config);

// Tells the service manager that started this process, if it asked for it (a
// systemd unit of Type=notify), that calls are taken from now on.
void NotifyReady();

enum class Signal {
  kNone,
  kReload,  // SIGHUP
  kStop,    // SIGTERM or SIGINT
};

// Waits for a signal, at most `timeout`.
Signal WaitForSignal(std::chrono::milliseconds timeout);

// Starts a thread that ends the process, with an error, at the next SIGTERM or
// SIGINT.
void ExitOnSecondSignal();

// Starts a thread that ends the process, with an error, after `patience`. A
// disk that hangs must not keep a server from being replaced: all that was
// accepted is in the spool already.
void ExitAfter(std::chrono::milliseconds patience);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_PROCESS_H_
