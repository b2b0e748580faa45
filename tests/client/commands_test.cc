#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/environment_names.h"
#include "client/cli/command.h"
#include "nlohmann/json.hpp"
#include "server/access/token.h"
#include "tests/client/command_runner.h"
#include "tests/client/fake_heapsync.h"

namespace heapsync {
namespace {

using ::testing::HasSubstr;

class CommandsTest : public ::testing::Test {
 protected:
  CommandResult Run(std::vector<std::string> arguments) {
    arguments.push_back("--server=" + server_.address());
    return RunCommand(arguments);
  }

  FakeHeapSync server_;
};

TEST_F(CommandsTest, TrackSendsOneEvent) {
  const CommandResult result =
      Run({"track", "--identity=a@b.c", "--event=Buy",
           "--timestamp=2024-01-15 10:30:00", "--property=currency=USD",
           "--property", "note=a=b", "--property_json={\"amount\":49.99}"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("accepted, on the server's disk"));
  EXPECT_THAT(result.out, HasSubstr("receipt: receipt-1"));
  const std::vector<v1::TrackEvent> events = server_.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].timestamp().seconds(), 1705314600);
  const auto& properties = events[0].properties().fields();
  EXPECT_EQ(properties.at("currency").string_value(), "USD");
  EXPECT_EQ(properties.at("note").string_value(), "a=b");
  EXPECT_EQ(properties.at("amount").number_value(), 49.99);
}

TEST_F(CommandsTest, UserAndAccountSendTheirs) {
  EXPECT_EQ(Run({"user", "--identity=u", "--email=a@b.c"}).exit_code, 0);
  EXPECT_EQ(Run({"account", "--account_id=acme"}).exit_code, 0);
  EXPECT_THAT(server_.StoredNames(),
              ::testing::UnorderedElementsAre("u", "acme"));
}

TEST_F(CommandsTest, JsonAnswersAreTheMessage) {
  const CommandResult result =
      Run({"track", "--identity=a", "--event=e", "--request_id=r", "--json"});
  EXPECT_EQ(nlohmann::json::parse(result.out).at("idempotency_key"), "r");
}

TEST_F(CommandsTest, ValidateOnlyShowsTheBody) {
  EXPECT_EQ(Run({"track", "--identity=a", "--event=e", "--validate_only"}).out,
            "{\"events\":[]}\n");
}

TEST_F(CommandsTest, ErrorsListEveryViolation) {
  const auto refuse = [&] {
    server_.AddUnaryFault(RichStatus(
        grpc::StatusCode::INVALID_ARGUMENT, "INVALID_REQUEST", std::nullopt,
        {{"event.identity", "REQUIRED: must be set"},
         {"event.event", "TOO_LONG: at most 1,024 characters"}}));
  };
  refuse();
  const CommandResult text = Run({"track"});
  EXPECT_EQ(text.exit_code, 1);
  EXPECT_EQ(text.err,
            "heapsync: refused (INVALID_ARGUMENT, INVALID_REQUEST)\n"
            "  event.identity: REQUIRED: must be set\n"
            "  event.event: TOO_LONG: at most 1,024 characters\n");
  refuse();
  const auto json = nlohmann::json::parse(Run({"track", "--json"}).err);
  EXPECT_EQ(json.at("error").at("reason"), "INVALID_REQUEST");
  EXPECT_EQ(json.at("error").at("violations").size(), 2u);
}

TEST_F(CommandsTest, ErrorsCannotControlTheTerminal) {
  const auto refuse = [&] {
    server_.AddUnaryFault(RichStatus(grpc::StatusCode::INVALID_ARGUMENT,
                                     "INVALID_REQUEST", std::nullopt,
                                     {{"event.properties[\"\x1b[2J\"]",
                                       "TOO_LONG: \xC2\x9B"
                                       "31m"}}));
  };
  refuse();
  EXPECT_THAT(
      Run({"track"}).err,
      HasSubstr("  event.properties[\"\\x1b[2J\"]: TOO_LONG: \\u009b31m"));
  refuse();
  EXPECT_THAT(Run({"track", "--json"}).err, HasSubstr("\\u009b31m"));
}

TEST_F(CommandsTest, TheServerIsReachedDirectlyWhateverTheProxyVariablesSay) {
  ::setenv("http_proxy", "http://127.0.0.1:9", 1);
  EXPECT_EQ(Run({"health", "--timeout=5s"}).exit_code, 0);
  EXPECT_EQ(Run({"health", "--proxy", "--timeout=500ms"}).exit_code, 1);
  ::unsetenv("http_proxy");
}

TEST_F(CommandsTest, HealthIsTheExitCode) {
  EXPECT_EQ(Run({"health"}).exit_code, 0);
  EXPECT_EQ(Run({"health", "--service=none"}).exit_code, 1);
  server_.Stop();
  EXPECT_EQ(Run({"health", "--timeout=2s"}).exit_code, 1);
}

TEST_F(CommandsTest, TheServerCanComeFromTheEnvironment) {
  ::setenv("HEAPSYNC_SERVER", server_.address().c_str(), 1);
  const int exit_code = RunCommand({"health"}).exit_code;
  ::unsetenv("HEAPSYNC_SERVER");
  EXPECT_EQ(exit_code, 0);
}

TEST_F(CommandsTest, AMisspeltVariableIsAUsageErrorThatNamesTheRightOne) {
  ::setenv("HEAPSYNC_TLSCA", "ca.pem", 1);
  ::setenv("HEAPSYNC_TOKEN_FLIE", "token", 1);
  ::setenv("HEAPSYNC_PORT", "tcp://10.0.0.1:50051", 1);
  const CommandResult result = Run({"health"});
  ::unsetenv("HEAPSYNC_TLSCA");
  ::unsetenv("HEAPSYNC_TOKEN_FLIE");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err,
              HasSubstr("HEAPSYNC_TLSCA is not read; HEAPSYNC_TLS_CA is; "
                        "HEAPSYNC_TOKEN_FLIE is not read; "
                        "HEAPSYNC_TOKEN_FILE is"));
  EXPECT_EQ(Run({"health"}).exit_code, 0);
  ::unsetenv("HEAPSYNC_PORT");
}

