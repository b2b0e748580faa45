#include "heap_adapter/encoding/placeholder_words.h"

#include <cstddef>
#include <iterator>

#include "absl/container/flat_hash_set.h"

namespace heapsync {
namespace {

using TextSet = absl::flat_hash_set<absl::string_view>;

// One-word placeholders, in lowercase.
constexpr absl::string_view kWords[] = {
    // No value.
    "null", "undefined", "undef", "nil", "none", "na", "nan", "nat", "empty",
    "blank", "missing", "unset", "notset", "unknown", "unspecified",
    "undetermined", "unavailable", "invalid",
    // No person.
    "anonymous", "anon", "anonymized", "anonymised", "guest", "notloggedin",
    "unauthenticated", "unidentified", "deleted", "redacted", "test", "nobody",
    "visitor",
    // Names of fields, from header rows and templates.
    "user", "id", "uid", "uuid", "guid", "userid", "username", "identity",
    "email", "distinctid", "anonymousid", "customerid", "accountid", "clientid",
    "deviceid", "sessionid", "account",
    // Values of other types.
    "true", "false"};

// Placeholders of several words or with punctuation in them. "-" and "_"
// between words are read as blanks.
constexpr absl::string_view kPhrases[] = {
    // No value and no person.
    "n/a", "n\\a", "n.a", "-1", "\\n", "not set", "not a number", "not a time",
    "not applicable", "not available", "not provided", "not specified",
    "not defined", "not found", "not identified", "not authenticated",
    "not logged in", "not signed in", "logged out", "no value", "no id",
    "no user", "no email", "object object", "object null", "object undefined",
    "n/a n/a", "dbnull", "system.dbnull",
    // Names of fields.
    "e mail", "distinct id", "customer id", "account id", "client id",
    "device id", "session id", "email address",
    // Failed calculations; brackets at the end are gone when they are compared.
    "1.#ind", "1.#inf", "1.#qnan", "#value!", "#ref!", "#name?", "#div/0!",
    "#num!", "nan(ind", "nan(snan"};

// Accounts of programs, or of any user, without "-", "_", "." and
// blanks. Some people have such a name, so it is only doubtful.
constexpr absl::string_view kSharedAccounts[] = {
    "system", "admin",   "administrator", "root",  "superuser", "service",
    "bot",    "robot",   "api",           "cron",  "daemon",    "automation",
    "demo",   "example", "sample",        "dummy", "default"};

// Mailboxes that no person reads, likewise.
constexpr absl::string_view kNobodysMailboxes[] = {
    "noreply", "donotreply", "mailerdaemon", "postmaster"};

// None of them has a digit, which saves looking most ids up.
template <size_t kCount>
constexpr bool HaveNoDigits(const absl::string_view (&texts)[kCount]) {
  for (const absl::string_view text : texts) {
    for (const char c : text) {
      if (c >= '0' && c <= '9') return false;
    }
  }
  return true;
}
static_assert(HaveNoDigits(kWords) && HaveNoDigits(kNobodysMailboxes));

const TextSet& Words() {
  static const auto* const words =
      new TextSet(std::begin(kWords), std::end(kWords));
  return *words;
}

const TextSet& Phrases() {
  static const auto* const phrases =
      new TextSet(std::begin(kPhrases), std::end(kPhrases));
  return *phrases;
}

const TextSet& NobodysMailboxes() {
  static const auto* const mailboxes =
      new TextSet(std::begin(kNobodysMailboxes), std::end(kNobodysMailboxes));
  return *mailboxes;
}

const TextSet& SharedAccounts() {
  static const auto* const accounts =
      new TextSet(std::begin(kSharedAccounts), std::end(kSharedAccounts));
  return *accounts;
}

}  // namespace

bool IsPlaceholderWord(absl::string_view folded) {
  return Words().contains(folded);
}

bool IsPlaceholderPhrase(absl::string_view folded) {
  return Phrases().contains(folded);
}

bool IsSharedAccountName(absl::string_view joined) {
  return SharedAccounts().contains(joined) || IsNobodysMailbox(joined);
}

bool IsNobodysMailbox(absl::string_view joined) {
  return NobodysMailboxes().contains(joined);
}

}  // namespace heapsync
