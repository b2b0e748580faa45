#include "server/process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "server/log/log.h"
#include "server/net/library_logs.h"

namespace heapsync {
namespace {

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

sigset_t AllSignals() {
  sigset_t signals = StopSignals();
  sigaddset(&signals, SIGHUP);
  return signals;
}

// As many descriptors as the system lets this process have: connections, files
// of the spool and requests to Heap share them.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// A dump would hold identities, App IDs, tokens and private keys.
void ForbidCoreDumps() {
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
}

LogSeverity SeverityOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return LogSeverity::kDebug;
    case LogLevel::kInfo:
      return LogSeverity::kInfo;
    case LogLevel::kWarning:
      return LogSeverity::kWarning;
    case LogLevel::kError:
      return LogSeverity::kError;
  }
  return LogSeverity::kInfo;
}

}  // namespace

void PrepareProcess(const ServerConfig& config) {
  // The spool holds personal data.
  umask(0077);
  // gRPC's locks are Abseil's, and Debian's build of it looks for deadlocks at
  // every lock that is taken while another is held.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  SetLogSeverity(SeverityOf(config.log_level));
  CaptureLibraryLogs();
  RaiseDescriptorLimit();
  if (!config.allow_core_dumps) ForbidCoreDumps();
}

void BlockSignals() {
  const sigset_t signals = AllSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

void NotifyReady() {
  // Without a service manager, or if that is gone, there is nobody to tell.
  static_cast<void>(sd_notify(/*unset_environment=*/1, "READY=1"));
}

Signal WaitForSignal(std::chrono::milliseconds timeout) {
  const sigset_t signals = AllSignals();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(timeout);
  const timespec wait{
      .tv_sec = seconds.count(),
      .tv_nsec = std::chrono::nanoseconds(timeout - seconds).count()};
  switch (sigtimedwait(&signals, nullptr, &wait)) {
    case SIGHUP:
      return Signal::kReload;
    case SIGTERM:
    case SIGINT:
      return Signal::kStop;
    default:
      return Signal::kNone;
  }
}

void ExitOnSecondSignal() {
  std::thread([] {
    const sigset_t signals = StopSignals();
    int signal = 0;
    sigwait(&signals, &signal);
    Log(LogSeverity::kWarning, "second signal: exiting immediately");
    FlushLog();
    _exit(EXIT_FAILURE);
  }).detach();
}

void ExitAfter(std::chrono::milliseconds patience) {
  std::thread([patience] {
    std::this_thread::sleep_for(patience);
    Log(LogSeverity::kError,
        "the stop hangs: leaving the rest to the next start",
        {{"after_ms", patience.count()}});
    FlushLog();
    _exit(EXIT_FAILURE);
  }).detach();
}

}  // namespace heapsync
