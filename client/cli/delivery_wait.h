#ifndef HEAPSYNC_CLIENT_CLI_DELIVERY_WAIT_H_
#define HEAPSYNC_CLIENT_CLI_DELIVERY_WAIT_H_

#include <chrono>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "heapsync/client/client.h"

namespace heapsync {

// Waits until everything that the server accepted for a destination before the
// call is delivered or dead-lettered, however long that takes. `destination`:
// empty for the server's default. While the server is unreachable it tries
// again for `give_up_after`. `while_waiting` runs on the caller's thread
// several times a second; an error of it ends the wait and is returned. Errors
// otherwise are those of the admin service, which the caller may not be allowed
// to use.
absl::Status AwaitDelivery(const Client& client, std::string destination,
                           std::chrono::milliseconds give_up_after,
                           const std::function<absl::Status()>& while_waiting);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_DELIVERY_WAIT_H_
