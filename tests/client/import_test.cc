#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/import_job.h"
#include "nlohmann/json.hpp"
#include "tests/client/command_runner.h"
#include "tests/client/fake_heapsync.h"
#include "tests/client/temporary_folder.h"

namespace heapsync {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ImportTest : public ::testing::Test {
 protected:
  CommandResult Import(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "import");
    arguments.push_back("--server=" + server_.address());
    return RunCommand(arguments);
  }

  std::vector<nlohmann::json> Rejects() const {
    std::vector<nlohmann::json> rows;
    const std::string text = TemporaryFolder::Read(folder_.File("rejects"));
    for (absl::string_view line :
         absl::StrSplit(text, '\n', absl::SkipEmpty())) {
      rows.push_back(nlohmann::json::parse(line));
    }
    return rows;
  }

  // Rows u0, u1, … of which every tenth has a bad time and every tenth is
  // refused by the server.
  std::string WriteRows(int count) {
    server_.Reject(
        [](const std::string& name) { return absl::EndsWith(name, "7"); });
    std::string text = "identity,event,timestamp\n";
    for (int i = 0; i < count; ++i) {
      absl::StrAppend(&text, "u", i, ",e,", i % 10 == 3 ? "soon" : "", "\n");
    }
    return folder_.Write("rows.csv", text);
  }

  // Each good row of WriteRows() exactly once, each bad one refused once, in
  // order.
  void ExpectRowsOnce(int count) {
    std::vector<std::string> stored, refused;
    for (int i = 0; i < count; ++i) {
      (i % 10 == 3 || i % 10 == 7 ? refused : stored)
          .push_back(absl::StrCat("u", i));
    }
    EXPECT_EQ(server_.StoredNames(), stored);
    std::vector<std::string> raw;
    for (const auto& row : Rejects()) {
      const std::string text = row.at("raw");
      raw.push_back(text.substr(0, text.find(',')));
      EXPECT_EQ(raw.back(), absl::StrCat("u", row.at("row").get<int>() - 1));
    }
    EXPECT_EQ(raw, refused);
  }

  FakeHeapSync server_;
  TemporaryFolder folder_;
};