TEST_F(CommandsTest, EveryVariableOfTheCommandIsKnownByItsName) {
  CLI::App program;
  CommandContext context{.out = std::cout, .err = std::cerr};
  DeclareCommands(program, context);
  std::set<std::string> variables;
  for (const CLI::App* command :
       program.get_subcommands([](CLI::App*) { return true; })) {
    for (const CLI::Option* option : command->get_options()) {
      if (!option->get_envname().empty()) {
        variables.insert(option->get_envname());
      }
    }
  }
  EXPECT_EQ(variables, std::set<std::string>(CommandVariables().begin(),
                                             CommandVariables().end()));
}

TEST_F(CommandsTest, WrongFlagsAreUsageErrors) {
  const std::vector<std::vector<std::string>> wrong = {
      {"track", "--timestamp=soon"},
      {"track", "--property=novalue"},
      {"track", "--property_json=[1]"},
      {"track", "--ack=maybe"},
      {"track", "--timeout=never"},
      {"track", "--unknown"},
      {"import", "-"},
      {"import", "--type=event", "-"},
      {"import", "--type=track", "--map=identity", "-"},
      {"import", "--type=track", "--set=event=a", "--set=event=b", "-"},
      {"import", "--type=track", "--typed", "--strings", "-"},
      {"import", "--type=track", "--delimiter=ab", "-"},
      {"nothing"}};
  for (const auto& arguments : wrong) {
    EXPECT_EQ(Run(arguments).exit_code, 2) << arguments.back();
  }
  EXPECT_EQ(RunCommand({}).exit_code, 2);
}

