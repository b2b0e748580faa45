#include "heap_adapter/encoding/placeholder_words.h"

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <iterator>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"

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
    "n/a n/a", "dbnull", "system.dbnull", "optional.empty",
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

// Texts that are hashed where there is no value.
constexpr absl::string_view kHashedNothings[] = {
    "",     " ",    "null", "NULL", "Null", "undefined", "nil",
    "none", "None", "NONE", "nan",  "NaN",  "N/A",       "unknown"};

// An MD5 to a SHA-512, in hexadecimal digits.
constexpr size_t kMinDigestSize = 32;
constexpr size_t kMaxDigestSize = 128;

std::string HexDigest(absl::string_view text, const EVP_MD* algorithm) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  // An algorithm that the library does not offer yields nothing.
  if (EVP_Digest(text.data(), text.size(), bytes.data(), &size, algorithm,
                 nullptr) != 1) {
    return "";
  }
  return absl::BytesToHexString(absl::string_view(
      reinterpret_cast<const char*>(bytes.data()), size));  // NOLINT
}

const absl::flat_hash_set<std::string>& DigestsOfNothing() {
  static const auto* const digests = [] {
    auto* const made = new absl::flat_hash_set<std::string>();
    for (const absl::string_view text : kHashedNothings) {
      for (const EVP_MD* algorithm :
           {EVP_md5(), EVP_sha1(), EVP_sha256(), EVP_sha512()}) {
        made->insert(HexDigest(text, algorithm));
      }
    }
    made->erase("");
    return made;
  }();
  return *digests;
}

}  // namespace

bool IsDigestOfNothing(absl::string_view text) {
  if (text.size() < kMinDigestSize || text.size() > kMaxDigestSize ||
      text.size() % 8 != 0) {
    return false;
  }
  std::array<char, kMaxDigestSize> lower{};
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (!absl::ascii_isxdigit(c)) return false;
    lower[i] = absl::ascii_tolower(c);
  }
  return DigestsOfNothing().contains(
      absl::string_view(lower.data(), text.size()));
}

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
