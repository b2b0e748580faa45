#ifndef HEAPSYNC_HEAP_ADAPTER_ENGINE_MAKER_H_
#define HEAPSYNC_HEAP_ADAPTER_ENGINE_MAKER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/pause_watch.h"
#include "heap_adapter/adapter.h"
#include "heap_adapter/engine.h"
#include "heap_adapter/spool/measured_store.h"
#include "heap_adapter/spool/store.h"
#include "heap_adapter/transport/curl_transport.h"
#include "heap_adapter/transport/gated_transport.h"

namespace heapsync {

// The store and the way to Heap of an engine, which must outlive it.
struct EngineParts {
  std::unique_ptr<CurlTransport> transport;
  std::unique_ptr<GatedTransport> gated;
  std::unique_ptr<Store> store;
  std::unique_ptr<MeasuredStore> measured;
};

// Opens the engines of an adapter. Methods may be called from any thread.
class EngineMaker {
 public:
  // `engines`: how many there will be at once, which divide some bounds.
  // `server_name`: see EngineOptions. `pauses` is null unless the spool is
  // shared. Everything given by reference must outlive this and the engines.
  EngineMaker(const AdapterOptions& options, const AdapterEvents& events,
              size_t engines, std::string server_name, PauseWatch* pauses)
      : options_(options),
        events_(events),
        engines_(engines),
        server_name_(std::move(server_name)),
        pauses_(pauses) {}

  // Makes the way to Heap of an engine, on which requests begin only while
  // `may_send` says so; null: always.
  void OpenTransport(std::function<bool()> may_send, EngineParts& parts) const;

  // Opens an engine over the store and the transport of `parts`. `folder`: see
  // EngineOptions::spool_path. Errors: those of Engine::Open().
  absl::StatusOr<std::unique_ptr<Engine>> Open(const std::string& folder,
                                               DestinationConfig destinations,
                                               EngineParts& parts) const;

 private:
  EngineOptions OptionsFor(const std::string& folder,
                           DestinationConfig destinations) const;

  const AdapterOptions& options_;
  const AdapterEvents& events_;
  const size_t engines_;
  const std::string server_name_;
  PauseWatch* const pauses_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENGINE_MAKER_H_