TEST_F(ImportTest, SendsEveryRowOfACsvFile) {
  const CommandResult result =
      Import({"--type=track", folder_.Write("a.csv",
                                            "identity,event,amount\n"
                                            "a,Buy,49.99\n"
                                            "b,Sell,\n")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "2 rows: 2 accepted, 0 rejected\n");
  EXPECT_THAT(server_.StoredNames(), ElementsAre("a", "b"));
  EXPECT_EQ(
      server_.events()[0].properties().fields().at("amount").number_value(),
      49.99);
  EXPECT_EQ(server_.events()[1].properties().fields_size(), 0);
}

TEST_F(ImportTest, MapsColumns) {
  const CommandResult result = Import(
      {"--type=track", "--map=identity=mail,timestamp=at", "--set=event=In, x",
       "--properties=plan", "--strings",
       folder_.Write("a.csv", "mail,at,plan,other\na,1705314600,7,8\n")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const v1::TrackEvent event = server_.events().at(0);
  EXPECT_EQ(event.event(), "In, x");
  EXPECT_EQ(event.timestamp().seconds(), 1705314600);
  EXPECT_EQ(event.properties().fields_size(), 1);
  EXPECT_EQ(event.properties().fields().at("plan").string_value(), "7");
}

TEST_F(ImportTest, ADryRunStoresNothingAndSaysWhatWouldBe) {
  const std::string file = WriteRows(20);
  const CommandResult result =
      Import({"--type=track", "--dry_run",
              "--rejects=" + folder_.File("rejects"), file});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_THAT(result.out, HasSubstr("identity  identity  18 text  *#\n"));
  EXPECT_THAT(result.out, HasSubstr("16 would be accepted, 4 rejected"));
  EXPECT_THAT(result.out, HasSubstr("INVALID_TIMESTAMP: 2 rows, first row 4"));
  EXPECT_THAT(result.out, HasSubstr("VALUE_TOO_LONG: 2 rows, first row 8"));
  EXPECT_THAT(result.out, Not(HasSubstr("u0")));
  EXPECT_TRUE(server_.StoredNames().empty());
  EXPECT_FALSE(std::filesystem::exists(folder_.File("rejects")));
  EXPECT_FALSE(std::filesystem::exists(file + ".heapsync-state"));
}

TEST_F(ImportTest, ADryRunCountsOneAsOne) {
  const CommandResult result =
      Import({"--type=user", "--dry_run",
              folder_.Write("one.csv", "identity,plan\na,free\n")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              HasSubstr("\n1 row: 1 would be accepted, 0 rejected\n1 user\n"));
  EXPECT_THAT(result.out, HasSubstr("the busiest user has 1 row\n"));
}

TEST_F(ImportTest, ADryRunWithoutAServerChecksWhatTheClientCan) {
  server_.Stop();
  const CommandResult result =
      Import({"--type=track", "--dry_run", "--limit=10", WriteRows(20)});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_THAT(result.err, HasSubstr("the server cannot be reached"));
  EXPECT_THAT(result.out, HasSubstr("9 would be accepted, 1 rejected"));
  server_.Start();
}

TEST_F(ImportTest, AnImportHasOneInput) {
  const std::string query = "--query=SELECT 1";
  EXPECT_THAT(Import({"--type=track"}).err, HasSubstr("file: is required"));
  EXPECT_THAT(Import({"--type=track", query, "a.csv"}).err,
              HasSubstr("--query: needs --odbc"));
  EXPECT_THAT(Import({"--type=track", query, "--odbc=DSN=a", "a.csv"}).err,
              HasSubstr("--odbc: excludes a file"));
  EXPECT_THAT(Import({"--type=track", query, "--odbc=DSN=a", "--resume"}).err,
              HasSubstr("--resume: needs --cursor"));
}

TEST_F(ImportTest, ASecretIsNoArgument) {
  for (const char* source :
       {"DSN=a;PWD=hunter2", "DSN=a;pqopt={password=hunter2}"}) {
    const CommandResult result = Import(
        {"--type=track", "--query=SELECT 1", absl::StrCat("--odbc=", source)});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, HasSubstr("would be seen by all users"));
    EXPECT_THAT(result.err, Not(HasSubstr("hunter2")));
  }
}

TEST_F(ImportTest, NamesRowsThatUseAKeyForOtherContent) {
  const std::string file = folder_.Write("a.csv",
                                         "identity,event,idempotency_key,n,m\n"
                                         "a,Buy,order-0001,1,2\n"
                                         ",Buy,order-0002,1,2\n"
                                         "b,Buy,order-0001,1,2\n"
                                         "a,Buy,order-0001,1,2\n"
                                         "a,Buy,order-0001,1,3\n"
                                         "a,Buy,,1,2\n"
                                         "b,Buy,,1,2\n"
                                         "c,Buy,order-0003,1,2\n");
  const CommandResult result = Import({"--type=track", file});
  EXPECT_THAT(
      result.out,
      HasSubstr("warning: IDEMPOTENCY_KEY_REUSED: 2 rows have an "
                "idempotency_key that was first used with other content, and "
                "Heap keeps only the first event of a key: rows 3, 5\n"));
  const CommandResult json = Import({"--type=track", "--json", file});
  EXPECT_EQ(nlohmann::json::parse(json.out).at("reused_keys"),
            nlohmann::json::parse(R"({"rows":2,"first_rows":[3,5]})"));
}

TEST_F(ImportTest, CountsWarningsAndNamesTheFirstRow) {
  server_.Warn([](const std::string& name) { return name[0] == 'w'; },
               /*listed=*/2);
  std::string rows = "identity,event,timestamp\nx,e,soon\nx,e,\n";
  for (int i = 0; i < 300; ++i) absl::StrAppend(&rows, "w,e,\n");
  const std::string file = folder_.Write("a.csv", rows);
  constexpr char kLine[] =
      "warning: TIMESTAMP_IMPLAUSIBLE: 300 times, first in row 3 "
      "(timestamp)\n";
  EXPECT_THAT(Import({"--type=track", file}).out, HasSubstr(kLine));
  EXPECT_THAT(Import({"--type=track", "--dry_run", file}).out,
              HasSubstr(kLine));
  const CommandResult json = Import({"--type=track", "--json", file});
  EXPECT_EQ(nlohmann::json::parse(json.out).at("warnings"),
            nlohmann::json::parse(R"({"TIMESTAMP_IMPLAUSIBLE":{"count":300,
              "is_at_least":false,"first_row":3,
              "first_field":"timestamp"}})"));
}

TEST_F(ImportTest, AResumedImportClaimsNoMoreThanTheWarningsThatItSaw) {
  server_.Warn([](const std::string&) { return true; });
  const std::string file = folder_.Write(
      "a.csv", "identity,event,note\na,e,x\nb,e,\"x\\\"\nc,e,x\n");
  const CommandResult first = Import({"--type=track", file});
  EXPECT_EQ(first.exit_code, 1);
  EXPECT_THAT(first.out, HasSubstr("TIMESTAMP_IMPLAUSIBLE: 1 time, first in "
                                   "row 1 (timestamp)\n"));
  const CommandResult second =
      Import({"--type=track", "--escape=double", "--resume", file});
  EXPECT_EQ(second.exit_code, 0) << second.err;
  EXPECT_THAT(second.out,
              HasSubstr("TIMESTAMP_IMPLAUSIBLE: at least 2 times, such as in "
                        "row 2 (timestamp)\n"));
}

class RepeatedImportTest : public ImportTest {
 protected:
  // The keys with which an import of these rows sends them, in any order.
  std::multiset<std::string> KeysOf(const std::vector<std::string>& rows,
                                    const std::string& request_id,
                                    std::vector<std::string> arguments = {}) {
    server_.ForgetStored();
    const size_t before = server_.events().size();
    arguments.insert(
        arguments.end(),
        {"--type=track",
         folder_.Write("a.csv",
                       absl::StrCat("identity,event,timestamp\n",
                                    absl::StrJoin(rows, "\n"), "\n"))});
    if (!request_id.empty()) {
      arguments.push_back("--request_id=" + request_id);
    }
    last_ = Import(arguments);
    std::multiset<std::string> keys;
    const std::vector<v1::TrackEvent> events = server_.events();
    for (size_t i = before; i < events.size(); ++i) {
      keys.insert(events[i].idempotency_key());
    }
    return keys;
  }

  CommandResult last_;
  const std::vector<std::string> rows_ = {
      "ada@example.com,Signed Up,2024-01-15", "bob@example.com,Buy,2024-01-15",
      "ada@example.com,Signed Up,2024-01-15", "ada@example.com,Buy,2024-01-15"};
};

TEST_F(RepeatedImportTest, RowsInAnotherOrderHaveTheSameKeys) {
  const auto keys = KeysOf(rows_, "nightly");
  EXPECT_EQ(std::set(keys.begin(), keys.end()).size(), 4u);
  EXPECT_FALSE(keys.contains(""));
  std::vector<std::string> other_order(rows_.rbegin(), rows_.rend());
  EXPECT_EQ(KeysOf(other_order, "nightly"), keys);
  EXPECT_NE(KeysOf(rows_, "weekly"), keys);
  // One more of the same is one more event.
  other_order.push_back(rows_[0]);
  const auto more = KeysOf(other_order, "nightly");
  EXPECT_EQ(more.size(), 5u);
  EXPECT_TRUE(
      std::includes(more.begin(), more.end(), keys.begin(), keys.end()));
}

TEST_F(RepeatedImportTest, RowsWithoutATimeAreLeftToTheServer) {
  EXPECT_THAT(KeysOf({"ada@example.com,Buy,"}, "nightly"), ElementsAre(""));
  EXPECT_THAT(KeysOf(rows_, ""), Each(""));
}

TEST_F(RepeatedImportTest, AResumedImportGoesOnCounting) {
  const std::vector<std::string> rows(3'000, rows_[0]);
  server_.AddStreamFault({.refuse = {}, .break_after_messages = 2});
  server_.AddStreamFault(
      {.refuse = grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "no")});
  std::multiset<std::string> keys = KeysOf(rows, "nightly");
  EXPECT_EQ(last_.exit_code, 1);
  EXPECT_LT(keys.size(), 3'000u);
  const size_t before = server_.events().size();
  last_ = Import({"--type=track", "--resume", folder_.File("a.csv")});
  EXPECT_EQ(last_.exit_code, 0) << last_.err;
  const std::vector<v1::TrackEvent> events = server_.events();
  for (size_t i = before; i < events.size(); ++i) {
    keys.insert(events[i].idempotency_key());
  }
  EXPECT_EQ(std::set(keys.begin(), keys.end()).size(), 3'000u);
  EXPECT_FALSE(keys.contains(""));
}

TEST_F(ImportTest, SendsNdjsonOfUsersAndAccounts) {
  EXPECT_EQ(Import({"--type=user", folder_.Write("u", R"({"identity":"u"})"
                                                      "\n")})
                .exit_code,
            0);
  EXPECT_EQ(
      Import({"--type=account", folder_.Write("a", R"({"account_id":"acme"})"
                                                   "\n")})
          .exit_code,
      0);
  EXPECT_THAT(server_.StoredNames(),
              ::testing::UnorderedElementsAre("u", "acme"));
}

TEST_F(ImportTest, InvalidRowsAreRejectedWithTheirReasonsAndTheRestContinues) {
  const CommandResult result = Import(
      {"--type=track", "--rejects=" + folder_.File("rejects"),
       "--max_row_bytes=60",
       folder_.Write("a.csv",
                     "identity,event,timestamp\n"
                     "a,e,\n"
                     "b,e\n"
                     "c,e,soon\n"
                     "d,5\" e,\n"
                     "\"two\nlines\",e,\n"
                     "\"f\xFF\",e,\n"
                     "g,eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
                     "eeeeeeeeeeee,\n"
                     "h,e,\n")});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_THAT(server_.StoredNames(), ElementsAre("a", "two\nlines", "h"));
  std::vector<std::string> found;
  for (const auto& row : Rejects()) {
    found.push_back(absl::StrCat(
        row.at("row").get<int>(), "/", row.at("line").get<int>(), " ",
        row.at("violations").at(0).at("reason").get<std::string>()));
  }
  EXPECT_THAT(found, ElementsAre("2/3 WRONG_CELL_COUNT",
                                 "3/4 INVALID_TIMESTAMP", "4/5 BAD_QUOTING",
                                 "6/8 INVALID_UTF8", "7/9 ROW_TOO_LONG"));
  EXPECT_EQ(Rejects()[1].at("raw"), "c,e,soon");
  EXPECT_THAT(result.out, HasSubstr("8 rows: 3 accepted, 5 rejected"));
  EXPECT_THAT(result.out,
              HasSubstr("row 3 (line 4): timestamp: INVALID_TIMESTAMP: "));
  EXPECT_THAT(result.out + result.err, Not(HasSubstr("soon")));
}

// What Spark and MySQL write, with the text of a cell that looks like a row.
constexpr char kBackslashQuotes[] =
    "identity,event,note\n"
    "a@example.com,Signed Up,\"he said \\\"hi\\\"\nb@example.com,Refunded,x\n"
    "end\"\n"
    "c@example.com,Signed Up,ok\n";

TEST_F(ImportTest, NothingIsMadeOfTheInsideOfACellWithBackslashQuotes) {
  const std::string path = folder_.Write("a.csv", kBackslashQuotes);
  const CommandResult result = Import({"--type=track", path});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("stopped before row 1 (line 2): "));
  EXPECT_THAT(result.err, HasSubstr("--escape=backslash"));
  EXPECT_THAT(result.err, Not(HasSubstr("he said")));
  EXPECT_THAT(server_.StoredNames(), ElementsAre());
  const CommandResult told =
      Import({"--type=track", "--escape=backslash", path});
  EXPECT_EQ(told.exit_code, 0) << told.err;
  EXPECT_THAT(server_.StoredNames(),
              ElementsAre("a@example.com", "c@example.com"));
  EXPECT_EQ(server_.events()[0].properties().fields().at("note").string_value(),
            "he said \"hi\"\nb@example.com,Refunded,x\nend");
}

TEST_F(ImportTest, AnImportThatStoppedAtAnEscapeIsResumedWithTheRightOne) {
  std::string text = kBackslashQuotes;
  text.insert(text.find("a@"), "z@example.com,Signed Up,first\n");
  const std::string path = folder_.Write("a.csv", text);
  const CommandResult result = Import({"--type=track", path});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("stopped before row 2 (line 3): "));
  EXPECT_THAT(server_.StoredNames(), ElementsAre("z@example.com"));
  EXPECT_EQ(Import({"--type=track", "--escape=backslash", "--resume", path})
                .exit_code,
            0);
  EXPECT_THAT(server_.StoredNames(),
              ElementsAre("z@example.com", "a@example.com", "c@example.com"));
}

TEST_F(ImportTest, JsonIsReadHoweverItsObjectsAreSeparated) {
  for (const char* text :
       {R"({"identity":"a"}{"identity":"b"})",
        R"([{"identity":"a"},{"identity":"b"}])",
        "[\n  {\n    \"identity\": \"a\"\n  },\n  {\n    \"identity\": "
        "\"b\"\n  }\n]\n",
        "{\n  \"identity\": \"a\"\n}\n{\n  \"identity\": \"b\"\n}\n"}) {
    const CommandResult result =
        Import({"--type=user", "--json", folder_.Write("a", text)});
    EXPECT_EQ(result.exit_code, 0) << text << result.err;
    EXPECT_EQ(nlohmann::json::parse(result.out).at("accepted"), 2) << text;
  }
}

TEST_F(ImportTest, NothingIsMadeOfTheInsideOfAnObject) {
  const CommandResult result =
      Import({"--type=user", folder_.Write("a",
                                           "{\"identity\":\"a\"}\n"
                                           "{\"identity\":\"b\",\"items\":[\n"
                                           "{\"identity\":\"c\"},\n")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("stopped before row 2 (line 2): "));
  EXPECT_THAT(result.err, HasSubstr("one object a line"));
  EXPECT_THAT(server_.StoredNames(), ElementsAre("a"));
}

TEST_F(ImportTest, AnInputWithoutTextIsDoneWhereItIsKnownToBeJson) {
  // As gzip packs nothing.
  const std::string packed{"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0",
                           20};
  for (const auto& [name, text] :
       {std::pair<std::string, std::string>{"e.ndjson", ""},
        {"e.jsonl", "\n\n"},
        {"e.ndjson.gz", packed},
        {"e.ndjson", "\xEF\xBB\xBF"}}) {
    const CommandResult result =
        Import({"--type=user", folder_.Write(name, text)});
    EXPECT_EQ(result.exit_code, 0) << name << result.err;
    EXPECT_EQ(result.out, "0 rows: 0 accepted, 0 rejected\n");
  }
  EXPECT_EQ(
      Import({"--type=user", "--format=ndjson", folder_.Write("e", packed)})
          .exit_code,
      0);
  EXPECT_EQ(Import({"--type=user", folder_.Write("e.csv", "")}).exit_code, 2);
}

TEST_F(ImportTest, AColumnThatIsMappedFillsNoFieldOfItsOwnName) {
  const CommandResult result =
      Import({"--type=track", "--map=identity=user_id,idempotency_key=id",
              folder_.Write("a.csv",
                            "id,user_id,event,timestamp\n"
                            "m-00000001,ada@example.com,Signed Up,"
                            "2024-01-15 10:30:00\n")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const v1::TrackEvent event = server_.events().at(0);
  EXPECT_EQ(event.identity(), "ada@example.com");
  EXPECT_EQ(event.user_id(), "");
  EXPECT_EQ(event.idempotency_key(), "m-00000001");
  EXPECT_EQ(event.properties().fields_size(), 0);
}

TEST_F(ImportTest, AUserIdBesideAnIdentityIsAProperty) {
  for (const auto& [map, header] :
       {std::pair("--map=identity=email", "email,user_id,event\n"),
        std::pair("--map=event=event", "identity,user_id,event\n")}) {
    const CommandResult result = Import(
        {"--type=track", map,
         folder_.Write("a.csv", absl::StrCat(header, "ada@x.io,42,Buy\n"))});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const v1::TrackEvent event = server_.events().back();
    EXPECT_EQ(event.identity(), "ada@x.io");
    EXPECT_EQ(event.user_id(), "");
    EXPECT_EQ(event.properties().fields().at("user_id").number_value(), 42);
  }
}

TEST_F(ImportTest, HeapsOwnUserIdIsOnlyFilledByAMapping) {
  const std::string path = folder_.Write("a.csv",
                                         "user_id,event,timestamp\n"
                                         "42,Signed Up,2024-01-15 10:30:00\n");
  const CommandResult result = Import({"--type=track", path});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("--map=user_id=user_id"));
  EXPECT_THAT(result.err, HasSubstr("--map=identity=user_id"));
  EXPECT_TRUE(server_.events().empty());
  EXPECT_EQ(Import({"--type=track", "--map=user_id=user_id", path}).exit_code,
            0);
  EXPECT_EQ(server_.events().at(0).user_id(), "42");
}

TEST_F(ImportTest, AFieldInAnotherCaseIsNotTakenForAPropertySilently) {
  const std::string path = folder_.Write(
      "a.csv", "identity,event,Timestamp\nada,Buy,2024-01-15 10:30:00\n");
  const CommandResult result = Import({"--type=track", path});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("\"Timestamp\" is not mapped: "
                                    "--map=timestamp=Timestamp if"));
  EXPECT_TRUE(server_.events().empty());
  for (const char* choice :
       {"--map=timestamp=Timestamp", "--map=properties.Timestamp=Timestamp",
        "--properties=Timestamp", "--set=timestamp=2024-01-15T10:30:00Z"}) {
    EXPECT_EQ(Import({"--type=track", choice, path}).exit_code, 0) << choice;
  }
  EXPECT_EQ(server_.events().at(0).timestamp().seconds(), 1'705'314'600);
  EXPECT_EQ(server_.events().at(0).properties().fields_size(), 0);
  for (const size_t i : {1, 2, 3}) {
    EXPECT_TRUE(
        server_.events().at(i).properties().fields().contains("Timestamp"));
  }
  EXPECT_EQ(Import({"--type=track",
                    folder_.Write("b.csv",
                                  "identity,event,timestamp,Timestamp\n"
                                  "bob,Buy,2024-01-15,2024-01-16\n")})
                .exit_code,
            0);
}

TEST_F(ImportTest, AJsonKeyInAnotherCaseIsNoFieldEither) {
  const std::string path = folder_.Write(
      "a.ndjson",
      R"({"identity":"ada","event":"Buy","Session_ID":"s-00000001"})"
      "\n"
      R"({"identity":"bob","event":"Buy","session_id":"1","Session_ID":"2"})"
      "\n");
  const std::string rejects = "--rejects=" + folder_.File("rejects");
  EXPECT_EQ(Import({"--type=track", rejects, path}).exit_code, 3);
  ASSERT_EQ(Rejects().size(), 1u);
  EXPECT_EQ(Rejects()[0].at("violations").at(0).at("reason"), "NOT_MAPPED");
  EXPECT_THAT(server_.StoredNames(), ElementsAre("bob"));
  EXPECT_EQ(
      Import({"--type=track", "--map=session_id=Session_ID", path}).exit_code,
      0);
  EXPECT_EQ(server_.events().at(1).session_id(), "s-00000001");
}

TEST_F(ImportTest, AFileOfRefusedRowsIsNamedWhereItIsImported) {
  const std::string rejects = "--rejects=" + folder_.File("rejects");
  Import({"--type=track", rejects,
          folder_.Write("a.csv", "identity,event,timestamp\nada,Buy,soon\n")});
  const CommandResult result =
      Import({"--type=track", "--format=ndjson", folder_.File("rejects")});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.out, HasSubstr("jq -r .raw"));
  EXPECT_TRUE(server_.events().empty());
}

TEST_F(ImportTest, NamesThatOnlyLookTheSameAreShownByTheirCodePoints) {
  const std::string path =
      folder_.Write("a.csv", "identity,event,cafe\u0301\nada,Buy,x\n");
  const CommandResult absent =
      Import({"--type=track", "--properties=caf\u00e9", path});
  EXPECT_EQ(absent.exit_code, 2);
  EXPECT_THAT(absent.err,
              HasSubstr(R"(no column is named "caf\u00e9", but one that looks )"
                        R"(like it "cafe\u0301")"));
  const CommandResult both = Import(
      {"--type=track", folder_.Write("b.csv",
                                     "identity,event,cafe\u0301,caf\u00e9\n"
                                     "ada,Buy,x,y\n")});
  EXPECT_EQ(both.exit_code, 0);
  EXPECT_THAT(both.err,
              HasSubstr(R"(the columns "cafe\u0301" and "caf\u00e9" look )"
                        "the same, and are two"));
}

TEST_F(ImportTest, AFirstLineThatIsNoHeaderIsNotShown) {
  const std::string row = "ada@example.com|Signed Up|2024-01-15\n";
  const std::string path =
      folder_.Write("a.csv", row + "bob@example.com|Signed Up|2024-01-16\n");
  const CommandResult result = Import({"--type=track", "--delimiter=|", path});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("--columns"));
  EXPECT_THAT(result.err, Not(HasSubstr("ada")));
  EXPECT_THAT(result.err, Not(HasSubstr("Signed")));
  const CommandResult undivided = Import({"--type=track", path});
  EXPECT_EQ(undivided.exit_code, 2);
  EXPECT_THAT(undivided.err, Not(HasSubstr("ada")));

  const CommandResult named =
      Import({"--type=track", "--delimiter=|",
              "--columns=identity,event,timestamp", path});
  EXPECT_EQ(named.exit_code, 0) << named.err;
  EXPECT_THAT(server_.StoredNames(),
              ElementsAre("ada@example.com", "bob@example.com"));
}

TEST_F(ImportTest, NamesOfColumnsThatTheInputHasAfterAllAreNoRow) {
  const CommandResult result =
      Import({"--type=track", "--columns=identity,event",
              folder_.Write("a.csv", "identity,event\na,Buy\n")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(server_.StoredNames(), ElementsAre("a"));
}

TEST_F(ImportTest, ALineThatNamesTheSeparatorIsObeyed) {
  for (const std::string sep : {"sep=;\r\n", "\xEF\xBB\xBFsep=;\r\n"}) {
    const CommandResult result =
        Import({"--type=track",
                folder_.Write("a.csv", sep + "identity;event\r\na;Buy\r\n")});
    EXPECT_EQ(result.exit_code, 0) << result.err;
  }
  EXPECT_THAT(server_.StoredNames(), ElementsAre("a", "a"));
  EXPECT_EQ(server_.events().at(0).event(), "Buy");
}

TEST_F(ImportTest, NamesOfColumnsAreTrimmed) {
  const CommandResult result =
      Import({"--type=track", folder_.Write("a.csv",
                                            "identity, event ,\"note\"\n"
                                            "a,Buy,x\n")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const v1::TrackEvent event = server_.events().at(0);
  EXPECT_EQ(event.event(), "Buy");
  EXPECT_EQ(event.properties().fields().at("note").string_value(), "x");
}

TEST_F(ImportTest, RowsOfDelimitersAreSkipped) {
  std::string text = "identity,event,note\na,Buy,x\n";
  for (int i = 0; i < 1'000; ++i) text += ",,\n";
  const CommandResult result =
      Import({"--type=track", folder_.Write("a.csv", text)});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "1 rows: 1 accepted, 0 rejected\n");
}

TEST_F(ImportTest, AColumnStaysTextIfANumberWouldChangeOneOfItsCells) {
  const std::string path = folder_.Write("a.csv",
                                         "identity,event,app_version,price\n"
                                         "a,Open,1.1,9.90\n"
                                         "b,Open,1.10,12.00\n");
  const CommandResult result = Import({"--type=track", path});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("column \"app_version\" stays text"));
  const auto value = [&](size_t event, const char* key) {
    return server_.events().at(event).properties().fields().at(key);
  };
  EXPECT_EQ(value(0, "app_version").string_value(), "1.1");
  EXPECT_EQ(value(1, "app_version").string_value(), "1.10");
  EXPECT_EQ(value(1, "price").number_value(), 12);

  EXPECT_EQ(Import({"--type=track", "--strings=price", path}).exit_code, 0);
  EXPECT_EQ(value(2, "price").string_value(), "9.90");
  EXPECT_EQ(Import({"--type=track", "--strings=prize", path}).exit_code, 2);
}

TEST_F(ImportTest, AnotherDelimiterIsGuessedInTheErrorOnly) {
  for (const auto& [text, hint] :
       {std::pair("identity\tevent\na\tOpen\n", "--delimiter=tab"),
        std::pair("identity;event\na;Open\n", "--delimiter=';'")}) {
    const CommandResult result =
        Import({"--type=track", folder_.Write("a.csv", text)});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, HasSubstr(hint));
  }
}

TEST_F(ImportTest, JsonThatIsNoneSaysWhy) {
  const std::string path = folder_.Write("a.ndjson",
                                         "{\"identity\":\"a\"},\n"
                                         "{\"identity\":\"b\",\"v\":NaN}\n"
                                         "{'identity':'c'}\n");
  const CommandResult result = Import({"--type=user", path});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.out, HasSubstr("a comma follows the object"));
  EXPECT_THAT(result.out, HasSubstr("NaN and Infinity are no JSON"));
  EXPECT_THAT(result.out, HasSubstr("JSON has double quotes"));
  EXPECT_THAT(server_.StoredNames(), ElementsAre());
}

TEST_F(ImportTest, AnEmptyValueOfAFlagIsNotTheNextArgument) {
  const std::string path = folder_.Write("a.csv", "identity,plan\na,Pro\n");
  const CommandResult result =
      Import({"--type=user", "--rejects=", "--properties=", path});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(server_.StoredNames(), ElementsAre("a"));
}

TEST_F(ImportTest, SparkIsTriedWhereABackslashJoinsCells) {
  const std::string path =
      folder_.Write("a.csv", "identity,event,note\na,C:\\dir\\,ok\n");
  const CommandResult result =
      Import({"--type=track", "--escape=backslash", path});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.out, HasSubstr("--escape=spark"));
  EXPECT_EQ(Import({"--type=track", "--escape=spark", path}).exit_code, 0);
  EXPECT_EQ(server_.events()[0].event(), "C:\\dir\\");
}

TEST_F(ImportTest, AColumnNamedLikeVersionsStaysText) {
  const std::string path = folder_.Write("a.csv",
                                         "identity,event,app_version\n"
                                         "a,Open,1.10\nb,Open,1.20\n");
  EXPECT_EQ(Import({"--type=track", path}).exit_code, 0);
  EXPECT_EQ(server_.events()[1]
                .properties()
                .fields()
                .at("app_version")
                .string_value(),
            "1.20");
}

TEST_F(ImportTest, APipeTellsWhichNumbersWereChanged) {
  const std::string path = folder_.File("pipe");
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&path] {
    std::ofstream(path) << "identity,event,app_version,zip,price\n"
                           "a,Open,1.1,10115,9.90\nb,Open,1.10,01067,12.00\n";
  });
  const CommandResult result = Import({"--type=track", "--json", path});
  writer.join();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(nlohmann::json::parse(result.out).at("changed_columns"),
            nlohmann::json({"zip"}));
  EXPECT_EQ(server_.events()[1]
                .properties()
                .fields()
                .at("app_version")
                .string_value(),
            "1.10");
}

