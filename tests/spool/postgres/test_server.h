#ifndef HEAPSYNC_TESTS_SPOOL_POSTGRES_TEST_SERVER_H_
#define HEAPSYNC_TESTS_SPOOL_POSTGRES_TEST_SERVER_H_

#include "tests/spool/postgres/postgres_server.h"

namespace heapsync {

// The PostgreSQL of all tests of the program; never null in a test.
extern PostgresServer* server;

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_SPOOL_POSTGRES_TEST_SERVER_H_
