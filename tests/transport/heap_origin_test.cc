#include "heap_adapter/transport/heap_origin.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace heapsync {
namespace {

bool IsHeaps(std::string body,
             std::optional<std::string> content_type = std::nullopt,
             int status = 200) {
  return ComesFromHeap({.status = status,
                        .retry_after = std::nullopt,
                        .content_type = std::move(content_type),
                        .body = std::move(body)});
}

constexpr char kPortal[] =
    "<html><head><title>Request Rejected</title></head><body>The requested URL "
    "was rejected. Please consult with your administrator.</body></html>";

TEST(HeapOrigin, TakesTheBodiesThatHeapIsKnownToGive) {
  for (const char* body : {"", "OK", "{}", "ok", " OK\r\n", "\n", "{ }\n"}) {
    for (const char* type :
         {"application/json", "text/plain", "application/json; charset=utf-8",
          "text/plain; charset=utf-8"}) {
      EXPECT_TRUE(IsHeaps(body, type)) << type << ": " << body;
    }
    EXPECT_TRUE(IsHeaps(body)) << body;
  }
  EXPECT_TRUE(IsHeaps("OK", "text/html; charset=utf-8"));
}

TEST(HeapOrigin, TakesObjectsWithHarmlessMembers) {
  for (const char* body :
       {R"({"status":"ok"})", R"({"success":true})", R"({"accepted":3})",
        R"({"error":null,"errors":[]})", R"({"failed":0,"code":200})",
        R"({"request_id":"404","took":503})", R"({"message":"Accepted"})",
        R"({"default":true})", R"({"result":{"events":1000}})",
        R"({"result":500})", R"({"warnings":["x"]})"}) {
    EXPECT_TRUE(IsHeaps(body, "application/json")) << body;
  }
}

TEST(HeapOrigin, TakesFourStatuses) {
  for (const int status : {200, 201, 202, 204}) {
    EXPECT_TRUE(IsHeaps("", std::nullopt, status)) << status;
  }
  for (const int status : {203, 205, 206, 207, 208, 218, 226, 299}) {
    EXPECT_FALSE(IsHeaps("", std::nullopt, status)) << status;
    EXPECT_FALSE(IsHeaps("{}", "application/json", status)) << status;
  }
}

TEST(HeapOrigin, RefusesPagesWhateverTheyAreLabelled) {
  for (const char* type :
       {"text/html", "text/html; charset=utf-8", "TEXT/HTML",
        "application/xhtml+xml", "text/plain", "application/json", ""}) {
    EXPECT_FALSE(IsHeaps(kPortal, type)) << type;
  }
  EXPECT_FALSE(IsHeaps(kPortal));
  EXPECT_FALSE(IsHeaps("", "text/html"));
  EXPECT_FALSE(IsHeaps("{}", "text/html"));
}

TEST(HeapOrigin, RefusesTextsAndJsonThatIsNoObject) {
  for (const char* body : {"blocked by policy", "OK, but not here", "KO", "<",
                           "[]", "null", "true", "1", "\"OK\"", "{", "{}{}",
                           "{\"a\":", "\x1f\x8b\x08", "\xff"}) {
    EXPECT_FALSE(IsHeaps(body, "application/json")) << body;
  }
}

TEST(HeapOrigin, RefusesObjectsThatReportAnError) {
  for (const char* body : {R"({"error":"not taken"})",
                           R"({"Error":{"code":7}})",
                           R"({"errors":["x"]})",
                           R"({"err":1})",
                           R"({"error":true})",
                           R"({"errorMessage":"x"})",
                           R"({"lastError":"x"})",
                           R"({"success":false})",
                           R"({"ok":false})",
                           R"({"success":"false"})",
                           R"({"accepted":0})",
                           R"({"status":"error"})",
                           R"({"status":403})",
                           R"({"status":"503"})",
                           R"({"statusCode":429,"body":"x"})",
                           R"({"status":"not taken"})",
                           R"({"message":"Access denied"})",
                           R"({"fault":{"faultstring":"x"}})",
                           R"({"failed":3})",
                           R"({"result":{"error":"x"}})",
                           R"({"a":{"b":{"error":"x"}}})"}) {
    EXPECT_FALSE(IsHeaps(body, "application/json")) << body;
  }
}

TEST(HeapOrigin, SurvivesDeepObjects) {
  std::string body;
  for (int i = 0; i < 10'000; ++i) body += "{\"a\":";
  body += "1" + std::string(10'000, '}');
  EXPECT_TRUE(IsHeaps(body));
}

TEST(MediaTypeText, IsForPeople) {
  EXPECT_EQ(MediaTypeText("text/html; charset=utf-8"), "text/html");
  EXPECT_EQ(MediaTypeText(" Application/JSON "), "application/json");
  EXPECT_EQ(MediaTypeText("application/problem+json"),
            "application/problem+json");
  EXPECT_EQ(MediaTypeText(std::nullopt), "no content type");
  EXPECT_EQ(MediaTypeText(";"), "no content type");
  EXPECT_EQ(MediaTypeText("jo@example.com/x"), "unreadable content type");
  EXPECT_EQ(MediaTypeText("\x1b[31m"), "unreadable content type");
  EXPECT_EQ(MediaTypeText("a/" + std::string(100, 'b')),
            "unreadable content type");
}

}  // namespace
}  // namespace heapsync
