#ifndef HEAPSYNC_SERVER_REFLECTION_REFLECTION_V1_H_
#define HEAPSYNC_SERVER_REFLECTION_REFLECTION_V1_H_

#include <string>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"

namespace heapsync {

// Answers one question about `pool`. A question without an answer gets an
// ErrorResponse with NOT_FOUND, an empty one INVALID_ARGUMENT. Any thread.
grpc::reflection::v1::ServerReflectionResponse AnswerReflection(
    const grpc::reflection::v1::ServerReflectionRequest& request,
    const std::vector<std::string>& services,
    const google::protobuf::DescriptorPool& pool);

// grpc.reflection.v1.ServerReflection over the protos linked into this program.
// Register it with the grpc::ServerBuilder, which does not take ownership: it
// must outlive the server.
//
// A stream lives until its client ends it or the server cancels it at its
// shutdown deadline; it holds no thread while it waits.
class ReflectionV1 final
    : public grpc::reflection::v1::ServerReflection::CallbackService {
 public:
  // `services` are the full names that list_services answers with; this one is
  // added if it is missing.
  explicit ReflectionV1(std::vector<std::string> services);

  grpc::ServerBidiReactor<grpc::reflection::v1::ServerReflectionRequest,
                          grpc::reflection::v1::ServerReflectionResponse>*
  ServerReflectionInfo(grpc::CallbackServerContext* context) override;

 private:
  const std::vector<std::string> services_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_REFLECTION_REFLECTION_V1_H_
