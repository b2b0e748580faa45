#include "server/wire/rich_status.h"

#include <gmock/gmock.h>

#include <chrono>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace heapsync {
namespace {

using google::rpc::BadRequest;

// Less than nginx's 4 KiB, which also hold HTTP/2's first frames.
constexpr size_t kMaxHeaderBytes = 3 << 10;

// What a status takes as headers: gRPC percent-encodes the message and sends
// the details as base64.
size_t HeaderBytes(const grpc::Status& status) {
  size_t bytes = absl::Base64Escape(status.error_details()).size();
  for (const char c : status.error_message()) {
    bytes += c >= ' ' && c <= '~' && c != '%' ? 1 : 3;
  }
  return bytes + std::string(
                     ":status200content-typeapplication/grpcgrpc-status"
                     "16grpc-messagegrpc-status-details-bin"
                     "grpc-retry-pushback-ms-1")
                     .size();
}

BadRequest BadRequestOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  for (const auto& detail : details.details()) {
    BadRequest found;
    if (detail.UnpackTo(&found)) return found;
  }
  return {};
}

// The violations listed, and the number of those that are only counted.
struct Listed {
  size_t listed = 0;
  size_t more = 0;
};
Listed ListedIn(const grpc::Status& status) {
  Listed result;
  const BadRequest bad_request = BadRequestOf(status);
  for (const auto& each : bad_request.field_violations()) {
    absl::string_view text = each.description();
    if (!absl::ConsumePrefix(&text, "MORE_VIOLATIONS: ")) {
      ++result.listed;
    } else {
      EXPECT_TRUE(
          absl::SimpleAtoi(text.substr(0, text.find(' ')), &result.more));
    }
  }
  return result;
}

std::vector<Finding> Faults(size_t count, const std::string& field,
                            const std::string& description) {
  std::vector<Finding> faults;
  for (size_t i = 0; i < count; ++i) {
    faults.push_back({.field = absl::StrCat(field, i),
                      .reason = "VALUE_TOO_LONG",
                      .description = description});
  }
  return faults;
}

TEST(RichStatusTest, FewFaultsAreAllListed) {
  const grpc::Status status =
      InvalidRequest(Faults(10, "event.properties.p", "at most 1,024"))
          .ToStatus();
  EXPECT_EQ(ListedIn(status).listed, 10u);
  EXPECT_EQ(ListedIn(status).more, 0u);
}

TEST(RichStatusTest, ManyFaultsAreListedWhileTheyFitAndTheOthersCounted) {
  const std::string han = "\xe5\xb1\x9e\xe6\x80\xa7";  // two characters
  for (const std::string& field :
       {std::string("event.properties.p"), std::string(5'000, 'k'),
        std::string("\x01\x02%%"), absl::StrCat(han, han, han, han)}) {
    for (const size_t count : {1u, 2u, 60u, 100u, 20'000u}) {
      for (const size_t length : {20u, 250u, 2'000u}) {
        const grpc::Status status =
            InvalidRequest(Faults(count, field, std::string(length, 'd')))
                .ToStatus();
        EXPECT_LE(HeaderBytes(status), kMaxHeaderBytes);
        const Listed listed = ListedIn(status);
        EXPECT_GE(listed.listed, 1u);
        EXPECT_EQ(listed.listed + listed.more, count);
        // Two thirds of the space are used before anything is left out.
        if (listed.more > 0) {
          EXPECT_GE(HeaderBytes(status), kMaxHeaderBytes * 2 / 3);
        }
      }
    }
  }
}

TEST(RichStatusTest, LongTextsAreCutBetweenCharacters) {
  std::string text;
  for (int i = 0; i < 2'000; ++i) text += "\xe5\xb1\x9e";
  CallError error = InvalidRequest(
      {{.field = text, .reason = "REQUIRED", .description = text}});
  error.message = text;
  error.resource_type = "destination";
  error.resource_name = text;
  const grpc::Status status = error.ToStatus();
  EXPECT_LE(HeaderBytes(status), kMaxHeaderBytes);
  const std::string cut = BadRequestOf(status).field_violations(0).field();
  EXPECT_TRUE(absl::EndsWith(cut, "\xe5\xb1\x9e..."));
  EXPECT_TRUE(absl::EndsWith(status.error_message(), "\xe5\xb1\x9e..."));
}

TEST(RichStatusTest, ARepetitionByServiceConfigWaitsAsLongAsRetryInfoSays) {
  const CallError error = CallerRateExceeded(std::chrono::milliseconds(1'500));
  EXPECT_EQ(RetryPushback(error, std::chrono::seconds(10)), "1500");
  EXPECT_EQ(RetryPushback(error, std::chrono::system_clock::duration::max()),
            "1500");
}

TEST(RichStatusTest,
     NothingIsRepeatedThatIsPointlessOrWouldOutlastTheDeadline) {
  const CallError error = CallerRateExceeded(std::chrono::milliseconds(1'500));
  EXPECT_EQ(RetryPushback(error, std::chrono::milliseconds(1'500)), "-1");
  EXPECT_EQ(RetryPushback(error, std::chrono::milliseconds(-1)), "-1");
  EXPECT_EQ(RetryPushback(UnknownDestination("x"), std::chrono::seconds(10)),
            "-1");
}

}  // namespace
}  // namespace heapsync
