#include "server/reflection/reflection_v1.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/message.h"
#include "server/wire/wire_message.h"

namespace heapsync {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using grpc::reflection::v1::ServerReflection;
using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;

void SetError(grpc::StatusCode code, const std::string& message,
              ServerReflectionResponse& response) {
  auto& error = *response.mutable_error_response();
  error.set_error_code(code);
  error.set_error_message(message);
}

// The file, then everything it imports, each once.
void SetFiles(const FileDescriptor& file, ServerReflectionResponse& response) {
  auto& answer = *response.mutable_file_descriptor_response();
  std::vector<const FileDescriptor*> waiting = {&file};
  std::set<const FileDescriptor*> seen = {&file};
  // Not a range-based loop: `waiting` grows while it is walked.
  for (size_t i = 0; i < waiting.size(); ++i) {
    const FileDescriptor& next = *waiting[i];
    google::protobuf::FileDescriptorProto proto;
    // As v1alpha, without JSON names: tools then print the proto's own, which
    // are also those in the paths of violations.
    next.CopyTo(&proto);
    proto.SerializeToString(answer.add_file_descriptor_proto());
    for (int d = 0; d < next.dependency_count(); ++d) {
      if (seen.insert(next.dependency(d)).second) {
        waiting.push_back(next.dependency(d));
      }
    }
  }
}

void AnswerWithFile(const FileDescriptor* file, const std::string& asked_for,
                    ServerReflectionResponse& response) {
  if (file == nullptr) {
    SetError(grpc::StatusCode::NOT_FOUND, "not found: " + asked_for, response);
    return;
  }
  SetFiles(*file, response);
}

void AnswerWithExtensionFile(
    const grpc::reflection::v1::ExtensionRequest& asked_for,
    const DescriptorPool& pool, ServerReflectionResponse& response) {
  const Descriptor* extended =
      pool.FindMessageTypeByName(asked_for.containing_type());
  const FieldDescriptor* extension =
      extended == nullptr
          ? nullptr
          : pool.FindExtensionByNumber(extended, asked_for.extension_number());
  AnswerWithFile(extension == nullptr ? nullptr : extension->file(),
                 "extension " + std::to_string(asked_for.extension_number()) +
                     " of " + asked_for.containing_type(),
                 response);
}

void AnswerWithExtensionNumbers(const std::string& type,
                                const DescriptorPool& pool,
                                ServerReflectionResponse& response) {
  const Descriptor* extended = pool.FindMessageTypeByName(type);
  if (extended == nullptr) {
    SetError(grpc::StatusCode::NOT_FOUND, "not found: " + type, response);
    return;
  }
  std::vector<const FieldDescriptor*> extensions;
  pool.FindAllExtensions(extended, &extensions);
  auto& answer = *response.mutable_all_extension_numbers_response();
  answer.set_base_type_name(type);
  for (const FieldDescriptor* extension : extensions) {
    answer.add_extension_number(extension->number());
  }
  std::sort(answer.mutable_extension_number()->begin(),
            answer.mutable_extension_number()->end());
}

std::vector<std::string> WithItself(std::vector<std::string> services,
                                    const char* itself) {
  services.emplace_back(itself);
  std::sort(services.begin(), services.end());
  services.erase(std::unique(services.begin(), services.end()), services.end());
  return services;
}

// One stream: read a question, write its answer, read the next. In bytes, since
// both versions of the service have the same fields under the same numbers.
class Stream final
    : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
      public ReflectionStreams::Stream {
 public:
  Stream(const std::vector<std::string>& services, const ReflectionGate& gate,
         size_t max_message_bytes, grpc::CallbackServerContext& context,
         ReflectionStreams& streams)
      : services_(services),
        max_message_bytes_(max_message_bytes),
        context_(context),
        streams_(streams) {
    std::variant<std::string, grpc::Status> admitted;
    if (gate != nullptr) admitted = gate(context);
    if (const auto* refusal = std::get_if<grpc::Status>(&admitted)) {
      Finish(*refusal);
      return;
    }
    streams_.Enter(*this, std::get<std::string>(admitted));
    StartRead(&incoming_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Finish(grpc::Status::OK);
      return;
    }
    streams_.Asked(*this);
    ServerReflectionRequest request;
    auto error = ReadRequest(incoming_, max_message_bytes_, &request);
    incoming_.Clear();
    if (error.has_value()) return Finish(error->ToStatus());
    outgoing_ = ToByteBuffer(AnswerReflection(
        request, services_, *DescriptorPool::generated_pool()));
    StartWrite(&outgoing_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) {
      Finish(grpc::Status::CANCELLED);
      return;
    }
    StartRead(&incoming_);
  }

  // The read or write in flight then fails, which ends the stream. gRPC calls
  // no reactor from here: this is another reactor's start.
  void GiveWay() override { context_.TryCancel(); }

  void OnDone() override {
    streams_.Leave(*this);
    delete this;
  }

 private:
  const std::vector<std::string>& services_;
  const size_t max_message_bytes_;
  grpc::CallbackServerContext& context_;
  ReflectionStreams& streams_;
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;
};

}  // namespace

ServerReflectionResponse AnswerReflection(
    const ServerReflectionRequest& request,
    const std::vector<std::string>& services, const DescriptorPool& pool) {
  ServerReflectionResponse response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case ServerReflectionRequest::kFileByFilename:
      AnswerWithFile(pool.FindFileByName(request.file_by_filename()),
                     request.file_by_filename(), response);
      break;
    case ServerReflectionRequest::kFileContainingSymbol:
      AnswerWithFile(
          pool.FindFileContainingSymbol(request.file_containing_symbol()),
          request.file_containing_symbol(), response);
      break;
    case ServerReflectionRequest::kFileContainingExtension:
      AnswerWithExtensionFile(request.file_containing_extension(), pool,
                              response);
      break;
    case ServerReflectionRequest::kAllExtensionNumbersOfType:
      AnswerWithExtensionNumbers(request.all_extension_numbers_of_type(), pool,
                                 response);
      break;
    case ServerReflectionRequest::kListServices: {
      auto& answer = *response.mutable_list_services_response();
      for (const std::string& service : services) {
        answer.add_service()->set_name(service);
      }
      break;
    }
    case ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET:
      SetError(grpc::StatusCode::INVALID_ARGUMENT, "the question is empty",
               response);
      break;
  }
  return response;
}

ReflectionV1::ReflectionV1(std::vector<std::string> services,
                           ReflectionGate gate, size_t max_message_bytes)
    : services_(WithItself(std::move(services),
                           ServerReflection::service_full_name())),
      gate_(std::move(gate)),
      max_message_bytes_(max_message_bytes) {}

ReflectionV1Alpha::ReflectionV1Alpha(std::vector<std::string> services,
                                     ReflectionGate gate,
                                     size_t max_message_bytes)
    : services_(WithItself(
          std::move(services),
          grpc::reflection::v1alpha::ServerReflection::service_full_name())),
      gate_(std::move(gate)),
      max_message_bytes_(max_message_bytes) {
  // Nothing else here needs these messages, and without them the program would
  // list this service and not know it.
  google::protobuf::LinkMessageReflection<
      grpc::reflection::v1alpha::ServerReflectionRequest>();
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>*
ReflectionV1::ServerReflectionInfo(grpc::CallbackServerContext* context) {
  return new Stream(services_, gate_, max_message_bytes_, *context, streams_);
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>*
ReflectionV1Alpha::ServerReflectionInfo(grpc::CallbackServerContext* context) {
  return new Stream(services_, gate_, max_message_bytes_, *context, streams_);
}

}  // namespace heapsync
