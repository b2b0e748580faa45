#ifndef HEAPSYNC_SERVER_NET_LIBRARY_LOGS_H_
#define HEAPSYNC_SERVER_NET_LIBRARY_LOGS_H_

namespace heapsync {

// Sends the log lines of gRPC and protobuf to LogLibraryLine(). By themselves
// they write to standard error, unescaped and as often as callers cause them.
// The values of metadata are left out, because callers choose them.
//
// Errors of these libraries are logged as warnings: they report what a caller
// sent. Must be called before any thread starts.
void CaptureLibraryLogs();

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_NET_LIBRARY_LOGS_H_
