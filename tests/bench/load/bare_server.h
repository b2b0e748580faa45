#ifndef HEAPSYNC_TESTS_BENCH_LOAD_BARE_SERVER_H_
#define HEAPSYNC_TESTS_BENCH_LOAD_BARE_SERVER_H_

namespace heapsync::bench {

// What gRPC alone can do on this machine: a server with the same service and
// messages that parses, answers at once and does nothing. Runs until it is
// killed; tells its port as the real server does.
int RunBareServer();

}  // namespace heapsync::bench

#endif  // HEAPSYNC_TESTS_BENCH_LOAD_BARE_SERVER_H_
