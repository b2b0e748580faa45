#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_PLACEHOLDER_WORDS_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_PLACEHOLDER_WORDS_H_

#include "absl/strings/string_view.h"

// The texts that programs send in place of a value or a person. Looked up in
// lowercase, as FoldName() gives them. Any thread.
namespace heapsync {

// "null", "anonymous", "user_id" as "userid": one word that names nobody. None
// has a digit.
bool IsPlaceholderWord(absl::string_view folded);

// "n/a", "not set": several words, or with punctuation in them; "-" and "_"
// between words are blanks.
bool IsPlaceholderPhrase(absl::string_view folded);

// "system", "noreply": a program's account, or anybody's. `joined` is without
// "-", "_", "." and blanks.
bool IsSharedAccountName(absl::string_view joined);

// "noreply": a mailbox that no person reads. None has a digit.
bool IsNobodysMailbox(absl::string_view joined);

// True for the digests (MD5, SHA-1, SHA-256, SHA-512, as hexadecimal digits in
// any case) of an empty text and of words for no value such as "null": what
// becomes of a missing email where ids are hashed emails.
bool IsDigestOfNothing(absl::string_view text);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_PLACEHOLDER_WORDS_H_
