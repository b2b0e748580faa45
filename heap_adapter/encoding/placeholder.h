#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_PLACEHOLDER_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_PLACEHOLDER_H_

#include <string>

#include "absl/strings/string_view.h"
#include "heap_adapter/model/destination.h"

// The one notion of "says nothing" for every field that names or joins: the
// identity of a user, an account, a session, an idempotency key, an email. Each
// field decides by itself what follows.
namespace heapsync {

// The use of a text as a name.
enum class NameQuality {
  kGood,

  // Nothing but white space, control characters and characters that show
  // nothing (Unicode's White_Space, format characters and default ignorables).
  kBlank,

  // Says "none" or "I am a program's mistake": `null`, `(not set)`, `N/A`,
  // `-1`, `0.0`, `???`, a UUID of zeros, `{{user.id}}`, `[object Promise]`.
  kPlaceholder,

  // A number in exponent form, `1.23457E+11`: a spreadsheet cut its digits, so
  // that several ids became one.
  kMangled,

  // Contains a control character.
  kControlCharacter,

  // Doubtful, but perhaps meant: `123.0`, which was `123` before a program took
  // it for a number.
  kFraction,

  // Doubtful: a whole number of 17 digits or more, of which all but the first
  // fifteen are zeros: `479386071891505000`. Spreadsheets keep fifteen digits.
  kRounded,

  // Doubtful: starts or ends with a blank.
  kPadded,

  // Doubtful: an invisible character between others, as U+200B, which was
  // copied with it.
  kInvisible,

  // Doubtful: in quotes, which a program may have written around it:
  // `'ada'`, `="00123"`.
  kQuoted,

  // Doubtful: in a form that a program or a protocol gave it: `['7']`,
  // `UUID('7')`, `mailto:ada@example.com`, `ada%40example.com`; or several
  // addresses.
  kWrapped,

  // Doubtful: a part of it says "none": `undefined@example.com`, `acme:null`.
  kPartlyNone,

  // Doubtful: the account of a program, or of any user: `system`,
  // `admin`, `no-reply@example.com`.
  kSharedAccount,

  // Doubtful: one word in braces, angle brackets or percent signs, or after a
  // dollar sign, as in a template: `{customer}`.
  kTemplateWord,
};

// Judges `text` by the built-in rules, `rules.denied_identities` and
// `rules.allowed_identities`. Empty is blank. Bytes that are not UTF-8 count as
// characters of their own; whether there are any is for others to check.
NameQuality JudgeName(absl::string_view text, const EncodingRules& rules);

// The form in which the entries of the two lists are compared: without blanks
// and brackets or quotes around it, without characters that show nothing, and
// in ASCII lowercase: "null" for ` "<NULL>" `. A text of nothing but
// punctuation keeps it. Empty if the text is blank.
std::string FoldName(absl::string_view text);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_PLACEHOLDER_H_
