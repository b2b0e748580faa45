#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "grpc/health/v1/health.grpc.pb.h"
#include "server/health/health_service.h"

namespace heapsync {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr uint32_t kMaxWatches = 2;

class HealthTest : public testing::Test {
 protected:
  HealthTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = Health::NewStub(server_->InProcessChannel({}));
  }
  ~HealthTest() override {
    service_.EndWatches();
    server_->Shutdown(std::chrono::system_clock::now());
  }

  grpc::StatusCode Check(const std::string& name, int* status = nullptr) {
    grpc::ClientContext context;
    HealthCheckRequest request;
    request.set_service(name);
    HealthCheckResponse response;
    const grpc::Status result = stub_->Check(&context, request, &response);
    if (status != nullptr) *status = response.status();
    return result.error_code();
  }

  struct Watch {
    Watch(Health::Stub& stub, const std::string& name) {
      HealthCheckRequest request;
      request.set_service(name);
      reader = stub.Watch(&context, request);
    }
    // -1: the watch has ended.
    int Next() {
      HealthCheckResponse response;
      return reader->Read(&response) ? response.status() : -1;
    }
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<HealthCheckResponse>> reader;
  };

  HealthService service_{kMaxWatches};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Health::Stub> stub_;
};

TEST_F(HealthTest, ChecksWhatWasSetAndKnowsNoOtherName) {
  EXPECT_EQ(Check("a"), grpc::StatusCode::NOT_FOUND);
  service_.SetServing("a", true);
  service_.SetServing("", false);
  int status = 0;
  EXPECT_EQ(Check("a", &status), grpc::StatusCode::OK);
  EXPECT_EQ(status, HealthCheckResponse::SERVING);
  EXPECT_EQ(Check("", &status), grpc::StatusCode::OK);
  EXPECT_EQ(status, HealthCheckResponse::NOT_SERVING);
}

TEST_F(HealthTest, AWatchFollowsItsServiceFromUnknownOn) {
  Watch watch(*stub_, "a");
  EXPECT_EQ(watch.Next(), HealthCheckResponse::SERVICE_UNKNOWN);
  service_.SetServing("b", true);
  service_.SetServing("a", true);
  EXPECT_EQ(watch.Next(), HealthCheckResponse::SERVING);
  service_.SetServing("a", true);
  service_.SetServing("a", false);
  EXPECT_EQ(watch.Next(), HealthCheckResponse::NOT_SERVING);
}

TEST_F(HealthTest, WatchesBeyondTheMaximumAreRefusedUntilOneEnds) {
  auto first = std::make_unique<Watch>(*stub_, "a");
  Watch second(*stub_, "a");
  EXPECT_NE(first->Next(), -1);
  EXPECT_NE(second.Next(), -1);
  Watch third(*stub_, "a");
  EXPECT_EQ(third.Next(), -1);
  EXPECT_EQ(third.reader->Finish().error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);

  first->context.TryCancel();
  first->reader->Finish();
  first.reset();
  // The server learns of it a little later.
  while (true) {
    Watch next(*stub_, "a");
    if (next.Next() != -1) break;
    next.reader->Finish();
  }
}

TEST_F(HealthTest, TheEndEndsEveryWatch) {
  Watch watch(*stub_, "a");
  EXPECT_NE(watch.Next(), -1);
  service_.EndWatches();
  EXPECT_EQ(watch.Next(), -1);
  EXPECT_EQ(watch.reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  Watch late(*stub_, "a");
  EXPECT_EQ(late.Next(), -1);
}

TEST_F(HealthTest, BytesThatAreNoRequestAreRefused) {
  EXPECT_EQ(Check("\xff"), grpc::StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace heapsync