TEST_F(CommandsTest, HelpAndVersionAreNoErrors) {
  EXPECT_EQ(RunCommand({"--help"}).exit_code, 0);
  EXPECT_EQ(RunCommand({"import", "--help"}).exit_code, 0);
  EXPECT_THAT(RunCommand({"--version"}).out, HasSubstr("heapsync 0."));
}

TEST(TokenCommandTest, PrintsATokenAndItsHash) {
  const CommandResult result = RunCommand({"token"});
  EXPECT_EQ(result.exit_code, 0);
  const size_t token = result.out.find("hst_");
  ASSERT_NE(token, std::string::npos);
  EXPECT_THAT(result.out,
              HasSubstr("token_sha256: " +
                        ToHex(HashOf(result.out.substr(
                            token, result.out.find('\n') - token)))));
}

TEST(TokenFlagsTest, ATokenDoesNotGoToAnotherMachineInPlaintext) {
  const std::string path = ::testing::TempDir() + "heapsync_token";
  std::ofstream(path) << "hst_secret\n";
  const CommandResult result =
      RunCommand({"health", "--server=192.0.2.1:1", "--token_file=" + path});
  std::remove(path.c_str());
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("plaintext"));
  EXPECT_THAT(result.err, ::testing::Not(HasSubstr("hst_secret")));
}

TEST_F(CommandsTest, ATokenFileThatEverybodyCanReadIsWarnedOf) {
  using std::filesystem::perms;
  const std::string path = ::testing::TempDir() + "heapsync_shared_token";
  std::ofstream(path) << "hst_secret\n";
  std::filesystem::permissions(path, perms(0644));
  const CommandResult open = Run({"health", "--token_file=" + path});
  std::filesystem::permissions(path, perms(0640));
  const CommandResult closed = Run({"health", "--token_file=" + path});
  std::filesystem::remove(path);
  EXPECT_EQ(open.exit_code, 0) << open.err;
  EXPECT_THAT(open.err, HasSubstr("can read the token in " + path));
  EXPECT_EQ(closed.err, "");
}

TEST(TokenFlagsTest, AFileThatCannotBeReadIsNamed) {
  const CommandResult result = RunCommand({"health", "--tls_ca=/nowhere/ca"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("--tls_ca: cannot read /nowhere/ca"));
}

TEST_F(CommandsTest, AServerWithASchemeIsAWrongFlag) {
  const CommandResult result =
      RunCommand({"health", "--server=http://127.0.0.1:50051"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("without a scheme"), std::string::npos);
}

TEST_F(CommandsTest, AServerWithoutAUsablePortIsAWrongFlag) {
  for (const char* address : {"localhost", "localhost:", "localhost:99999",
                              "localhost:0", ":50051", "localhost:50051/"}) {
    const CommandResult result =
        RunCommand({"health", absl::StrCat("--server=", address)});
    EXPECT_EQ(result.exit_code, 2) << address;
    EXPECT_THAT(result.err, HasSubstr("from 1 to 65535")) << address;
  }
}

// As files of variables leave them behind.
TEST_F(CommandsTest, AServerWithASchemeABlankOrAQuoteIsAWrongFlag) {
  for (const char* address :
       {"grpc://localhost:50051", "tcp://localhost:50051", " localhost:50051",
        "localhost:50051 ", "\"localhost:50051\"", "localhost:50051\r"}) {
    EXPECT_EQ(
        RunCommand({"health", absl::StrCat("--server=", address)}).exit_code, 2)
        << address;
  }
}

TEST_F(CommandsTest, AnIpv6AddressWithoutBracketsIsAWrongFlag) {
  for (const char* address : {"::1:50051", "fd00::7:50051", "::1"}) {
    const CommandResult result =
        RunCommand({"health", absl::StrCat("--server=", address)});
    EXPECT_EQ(result.exit_code, 2) << address;
    EXPECT_THAT(result.err, HasSubstr("stands in brackets"));
  }
}

}  // namespace
}  // namespace heapsync
