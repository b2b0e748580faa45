#ifndef HEAPSYNC_SERVER_HEALTH_HEALTH_SERVICE_H_
#define HEAPSYNC_SERVER_HEALTH_HEALTH_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "grpc/health/v1/health.grpc.pb.h"

namespace heapsync {

class HealthBoard;

// grpc.health.v1.Health, which every caller may use without credentials. gRPC's
// own can bound neither the size of a compressed request nor the number of
// Watch calls. Register it with a grpc::ServerBuilder; it must outlive the
// server.
class HealthService final
    : public grpc::health::v1::Health::WithRawCallbackMethod_Check<
          grpc::health::v1::Health::WithRawCallbackMethod_Watch<
              grpc::health::v1::Health::Service>> {
 public:
  // More than `max_watches` Watch calls at once are refused. A client
  // connection that checks health needs one.
  explicit HealthService(uint32_t max_watches = 4'000);
  ~HealthService() override;

  // `on_checked` is called with gRPC's name of the peer of every call that gets
  // a status, on any thread. REQUIRES: the server is not started yet.
  void SetOnChecked(std::function<void(const std::string& peer)> on_checked) {
    on_checked_ = std::move(on_checked);
  }

  // Sets the status of the service of this name; empty: the server as a whole.
  // A name that was never set is unknown. Any thread.
  void SetServing(const std::string& name, bool serving);

  // Ends every Watch with UNAVAILABLE, and new ones immediately. Any thread.
  void EndWatches();

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Watch(
      grpc::CallbackServerContext* context,
      const grpc::ByteBuffer* request) override;

 private:
  void Checked(const grpc::CallbackServerContext& context) const;

  std::function<void(const std::string& peer)> on_checked_;
  const std::unique_ptr<HealthBoard> board_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_HEALTH_HEALTH_SERVICE_H_
