#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/config/command_line.h"
#include "server/config/server_config.h"
#include "server/config/settings.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;
using Texts = std::map<std::string, std::string>;

constexpr char kFile[] = R"({"destinations": [
    {"name": "prod", "app_id": "1234567890", "region": "eu",
     "batch": {"max_items": 7}},
    {"name": "test", "app_id": "2345678901"}]})";

Surroundings With(Texts variables, Texts files = {}) {
  return {
      .variable = [variables = std::move(variables)](
                      const std::string& name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        if (found == variables.end()) return std::nullopt;
        return found->second;
      },
      .file = [files = std::move(files)](
                  const std::string& path) -> absl::StatusOr<std::string> {
        const auto found = files.find(path);
        if (found == files.end()) return absl::NotFoundError("cannot read it");
        return found->second;
      }};
}

ServerConfig Good(const FlagValues& flags,
                  const Surroundings& surroundings = With({})) {
  absl::StatusOr<ServerConfig> config = BuildServerConfig(flags, surroundings);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *std::move(config) : ServerConfig{};
}

std::vector<std::string> Faults(const FlagValues& flags,
                                const Surroundings& surroundings = With({})) {
  const absl::StatusOr<ServerConfig> config =
      BuildServerConfig(flags, surroundings);
  if (config.ok()) return {};
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  return absl::StrSplit(config.status().message(), '\n');
}

