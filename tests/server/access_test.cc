#include "server/access/access.h"

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/server/admin_world.h"

namespace heapsync {
namespace {

constexpr MonotonicTime kStart = MonotonicTime(std::chrono::hours(1));

AccessRules Rules(const std::string& json) {
  absl::StatusOr<AccessRules> rules = AccessRules::Parse(json);
  EXPECT_TRUE(rules.ok()) << rules.status();
  return *std::move(rules);
}

// One caller "shop" with the token "secret" and the certificate "shop.example".
AccessRules Shop(const std::string& more = "") {
  return Rules(absl::StrCat(
      R"({"callers":[{"name":"shop","certificates":["shop.example"],
          "token_sha256":[")",
      ToHex(HashOf("secret")), "\"]", more, "}]}"));
}

Credentials Bearer(const std::string& value) {
  return CredentialsIn({{"authorization", value}}, nullptr);
}

Caller Admitted(const Access& access, const Credentials& credentials,
                ServiceKind service = ServiceKind::kData) {
  auto admitted = access.Admit(credentials, service);
  EXPECT_TRUE(std::holds_alternative<Caller>(admitted));
  return std::holds_alternative<Caller>(admitted) ? std::get<Caller>(admitted)
                                                  : Caller();
}

std::string Refused(const Access& access, const Credentials& credentials,
                    ServiceKind service = ServiceKind::kData) {
  auto admitted = access.Admit(credentials, service);
  if (std::holds_alternative<Caller>(admitted)) return "admitted";
  const CallError& error = std::get<CallError>(admitted);
  const std::string code =
      error.code == grpc::StatusCode::UNAUTHENTICATED     ? "UNAUTHENTICATED "
      : error.code == grpc::StatusCode::PERMISSION_DENIED ? "PERMISSION_DENIED "
                                                          : "? ";
  return code + error.reason;
}

TEST(CallerNameTest, WhereNobodyAsksItIsTheOneInTheMetadata) {
  const auto name = [](const CallMetadata& metadata) {
    return Admitted(Access(), CredentialsIn(metadata, nullptr)).name;
  };
  EXPECT_EQ(name({{"heapsync-caller", "checkout.eu-1"}}), "checkout.eu-1");
  EXPECT_EQ(name({{"user-agent", "grpc"}}), "");
  EXPECT_EQ(name({{"heapsync-caller", "a"}, {"heapsync-caller", "b"}}), "");
}

TEST(CallerNameTest, WhatIsNotANameCountsAsNone) {
  const std::string longest(64, 'x');
  EXPECT_TRUE(IsCallerName(longest));
  for (const std::string& name :
       {std::string(), std::string("Shop"), std::string("a b"),
        std::string("a/b"), std::string("k\xC3\xA4se"), std::string("a\n"),
        longest + "x"}) {
    EXPECT_FALSE(IsCallerName(name)) << name;
    EXPECT_EQ(CredentialsIn({{"heapsync-caller", name}}, nullptr).claimed_name,
              "");
  }
}

TEST(AccessTest, WithoutRulesEverybodyMayDoEverything) {
  const Caller caller =
      Admitted(Access(), Bearer("nonsense"), ServiceKind::kAdmin);
  EXPECT_TRUE(caller.MayUse("prod"));
  EXPECT_TRUE(caller.MayUseAll());
  EXPECT_FALSE(caller.Spend(1'000'000'000, kStart).has_value());
}

TEST(AccessTest, ATokenNamesTheCallerWhateverItClaims) {
  Access access;
  access.SetRules(Shop());
  EXPECT_EQ(Admitted(access, CredentialsIn({{"authorization", "Bearer secret"},
                                            {"heapsync-caller", "other"}},
                                           nullptr))
                .name,
            "shop");
  EXPECT_EQ(Admitted(access, Bearer("bearer  secret ")).name, "shop");
}

TEST(AccessTest, WithoutAGoodTokenNobodyIsAdmitted) {
  Access access;
  access.SetRules(Shop());
  EXPECT_EQ(Refused(access, {}), "UNAUTHENTICATED CREDENTIALS_MISSING");
  EXPECT_EQ(Refused(access, Bearer("Bearer secreT")),
            "UNAUTHENTICATED TOKEN_UNKNOWN");
  for (const char* value :
       {"", "Bearer", "Bearer ", "secret", "Basic secret"}) {
    EXPECT_EQ(Refused(access, Bearer(value)),
              "UNAUTHENTICATED CREDENTIALS_MALFORMED")
        << value;
  }
  EXPECT_EQ(Refused(access, CredentialsIn({{"authorization", "Bearer secret"},
                                           {"authorization", "Bearer secret"}},
                                          nullptr)),
            "UNAUTHENTICATED CREDENTIALS_MALFORMED");
}

TEST(AccessTest, ACertificateNamesTheCallerUnlessAWrongTokenStandsBesideIt) {
  Access access;
  access.SetRules(Shop());
  Credentials credentials;
  credentials.certificate_names = {"elsewhere", "shop.example"};
  EXPECT_EQ(Admitted(access, credentials).name, "shop");
  credentials.token = HashOf("wrong");
  EXPECT_EQ(Refused(access, credentials), "UNAUTHENTICATED TOKEN_UNKNOWN");
  credentials.token.reset();
  credentials.certificate_names = {"elsewhere"};
  EXPECT_EQ(Refused(access, credentials),
            "UNAUTHENTICATED CERTIFICATE_UNKNOWN");
}

TEST(AccessTest, EachServiceIsAllowedByItself) {
  Access access;
  const Credentials secret = Bearer("Bearer secret");
  access.SetRules(Shop());
  EXPECT_EQ(Refused(access, secret, ServiceKind::kAdmin),
            "PERMISSION_DENIED SERVICE_NOT_ALLOWED");
  EXPECT_EQ(Admitted(access, secret, ServiceKind::kReflection).name, "shop");
  access.SetRules(Shop(R"(,"services":["admin"])"));
  EXPECT_EQ(Admitted(access, secret, ServiceKind::kAdmin).name, "shop");
  EXPECT_EQ(Refused(access, secret), "PERMISSION_DENIED SERVICE_NOT_ALLOWED");
}

TEST(AccessTest, ARevokedTokenIsRefusedAndStreamsAreToldToAskAgain) {
  Access access;
  access.SetRules(Shop());
  const Caller caller = Admitted(access, Bearer("Bearer secret"));
  EXPECT_TRUE(access.IsCurrent(caller));
  access.SetRules(Rules(R"({"callers":[]})"));
  EXPECT_FALSE(access.IsCurrent(caller));
  EXPECT_EQ(Refused(access, Bearer("Bearer secret")),
            "UNAUTHENTICATED TOKEN_UNKNOWN");
}

TEST(AccessTest, TheRateIsSharedByAllCallsAndKeptOverAReload) {
  Access access;
  const std::string rate = R"(,"items_per_second":10,"burst":20)";
  access.SetRules(Shop(rate));
  EXPECT_EQ(
      Admitted(access, Bearer("Bearer secret")).Spend(20, kStart).has_value(),
      false);
  access.SetRules(Shop(rate));
  const auto error = Admitted(access, Bearer("Bearer secret")).Spend(1, kStart);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(error->reason, "CALLER_RATE");
  EXPECT_EQ(error->retry_delay, std::chrono::milliseconds(101));
  access.SetRules(Shop(R"(,"items_per_second":1000,"burst":20)"));
  EXPECT_FALSE(
      Admitted(access, Bearer("Bearer secret")).Spend(1, kStart).has_value());
}

TEST(AccessTest, MessagesOfAllStreamsShareTheRateAndWaitUntilTheyArePaid) {
  Access access;
  access.SetRules(Shop(R"(,"items_per_second":10,"burst":10)"));
  const auto payment = [&](uint64_t items, size_t bytes) {
    return std::make_unique<MessagePayment>(
        Admitted(access, Bearer("Bearer secret")).allowance, items, bytes);
  };
  const auto left = [](MessagePayment& each, MonotonicTime now) {
    return std::get<Duration>(each.Continue(now));
  };
  constexpr Duration kTick{1};
  const auto within = payment(10, 1);
  EXPECT_EQ(left(*within, kStart), Duration::zero());
  const auto first = payment(10, 1);
  const auto second = payment(30, 1);
  EXPECT_EQ(left(*first, kStart), std::chrono::seconds(1) + kTick);
  EXPECT_EQ(left(*second, kStart), std::chrono::seconds(4) + kTick);
  EXPECT_EQ(left(*first, kStart + std::chrono::seconds(1)), Duration::zero());
  EXPECT_EQ(left(*second, kStart + std::chrono::seconds(4)), Duration::zero());
}

TEST(AccessTest, TooManyBytesOfMessagesThatWaitAreRefused) {
  Access access;
  access.SetRules(Shop(R"(,"items_per_second":10,"burst":10)"));
  const auto payment = [&](size_t bytes) {
    return std::make_unique<MessagePayment>(
        Admitted(access, Bearer("Bearer secret")).allowance, 1'000, bytes);
  };
  constexpr size_t kMiB = 1 << 20;
  const auto refused = [](MessagePayment& each) {
    return std::holds_alternative<CallError>(each.Continue(kStart));
  };
  // However large, the first may wait: it could never be sent otherwise.
  auto first = payment(20 * kMiB);
  EXPECT_FALSE(refused(*first));
  const auto second = payment(1);
  const CallError error = std::get<CallError>(second->Continue(kStart));
  EXPECT_EQ(error.reason, "CALLER_RATE");
  EXPECT_EQ(error.retry_delay, std::chrono::seconds(60));
  first.reset();
  EXPECT_FALSE(refused(*second));
  const auto third = payment(16 * kMiB - 1);
  EXPECT_FALSE(refused(*third));
  EXPECT_TRUE(refused(*payment(1)));
}

// What a caller that may use one destination only gets from the real services;
// the world has "prod", which is the default, and "europe".
class LimitedCallerTest : public testing::Test {
 protected:
  LimitedCallerTest() {
    europe_ = world_.Track("somebody", "Seen", "europe");
    prod_ = world_.Track("somebody", "Seen", "prod");
    LimitTo("prod");
  }

  void LimitTo(const std::string& destination) {
    world_.access().SetRules(
        Shop(absl::StrCat(R"(,"services":["data","admin"],"destinations":[")",
                          destination, R"("])")));
  }

  template <typename Service, typename Request, typename Response>
  grpc::Status Call(Service& stub,
                    grpc::Status (Service::*method)(grpc::ClientContext*,
                                                    const Request&, Response*),
                    const Request& request) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", "Bearer secret");
    Response response;
    return (stub.*method)(&context, request, &response);
  }

  template <typename Request, typename Response>
  ErrorSeen Ask(grpc::Status (v1::HeapSyncAdminService::Stub::*method)(
                    grpc::ClientContext*, const Request&, Response*),
                const Request& request, Response* response = nullptr) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", "Bearer secret");
    Response ignored;
    const grpc::Status status = (world_.admin().*method)(
        &context, request, response == nullptr ? &ignored : response);
    return status.ok() ? ErrorSeen() : SeenIn(status);
  }

  using Stub = v1::HeapSyncAdminService::Stub;
  AdminWorld world_;
  std::string europe_;
  std::string prod_;
};

TEST_F(LimitedCallerTest, SeesItsOwnDestinationsOnly) {
  v1::ListDestinationsResponse response;
  EXPECT_EQ(
      Ask(&Stub::ListDestinations, v1::ListDestinationsRequest(), &response)
          .code,
      grpc::StatusCode::OK);
  ASSERT_EQ(response.destinations_size(), 1);
  EXPECT_EQ(response.destinations(0).name(), "prod");
}

TEST_F(LimitedCallerTest, IsRefusedWhatBelongsToOthers) {
  const auto is_refused = [](const ErrorSeen& seen) {
    EXPECT_EQ(seen.code, grpc::StatusCode::PERMISSION_DENIED);
    EXPECT_EQ(seen.reason, "DESTINATION_NOT_ALLOWED");
  };
  for (const char* name : {"europe", "there-is-none"}) {
    v1::GetDestinationRequest get;
    get.set_destination(name);
    is_refused(Ask(&Stub::GetDestination, get));
    v1::PauseDestinationRequest pause;
    pause.set_destination(name);
    is_refused(Ask(&Stub::PauseDestination, pause));
    v1::ResumeDestinationRequest resume;
    resume.set_destination(name);
    is_refused(Ask(&Stub::ResumeDestination, resume));
    v1::FlushRequest flush;
    flush.set_destination(name);
    is_refused(Ask(&Stub::Flush, flush));
    v1::ListDeadLettersRequest list;
    list.mutable_filter()->set_destination(name);
    is_refused(Ask(&Stub::ListDeadLetters, list));
  }
  is_refused(Ask(&Stub::Flush, v1::FlushRequest()));
  is_refused(Ask(&Stub::ListDeadLetters, v1::ListDeadLettersRequest()));
  v1::ReplayDeadLettersRequest replay;
  replay.set_all(true);
  is_refused(Ask(&Stub::ReplayDeadLetters, replay));
  v1::DiscardDeadLettersRequest discard;
  discard.set_all(true);
  is_refused(Ask(&Stub::DiscardDeadLetters, discard));
}

TEST_F(LimitedCallerTest, CannotTellReceiptsOfOthersFromThoseThatNobodyGave) {
  const absl::StatusOr<Receipt> europe = Receipt::Decode(europe_);
  ASSERT_TRUE(europe.ok());
  Receipt nobodys = *europe;
  nobodys.lane = 9'999;
  // What three RPCs say of a receipt, but for the receipt itself.
  const auto answers = [&](const std::string& receipt) {
    v1::GetDeliveryRequest delivery;
    delivery.set_receipt(receipt);
    v1::ListDeadLettersRequest by_receipt;
    by_receipt.mutable_filter()->set_destination("prod");
    by_receipt.mutable_filter()->set_receipt(receipt);
    v1::DiscardDeadLettersRequest by_id;
    by_id.mutable_filter()->set_destination("prod");
    by_id.mutable_filter()->add_ids(receipt);
    std::vector<std::string> said;
    for (const grpc::Status& status :
         {Call(world_.admin(), &Stub::GetDelivery, delivery),
          Call(world_.admin(), &Stub::ListDeadLetters, by_receipt),
          Call(world_.admin(), &Stub::DiscardDeadLetters, by_id)}) {
      EXPECT_EQ(status.error_details().find("europe"), std::string::npos);
      const ErrorSeen seen = SeenIn(status);
      EXPECT_EQ(seen.reason, "UNKNOWN_RECEIPT");
      EXPECT_EQ(seen.resource, "receipt/" + receipt);
      said.push_back(absl::StrCat(seen.code, " ", status.error_message()));
    }
    return said;
  };
  EXPECT_EQ(answers(europe_), answers(nobodys.Encode()));
}

TEST_F(LimitedCallerTest, IsNotToldWhichDestinationIsTheDefault) {
  LimitTo("europe");
  using Data = v1::HeapSyncService::Stub;
  for (const grpc::Status& status :
       {Call(world_.admin(), &Stub::GetDestination,
             v1::GetDestinationRequest()),
        Call(world_.admin(), &Stub::PauseDestination,
             v1::PauseDestinationRequest()),
        Call(world_.data(), &Data::TrackEvent, v1::TrackEventRequest()),
        Call(world_.data(), &Data::UserProperties, v1::UserPropertiesRequest()),
        Call(world_.data(), &Data::AccountProperties,
             v1::AccountPropertiesRequest())}) {
    EXPECT_EQ(SeenIn(status).reason, "DESTINATION_NOT_ALLOWED");
    EXPECT_EQ(status.error_details().find("prod"), std::string::npos);
  }
}

TEST_F(LimitedCallerTest, GetsWhatIsItsOwn) {
  v1::GetDeliveryRequest delivery;
  delivery.set_receipt(prod_);
  EXPECT_EQ(Ask(&Stub::GetDelivery, delivery).code, grpc::StatusCode::OK);
  v1::ListDeadLettersRequest list;
  list.mutable_filter()->set_destination("prod");
  EXPECT_EQ(Ask(&Stub::ListDeadLetters, list).code, grpc::StatusCode::OK);
}

}  // namespace
}  // namespace heapsync
