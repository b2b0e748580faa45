#include "heap_adapter/transport/answer_class.h"

#include <cstdlib>
#include <variant>

#include "absl/strings/str_cat.h"
#include "heap_adapter/transport/named_item.h"
#include "heap_adapter/transport/retry_after.h"

namespace heapsync {
namespace {

// Heap documents 200 and 400 only; the rest follows RFC 9110. A status that no
// final answer can have (1xx, 600 and above) says nothing about the batch, so
// it is tried again.
AnswerClass ClassOf(int status) {
  switch (status) {
    case 401:
    case 403:
    case 404:
    case 405:
      return AnswerClass::kSetup;
    case 408:
    case 425:
      return AnswerClass::kTransient;
    case 413:
      return AnswerClass::kOversized;
    case 429:
      return AnswerClass::kThrottled;
    default:
      break;
  }
  switch (status / 100) {
    case 2:
      return AnswerClass::kDelivered;
    case 3:
      return AnswerClass::kSetup;
    case 4:
      return AnswerClass::kInvalid;
    default:
      return AnswerClass::kTransient;
  }
}

absl::string_view Describe(TransportFailure::Kind kind) {
  switch (kind) {
    case TransportFailure::Kind::kDns:
      return "host name not found";
    case TransportFailure::Kind::kConnect:
      return "no connection";
    case TransportFailure::Kind::kTlsVerification:
      return "TLS certificate not trusted";
    case TransportFailure::Kind::kTls:
      return "TLS failure";
    case TransportFailure::Kind::kTimeout:
      return "timeout";
    case TransportFailure::Kind::kReset:
      return "connection reset";
    case TransportFailure::Kind::kMalformedAnswer:
      return "malformed answer";
    case TransportFailure::Kind::kOther:
      return "transport failure";
  }
  std::abort();
}

bool SendsTheSameAgain(AnswerClass answer_class) {
  return answer_class == AnswerClass::kTransient ||
         answer_class == AnswerClass::kThrottled ||
         answer_class == AnswerClass::kSetup;
}

Verdict ClassifyHttp(const HttpAnswer& answer, ObjectType type,
                     size_t batch_size, WallTime now) {
  Verdict verdict{.answer_class = ClassOf(answer.status),
                  .retry_after = std::nullopt,
                  .named_item = std::nullopt,
                  .summary = absl::StrCat("HTTP ", answer.status)};
  if (answer.retry_after.has_value() &&
      SendsTheSameAgain(verdict.answer_class)) {
    verdict.retry_after =
        ParseRetryAfter(*answer.retry_after, now, kMaxRetryAfter);
  }
  if (verdict.answer_class == AnswerClass::kInvalid) {
    verdict.named_item = NamedItem(answer.body, HeapArrayKey(type), batch_size);
  }
  return verdict;
}

Verdict ClassifyFailure(const TransportFailure& failure) {
  return {
      .answer_class = failure.kind == TransportFailure::Kind::kTlsVerification
                          ? AnswerClass::kSetup
                          : AnswerClass::kTransient,
      .retry_after = std::nullopt,
      .named_item = std::nullopt,
      .summary = std::string(Describe(failure.kind))};
}

}  // namespace

absl::string_view Name(AnswerClass answer_class) {
  switch (answer_class) {
    case AnswerClass::kDelivered:
      return "delivered";
    case AnswerClass::kTransient:
      return "transient";
    case AnswerClass::kThrottled:
      return "throttled";
    case AnswerClass::kOversized:
      return "oversized";
    case AnswerClass::kInvalid:
      return "invalid";
    case AnswerClass::kSetup:
      return "setup";
  }
  std::abort();
}

Verdict Classify(const HeapAnswer& answer, ObjectType type, size_t batch_size,
                 WallTime now) {
  if (const auto* http = std::get_if<HttpAnswer>(&answer.result)) {
    return ClassifyHttp(*http, type, batch_size, now);
  }
  return ClassifyFailure(std::get<TransportFailure>(answer.result));
}

}  // namespace heapsync