TEST(ServerConfig, NeedsNothingButAnAppId) {
  const ServerConfig config = Good({{"app_id", "1234567890"}});
  ASSERT_THAT(config.destinations.destinations, SizeIs(1));
  const Destination& only = config.destinations.destinations[0];
  EXPECT_EQ(only.name, "default");
  EXPECT_EQ(only.app_id.digits(), "1234567890");
  EXPECT_EQ(only.region, Region::kUs);
  EXPECT_EQ(only.batch.max_items, 1'000u);
  EXPECT_EQ(config.destinations.default_destination, "default");
  EXPECT_EQ(config.listen, "127.0.0.1:50051");
  EXPECT_EQ(config.http_listen, "localhost:9464");
  EXPECT_EQ(config.data_dir, "/var/lib/heapsync");
  EXPECT_EQ(config.heap_us_url, "https://heapanalytics.com");
  EXPECT_EQ(config.heap_eu_url, "https://c.eu.heap-api.com");
  EXPECT_EQ(config.max_age, std::chrono::hours(168));
  EXPECT_EQ(config.max_retry_after, std::chrono::hours(1));
  EXPECT_EQ(config.drain_timeout, std::chrono::seconds(10));
  EXPECT_EQ(config.port.max_message_bytes, 4u << 20);
  EXPECT_EQ(config.min_free_disk_bytes, 256u << 20);
  EXPECT_EQ(config.log_level, LogLevel::kInfo);
  EXPECT_EQ(config.metrics_destinations, 100u);
  EXPECT_FALSE(config.send_traceparent);
}

TEST(ServerConfig, TakesEverySettingFromFlags) {
  const ServerConfig config = Good({{"app_id", "1"},
                                    {"region", "eu"},
                                    {"listen", "[::]:1"},
                                    {"allow_plaintext", "true"},
                                    {"http_listen", "localhost:0"},
                                    {"data_dir", "data"},
                                    {"heap_us_url", "http://localhost:8080/"},
                                    {"heap_eu_url", "http://fake-heap:8080"},
                                    {"allow_plaintext_heap", "true"},
                                    {"max_batch_items", "10"},
                                    {"max_batch_bytes", "2048"},
                                    {"max_batch_wait", "2s"},
                                    {"max_age", "1h"},
                                    {"max_retry_after", "2m"},
                                    {"drain_timeout", "1m"},
                                    {"max_message_bytes", "8388608"},
                                    {"min_free_disk_bytes", "1048576"},
                                    {"log_level", "debug"},
                                    {"metrics_destinations", "7"},
                                    {"send_traceparent", "true"},
                                    {"max_queued_mib", "5"}});
  ASSERT_THAT(config.destinations.destinations, SizeIs(1));
  const Destination& only = config.destinations.destinations[0];
  EXPECT_EQ(only.region, Region::kEu);
  EXPECT_EQ(only.batch.max_items, 10u);
  EXPECT_EQ(only.batch.max_bytes, 2048u);
  EXPECT_EQ(only.batch.max_wait, std::chrono::seconds(2));
  EXPECT_EQ(only.max_queued_mib, 5u);
  EXPECT_EQ(config.listen, "[::]:1");
  EXPECT_EQ(config.http_listen, "localhost:0");
  EXPECT_EQ(config.data_dir, "data");
  EXPECT_EQ(config.heap_us_url, "http://localhost:8080");
  EXPECT_EQ(config.heap_eu_url, "http://fake-heap:8080");
  EXPECT_EQ(config.max_age, std::chrono::hours(1));
  EXPECT_EQ(config.max_retry_after, std::chrono::minutes(2));
  EXPECT_EQ(config.drain_timeout, std::chrono::minutes(1));
  EXPECT_EQ(config.port.max_message_bytes, 8u << 20);
  EXPECT_EQ(config.min_free_disk_bytes, 1u << 20);
  EXPECT_EQ(config.log_level, LogLevel::kDebug);
  EXPECT_EQ(config.metrics_destinations, 7u);
  EXPECT_TRUE(config.send_traceparent);
}

TEST(ServerConfig, TakesEverySettingFromTheEnvironment) {
  for (const Setting& setting : Settings()) {
    // Only a folder can be called this.
    const std::string name = EnvironmentVariable(setting.name);
    const auto faults = Faults({}, With({{name, "?"}}));
    const std::string text = absl::StrJoin(faults, "\n");
    if (setting.name == "data_dir") {
      EXPECT_THAT(text, Not(HasSubstr(name + ": ")));
    } else {
      EXPECT_THAT(text, HasSubstr(name + ": "));
    }
  }
}

TEST(ServerConfig, PrefersFlagsToTheEnvironmentAndThatToTheFile) {
  const Texts variables = {{"HEAPSYNC_CONFIG", "a.json"},
                           {"HEAPSYNC_MAX_BATCH_ITEMS", "8"},
                           {"HEAPSYNC_MAX_AGE", "2h"}};
  const Surroundings surroundings = With(variables, {{"a.json", kFile}});
  const ServerConfig from_environment = Good({}, surroundings);
  ASSERT_THAT(from_environment.destinations.destinations, SizeIs(2));
  EXPECT_EQ(from_environment.destinations.destinations[0].batch.max_items, 8u);
  EXPECT_EQ(from_environment.destinations.destinations[1].batch.max_items, 8u);
  EXPECT_EQ(from_environment.max_age, std::chrono::hours(2));

  const ServerConfig from_flags =
      Good({{"max_batch_items", "9"}, {"max_age", "3h"}}, surroundings);
  EXPECT_EQ(from_flags.destinations.destinations[0].batch.max_items, 9u);
  EXPECT_EQ(from_flags.max_age, std::chrono::hours(3));
}

TEST(ServerConfig, KeepsTheBatchesOfTheFileWhereNothingElseIsSaid) {
  const ServerConfig config =
      Good({{"config", "a.json"}}, With({}, {{"a.json", kFile}}));
  ASSERT_THAT(config.destinations.destinations, SizeIs(2));
  EXPECT_EQ(config.destinations.destinations[0].batch.max_items, 7u);
  EXPECT_EQ(config.destinations.destinations[1].batch.max_items, 1'000u);
  EXPECT_EQ(config.destinations.default_destination, "");
}

TEST(ServerConfig, TakesAnEmptyVariableAsNotSetAndCutsWhiteSpace) {
  const ServerConfig config = Good({}, With({{"HEAPSYNC_APP_ID", "42\n"},
                                             {"HEAPSYNC_CONFIG", ""},
                                             {"HEAPSYNC_REGION", " eu "}}));
  ASSERT_THAT(config.destinations.destinations, SizeIs(1));
  EXPECT_EQ(config.destinations.destinations[0].app_id.digits(), "42");
  EXPECT_EQ(config.destinations.destinations[0].region, Region::kEu);
}

TEST(ServerConfig, LooksAtNoOtherVariable) {
  Good({{"app_id", "1"}}, With({{"HEAPSYNC_PORT", "tcp://10.0.0.1:50051"},
                                {"HEAPSYNC_SERVICE_HOST", "10.0.0.1"}}));
}

TEST(ServerConfig, NeedsADestination) {
  EXPECT_THAT(Faults({}), ElementsAre(StartsWith("no destination: give ")));
}

TEST(ServerConfig, RefusesAnAppIdBesideAFile) {
  EXPECT_THAT(
      Faults({{"config", "a.json"}, {"region", "us"}},
             With({{"HEAPSYNC_APP_ID", "1"}}, {{"a.json", kFile}})),
      ElementsAre("HEAPSYNC_APP_ID: must not stand beside --config: the "
                  "destination belongs into the file",
                  "--region: must not stand beside --config: each destination "
                  "in the file has its region"));
}

TEST(ServerConfig, ListsAllFaultsAtOnce) {
  const Surroundings surroundings =
      With({{"HEAPSYNC_LISTEN", "50051"},
            {"HEAPSYNC_CONFIG", "a.json"},
            {"HEAPSYNC_LOG_LEVEL", "loud"}},
           {{"a.json", R"({"destinations": [{"name": "a"}], "x": 1})"}});
  EXPECT_THAT(
      Faults({{"http_listen", "localhost:65536"},
              {"data_dir", ""},
              {"heap_us_url", "http://heapanalytics.com"},
              {"heap_eu_url", "eu"},
              {"allow_plaintext_heap", "maybe"},
              {"max_batch_items", "1001"},
              {"max_batch_bytes", "1MiB"},
              {"max_batch_wait", "2h"},
              {"max_age", "0s"},
              {"drain_timeout", "-1s"},
              {"max_message_bytes", "-1"},
              {"metrics_destinations", "10001"},
              {"send_traceparent", "perhaps"}},
             surroundings),
      ElementsAre(
          "a.json: destinations[0].app_id: is missing",
          "a.json: x: unknown key; known: destinations, default_destination",
          "--max_batch_items: must be a whole number from 1 to 1000",
          "--max_batch_bytes: must be a whole number from 1024 to 16777216",
          "--max_batch_wait: must be a duration such as 500ms, 2s, 1m or 24h, "
          "from 0s to 1h",
          "--allow_plaintext_heap: must be true or false",
          StartsWith("--heap_us_url: must be https"),
          StartsWith("--heap_eu_url: must start with https://"),
          StartsWith("--max_age: must be a duration"),
          StartsWith("--drain_timeout: must be a duration"),
          "--send_traceparent: must be true or false",
          "--data_dir: must name a folder",
          "HEAPSYNC_LISTEN: must be host:port, such as 127.0.0.1:50051 or "
          "[::]:50051",
          "--http_listen: must be host:port, such as 127.0.0.1:50051 or "
          "[::]:50051",
          "--max_message_bytes: must be a whole number from 1024 to 536870912",
          "HEAPSYNC_LOG_LEVEL: must be debug, info, warning or error",
          "--metrics_destinations: must be a whole number from 0 to 10000"));
}

TEST(ServerConfig, IsPlaintextOnlyOnThisMachineUnlessThatIsAskedFor) {
  const auto faults = [](const char* address) {
    return Faults({{"app_id", "1"}, {"listen", address}});
  };
  for (const char* address :
       {"127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1"}) {
    EXPECT_THAT(faults(address), SizeIs(0)) << address;
  }
  for (const char* address :
       {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "heapsync:1", "127.1:1"}) {
    EXPECT_THAT(faults(address),
                ElementsAre(HasSubstr("or --allow_plaintext where")))
        << address;
  }
}

TEST(ServerConfig, ReadsCallersAndTellsTheFaultsOfTheirFile) {
  const Texts files = {
      {"good.json", R"({"callers": [{"name": "a", "certificates": ["a"]}]})"},
      {"bad.json",
       R"({"callers": [{"name": "A", "certificates": []}], "x": 1})"}};
  const ServerConfig config =
      Good({{"app_id", "1"}, {"auth", "good.json"}}, With({}, files));
  ASSERT_TRUE(config.access.has_value());
  EXPECT_NE(config.access->FindByCertificate("a"), nullptr);
  EXPECT_THAT(config.files,
              ElementsAre(Field(&WatchedFile::path, "good.json")));
  EXPECT_THAT(Faults({{"app_id", "1"}, {"auth", "bad.json"}}, With({}, files)),
              ElementsAre(StartsWith("bad.json: callers[0].name: must be"),
                          StartsWith("bad.json: callers[0]: needs "),
                          StartsWith("bad.json: x: unknown key")));
}

TEST(ServerConfig, AFaultInOneFileLeavesTheOtherPartsGood) {
  Texts files = {{"bad.json", "{"},
                 {"heap.json", kFile},
                 {"callers.json",
                  R"({"callers": [{"name": "a", "certificates": ["a"]}]})"}};
  const ConfigReading destinations = ReadServerConfig(
      {{"config", "bad.json"}, {"auth", "callers.json"}}, With({}, files));
  EXPECT_FALSE(destinations.IsGood(ConfigPart::kDestinations));
  EXPECT_TRUE(destinations.IsGood(ConfigPart::kCallers));
  EXPECT_TRUE(destinations.IsGood(ConfigPart::kCertificates));
  EXPECT_TRUE(destinations.IsGood(ConfigPart::kOther));
  EXPECT_NE(destinations.config.access->FindByCertificate("a"), nullptr);

  const ConfigReading callers = ReadServerConfig(
      {{"config", "heap.json"}, {"auth", "bad.json"}}, With({}, files));
  EXPECT_FALSE(callers.IsGood(ConfigPart::kCallers));
  EXPECT_TRUE(callers.IsGood(ConfigPart::kDestinations));
  EXPECT_THAT(callers.config.destinations.destinations, SizeIs(2));

  const ConfigReading certificates =
      ReadServerConfig({{"config", "heap.json"},
                        {"auth", "callers.json"},
                        {"tls_cert", "bad.json"},
                        {"tls_key", "gone.json"}},
                       With({}, files));
  EXPECT_FALSE(certificates.IsGood(ConfigPart::kCertificates));
  EXPECT_TRUE(certificates.IsGood(ConfigPart::kDestinations));
  EXPECT_TRUE(certificates.IsGood(ConfigPart::kCallers));
}

TEST(ServerConfig, TheStampOfAFileIsFromBeforeItWasRead) {
  Surroundings surroundings = With({});
  int64_t time = 1;
  surroundings.file = [&](const std::string&) -> absl::StatusOr<std::string> {
    time = 2;
    return kFile;
  };
  surroundings.stamp = [&](const std::string&) {
    return FileStamp{.modified_ns = time};
  };
  const ServerConfig config = Good({{"config", "heap.json"}}, surroundings);
  ASSERT_THAT(config.files, SizeIs(1));
  EXPECT_EQ(config.files[0].stamp.modified_ns, 1);
}

TEST(ServerConfig, ReadsTheWayToHeap) {
  const ServerConfig direct = Good({{"app_id", "1"}});
  EXPECT_EQ(direct.heap_way.proxy, "");
  EXPECT_EQ(direct.heap_way.extra_roots, "");

  const ServerConfig config =
      Good({{"app_id", "1"},
            {"heap_proxy", "http://proxy:3128"},
            {"heap_proxy_credentials_file", "credentials"}},
           With({}, {{"credentials", "user:pass:word\n"}}));
  EXPECT_EQ(config.heap_way.proxy, "http://proxy:3128");
  EXPECT_EQ(config.heap_way.proxy_user, "user");
  EXPECT_EQ(config.heap_way.proxy_password, "pass:word");
}

TEST(ServerConfig, NamesTheFaultsOfTheWayToHeapWithoutItsSecrets) {
  EXPECT_THAT(
      Faults({{"app_id", "1"},
              {"heap_proxy", "http://user:secret@proxy:3128"},
              {"heap_proxy_credentials_file", "credentials"},
              {"heap_ca", "junk"}},
             With({}, {{"credentials", "user secret\n"}, {"junk", "junk"}})),
      ElementsAre(StartsWith("--heap_proxy: must not contain credentials"),
                  "credentials: must hold one line, user:password",
                  "junk: must hold a certificate in PEM"));
  for (const char* bad : {"", "user", ":secret", "user:a\nuser:b"}) {
    EXPECT_THAT(Faults({{"app_id", "1"},
                        {"heap_proxy", "http://proxy:3128"},
                        {"heap_proxy_credentials_file", "credentials"}},
                       With({}, {{"credentials", bad}})),
                ElementsAre("credentials: must hold one line, user:password"))
        << bad;
  }
  EXPECT_THAT(Faults({{"app_id", "1"}, {"heap_proxy_credentials_file", "c"}},
                     With({}, {{"c", "a:b"}})),
              ElementsAre("--heap_proxy_credentials_file: means nothing "
                          "without --heap_proxy"));
}

TEST(ServerConfig, NeedsCertificateAndKeyTogether) {
  const Surroundings surroundings = With({}, {{"empty", ""}, {"junk", "junk"}});
  EXPECT_THAT(
      Faults({{"app_id", "1"}, {"tls_cert", "junk"}}, surroundings),
      ElementsAre("--tls_cert: needs --tls_key (HEAPSYNC_TLS_KEY), too"));
  EXPECT_THAT(Faults({{"app_id", "1"},
                      {"tls_client_ca", "junk"},
                      {"tls_client_certificates", "maybe"}},
                     surroundings),
              ElementsAre("--tls_client_ca: means nothing without --tls_cert "
                          "and --tls_key",
                          "--tls_client_certificates: must be required or "
                          "optional"));
  EXPECT_THAT(Faults({{"app_id", "1"},
                      {"tls_cert", "junk"},
                      {"tls_key", "junk"},
                      {"tls_client_ca", "junk"}},
                     surroundings),
              ElementsAre("junk: must hold a certificate in PEM",
                          "junk: must hold a private key in PEM, without a "
                          "password",
                          "junk: must hold a certificate in PEM"));
  EXPECT_THAT(
      Faults({{"app_id", "1"}, {"tls_cert", "empty"}, {"tls_key", "missing"}},
             surroundings),
      ElementsAre("empty: is empty", "--tls_key: cannot read it"));
}

TEST(ServerConfig, NamesAFileThatItCannotRead) {
  EXPECT_THAT(Faults({{"config", "a.json"}}),
              ElementsAre("--config: cannot read it"));
}

TEST(ServerConfig, ShowsNoAppIdInAFault) {
  const auto faults =
      Faults({{"app_id", "98765x"}}, With({{"HEAPSYNC_REGION", "98765"}}));
  EXPECT_THAT(faults, SizeIs(2));
  for (const std::string& fault : faults) {
    EXPECT_THAT(fault, Not(HasSubstr("98765")));
  }
}

TEST(ServerConfig, RefusesListenAddressesThatAreNotHostAndPort) {
  for (const char* address :
       {":1", "localhost", "localhost:", "localhost:-1", "localhost:x", "::1:1",
        "[::1:1", "http://localhost:1", "a b:1", "localhost:1/"}) {
    EXPECT_THAT(Faults({{"app_id", "1"}, {"listen", address}}), SizeIs(1))
        << address;
  }
}

absl::StatusOr<ServerConfig> Load(std::vector<std::string> arguments,
                                  const Surroundings& surroundings = With({})) {
  arguments.insert(arguments.begin(), "heapsync-server");
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) {
    argv.push_back(argument.c_str());
  }
  return LoadServerConfig(static_cast<int>(argv.size()), argv.data(),
                          surroundings);
}

TEST(ServerConfig, TakesSeveralDatabasesInTheirOrder) {
  const std::string first = "postgresql://user@a,b/spool";
  const std::string second = "postgresql://user@c/spool?service=x";
  const ServerConfig config =
      Good({{"app_id", "1"}, {"spool", first + "  " + second}});
  EXPECT_THAT(config.spool, ElementsAre(first, second));
  for (const std::string& spool : {std::string(" "), first + " mysql://c",
                                   first + " " + second + " " + first}) {
    EXPECT_THAT(Faults({{"app_id", "1"}, {"spool", spool}}),
                ElementsAre(StartsWith("--spool: ")));
  }
}

TEST(ServerFlags, ReachTheConfiguration) {
  const absl::StatusOr<ServerConfig> config =
      Load({"--app_id=42", "--listen", "0.0.0.0:1", "--allow_plaintext",
            "--max_age=1h"});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->destinations.destinations.at(0).app_id.digits(), "42");
  EXPECT_EQ(config->listen, "0.0.0.0:1");
  EXPECT_EQ(config->max_age, std::chrono::hours(1));
}

