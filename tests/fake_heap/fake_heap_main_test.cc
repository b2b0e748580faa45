#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/fake_heap/http_client.h"

namespace heapsync::fake_heap {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

// The real program, with what it writes to either output.
class Program {
 public:
  explicit Program(std::vector<std::string> arguments) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    arguments.insert(arguments.begin(), HEAPSYNC_FAKE_HEAP);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], 1);
      dup2(ends[1], 2);
      close(ends[0]);
      close(ends[1]);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(ends[1]);
    output_ = fdopen(ends[0], "r");
  }

  ~Program() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    fclose(output_);
  }

  std::string ReadLine() {
    std::string line;
    for (int c = fgetc(output_); c != EOF && c != '\n'; c = fgetc(output_)) {
      line += static_cast<char>(c);
    }
    return line;
  }

  void Signal(int signal) { kill(pid_, signal); }

  // The exit code; -1 for a death by signal.
  int Wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t pid_ = 0;
  FILE* output_ = nullptr;
};

std::string TempFile(const std::string& name, const std::string& text) {
  const std::string path =
      ::testing::TempDir() + "/fake_heap_" + std::to_string(getpid()) + name;
  std::ofstream(path) << text;
  return path;
}

TEST(FakeHeapMain, PrintsItsPortsServesAndEndsOnSigterm) {
  const std::string port_file = TempFile("ports", "");
  Program program({"--listen_us=127.0.0.1:0", "--listen_eu=127.0.0.1:0",
                   "--port_file=" + port_file});
  const std::string us = program.ReadLine();
  EXPECT_THAT(us, MatchesRegex("fake-heap: us listening on 127.0.0.1:[0-9]+"));
  EXPECT_THAT(program.ReadLine(),
              MatchesRegex("fake-heap: eu listening on 127.0.0.1:[0-9]+"));
  const auto port =
      static_cast<uint16_t>(std::stoi(us.substr(us.rfind(':') + 1)));
  EXPECT_EQ(HttpClient(port).Call("GET", "/_fake/health").status, 200);
  program.Signal(SIGTERM);
  EXPECT_EQ(program.Wait(), 0);
  const auto ports = nlohmann::json::parse(std::ifstream(port_file));
  EXPECT_EQ(ports["us"]["port"], port);
  EXPECT_EQ(ports["us"]["url"], "http://127.0.0.1:" + std::to_string(port));
  EXPECT_TRUE(ports["eu"]["port"].is_number());
  std::remove(port_file.c_str());
}

TEST(FakeHeapMain, EndsOnSigintWithAConnectionOpen) {
  Program program({"--listen_us=127.0.0.1:0", "--listen_eu=127.0.0.1:0"});
  const std::string us = program.ReadLine();
  program.ReadLine();
  HttpClient client(
      static_cast<uint16_t>(std::stoi(us.substr(us.rfind(':') + 1))));
  EXPECT_EQ(client.Call("GET", "/_fake/health").status, 200);
  program.Signal(SIGINT);
  EXPECT_EQ(program.Wait(), 0);
}

TEST(FakeHeapMain, RefusesABadFaultScriptWithEveryFault) {
  const std::string script =
      TempFile("script", R"({"rules":[{"action":{"type":"x"}},{"every":0}]})");
  Program program({"--listen_us=127.0.0.1:0", "--listen_eu=127.0.0.1:0",
                   "--faults=" + script});
  EXPECT_THAT(program.ReadLine(), HasSubstr("rules[0].action.type"));
  EXPECT_THAT(program.ReadLine(), HasSubstr("rules[1].every"));
  EXPECT_THAT(program.ReadLine(), HasSubstr("rules[1].action: is missing"));
  EXPECT_EQ(program.Wait(), 1);
  std::remove(script.c_str());
}

}  // namespace
}  // namespace heapsync::fake_heap
