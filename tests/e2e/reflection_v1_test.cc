#include "server/reflection/reflection_v1.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/text_format.h"
#include "grpc/health/v1/health.pb.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptorProto;
using grpc::reflection::v1::ServerReflection;
using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;
using testing::ElementsAre;

// A pool with a chain of imports (top → middle → bottom, and top → bottom) and
// two extensions of one message.
class ReflectionV1Test : public testing::Test {
 protected:
  ReflectionV1Test() {
    Add(R"pb(name: "bottom.proto"
             package: "shelf"
             syntax: "proto2"
             message_type {
               name: "Bottom"
               extension_range { start: 100 end: 200 }
             })pb");
    Add(R"pb(name: "middle.proto"
             package: "shelf"
             syntax: "proto2"
             dependency: "bottom.proto"
             extension {
               name: "later"
               number: 120
               label: LABEL_OPTIONAL
               type: TYPE_INT32
               extendee: ".shelf.Bottom"
             }
             extension {
               name: "sooner"
               number: 110
               label: LABEL_OPTIONAL
               type: TYPE_INT32
               extendee: ".shelf.Bottom"
             })pb");
    Add(R"pb(name: "top.proto"
             package: "shelf"
             syntax: "proto2"
             dependency: "middle.proto"
             dependency: "bottom.proto"
             message_type { name: "Top" }
             service {
               name: "Shelf"
               method {
                 name: "Get"
                 input_type: ".shelf.Top"
                 output_type: ".shelf.Bottom"
               }
             })pb");
  }

  ServerReflectionResponse Ask(const ServerReflectionRequest& request) const {
    return AnswerReflection(request, {"shelf.Shelf"}, pool_);
  }

  static std::vector<std::string> FileNames(
      const ServerReflectionResponse& response) {
    std::vector<std::string> names;
    for (const std::string& bytes :
         response.file_descriptor_response().file_descriptor_proto()) {
      FileDescriptorProto file;
      EXPECT_TRUE(file.ParseFromString(bytes));
      names.push_back(file.name());
    }
    return names;
  }

 private:
  void Add(const std::string& text) {
    FileDescriptorProto file;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &file));
    ASSERT_NE(pool_.BuildFile(file), nullptr);
  }

  DescriptorPool pool_;
};

TEST_F(ReflectionV1Test, AFileComesWithAllItsImportsEachOnce) {
  ServerReflectionRequest request;
  request.set_file_by_filename("top.proto");
  EXPECT_THAT(FileNames(Ask(request)),
              ElementsAre("top.proto", "middle.proto", "bottom.proto"));
}

TEST_F(ReflectionV1Test, AFileIsFoundByItsServiceMethodAndMessage) {
  for (const char* symbol : {"shelf.Shelf", "shelf.Shelf.Get", "shelf.Top"}) {
    ServerReflectionRequest request;
    request.set_file_containing_symbol(symbol);
    EXPECT_EQ(FileNames(Ask(request)).at(0), "top.proto") << symbol;
  }
}

TEST_F(ReflectionV1Test, AFileIsFoundByAnExtensionInIt) {
  ServerReflectionRequest request;
  request.mutable_file_containing_extension()->set_containing_type(
      "shelf.Bottom");
  request.mutable_file_containing_extension()->set_extension_number(120);
  EXPECT_THAT(FileNames(Ask(request)),
              ElementsAre("middle.proto", "bottom.proto"));
}

TEST_F(ReflectionV1Test, ExtensionNumbersComeInOrder) {
  ServerReflectionRequest request;
  request.set_all_extension_numbers_of_type("shelf.Bottom");
  const auto answer = Ask(request).all_extension_numbers_response();
  EXPECT_EQ(answer.base_type_name(), "shelf.Bottom");
  EXPECT_THAT(answer.extension_number(), ElementsAre(110, 120));
}

TEST_F(ReflectionV1Test, ATypeWithoutExtensionsHasAnEmptyList) {
  ServerReflectionRequest request;
  request.set_all_extension_numbers_of_type("shelf.Top");
  const ServerReflectionResponse answer = Ask(request);
  EXPECT_TRUE(answer.has_all_extension_numbers_response());
  EXPECT_THAT(answer.all_extension_numbers_response().extension_number(),
              ElementsAre());
}

TEST_F(ReflectionV1Test, WhatIsUnknownIsNotFound) {
  ServerReflectionRequest file, symbol, extension, extended, type;
  file.set_file_by_filename("elsewhere.proto");
  symbol.set_file_containing_symbol("shelf.Nothing");
  extension.mutable_file_containing_extension()->set_containing_type(
      "shelf.Bottom");
  extension.mutable_file_containing_extension()->set_extension_number(199);
  extended.mutable_file_containing_extension()->set_containing_type(
      "shelf.Nothing");
  type.set_all_extension_numbers_of_type("shelf.Nothing");
  for (const auto& request : {file, symbol, extension, extended, type}) {
    EXPECT_EQ(Ask(request).error_response().error_code(),
              grpc::StatusCode::NOT_FOUND)
        << request.ShortDebugString();
  }
}

