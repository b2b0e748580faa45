#include "tests/bench/load/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/bench/load/process_cpu.h"

namespace heapsync::bench {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

[[noreturn]] void Fail(const std::string& why) {
  std::cerr << "heapsync_bench: " << why << std::endl;
  std::exit(1);
}

}  // namespace

ChildProcess::ChildProcess(std::vector<std::string> argv, std::string log)
    : log_(std::move(log)) {
  // Nothing but calls that are safe between fork and exec may follow the fork:
  // all memory is made ready before.
  std::vector<char*> args;
  args.reserve(argv.size() + 1);
  for (std::string& arg : argv) args.push_back(arg.data());
  args.push_back(nullptr);
  const int log_file =
      open(log_.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  if (log_file < 0) Fail(absl::StrCat("cannot write ", log_));
  sigset_t none;
  sigemptyset(&none);
  started_ = std::chrono::steady_clock::now();
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    dup2(log_file, STDERR_FILENO);
    execv(args[0], args.data());
    _exit(127);
  }
  close(log_file);
  if (pid_ < 0) Fail("cannot fork");
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) End(SIGKILL);
}

void ChildProcess::End(int signal) {
  kill(pid_, signal);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

bool ChildProcess::Wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int ChildProcess::WaitForPort() {
  constexpr absl::string_view kServing = "\"message\":\"serving\"";
  constexpr absl::string_view kPort = "\"port\":";
  const auto deadline = started_ + std::chrono::minutes(2);
  while (std::chrono::steady_clock::now() < deadline) {
    const std::string text = ReadFile(log_);
    for (const absl::string_view line : absl::StrSplit(text, '\n')) {
      if (line.find(kServing) == absl::string_view::npos) continue;
      const size_t at = line.find(kPort);
      if (at == absl::string_view::npos) continue;
      absl::string_view digits = line.substr(at + kPort.size());
      digits = digits.substr(0, digits.find_first_not_of("0123456789"));
      int port = 0;
      if (absl::SimpleAtoi(digits, &port)) return port;
    }
    if (waitpid(pid_, nullptr, WNOHANG) != 0) {
      pid_ = -1;
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  Fail(absl::StrCat("a server did not start:\n", ReadFile(log_)));
}

double ChildProcess::CpuSeconds() const { return CpuSecondsOf(pid_); }

uint64_t ChildProcess::Status(const char* field) const {
  std::istringstream words(ReadFile(absl::StrCat("/proc/", pid_, "/status")));
  std::string word;
  uint64_t kibibytes = 0;
  while (words >> word) {
    if (word == field && words >> kibibytes) return kibibytes * 1024;
  }
  return 0;
}

void ChildProcess::ResetPeak() {
  std::ofstream(absl::StrCat("/proc/", pid_, "/clear_refs")) << "5";
}

}  // namespace heapsync::bench
