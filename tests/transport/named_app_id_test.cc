#include "heap_adapter/transport/named_app_id.h"

#include <gtest/gtest.h>

namespace heapsync {
namespace {

TEST(NamedAppId, IsReadFromTheHeadOfTheText) {
  for (const char* text :
       {"postBody.app_id should be number", "postBody.app_id should be string",
        "postBody.app_id should be number, postBody.events[0].event is long",
        "postBody should have required property 'app_id'",
        "postBody[\"app_id\"] is required", "app_id is missing",
        "Bad Request: invalid app_id", "Invalid App ID", "unknown appId 12",
        R"({"error":"postBody.app_id should be number"})",
        R"({"status":400,"message":"missing app_id"})"}) {
    EXPECT_TRUE(NamesAppId(text)) << text;
  }
}

TEST(NamedAppId, IsNotReadFromWhatAnItemContains) {
  for (const char* text :
       {"", "Bad Request", "postBody.events[3].properties should be object",
        "postBody.events[0].properties.app_id should be string",
        "postBody.events[0].event should not be 'app_id'",
        "event name 'postBody.app_id should be number' is not allowed",
        "unexpected value \"app_id\"", "app_identity is invalid",
        "my_app_id is invalid", "the application id is wrong", "app", "app_"}) {
    EXPECT_FALSE(NamesAppId(text)) << text;
  }
}

}  // namespace
}  // namespace heapsync