TEST(ServerFlags, ListTheirFaultsInsteadOfEndingTheProcess) {
  const absl::StatusOr<ServerConfig> config =
      Load({"--app_id=x", "--max_age=long", "stray"});
  const std::vector<std::string> faults =
      absl::StrSplit(config.status().message(), '\n');
  EXPECT_THAT(faults,
              ElementsAre(StartsWith("command line: "),
                          StartsWith("--app_id: "), StartsWith("--max_age: ")));
}

TEST(ServerFlags, ThatDoNotExistAreNamedWithoutTheirValue) {
  const absl::StatusOr<ServerConfig> config =
      Load({"--ap_id=1234567890", "--app_id=x"});
  EXPECT_THAT(
      std::vector<std::string>(absl::StrSplit(config.status().message(), '\n')),
      ElementsAre("command line: there is no flag --ap_id; --help lists all",
                  StartsWith("--app_id: ")));
}

TEST(ServerFlags, MisspeltVariablesAreFaultsAndAllAreNamed) {
  Surroundings surroundings = With({});
  surroundings.environment = {{"HEAPSYNC_REGOIN", "eu"},
                              {"HEAPSYNC_MAX_BACH_ITEMS", "7"},
                              {"HEAP_SYNC_DATA_DIR", "/data"},
                              {"heapsync_listen", "0.0.0.0:1"},
                              {"HEAPSYNC_APP_ID_FILE", "/run/secrets/app_id"}};
  EXPECT_THAT(
      std::vector<std::string>(absl::StrSplit(
          Load({"--app_id=1"}, surroundings).status().message(), '\n')),
      ElementsAre(
          "HEAPSYNC_APP_ID_FILE is not read; HEAPSYNC_APP_ID is",
          "HEAPSYNC_MAX_BACH_ITEMS is not read; HEAPSYNC_MAX_BATCH_ITEMS is",
          "HEAPSYNC_REGOIN is not read; HEAPSYNC_REGION is",
          "HEAP_SYNC_DATA_DIR is not read; HEAPSYNC_DATA_DIR is",
          "heapsync_listen is not read; HEAPSYNC_LISTEN is"));
}

