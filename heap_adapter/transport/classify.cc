#include "heap_adapter/transport/classify.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "heap_adapter/transport/heap_origin.h"
#include "heap_adapter/transport/named_app_id.h"
#include "heap_adapter/transport/named_item.h"
#include "heap_adapter/transport/retry_after.h"

namespace heapsync {
namespace {

constexpr int kProxyAuthenticationRequired = 407;

// Heap documents 200 and 400 only; the rest follows RFC 9110. Those that
// concern the way, the account, the path or the headers are the same for every
// request of a destination, so the items are not to blame. A status that a
// final response cannot have (1xx, 600 and above) says nothing about the batch,
// so it is retried.
ResponseClass ClassOf(int status) {
  switch (status) {
    case 401:
    case 402:
    case 403:
    case 404:
    case 405:
    case 406:
    case 407:
    case 410:
    case 411:
    case 412:
    case 414:
    case 415:
    case 416:
    case 417:
    case 421:
    case 426:
    case 428:
    case 431:
    case 451:
      return ResponseClass::kMisconfigured;
    case 408:
    case 425:
      return ResponseClass::kTransient;
    case 413:
      return ResponseClass::kOversized;
    case 429:
      return ResponseClass::kThrottled;
    default:
      break;
  }
  switch (status / 100) {
    case 2:
      return ResponseClass::kDelivered;
    case 3:
      return ResponseClass::kMisconfigured;
    case 4:
      return ResponseClass::kInvalid;
    default:
      return ResponseClass::kTransient;
  }
}

absl::string_view Describe(TransportFailure::Kind kind) {
  switch (kind) {
    case TransportFailure::Kind::kDns:
      return "host name not found";
    case TransportFailure::Kind::kConnect:
    case TransportFailure::Kind::kProxyRefused:
      return "no connection";
    case TransportFailure::Kind::kTlsVerification:
      return "certificate is not trusted";
    case TransportFailure::Kind::kTls:
      return "TLS failure";
    case TransportFailure::Kind::kTimeout:
      return "timeout";
    case TransportFailure::Kind::kReset:
      return "connection reset";
    case TransportFailure::Kind::kMalformedResponse:
      return "malformed answer";
    case TransportFailure::Kind::kOther:
      return "transport failure";
  }
  HEAPSYNC_UNREACHABLE();
}

bool SendsTheSameAgain(ResponseClass response_class) {
  return response_class == ResponseClass::kTransient ||
         response_class == ResponseClass::kThrottled ||
         response_class == ResponseClass::kMisconfigured;
}

std::string TimeText(WallTime time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromChrono(time),
                          absl::UTCTimeZone());
}

Verdict ClassifyHttp(const HttpResponse& answer, ObjectType type,
                     size_t batch_size, WallTime now,
                     Duration max_retry_after) {
  Verdict verdict{.response_class = ClassOf(answer.status),
                  .retry_after = std::nullopt,
                  .origin = ErrorOrigin::kHeap,
                  .named_item = std::nullopt,
                  .summary = absl::StrCat("HTTP ", answer.status)};
  if (verdict.response_class == ResponseClass::kDelivered &&
      !ComesFromHeap(answer)) {
    verdict.response_class = ResponseClass::kMisconfigured;
    verdict.origin = ErrorOrigin::kWay;
    absl::StrAppend(&verdict.summary, " (", MediaTypeText(answer.content_type),
                    "), a response that does not come from Heap");
  }
  if (answer.status == kProxyAuthenticationRequired) {
    verdict.origin = ErrorOrigin::kWay;
  }
  if (verdict.response_class == ResponseClass::kInvalid) {
    if (NamesAppId(answer.body)) {
      verdict.response_class = ResponseClass::kMisconfigured;
      absl::StrAppend(&verdict.summary, ", which names the App ID");
    } else {
      verdict.named_item =
          NamedItem(answer.body, HeapArrayKey(type), batch_size);
    }
  }
  if (answer.retry_after.has_value() &&
      SendsTheSameAgain(verdict.response_class)) {
    verdict.retry_after =
        ParseRetryAfter(*answer.retry_after, now, max_retry_after);
  }
  if (verdict.retry_after.has_value()) {
    absl::StrAppend(&verdict.summary, ", Retry-After until ",
                    TimeText(now + *verdict.retry_after));
  }
  return verdict;
}

// True if the detail of a failure names the hop that failed, and why.
bool DetailNamesTheWay(TransportFailure::Kind kind) {
  return kind == TransportFailure::Kind::kDns ||
         kind == TransportFailure::Kind::kConnect ||
         kind == TransportFailure::Kind::kProxyRefused ||
         kind == TransportFailure::Kind::kTlsVerification ||
         kind == TransportFailure::Kind::kTls;
}

Verdict ClassifyFailure(const TransportFailure& failure) {
  const bool needs_a_person =
      failure.kind == TransportFailure::Kind::kTlsVerification ||
      failure.kind == TransportFailure::Kind::kProxyRefused;
  std::string summary(Describe(failure.kind));
  if (DetailNamesTheWay(failure.kind)) {
    absl::StrAppend(&summary, ": ", failure.detail);
  }
  return {.response_class = needs_a_person ? ResponseClass::kMisconfigured
                                           : ResponseClass::kTransient,
          .retry_after = std::nullopt,
          .origin = ErrorOrigin::kWay,
          .named_item = std::nullopt,
          .summary = std::move(summary)};
}

}  // namespace

Verdict Classify(const HeapResponse& response, ObjectType type,
                 size_t batch_size, WallTime now, Duration max_retry_after) {
  if (const auto* http = std::get_if<HttpResponse>(&response.result)) {
    return ClassifyHttp(*http, type, batch_size, now, max_retry_after);
  }
  return ClassifyFailure(std::get<TransportFailure>(response.result));
}

}  // namespace heapsync