TEST_F(ImportTest, NullsAreLeftOutAndCounted) {
  const std::string path = folder_.Write("a.csv",
                                         "identity,plan,seats\n"
                                         "\\N,Free,3\n"
                                         "ada@example.com,\\N,\\N\n");
  const CommandResult result =
      Import({"--type=user", "--rejects=" + folder_.File("rejects"), path});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_THAT(server_.StoredNames(), ElementsAre("ada@example.com"));
  EXPECT_EQ(Rejects().at(0).at("violations").at(0).at("reason"), "REQUIRED");
  EXPECT_THAT(result.out, HasSubstr("NULL in column \"plan\": 1 cells"));
  const auto summary =
      nlohmann::json::parse(Import({"--type=user", "--json", path}).out);
  EXPECT_EQ(summary.at("null_cells").dump(),
            R"({"identity":1,"plan":1,"seats":1})");
}

TEST_F(ImportTest, TextThatLooksLikeNullIsKeptWithAWarning) {
  const std::string path = folder_.Write(
      "a.csv",
      "identity,plan\na,NULL\nb,None\nc,NaN\nd,<NA>\ne,#N/A\nf,NaT\ng,Free\n");
  const CommandResult kept = Import({"--type=user", path});
  EXPECT_EQ(kept.exit_code, 0) << kept.err;
  EXPECT_THAT(kept.out, HasSubstr("warning: column \"plan\" holds 6 cells"));
  const CommandResult told =
      Import({"--type=user", "--null=NULL", "--null=None", path});
  EXPECT_THAT(told.out, HasSubstr("NULL in column \"plan\": 2 cells"));
  EXPECT_THAT(told.out, HasSubstr("warning: column \"plan\" holds 4 cells"));
}