TEST(ServerFlags, VariablesOfOthersAreNoFaults) {
  Surroundings surroundings = With({});
  surroundings.environment = {{"HEAPSYNC_APP_ID", "1"},
                              {"HEAPSYNC_REGOIN", " "},
                              {"HEAPSYNC_PATH", "/opt"},
                              {"HEAPSYNC_PORT", "50051"},
                              {"HEAPSYNC_SERVER", "127.0.0.1:50051"},
                              {"HEAPSYNC_TLS_CA", "ca.pem"},
                              {"REGOIN", "eu"}};
  EXPECT_TRUE(Load({"--app_id=1"}, surroundings).ok());
  EXPECT_THAT(StrayVariablesOf(surroundings.environment).unknown,
              ElementsAre("HEAPSYNC_PATH", "HEAPSYNC_PORT"));
}

// For a service of the name of the prefix, Kubernetes sets such variables in
// every container beside it, and links of containers do so, too.
TEST(ServerFlags, VariablesThatAreMadeForServicesAreLeftAlone) {
  Surroundings surroundings = With({});
  for (const std::string service :
       {"HEAPSYNC", "HEAP_SYNC", "HEAPSYNC_SERVER", "HEAPSYNC_CONFIG"}) {
    for (const auto& [suffix, value] :
         Texts{{"SERVICE_HOST", "10.0.0.1"},
               {"SERVICE_PORT", "50051"},
               {"SERVICE_PORT_GRPC", "50051"},
               {"PORT", "tcp://10.0.0.1:50051"},
               {"PORT_50051_TCP", "tcp://10.0.0.1:50051"},
               {"PORT_50051_TCP_PROTO", "tcp"},
               {"PORT_50051_TCP_PORT", "50051"},
               {"PORT_50051_TCP_ADDR", "10.0.0.1"},
               {"NAME", "/web/heapsync"},
               {"ENV_PATH", "/bin"}}) {
      surroundings.environment[service + "_" + suffix] = value;
    }
  }
  EXPECT_TRUE(Load({"--app_id=1"}, surroundings).ok());
  EXPECT_THAT(StrayVariablesOf(surroundings.environment).unknown,
              ElementsAre());
  for (const Setting& setting : Settings()) {
    for (const char* suffix : {"_PORT", "_SERVICE_HOST", "_NAME"}) {
      EXPECT_FALSE(absl::EndsWith(EnvironmentVariable(setting.name), suffix));
    }
  }
}

