#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_REASONS_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_REASONS_H_

#include "absl/strings/string_view.h"

// Stable names of all violations and warnings. Callers switch on them, so a
// name never changes and never gets a second meaning. Lengths are in UTF-16
// units.
namespace heapsync::reason {

// Violations of any field.
inline constexpr absl::string_view kRequired = "REQUIRED";
inline constexpr absl::string_view kValueTooLong = "VALUE_TOO_LONG";
inline constexpr absl::string_view kValueTooShort = "VALUE_TOO_SHORT";
inline constexpr absl::string_view kInvalidUtf8 = "INVALID_UTF8";

// `identity` and `user_id` are both set; Heap takes exactly one.
inline constexpr absl::string_view kIdentityAndUserId = "IDENTITY_AND_USER_ID";

// An identity or account id that is a placeholder ("null", "undefined",
// blanks), under which Heap would permanently merge unrelated people or
// accounts.
inline constexpr absl::string_view kIdentityDenied = "IDENTITY_DENIED";

// An idempotency key that is a placeholder: Heap would keep one event of all
// that carry it.
inline constexpr absl::string_view kIdempotencyKeyDenied =
    "IDEMPOTENCY_KEY_DENIED";

// An identity, account id or idempotency key in exponent form, "1.23457E+11":
// its last digits are lost, so several ids have become one.
inline constexpr absl::string_view kIdMangled = "ID_MANGLED";

// A control character (U+0000 to U+001F, U+007F to U+009F) in a field that
// names something; in keys of properties, other than tab and line break. A
// warning for emails.
inline constexpr absl::string_view kControlCharacter = "CONTROL_CHARACTER";

// Not a decimal number from 0 to 2^53 - 1, or with sign or leading zeros.
inline constexpr absl::string_view kUserIdInvalid = "USER_ID_INVALID";

// Outside the years 1 to 9999, or nanoseconds outside 0 to 999,999,999.
inline constexpr absl::string_view kTimestampOutOfRange =
    "TIMESTAMP_OUT_OF_RANGE";

// `email` and `properties.email` are both set and differ.
inline constexpr absl::string_view kEmailConflict = "EMAIL_CONFLICT";

// Violations of properties.
inline constexpr absl::string_view kKeyEmpty = "KEY_EMPTY";
inline constexpr absl::string_view kKeyTooLong = "KEY_TOO_LONG";

// The user property `id`, in any casing.
inline constexpr absl::string_view kKeyReserved = "KEY_RESERVED";

// Two properties have the same key once nested objects are flattened.
inline constexpr absl::string_view kKeyCollision = "KEY_COLLISION";

// A google.protobuf.Value without a kind, not even null.
inline constexpr absl::string_view kValueUnset = "VALUE_UNSET";

// An object where only text or a number is allowed, also inside a list.
inline constexpr absl::string_view kNestedObject = "NESTED_OBJECT";

// A list inside a list.
inline constexpr absl::string_view kNestedList = "NESTED_LIST";

// Objects nested deeper than the maximum that is flattened.
inline constexpr absl::string_view kNestedTooDeep = "NESTED_TOO_DEEP";

// NaN or infinity.
inline constexpr absl::string_view kNumberNotFinite = "NUMBER_NOT_FINITE";

// 2^53 or beyond (or its negative), where integers have lost digits before they
// arrive: send it as a string.
inline constexpr absl::string_view kNumberTooLarge = "NUMBER_TOO_LARGE";

inline constexpr absl::string_view kTooManyProperties = "TOO_MANY_PROPERTIES";

// The item's JSON exceeds the maximum size of an item.
inline constexpr absl::string_view kItemTooLarge = "ITEM_TOO_LARGE";

// Warnings.

// A session id or email that is blank, a placeholder or in exponent form. The
// item is sent without it.
inline constexpr absl::string_view kPlaceholderLeftOut = "PLACEHOLDER_LEFT_OUT";

// An id that may be another one, changed by a program on its way: "123.0", or
// with a blank at its start or end.
inline constexpr absl::string_view kIdLooksMangled = "ID_LOOKS_MANGLED";

// A name that may stand for nobody or for several: "{customer}", "system",
// "no-reply@example.com", the user id 0.
inline constexpr absl::string_view kPlaceholderSuspected =
    "PLACEHOLDER_SUSPECTED";

// An idempotency key that came earlier in the stream with other content: Heap
// keeps only the first event of a key. Found among recent keys only.
inline constexpr absl::string_view kIdempotencyKeyReused =
    "IDEMPOTENCY_KEY_REUSED";

// Before 2000-01-01, or more than a day ahead of acceptance. An empty Timestamp
// message is the start of 1970.
inline constexpr absl::string_view kTimestampImplausible =
    "TIMESTAMP_IMPLAUSIBLE";

// A user property such as `Email`: only the lowercase key sets Heap's built-in
// one.
inline constexpr absl::string_view kEmailCasing = "EMAIL_CASING";

// Two keys of an item that differ only in case, `Plan` and `plan`: Heap keeps
// them as two properties.
inline constexpr absl::string_view kKeyCasing = "KEY_CASING";

// A list in an event is too long as one text; Heap will cut it.
inline constexpr absl::string_view kListCut = "LIST_CUT";

// Last entry of a full list: there are more findings than are listed.
inline constexpr absl::string_view kMoreFindings = "MORE_FINDINGS";

}  // namespace heapsync::reason

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_REASONS_H_
