#ifndef HEAPSYNC_TESTS_FUZZ_ENCODING_TARGETS_H_
#define HEAPSYNC_TESTS_FUZZ_ENCODING_TARGETS_H_

#include "absl/strings/string_view.h"

// Each takes arbitrary bytes and aborts if a promise of the encoder is broken:
// what it accepts is JSON within Heap's rules, what it refuses leaves no trace,
// and every finding is fit to be sent to a caller.
namespace heapsync {

// The first byte chooses the rules; the rest is a serialized item.
void FuzzEncodeEvent(absl::string_view input);
void FuzzEncodeUser(absl::string_view input);
void FuzzEncodeAccount(absl::string_view input);

// The first byte chooses one of the six data RPCs; the rest is a message of it,
// the first of its stream if it is a bulk RPC.
void FuzzEncodeRequest(absl::string_view input);

// A name: an identity, a key, a session id.
void FuzzName(absl::string_view input);

// The text itself: UTF-8 or not.
void FuzzJsonText(absl::string_view input);

// Encoded updates, each in a line of its own.
void FuzzCoalescedUpdate(absl::string_view input);

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_FUZZ_ENCODING_TARGETS_H_