TEST(ServerFlags, NoVariableOfTheServerIsTakenForOneOfTheCommand) {
  Environment environment;
  for (const Setting& setting : Settings()) {
    environment[EnvironmentVariable(setting.name)] = "1";
  }
  EXPECT_THAT(FindStrayVariables(environment, CommandVariables(), {}).misspelt,
              SizeIs(0));
}

TEST(ServerFlags, GivenTwiceCountAsGivenLast) {
  const absl::StatusOr<ServerConfig> config =
      Load({"--app_id=1", "--max_age=1h", "--max_age=2h"});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->max_age, std::chrono::hours(2));
}

TEST(ServerFlags, AllowPlaintextWithAndWithoutAValue) {
  const std::vector<std::string> url = {"--app_id=1",
                                        "--heap_us_url=http://fake-heap:80"};
  const auto load = [&](const char* flag, const char* variable) {
    std::vector<std::string> arguments = url;
    if (*flag != '\0') arguments.push_back(flag);
    return Load(arguments, With({{"HEAPSYNC_ALLOW_PLAINTEXT_HEAP", variable}}))
        .ok();
  };
  EXPECT_FALSE(load("", ""));
  EXPECT_FALSE(load("", "false"));
  EXPECT_TRUE(load("", "true"));
  EXPECT_TRUE(load("--allow_plaintext_heap", ""));
  EXPECT_TRUE(load("--allow_plaintext_heap=true", "false"));
  EXPECT_FALSE(load("--allow_plaintext_heap=false", "true"));
}

TEST(ServerFlags, ReadRealFilesAndVariables) {
  const std::string path = ::testing::TempDir() + "heapsync_server_flags.json";
  std::ofstream(path) << kFile;
  const Surroundings real = ProcessSurroundings();
  EXPECT_EQ(real.file(path).value(), kFile);
  std::remove(path.c_str());
  EXPECT_THAT(std::string(real.file(path).status().message()),
              HasSubstr("No such file or directory"));
  EXPECT_THAT(std::string(real.file("/").status().message()),
              HasSubstr("Is a directory"));
  EXPECT_EQ(real.variable("HEAPSYNC_NEVER_SET"), std::nullopt);
  EXPECT_NE(real.variable("PATH"), std::nullopt);
}

}  // namespace
}  // namespace heapsync
