#ifndef HEAPSYNC_SERVER_REFLECTION_REFLECTION_V1_H_
#define HEAPSYNC_SERVER_REFLECTION_REFLECTION_V1_H_

#include <cstddef>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "server/reflection/reflection_streams.h"

namespace heapsync {

// Answers one question about `pool`. A question without an answer gets an
// ErrorResponse with NOT_FOUND, an empty one INVALID_ARGUMENT. Any thread.
grpc::reflection::v1::ServerReflectionResponse AnswerReflection(
    const grpc::reflection::v1::ServerReflectionRequest& request,
    const std::vector<std::string>& services,
    const google::protobuf::DescriptorPool& pool);

// Decides whether a call may ask: the name of its caller, empty if callers are
// not told apart, or the error. Any thread.
using ReflectionGate = std::function<std::variant<std::string, grpc::Status>(
    const grpc::CallbackServerContext&)>;

// grpc.reflection.v1.ServerReflection over the protos linked into this program.
// Register it with the grpc::ServerBuilder, which does not take ownership: it
// must outlive the server.
//
// A stream lives until its client ends it, the server cancels it at its
// shutdown deadline, or its place is needed, see ReflectionStreams; it holds no
// thread while it waits.
class ReflectionV1 final
    : public grpc::reflection::v1::ServerReflection::
          WithRawCallbackMethod_ServerReflectionInfo<
              grpc::reflection::v1::ServerReflection::Service> {
 public:
  // `services` are the full names that list_services answers with; this one is
  // added if it is missing. Without a gate everybody may ask. A question of
  // more than `max_message_bytes`, inflated, is refused.
  explicit ReflectionV1(std::vector<std::string> services,
                        ReflectionGate gate = nullptr,
                        size_t max_message_bytes = 4 << 20);

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>*
  ServerReflectionInfo(grpc::CallbackServerContext* context) override;

 private:
  const std::vector<std::string> services_;
  const ReflectionGate gate_;
  const size_t max_message_bytes_;
  ReflectionStreams streams_;
};

// The same under its earlier name, for the clients that know no other. gRPC's
// own can be neither guarded nor bounded, and holds a thread for every stream.
class ReflectionV1Alpha final
    : public grpc::reflection::v1alpha::ServerReflection::
          WithRawCallbackMethod_ServerReflectionInfo<
              grpc::reflection::v1alpha::ServerReflection::Service> {
 public:
  explicit ReflectionV1Alpha(std::vector<std::string> services,
                             ReflectionGate gate = nullptr,
                             size_t max_message_bytes = 4 << 20);

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>*
  ServerReflectionInfo(grpc::CallbackServerContext* context) override;

 private:
  const std::vector<std::string> services_;
  const ReflectionGate gate_;
  const size_t max_message_bytes_;
  ReflectionStreams streams_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_REFLECTION_REFLECTION_V1_H_