TEST_F(ImportTest, LinesThatAMisplacedQuoteJoinsAreNoRow) {
  const CommandResult result =
      Import({"--type=track", folder_.Write("a.csv",
                                            "identity,event,note\n"
                                            "a,Buy,\"open\n"
                                            "b,Buy,\",\"\n"
                                            "c,Buy,ok\n")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("stopped before row 1 (line 2): "));
  EXPECT_THAT(server_.StoredNames(), ElementsAre());
}

TEST_F(ImportTest, RowsThatTheServerRefusesAreRejectedInOrder) {
  const CommandResult result =
      Import({"--type=track", "--rejects=" + folder_.File("rejects"),
              WriteRows(2'000)});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  ExpectRowsOnce(2'000);
  EXPECT_EQ(Rejects()[1].at("violations").at(0).dump(),
            R"({"description":"too long","field":"properties.plan",)"
            R"("reason":"VALUE_TOO_LONG"})");
}

TEST_F(ImportTest, OptionsThatDoNotFitTheInputAreUsageErrors) {
  const std::string path = folder_.Write("a.csv", "mail,event\na,e\n");
  const CommandResult result = Import({"--type=track", path});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("nothing fills identity"));
  EXPECT_FALSE(std::filesystem::exists(path + ".heapsync-state"));
  EXPECT_EQ(Import({"--type=track", folder_.Write("empty.csv", "")}).exit_code,
            2);
}

TEST_F(ImportTest, AMissingFileIsAFailure) {
  EXPECT_EQ(Import({"--type=track", folder_.File("none")}).exit_code, 1);
}

TEST_F(ImportTest, JsonSummaryHasTheCounts) {
  const CommandResult result = Import(
      {"--type=user", "--json", folder_.Write("a.csv", "identity\na\n")});
  const auto summary = nlohmann::json::parse(result.out);
  EXPECT_EQ(summary.at("rows"), 1);
  EXPECT_EQ(summary.at("accepted"), 1);
  EXPECT_EQ(summary.at("complete"), true);
}

TEST_F(ImportTest, AFinishedImportLeavesNoState) {
  const std::string path = folder_.Write("a.csv", "identity\na\n");
  EXPECT_EQ(Import({"--type=user", path}).exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(path + ".heapsync-state"));
}

TEST_F(ImportTest, BrokenConnectionsDoNotShow) {
  for (int i = 0; i < 5; ++i) {
    server_.AddStreamFault({.refuse = {}, .break_after_messages = 1 + i});
  }
  EXPECT_EQ(Import({"--type=track", "--rejects=" + folder_.File("rejects"),
                    WriteRows(5'000)})
                .exit_code,
            3);
  ExpectRowsOnce(5'000);
}

TEST_F(ImportTest, AfterAFailureResumeGoesOnWhereItStopped) {
  const std::string path = WriteRows(5'000);
  const std::string rejects = "--rejects=" + folder_.File("rejects");
  server_.AddStreamFault({.refuse = {}, .break_after_messages = 3});
  server_.AddStreamFault(
      {.refuse = grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "no")});
  const CommandResult failed = Import({"--type=track", rejects, path});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_THAT(failed.err, HasSubstr("with --resume to continue after row"));
  const CommandResult resumed =
      Import({"--type=track", rejects, "--resume", path});
  EXPECT_EQ(resumed.exit_code, 3) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("5,000 rows: 4,000 accepted"));
  server_.OnlyRequestId();
  ExpectRowsOnce(5'000);
  EXPECT_FALSE(std::filesystem::exists(path + ".heapsync-state"));
}

TEST_F(ImportTest, AResumedImportWaitsForWhatTheFirstRunLeft) {
  const std::string path = folder_.Write("a.csv", "identity\na\nb\n");
  std::vector<std::string> arguments = {"--type=user", "--ack=delivered",
                                        "--json", path};
  // Both rows are stored; then the connection breaks and the server refuses.
  server_.AddStreamFault({.refuse = {},
                          .break_after_messages = 1,
                          .last = StreamFault::Last::kAnswered});
  server_.OnFlush([](const std::string&) {
    return RichStatus(grpc::StatusCode::PERMISSION_DENIED,
                      "SERVICE_NOT_ALLOWED");
  });
  const CommandResult cut = Import(arguments);
  EXPECT_EQ(cut.exit_code, 1);
  EXPECT_EQ(nlohmann::json::parse(cut.out).at("complete"), false);
  EXPECT_THAT(cut.err, HasSubstr("it is not known whether"));

  // The destination is paused for a while.
  std::atomic<int> refusals = 0;
  server_.OnFlush([&](const std::string& destination) {
    EXPECT_EQ(destination, "main");
    return ++refusals < 2
               ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "restarting")
               : grpc::Status::OK;
  });
  arguments.push_back("--resume");
  const CommandResult resumed = Import(arguments);
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(refusals, 2);
  const auto summary = nlohmann::json::parse(resumed.out);
  EXPECT_EQ(summary.at("complete"), true);
  EXPECT_EQ(summary.at("counts_are_partial"), true);
  EXPECT_THAT(server_.StoredNames(), ElementsAre("a", "b"));
}

TEST_F(ImportTest, AnImportThatWasNotCutAsksForNoMoreThanItsOwnRows) {
  server_.OnFlush([](const std::string&) {
    ADD_FAILURE();
    return grpc::Status::OK;
  });
  const CommandResult result =
      Import({"--type=user", "--ack=delivered",
              folder_.Write("a.csv", "identity\na\n")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("1 delivered to Heap"));
}

TEST_F(ImportTest, AnInterruptedImportIsNotBegunAnewByMistake) {
  const std::string path = folder_.Write("a.csv", "identity\na\n");
  server_.AddStreamFault(
      {.refuse = grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "no")});
  EXPECT_EQ(Import({"--type=user", path}).exit_code, 1);
  const CommandResult again = Import({"--type=user", path});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_THAT(again.err, HasSubstr("--resume"));
  EXPECT_EQ(Import({"--type=user", "--restart", path}).exit_code, 0);
}

TEST_F(ImportTest, OneOfTwoImportsThatBeginAtOnceIsRefused) {
  ImportOptions options;
  options.input = folder_.Write("a.csv", "identity\na\n");
  options.mapping.type = ObjectType::kUserProperties;
  const std::atomic<bool> stop = false;
  {
    const auto first = ImportJob::Prepare(options, stop);
    ASSERT_TRUE(first.ok()) << first.status();
    for (const auto start :
         {ImportOptions::Start::kFresh, ImportOptions::Start::kResume,
          ImportOptions::Start::kRestart}) {
      options.start = start;
      EXPECT_TRUE(absl::IsFailedPrecondition(
          ImportJob::Prepare(options, stop).status()));
    }
  }
  // As if the first one had been killed.
  options.start = ImportOptions::Start::kResume;
  EXPECT_TRUE(ImportJob::Prepare(options, stop).ok());
}

TEST_F(ImportTest, ResumeRefusesAnotherMappingOrInput) {
  const std::string path = folder_.Write("a.csv", "identity\na\n");
  server_.AddStreamFault(
      {.refuse = grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "no")});
  EXPECT_EQ(Import({"--type=user", path}).exit_code, 1);
  const CommandResult mapped =
      Import({"--type=user", "--resume", "--strings", path});
  EXPECT_EQ(mapped.exit_code, 1);
  EXPECT_THAT(mapped.err, HasSubstr("--typed has changed"));
  folder_.Write("a.csv", "identity\nb\n");
  const CommandResult changed = Import({"--type=user", "--resume", path});
  EXPECT_EQ(changed.exit_code, 1);
  EXPECT_THAT(changed.err, HasSubstr("the input is another file"));
}

TEST_F(ImportTest, AFileThatGrowsIsImportedAsFarAsItWentAndThenResumed) {
  std::string text = "identity,event\n";
  for (int i = 0; i < 1'000; ++i) absl::StrAppend(&text, "u", i, ",e\n");
  const std::string path = folder_.Write("a.csv", text + "v1,e");
  // Within a row, then at its end.
  for (const char* more : {"nd\nv2,e", "nd\nv3,e\n"}) {
    std::atomic<bool> grown = false;
    server_.OnMessage([&](uint64_t) {
      if (grown.exchange(true)) return;
      std::ofstream(path, std::ios::app) << more;
    });
    const CommandResult result = Import({"--type=track", "--resume", path});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.err, HasSubstr("the input grew by "));
    EXPECT_THAT(result.err, HasSubstr("run the same command with --resume"));
    for (const v1::TrackEvent& event : server_.events()) {
      EXPECT_EQ(event.event(), event.identity()[0] == 'v' ? "end" : "e");
    }
  }
  server_.OnMessage(nullptr);
  const CommandResult rest = Import({"--type=track", "--resume", path});
  EXPECT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_THAT(rest.out, HasSubstr("1,003 rows: 1,003 accepted"));
  const std::vector<std::string> names = server_.StoredNames();
  ASSERT_EQ(names.size(), 1'003u);
  EXPECT_THAT(std::vector<std::string>(names.begin() + 999, names.end()),
              ElementsAre("u999", "v1", "v2", "v3"));
}

TEST_F(ImportTest, AGrownFileWhoseSettledRowsWereChangedIsNotResumed) {
  std::string text = "identity\n";
  for (int i = 0; i < 20'000; ++i) absl::StrAppend(&text, "user-", i, "\n");
  const std::string path = folder_.Write("a.csv", text + "\"x\\\"\n");
  EXPECT_EQ(Import({"--type=user", path}).exit_code, 1);
  // Behind the head.
  text[text.size() - 2] = 'x';
  folder_.Write("a.csv", text + "\"x\\\"\nmore\n");
  const CommandResult changed =
      Import({"--type=user", "--resume", "--escape=double", path});
  EXPECT_EQ(changed.exit_code, 1);
  EXPECT_THAT(changed.err, HasSubstr("the rows that it read were changed"));
}

TEST_F(ImportTest, ResumeWithoutAStateBeginsAtTheBeginning) {
  EXPECT_EQ(Import({"--type=user", "--resume",
                    folder_.Write("a.csv", "identity\na\n")})
                .exit_code,
            0);
  EXPECT_THAT(server_.StoredNames(), ElementsAre("a"));
}

TEST_F(ImportTest, AJobStoppedAnywhereGoesOnWithoutLossOrDoubles) {
  const std::string path = WriteRows(3'000);
  ImportOptions options;
  options.input = path;
  options.rejects_path = folder_.File("rejects");
  options.checkpoint_interval = std::chrono::milliseconds(0);
  options.start = ImportOptions::Start::kResume;
  options.stream.max_chunk_items = 50;
  // Few in flight, so that the job is in the middle when it is stopped.
  options.stream.max_unacknowledged_items = 150;
  const Client client({.server = server_.address()});
  std::ostringstream ignored;
  std::atomic<bool> stop = false;
  uint64_t stop_at = 300;
  server_.OnMessage([&](uint64_t stored) {
    if (stored >= stop_at) stop = true;
  });
  int stopped = 0;
  while (true) {
    stop = false;
    auto job = ImportJob::Prepare(options, stop);
    ASSERT_TRUE(job.ok()) << job.status();
    ProgressWriter progress(ProgressStyle::kNone, ignored, 80);
    const absl::Status status = (*job)->Run(client, progress);
    if (status.ok()) break;
    ASSERT_EQ(status.code(), absl::StatusCode::kCancelled);
    ++stopped;
    stop_at += 300;
  }
  EXPECT_GE(stopped, 2);
  server_.OnlyRequestId();
  ExpectRowsOnce(3'000);
}

// As `producer | heapsync import -` does, when both are interrupted.
TEST_F(ImportTest, AnInputThatEndsByAnInterruptIsNotComplete) {
  ImportOptions options;
  options.input = folder_.Write("a.csv", "identity,event\nu,e\n");
  const std::atomic<bool> stop = true;
  auto job = ImportJob::Prepare(options, stop);
  ASSERT_TRUE(job.ok()) << job.status();
  std::ostringstream ignored;
  ProgressWriter progress(ProgressStyle::kNone, ignored, 80);
  const Client client({.server = server_.address()});
  EXPECT_EQ((*job)->Run(client, progress).code(), absl::StatusCode::kCancelled);
}

// As `tail --follow FILE | heapsync import -`.
TEST_F(ImportTest, RowsOfAPipeAreSentWhileItsWriterPausesAndItCanBeStopped) {
  ImportOptions options;
  options.input = folder_.File("pipe");
  ASSERT_EQ(::mkfifo(options.input.c_str(), 0600), 0);
  std::atomic<bool> stop = false;
  std::promise<void> stored_one, stored_two, finished;
  server_.OnMessage([&](uint64_t stored) {
    if (stored == 1) stored_one.set_value();
    if (stored == 2) stored_two.set_value();
  });
  std::thread writer([&] {
    std::ofstream pipe(options.input);
    pipe << "identity,event\nu,one\n" << std::flush;
    stored_one.get_future().wait();
    pipe << "u,two\n" << std::flush;
    stored_two.get_future().wait();
    stop = true;
    finished.get_future().wait();
  });
  auto job = ImportJob::Prepare(options, stop);
  ASSERT_TRUE(job.ok()) << job.status();
  std::ostringstream ignored;
  ProgressWriter progress(ProgressStyle::kNone, ignored, 80);
  const Client client({.server = server_.address()});
  EXPECT_EQ((*job)->Run(client, progress).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ((*job)->summary().rows, 2u);
  finished.set_value();
  writer.join();
}

TEST_F(ImportTest, OutputsThatNameTheInputAreRefusedAndItSurvives) {
  const std::string text = "identity\na\n";
  const std::string path = folder_.Write("a.csv", text);
  std::filesystem::create_symlink(path, folder_.File("symbolic"));
  std::filesystem::create_hard_link(path, folder_.File("hard"));
  for (const std::string flag : {"--rejects=", "--state="}) {
    for (const std::string name : {"a.csv", "symbolic", "hard"}) {
      const CommandResult result =
          Import({"--type=user", "--restart", flag + folder_.File(name), path});
      EXPECT_EQ(result.exit_code, 2) << flag << name;
      EXPECT_THAT(result.err, HasSubstr("names the input file"));
      EXPECT_EQ(TemporaryFolder::Read(path), text);
      EXPECT_FALSE(std::filesystem::exists(path + ".heapsync-state"));
    }
  }
  EXPECT_THAT(server_.StoredNames(), ElementsAre());
}

TEST_F(ImportTest, ARowThatBecomesTooLargeAnItemIsRejectedAndTheRestContinues) {
  std::string list;
  for (int i = 0; i < 500'000; ++i) list += i == 0 ? "1" : ",1";
  const std::string path = folder_.Write(
      "a", absl::StrCat("{\"identity\":\"a\"}\n{\"identity\":\"b\",\"l\":[",
                        list, "]}\n{\"identity\":\"c\"}\n"));
  const CommandResult result =
      Import({"--type=user", "--rejects=" + folder_.File("rejects"), path});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_THAT(server_.StoredNames(), ElementsAre("a", "c"));
  ASSERT_EQ(Rejects().size(), 1u);
  EXPECT_EQ(Rejects()[0].at("row"), 2);
  EXPECT_EQ(Rejects()[0].at("violations").at(0).at("reason"), "ITEM_TOO_LARGE");
  EXPECT_FALSE(std::filesystem::exists(path + ".heapsync-state"));
}

// As `heapsync import … 2>&1 | head -1` does.
TEST_F(ImportTest, AnImportWhoseOutputNobodyReadsIsNotSentTwice) {
  const std::string path = WriteRows(2'000);
  const std::string rejects = "--rejects=" + folder_.File("rejects");
  const std::string server = "--server=" + server_.address();
  std::vector<std::string> arguments = {
      HEAPSYNC_COMMAND, "import", "--type=track", rejects, server,
      "--progress=bar", path};
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  pid_t pid = 0;
  ASSERT_EQ(
      ::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  int outcome = 0;
  ASSERT_EQ(::waitpid(pid, &outcome, 0), pid);
  ASSERT_TRUE(WIFEXITED(outcome));
  EXPECT_EQ(WEXITSTATUS(outcome), 1);
  ExpectRowsOnce(2'000);

  EXPECT_THAT(Import({"--type=track", rejects, path}).err,
              HasSubstr("Continue it with --resume"));
  const CommandResult resumed =
      Import({"--type=track", rejects, "--resume", path});
  EXPECT_EQ(resumed.exit_code, 3) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("2,000 rows: 1,600 accepted"));
  ExpectRowsOnce(2'000);
  EXPECT_FALSE(std::filesystem::exists(path + ".heapsync-state"));
}

TEST_F(ImportTest, AKilledProcessGoesOnWithoutLossOrDoubles) {
  const std::string path = WriteRows(20'000);
  const std::string rejects = "--rejects=" + folder_.File("rejects");
  const std::string server = "--server=" + server_.address();
  std::vector<std::string> arguments = {
      HEAPSYNC_COMMAND, "import",   "--type=track",    rejects,
      server,           "--resume", "--progress=none", path};
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::atomic<pid_t> process = 0;
  std::atomic<uint64_t> kill_at = 2'000;
  server_.OnMessage([&](uint64_t stored) {
    const pid_t target = process;
    if (target > 0 && stored >= kill_at) ::kill(target, SIGKILL);
  });
  int killed = 0;
  while (true) {
    pid_t pid = 0;
    ASSERT_EQ(
        ::posix_spawn(&pid, argv[0], nullptr, nullptr, argv.data(), environ),
        0);
    process = pid;
    int outcome = 0;
    ASSERT_EQ(::waitpid(pid, &outcome, 0), pid);
    process = 0;
    if (!WIFSIGNALED(outcome)) {
      EXPECT_EQ(WEXITSTATUS(outcome), 3);
      break;
    }
    ++killed;
    kill_at = kill_at + 5'000;
  }
  EXPECT_GE(killed, 1);
  server_.OnlyRequestId();
  ExpectRowsOnce(20'000);
}

}  // namespace
}  // namespace heapsync
