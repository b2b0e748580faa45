#ifndef HEAPSYNC_TESTS_BENCH_LOAD_BARE_SERVER_H_
#define HEAPSYNC_TESTS_BENCH_LOAD_BARE_SERVER_H_

#include <string>

namespace heapsync::bench {

// What gRPC alone can do on this machine: a server with the same service and
// messages that parses, answers at once and does nothing. Runs until it is
// killed; tells its port as the real server does. 1 if it cannot start.
int RunBareServer();

// What gRPC and a sync of the disk can do, and nothing else: a server that
// parses, appends the request to a file in `folder`, and answers after a sync
// that it shares with all calls that wait (see group_sync.h). It checks nothing
// and keeps nothing to find an event by. Has no bulk stream. Runs and tells its
// port as RunBareServer() does.
int RunSyncedServer(const std::string& folder);

}  // namespace heapsync::bench

#endif  // HEAPSYNC_TESTS_BENCH_LOAD_BARE_SERVER_H_