TEST_F(ReflectionV1Test, AnEmptyQuestionIsInvalid) {
  EXPECT_EQ(Ask(ServerReflectionRequest()).error_response().error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ReflectionV1Test, TheAnswerRepeatsTheQuestionAndTheHost) {
  ServerReflectionRequest request;
  request.set_host("a-host");
  request.set_file_by_filename("elsewhere.proto");
  const ServerReflectionResponse answer = Ask(request);
  EXPECT_EQ(answer.valid_host(), "a-host");
  EXPECT_EQ(answer.original_request().file_by_filename(), "elsewhere.proto");
}

// A real server on loopback, asked over the wire.
class ReflectionV1ServerTest : public testing::Test {
 protected:
  ReflectionV1ServerTest() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = ServerReflection::NewStub(
        grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                            grpc::InsecureChannelCredentials()));
  }

  ReflectionV1 service_{{"heapsync.v1.HeapSyncService"}};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<ServerReflection::Stub> stub_;
  grpc::ClientContext context_;
};

TEST_F(ReflectionV1ServerTest, AnswersEachQuestionOfAStreamInTurn) {
  google::protobuf::LinkMessageReflection<
      grpc::health::v1::HealthCheckRequest>();
  auto stream = stub_->ServerReflectionInfo(&context_);
  ServerReflectionRequest list, health;
  list.set_list_services("*");
  health.set_file_containing_symbol("grpc.health.v1.Health");
  ASSERT_TRUE(stream->Write(list));
  ASSERT_TRUE(stream->Write(health));
  stream->WritesDone();

  ServerReflectionResponse answer;
  ASSERT_TRUE(stream->Read(&answer));
  EXPECT_EQ(answer.list_services_response().service(0).name(),
            "grpc.reflection.v1.ServerReflection");
  EXPECT_EQ(answer.list_services_response().service(1).name(),
            "heapsync.v1.HeapSyncService");
  ASSERT_TRUE(stream->Read(&answer));
  EXPECT_EQ(answer.file_descriptor_response().file_descriptor_proto_size(), 1);
  EXPECT_FALSE(stream->Read(&answer));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(ReflectionV1ServerTest, AnOpenStreamDoesNotHoldUpShutdown) {
  auto stream = stub_->ServerReflectionInfo(&context_);
  ServerReflectionRequest request;
  request.set_list_services("");
  ASSERT_TRUE(stream->Write(request));
  ServerReflectionResponse answer;
  ASSERT_TRUE(stream->Read(&answer));

  server_->Shutdown(std::chrono::system_clock::now());
  EXPECT_FALSE(stream->Read(&answer));
  EXPECT_FALSE(stream->Finish().ok());
}

class CountedStream final : public ReflectionStreams::Stream {
 public:
  void GiveWay() override { gave_way = true; }
  bool gave_way = false;
};

TEST(ReflectionStreamsTest, TheLongestSilentOneOfTheCallerWithTheMostGivesWay) {
  ReflectionStreams streams;
  std::vector<CountedStream> of_one(ReflectionStreams::kMax - 1);
  std::vector<CountedStream> of_others(3);
  streams.Enter(of_others[0], "first");
  for (CountedStream& each : of_one) streams.Enter(each, "many");
  streams.Asked(of_one[0]);
  streams.Enter(of_others[1], "second");
  EXPECT_TRUE(of_one[1].gave_way);
  streams.Asked(of_one[1]);
  streams.Leave(of_one[1]);
  // Whoever has fewer keeps what it has.
  streams.Enter(of_others[2], "third");
  EXPECT_TRUE(of_one[2].gave_way);
  EXPECT_FALSE(of_one[0].gave_way);
  for (const CountedStream& each : of_others) EXPECT_FALSE(each.gave_way);
  // What left makes place.
  streams.Leave(of_one[3]);
  CountedStream one_more;
  streams.Enter(one_more, "many");
  EXPECT_FALSE(of_one[4].gave_way);
  EXPECT_FALSE(one_more.gave_way);
}

TEST_F(ReflectionV1ServerTest, SilentStreamsKeepNobodyOut) {
  ServerReflectionRequest list;
  list.set_list_services("");
  ServerReflectionResponse answer;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReaderWriter<
      ServerReflectionRequest, ServerReflectionResponse>>>
      silent;
  for (size_t i = 0; i <= ReflectionStreams::kMax; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    silent.push_back(stub_->ServerReflectionInfo(contexts.back().get()));
    ASSERT_TRUE(silent.back()->Write(list));
    ASSERT_TRUE(silent.back()->Read(&answer));
  }
  EXPECT_FALSE(silent.front()->Read(&answer));
  EXPECT_EQ(silent.front()->Finish().error_code(), grpc::StatusCode::CANCELLED);
  ASSERT_TRUE(silent[1]->Write(list));
  EXPECT_TRUE(silent[1]->Read(&answer));
  for (const auto& each : contexts) each->TryCancel();
  for (size_t i = 1; i < silent.size(); ++i) silent[i]->Finish();
}

}  // namespace
}  // namespace heapsync
