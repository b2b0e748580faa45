#include "heap_adapter/encoding/chunk_encoder.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/json_text.h"
#include "heap_adapter/encoding/batch_body.h"
#include "heap_adapter/encoding/placeholder.h"
#include "heap_adapter/encoding/property_writer.h"
#include "heap_adapter/encoding/reasons.h"
#include "heap_adapter/encoding/unicode_text.h"
#include "xxhash.h"

namespace heapsync {
namespace {

// Distinguishes user ids from identities. Hashes are stored: never change it.
constexpr XXH64_hash_t kUserIdSeed = 0x68656170757369ul;

// Outside these bounds a time was probably converted wrongly: a zero, a missing
// value, seconds taken for milliseconds.
constexpr int64_t kFirstPlausibleSecond = 946'684'800;  // 2000-01-01T00:00:00Z
constexpr std::chrono::hours kMaxAhead{24};

constexpr uint64_t kMaxUserId = (uint64_t{1} << 53) - 1;

void Append(absl::string_view text, std::string& json) {
  json.append(text.data(), text.size());
}

void AddControlCharacter(absl::string_view field, FindingLog& log) {
  log.AddViolation(field, reason::kControlCharacter,
                   absl::StrCat(field, " has a control character"));
}

void CheckEventName(absl::string_view name, FindingLog& log) {
  if (name.empty() || (name.front() != ' ' && IsPrintableAscii(name))) return;
  if (IsBlank(name)) {
    log.AddViolation("event", reason::kRequired, "event is blank");
  } else if (HasControlCharacter(name)) {
    AddControlCharacter("event", log);
  }
}

bool IsUserId(absl::string_view text) {
  uint64_t number;
  return std::all_of(text.begin(), text.end(), absl::ascii_isdigit) &&
         (text == "0" || text[0] != '0') && absl::SimpleAtoi(text, &number) &&
         number <= kMaxUserId;
}

}  // namespace

// Bounds in UTF-16 units, both inclusive.
struct ChunkEncoder::Limits {
  size_t min;
  size_t max;
};

// What is said of an id that names nobody.
struct ChunkEncoder::IdRule {
  absl::string_view field;
  absl::string_view denied_reason;
  absl::string_view denied_description;
};

std::string BodyOf(const AppId& app_id, ObjectType type,
                   const EncodedChunk& chunk) {
  BatchBody body(app_id, type);
  absl::string_view text = chunk.text;
  for (const EncodedChunk::Item& item : chunk.items) {
    body.AppendItem(text.substr(0, item.size));
    text.remove_prefix(item.size);
  }
  return std::move(body).Finish();
}

uint64_t CallerNumber(absl::string_view name) {
  if (name.empty()) return 0;
  return std::max<uint64_t>(1, XXH3_64bits(name.data(), name.size()));
}

uint64_t HashIdentity(absl::string_view identity) {
  return XXH3_64bits(identity.data(), identity.size());
}

uint64_t HashUserId(absl::string_view user_id) {
  return XXH3_64bits_withSeed(user_id.data(), user_id.size(), kUserIdSeed);
}

ChunkEncoder::ChunkEncoder(const EncodingRules& rules, WallTime accepted_at)
    : rules_(rules),
      accepted_at_text_(TimestampText::FromWallTime(accepted_at)),
      last_plausible_second_(
          std::chrono::floor<std::chrono::seconds>(accepted_at + kMaxAhead)
              .time_since_epoch()
              .count()) {
  chunk_.accepted_at = accepted_at;
}

void ChunkEncoder::Reserve(size_t items, size_t bytes) {
  chunk_.items.reserve(chunk_.items.size() + items);
  chunk_.text.reserve(chunk_.text.size() + bytes);
}

Findings ChunkEncoder::Add(const v1::TrackEvent& event, const ItemPath& path,
                           absl::string_view key) {
  return Add(event, path, [key](const EventContent&) { return key; });
}

Findings ChunkEncoder::Add(const v1::TrackEvent& event, const ItemPath& path,
                           KeyChoice choose_key) {
  std::string& json = chunk_.text;
  const size_t start = json.size();
  FindingLog log(path, max_findings_);
  uint64_t hash = 0;

  json += '{';
  if (event.user_id().empty()) {
    AppendIdentity(event.identity(), log);
    hash = HashIdentity(event.identity());
  } else {
    if (!event.identity().empty()) {
      log.AddViolation("user_id", reason::kIdentityAndUserId,
                       "identity and user_id are both set; Heap takes one");
      AppendIdentity(event.identity(), log);
    }
    AppendUserId(event.user_id(), log);
    hash = HashUserId(event.user_id());
  }

  json += ",\"event\":\"";
  AppendField("event", event.event(), {.min = 1, .max = 1'024}, log);
  CheckEventName(event.event(), log);

  json += "\",\"timestamp\":\"";
  const size_t timestamp_start = json.size();
  if (!event.has_timestamp()) {
    Append(accepted_at_text_.view(), json);
  } else {
    AppendTimestamp(event.timestamp(), log);
  }
  json += '"';

  AppendPropertyField(event.properties(), std::nullopt, ObjectType::kTrackEvent,
                      log);

  if (!event.session_id().empty()) AppendSession(event.session_id(), log);

  const size_t content_end = json.size();
  json += ",\"idempotency_key\":\"";
  if (!event.idempotency_key().empty()) {
    AppendField("idempotency_key", event.idempotency_key(),
                {.min = 8, .max = 255}, log);
    static constexpr IdRule kRule = {
        .field = "idempotency_key",
        .denied_reason = reason::kIdempotencyKeyDenied,
        .denied_description =
            "the idempotency key is blank or a placeholder; Heap would keep "
            "only one of all events sent with it"};
    CheckId(kRule, event.idempotency_key(), log);
  }
  if (!log.has_violations()) {
    // The time of acceptance is not the event's content.
    const size_t content_resumes =
        timestamp_start +
        (event.has_timestamp() ? 0 : accepted_at_text_.view().size());
    const absl::string_view text(json);
    const absl::string_view key = choose_key(EventContent(
        text.substr(start, timestamp_start - start),
        text.substr(content_resumes, content_end - content_resumes)));
    if (event.idempotency_key().empty()) AppendJsonText(key, json);
  }
  json += "\"}";
  return Finish(start, hash, log);
}

Findings ChunkEncoder::Add(const v1::UserProperties& user,
                           const ItemPath& path) {
  std::string& json = chunk_.text;
  const size_t start = json.size();
  FindingLog log(path, max_findings_);

  json += '{';
  AppendIdentity(user.identity(), log);
  std::optional<absl::string_view> email;
  const NameQuality email_quality = user.email().empty()
                                        ? NameQuality::kGood
                                        : JudgeName(user.email(), rules_);
  if (email_quality == NameQuality::kBlank ||
      email_quality == NameQuality::kPlaceholder) {
    log.AddWarning("email", reason::kPlaceholderLeftOut,
                   "the email is blank or a placeholder, and is left out");
  } else if (!user.email().empty()) {
    if (email_quality == NameQuality::kControlCharacter) {
      log.AddWarning("email", reason::kControlCharacter,
                     "the email has a control character");
    }
    // Checked here, under its own path, but written with the properties.
    const size_t before = json.size();
    AppendField("email", user.email(), {.min = 1, .max = kMaxPropertyUnits},
                log);
    json.resize(before);
    email = user.email();
  }
  AppendPropertyField(user.properties(), email, ObjectType::kUserProperties,
                      log);
  json += '}';
  return Finish(start, HashIdentity(user.identity()), log);
}

Findings ChunkEncoder::Add(const v1::AccountProperties& account,
                           const ItemPath& path) {
  std::string& json = chunk_.text;
  const size_t start = json.size();
  FindingLog log(path, max_findings_);

  json += "{\"account_id\":\"";
  AppendField("account_id", account.account_id(), {.min = 1, .max = 255}, log);
  static constexpr IdRule kRule = {
      .field = "account_id",
      .denied_reason = reason::kIdentityDenied,
      .denied_description =
          "the account id is blank or a placeholder; Heap would merge all "
          "accounts sent under it"};
  CheckId(kRule, account.account_id(), log);
  json += '"';
  AppendPropertyField(account.properties(), std::nullopt,
                      ObjectType::kAccountProperties, log);
  json += '}';
  return Finish(start, HashIdentity(account.account_id()), log);
}

EncodedChunk ChunkEncoder::Take() {
  EncodedChunk taken = std::move(chunk_);
  chunk_ =
      EncodedChunk{.accepted_at = taken.accepted_at, .items = {}, .text = {}};
  return taken;
}

void ChunkEncoder::AppendField(absl::string_view field, absl::string_view value,
                               Limits limits, FindingLog& log) {
  if (value.empty()) {
    log.AddViolation(field, reason::kRequired,
                     absl::StrCat(field, " is required"));
    return;
  }
  const std::optional<size_t> units =
      value.size() > limits.max * kMaxUtf8BytesPerUnit
          ? CountUtf16Units(value)
          : AppendJsonText(value, chunk_.text);
  if (!units.has_value()) {
    log.AddViolation(field, reason::kInvalidUtf8,
                     absl::StrCat(field, " is not valid UTF-8"));
  } else if (*units < limits.min || *units > limits.max) {
    log.AddViolation(
        field,
        *units < limits.min ? reason::kValueTooShort : reason::kValueTooLong,
        absl::StrCat(field, " has ", *units, " characters; ", limits.min,
                     " to ", limits.max, " are allowed"));
  }
}

void ChunkEncoder::AppendIdentity(absl::string_view identity, FindingLog& log) {
  chunk_.text += "\"identity\":\"";
  AppendField("identity", identity, {.min = 1, .max = 255}, log);
  chunk_.text += '"';
  static constexpr IdRule kRule = {
      .field = "identity",
      .denied_reason = reason::kIdentityDenied,
      .denied_description =
          "the identity is blank or a placeholder; Heap would permanently "
          "merge all users sent under it"};
  CheckId(kRule, identity, log);
}

void ChunkEncoder::CheckId(const IdRule& rule, absl::string_view id,
                           FindingLog& log) const {
  if (id.empty()) return;
  const absl::string_view field = rule.field;
  switch (JudgeName(id, rules_)) {
    case NameQuality::kGood:
      return;
    case NameQuality::kBlank:
    case NameQuality::kPlaceholder:
      log.AddViolation(field, rule.denied_reason, rule.denied_description);
      return;
    case NameQuality::kMangled:
      log.AddViolation(field, reason::kIdMangled,
                       "a number in exponent form has lost its last digits, so "
                       "that several ids become one; export ids as text");
      return;
    case NameQuality::kControlCharacter:
      AddControlCharacter(field, log);
      return;
    case NameQuality::kFraction:
      log.AddWarning(
          field, reason::kIdLooksMangled,
          "a number that ends in .0 may be an id that a program "
          "took for a number; without the fraction it is another id");
      return;
    case NameQuality::kRounded:
      log.AddWarning(
          field, reason::kIdLooksMangled,
          "a long number that ends in zeros may have lost its last digits in a "
          "spreadsheet, so that several ids become one; export ids as text");
      return;
    case NameQuality::kPadded:
      log.AddWarning(field, reason::kIdLooksMangled,
                     "starts or ends with a blank or an invisible character; "
                     "without it, it is another id");
      return;
    case NameQuality::kInvisible:
      log.AddWarning(field, reason::kIdLooksMangled,
                     "has an invisible character; without it, it is another "
                     "id");
      return;
    case NameQuality::kQuoted:
      log.AddWarning(field, reason::kIdLooksMangled,
                     "the quotes of it may be a program's; without them, "
                     "it is another id");
      return;
    case NameQuality::kWrapped:
      log.AddWarning(field, reason::kIdLooksMangled,
                     "a program may have given it another form, or put several "
                     "together; as such it is another id");
      return;
    case NameQuality::kPartlyNone:
      log.AddWarning(
          field, reason::kPlaceholderSuspected,
          "a part of it says that there is no value, so it may stand "
          "for several people");
      return;
    case NameQuality::kSharedAccount:
      log.AddWarning(field, reason::kPlaceholderSuspected,
                     "may be the account of a program, or one that several "
                     "people share; what it does becomes one person");
      return;
    case NameQuality::kTemplateWord:
      log.AddWarning(field, reason::kPlaceholderSuspected,
                     "looks like a place in a template that nothing filled");
      return;
  }
}

void ChunkEncoder::AppendTimestamp(const google::protobuf::Timestamp& timestamp,
                                   FindingLog& log) {
  const std::optional<TimestampText> text =
      TimestampText::FromUnix(timestamp.seconds(), timestamp.nanos());
  if (!text.has_value()) {
    log.AddViolation("timestamp", reason::kTimestampOutOfRange,
                     "a timestamp lies in the years 1 to 9999, with 0 to "
                     "999999999 nanoseconds");
    return;
  }
  Append(text->view(), chunk_.text);
  if (timestamp.seconds() < kFirstPlausibleSecond ||
      timestamp.seconds() > last_plausible_second_) {
    log.AddWarning("timestamp", reason::kTimestampImplausible,
                   "lies before the year 2000, or more than a day ahead of the "
                   "server's clock");
  }
}

void ChunkEncoder::AppendSession(absl::string_view session_id,
                                 FindingLog& log) {
  const NameQuality quality = JudgeName(session_id, rules_);
  if (quality == NameQuality::kBlank || quality == NameQuality::kPlaceholder ||
      quality == NameQuality::kMangled) {
    log.AddWarning("session_id", reason::kPlaceholderLeftOut,
                   "the session id is blank, a placeholder or in exponent "
                   "form, and is left out; sent, it would join the sessions "
                   "of several people");
    return;
  }
  if (quality == NameQuality::kControlCharacter) {
    AddControlCharacter("session_id", log);
  } else if (quality == NameQuality::kTemplateWord) {
    log.AddWarning("session_id", reason::kPlaceholderSuspected,
                   "looks like a place in a template that nothing filled");
  }
  chunk_.text += ",\"session_id\":\"";
  AppendField("session_id", session_id, {.min = 1, .max = 1'023}, log);
  chunk_.text += '"';
}

void ChunkEncoder::AppendUserId(absl::string_view user_id, FindingLog& log) {
  if (!IsUserId(user_id)) {
    log.AddViolation("user_id", reason::kUserIdInvalid,
                     "user_id is a decimal number from 0 to 9007199254740991 "
                     "without sign or leading zeros");
    return;
  }
  if (user_id == "0") {
    log.AddWarning("user_id", reason::kPlaceholderSuspected,
                   "0 often stands for a user id that is missing");
  }
  chunk_.text += "\"user_id\":\"";
  Append(user_id, chunk_.text);
  chunk_.text += '"';
}

void ChunkEncoder::AppendPropertyField(
    const google::protobuf::Struct& properties,
    std::optional<absl::string_view> email, ObjectType type, FindingLog& log) {
  constexpr absl::string_view kKey = ",\"properties\":";
  if (properties.fields().empty() && !email.has_value()) return;
  std::string& json = chunk_.text;
  const size_t before = json.size();
  Append(kKey, json);
  AppendProperties(properties, email, {.type = type, .encoding = rules_}, log,
                   json);
  const bool all_left_out = json.size() == before + kKey.size() + 2;
  if (all_left_out) json.resize(before);
}

Findings ChunkEncoder::Finish(size_t start, uint64_t identity_hash,
                              FindingLog& log) {
  const size_t size = chunk_.text.size() - start;
  if (size > kMaxItemBytes) {
    log.AddViolation("", reason::kItemTooLarge,
                     absl::StrCat("the item's JSON is larger than ",
                                  kMaxItemBytes, " bytes"));
  }
  if (log.has_violations()) {
    chunk_.text.resize(start);
  } else {
    chunk_.items.push_back(
        {.size = static_cast<uint32_t>(size), .identity_hash = identity_hash});
  }
  return log.Take();
}

}  // namespace heapsync
