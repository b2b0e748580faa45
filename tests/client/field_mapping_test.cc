#include "client/cli/field_mapping.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace heapsync {
namespace {

using ::testing::HasSubstr;

std::string Json(const MappedRow& row) {
  if (!row.violations.empty()) {
    return row.violations[0].field + " " + row.violations[0].reason;
  }
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  EXPECT_TRUE(
      google::protobuf::util::MessageToJsonString(*row.item, &text, options)
          .ok());
  return nlohmann::json::parse(text).dump();  // with sorted keys
}

std::string Csv(MappingOptions options, std::vector<absl::string_view> header,
                std::vector<absl::string_view> cells) {
  const auto mapping = FieldMapping::ForCsv(std::move(options), header);
  if (!mapping.ok()) return std::string(mapping.status().message());
  return Json(mapping->FromCells(cells));
}

std::string Ndjson(MappingOptions options, absl::string_view row) {
  const auto mapping = FieldMapping::ForNdjson(std::move(options));
  if (!mapping.ok()) return std::string(mapping.status().message());
  return Json(mapping->FromJson(*ParseJsonObject(row), row));
}

TEST(FieldMappingTest, DefaultFieldsOfTrackNeedNoMapping) {
  EXPECT_EQ(
      Csv({}, {"identity", "event", "timestamp", "properties"},
          {"a@b.c", "Buy", "2024-01-15T10:30:00Z", R"({"amount":49.99})"}),
      R"({"event":"Buy","identity":"a@b.c","properties":{"amount":49.99},"timestamp":"2024-01-15T10:30:00Z"})");
}

TEST(FieldMappingTest, DefaultFieldsOfUserNeedNoMapping) {
  EXPECT_EQ(Csv({.type = ObjectType::kUserProperties},
                {"identity", "email", "properties"},
                {"u1", "a@b.c", R"({"plan":"Pro"})"}),
            R"({"email":"a@b.c","identity":"u1","properties":{"plan":"Pro"}})");
}

TEST(FieldMappingTest, DefaultFieldsOfAccountNeedNoMapping) {
  EXPECT_EQ(Csv({.type = ObjectType::kAccountProperties},
                {"account_id", "properties"}, {"acme", R"({"arr":150000})"}),
            R"({"account_id":"acme","properties":{"arr":150000}})");
}

TEST(FieldMappingTest, MappedColumnsFillFieldsAndTheRestBecomesProperties) {
  EXPECT_EQ(Csv({.columns = {{"identity", "mail"}, {"event", "what"}}},
                {"mail", "what", "amount"}, {"a", "Buy", "7"}),
            R"({"event":"Buy","identity":"a","properties":{"amount":7}})");
}

TEST(FieldMappingTest, OneColumnCanFillTwoFields) {
  EXPECT_EQ(Csv({.type = ObjectType::kUserProperties,
                 .columns = {{"identity", "email"}}},
                {"email"}, {"a@b.c"}),
            R"({"email":"a@b.c","identity":"a@b.c"})");
}

TEST(FieldMappingTest, ChosenColumnsAreTheOnlyProperties) {
  EXPECT_EQ(Csv({.properties = {{"b"}}}, {"identity", "event", "a", "b"},
                {"i", "e", "1", "2"}),
            R"({"event":"e","identity":"i","properties":{"b":2}})");
}

TEST(FieldMappingTest, PropertiesCanBeRenamed) {
  EXPECT_EQ(Csv({.columns = {{"properties.plan", "plan_name"}}},
                {"identity", "event", "plan_name"}, {"i", "e", "Pro"}),
            R"({"event":"e","identity":"i","properties":{"plan":"Pro"}})");
}

TEST(FieldMappingTest, FixedValuesBeatColumns) {
  EXPECT_EQ(
      Csv({.fixed = {{"event", "Imported"}, {"properties.source", "w"}}},
          {"identity", "source"}, {"i", "x"}),
      R"({"event":"Imported","identity":"i","properties":{"source":"w"}})");
  EXPECT_EQ(Csv({.fixed = {{"event", "Imported"}, {"properties.a", "1"}}},
                {"identity", "properties"}, {"i", R"({"a":2})"}),
            R"({"event":"Imported","identity":"i","properties":{"a":1}})");
}

TEST(FieldMappingTest, EmptyCellsAreLeftOut) {
  EXPECT_EQ(Csv({}, {"identity", "event", "timestamp", "properties", "a"},
                {"i", "e", "", "", ""}),
            R"({"event":"e","identity":"i"})");
}

TEST(FieldMappingTest, AColumnBeatsAKeyOfTheProperties) {
  EXPECT_EQ(Csv({}, {"a", "identity", "event", "properties"},
                {"1", "i", "e", R"({"a":2,"b":3})"}),
            R"({"event":"e","identity":"i","properties":{"a":1,"b":3}})");
}

TEST(FieldMappingTest, StringsModeKeepsCellsAsText) {
  EXPECT_EQ(Csv({.typing = ValueTyping::kStrings}, {"identity", "event", "a"},
                {"i", "e", "1"}),
            R"({"event":"e","identity":"i","properties":{"a":"1"}})");
}

TEST(FieldMappingTest, ChosenColumnsStayText) {
  EXPECT_EQ(Csv({.text_columns = {"a"}}, {"identity", "event", "a", "b"},
                {"i", "e", "1.10", "2"}),
            R"({"event":"e","identity":"i","properties":{"a":"1.10","b":2}})");
  EXPECT_EQ(Ndjson({.text_columns = {"a"}},
                   R"({"event":"e","identity":"i","a":1.10,"b":2})"),
            R"({"event":"e","identity":"i","properties":{"a":"1.10","b":2}})");
}

TEST(FieldMappingTest, NamelessColumnsAreIgnored) {
  EXPECT_EQ(Csv({}, {"identity", "event", "", ""}, {"i", "e", "x", "y"}),
            R"({"event":"e","identity":"i"})");
}

TEST(FieldMappingTest, LinesThatPrintedTablesHaveBesidesRowsAreRefused) {
  for (const char* line : {"(3 rows)", "(1 row)", " (0 rows affected) "}) {
    EXPECT_EQ(Csv({}, {"identity", "event"}, {line}), " NOT_A_ROW") << line;
    EXPECT_EQ(Csv({.fixed = {{"event", "e"}}}, {"identity"}, {line}),
              " NOT_A_ROW");
  }
  EXPECT_EQ(
      Csv({}, {"identity", "event", "plan"}, {"identity", "event", "plan"}),
      " NOT_A_ROW");
  EXPECT_EQ(Csv({.columns = {{"identity", "customer ref"}},
                 .fixed = {{"event", "e"}}},
                {" customer ref"}, {"customer ref "}),
            " NOT_A_ROW");
  EXPECT_EQ(Csv({}, {"identity", "event"}, {"\xEF\xBB\xBFidentity", "event"}),
            " NOT_A_ROW");
  EXPECT_EQ(Csv({.fixed = {{"event", "e"}}}, {"identity"}, {"(3 rowers)"}),
            R"j({"event":"e","identity":"(3 rowers)"})j");
}

TEST(FieldMappingTest, TheMarkOfAFileThatWasPutBehindAnotherIsNoPartOfACell) {
  EXPECT_EQ(Csv({}, {"identity", "event"},
                {"\xEF\xBB\xBF"
                 "ada",
                 "e"}),
            R"j({"event":"e","identity":"ada"})j");
}

TEST(FieldMappingTest, RowsThatCannotBecomeItemsSayWhy) {
  EXPECT_EQ(Csv({}, {"identity", "event"}, {"i"}), " WRONG_CELL_COUNT");
  EXPECT_EQ(Csv({}, {"identity", "event", "timestamp"}, {"i", "e", "soon"}),
            "timestamp INVALID_TIMESTAMP");
  EXPECT_EQ(Csv({}, {"identity", "event", "properties"}, {"i", "e", "{"}),
            "properties INVALID_JSON");
}

TEST(FieldMappingTest, AllFaultsOfARowAreFound) {
  const std::vector<absl::string_view> header = {"identity", "event",
                                                 "timestamp", "properties"};
  const auto mapping = FieldMapping::ForCsv({}, header);
  const std::vector<absl::string_view> cells = {"i", "e", "soon", "["};
  EXPECT_EQ(mapping->FromCells(cells).violations.size(), 2u);
}

TEST(FieldMappingTest, OptionsThatDoNotFitTheHeaderAreAllNamed) {
  const std::string problems =
      Csv({.columns = {{"identity", "nobody"}, {"evnt", "event"}},
           .properties = {{"nothing", "x"}},
           .fixed = {{"timestamp", "soon"}}},
          {"event", "x", "x"}, {});
  EXPECT_THAT(problems, HasSubstr("no column is named \"nobody\""));
  EXPECT_THAT(problems, HasSubstr("\"evnt\" is no field of --type=track"));
  EXPECT_THAT(problems, HasSubstr("no column is named \"nothing\""));
  EXPECT_THAT(problems, HasSubstr("fixed value of \"timestamp\""));
  EXPECT_THAT(problems, HasSubstr("two columns are named \"x\""));
  EXPECT_THAT(problems, HasSubstr("nothing fills identity"));
}

TEST(FieldMappingTest, AMappedColumnFillsNoOtherField) {
  EXPECT_EQ(Csv({.columns = {{"identity", "session_id"}, {"event", "what"}}},
                {"session_id", "what", "event"}, {"s", "Buy", "x"}),
            R"({"event":"Buy","identity":"s","properties":{"event":"x"}})");
  EXPECT_EQ(Ndjson({.columns = {{"identity", "user_id"}}},
                   R"({"event":"e","user_id":"ada@example.com"})"),
            R"({"event":"e","identity":"ada@example.com"})");
}

TEST(FieldMappingTest, AMappedPropertyHasNoOtherColumn) {
  EXPECT_EQ(
      Csv({.columns = {{"properties.plan", "plan_name"}}},
          {"identity", "event", "plan", "plan_name"}, {"i", "e", "old", "new"}),
      R"({"event":"e","identity":"i","properties":{"plan":"new"}})");
  EXPECT_EQ(
      Ndjson({.columns = {{"properties.plan", "plan_name"}}},
             R"({"event":"e","identity":"i","plan":"old","plan_name":"new"})"),
      R"({"event":"e","identity":"i","properties":{"plan":"new"}})");
  EXPECT_THAT(Csv({.columns = {{"properties.plan", "plan_name"}},
                   .properties = {{"plan"}}},
                  {"identity", "event", "plan", "plan_name"}, {}),
              HasSubstr("\"plan\" has a column of that name and one of --map"));
}

TEST(FieldMappingTest, WhatAPathTakesOutOfAnObjectIsNoPropertyToo) {
  EXPECT_EQ(
      Ndjson(
          {.columns = {{"identity", "properties.distinct_id"},
                       {"timestamp", "properties.time"}}},
          R"({"event":"e","properties":{"distinct_id":"i","time":1705314600,"a":1}})"),
      R"({"event":"e","identity":"i","properties":{"a":1},"timestamp":"2024-01-15T10:30:00Z"})");
  EXPECT_EQ(Ndjson({.columns = {{"identity", "user.id"}}},
                   R"({"event":"e","user":{"id":"i"},"a":1})"),
            R"({"event":"e","identity":"i","properties":{"a":1}})");
}

TEST(FieldMappingTest, AFixedUserIdIsOffTheDefaultOfTheIdentity) {
  EXPECT_EQ(
      Csv({.fixed = {{"user_id", "5"}}}, {"identity", "event"}, {"i", "e"}),
      R"({"event":"e","properties":{"identity":"i"},"user_id":"5"})");
}

TEST(FieldMappingTest, NamesInCapitalsAreTold) {
  EXPECT_THAT(Csv({}, {"IDENTITY", "Event", "NOTE"}, {}),
              HasSubstr("--map=identity=IDENTITY,event=Event"));
}

TEST(FieldMappingTest, AnObjectThatHoldsTheRowsIsTold) {
  EXPECT_EQ(Ndjson({}, R"({"data":[{"identity":"i"}],"next":null})"),
            " ROWS_INSIDE_AN_OBJECT");
  EXPECT_EQ(Ndjson({}, R"({"columns":["identity"],"data":[["i"]]})"),
            " ROWS_INSIDE_AN_OBJECT");
}

TEST(FieldMappingTest, AUserIdIsMappedOrBesideAnIdentity) {
  EXPECT_EQ(Ndjson({}, R"({"event":"e","user_id":42})"), "user_id NOT_MAPPED");
  EXPECT_EQ(Ndjson({}, R"({"event":"e","identity":"i","user_id":42})"),
            R"({"event":"e","identity":"i","properties":{"user_id":42}})");
  EXPECT_EQ(
      Ndjson({.fixed = {{"identity", "i"}}}, R"({"event":"e","user_id":42})"),
      R"({"event":"e","identity":"i","properties":{"user_id":42}})");
}

TEST(FieldMappingTest, OnlyColumnsThatAreUsedNeedAName) {
  EXPECT_EQ(Csv({.properties = {{"plan"}}},
                {"identity", "event", "plan", "Labels", "Labels"},
                {"i", "e", "Pro", "x", "y"}),
            R"({"event":"e","identity":"i","properties":{"plan":"Pro"}})");
  EXPECT_THAT(Csv({}, {"identity", "event", "plan", "Labels", "Labels"}, {}),
              HasSubstr("two columns are named \"Labels\""));
  EXPECT_THAT(Csv({.properties = {{"plan"}}},
                  {"identity", "event", "plan", "event"}, {}),
              HasSubstr("two columns are named \"event\""));
}

TEST(FieldMappingTest, NamesAreTrimmedAndShownInQuotes) {
  EXPECT_EQ(Csv({}, {"identity", " event ", "note\t"}, {"i", "e", "x"}),
            R"({"event":"e","identity":"i","properties":{"note":"x"}})");
  EXPECT_THAT(Csv({}, {"who", " event"}, {}),
              HasSubstr("the columns are: \"who\", \"event\""));
  EXPECT_THAT(Csv({}, {"who\x1b[2J", "event"}, {}),
              HasSubstr("\"who\\x1b[2J\""));
}

TEST(FieldMappingTest, AFieldHasAColumnOrAFixedValueNotBoth) {
  EXPECT_THAT(Csv({.columns = {{"event", "e"}}, .fixed = {{"event", "x"}}},
                  {"identity", "e"}, {"i", "e"}),
              HasSubstr("both a column and a fixed value"));
}

TEST(FieldMappingTest, NdjsonKeepsListsObjectsAndTypes) {
  EXPECT_EQ(
      Ndjson(
          {},
          R"({"a.b":1,"event":"e","identity":"i","l":["x",2],"n":null,"o":{"k":true},"properties":{"p":"1"}})"),
      R"({"event":"e","identity":"i","properties":{"a.b":1,"l":["x",2],"o":{"k":true},"p":"1"}})");
}

TEST(FieldMappingTest, NdjsonColumnsCanBePaths) {
  EXPECT_EQ(
      Ndjson({.columns = {{"identity", "user.mail"}},
              .properties = {{"user.plan", "a.b"}}},
             R"({"a.b":2,"event":"e","user":{"mail":"i","plan":"Pro"}})"),
      R"({"event":"e","identity":"i","properties":{"a.b":2,"user.plan":"Pro"}})");
}

TEST(FieldMappingTest, NdjsonNumbersFillTextFieldsAndTimes) {
  EXPECT_EQ(
      Ndjson({.columns = {{"user_id", "user_id"}}},
             R"({"event":"e","timestamp":1705314600123,"user_id":12345})"),
      R"({"event":"e","timestamp":"2024-01-15T10:30:00.123Z","user_id":"12345"})");
  EXPECT_EQ(Ndjson({}, R"({"identity":"i","timestamp":1705314600.5})"),
            R"({"identity":"i","timestamp":"2024-01-15T10:30:00.500Z"})");
}

TEST(FieldMappingTest, NdjsonNumbersNameSomethingAsTheyAreWritten) {
  for (const char* number :
       {"9007199254740993.0", "9007199254740992", "1e25", "1.5", "1.23457E+11",
        "1E5", "9007199254740993", "123456789012345678901"}) {
    EXPECT_EQ(
        Ndjson({}, absl::StrCat(R"({"event":"e","identity":)", number, "}")),
        "identity ID_MANGLED")
        << number;
  }
  EXPECT_EQ(Ndjson({}, R"({"event":"e","identity":"9007199254740993"})"),
            R"({"event":"e","identity":"9007199254740993"})");
  EXPECT_EQ(Ndjson({}, R"({"event":"e","identity":123.0})"),
            Csv({}, {"identity", "event"}, {"123.0", "e"}));
  EXPECT_EQ(Ndjson({}, R"({"event":"e","identity":9007199254740991})"),
            R"({"event":"e","identity":"9007199254740991"})");
}

TEST(FieldMappingTest, TimesAreTheSameInCsvAndNdjson) {
  for (const char* time : {"1705314600123.0", "1.705314600123E+12",
                           "1705314600123456", "1.7053146E9", "1.70531E+12"}) {
    EXPECT_EQ(Ndjson({}, absl::StrCat(R"({"event":"e","identity":"i",)",
                                      R"("timestamp":)", time, "}")),
              Csv({}, {"identity", "event", "timestamp"}, {"i", "e", time}))
        << time;
  }
}

TEST(FieldMappingTest, NullsAreLeftOut) {
  EXPECT_EQ(Csv({.type = ObjectType::kUserProperties},
                {"identity", "plan", "seats"}, {"i", "\\N", "3"}),
            R"({"identity":"i","properties":{"seats":3}})");
  EXPECT_EQ(Csv({.type = ObjectType::kUserProperties}, {"identity", "plan"},
                {"\\N", "Free"}),
            "identity REQUIRED");
  EXPECT_EQ(
      Csv({.type = ObjectType::kAccountProperties}, {"account_id"}, {"\\N"}),
      "account_id REQUIRED");
  EXPECT_EQ(Csv({.nulls = {"-"}}, {"identity", "event", "a"}, {"i", "e", "-"}),
            R"({"event":"e","identity":"i"})");
  EXPECT_EQ(Ndjson({}, R"({"event":"e","identity":"i","plan":"\\N"})"),
            R"({"event":"e","identity":"i"})");
}

TEST(FieldMappingTest, NdjsonFieldsOfAWrongTypeAreNamed) {
  EXPECT_EQ(Ndjson({}, R"({"identity":["i"]})"), "identity WRONG_TYPE");
  EXPECT_EQ(Ndjson({}, R"({"identity":true})"), "identity WRONG_TYPE");
  EXPECT_EQ(Ndjson({}, R"({"properties":[]})"), "properties WRONG_TYPE");
}

}  // namespace
}  // namespace heapsync
