#include "server/observe/operator_pages.h"

#include <openssl/sha.h>

#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/observe/metrics.h"
#include "server/observe/status_json.h"
#include "server/observe/status_page/status_page.h"
#include "server/observe/status_query.h"

namespace heapsync {
namespace {

// The text between the first `open` and the next `close`.
absl::string_view Between(absl::string_view text, absl::string_view open,
                          absl::string_view close) {
  const size_t begin = text.find(open) + open.size();
  return text.substr(begin, text.find(close, begin) - begin);
}

std::string SourceHash(absl::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         digest.data());
  return absl::StrCat(
      "'sha256-",
      absl::Base64Escape(absl::string_view(
          reinterpret_cast<const char*>(digest.data()), digest.size())),
      "'");
}

// The page may run its own script, use its own style and send requests to this
// server. Any other content that gets into it has no effect.
std::string PagePolicy(absl::string_view page) {
  return absl::StrCat(
      "default-src 'none'; connect-src 'self'; img-src data:; ", "script-src ",
      SourceHash(Between(page, "<script>", "</script>")), "; style-src ",
      SourceHash(Between(page, "<style>", "</style>")),
      "; base-uri 'none'; form-action 'none'; "
      "frame-ancestors 'none'");
}

HttpReply StatusAnswer(StatusReader& status, const FlowHistory& history,
                       absl::string_view version, absl::string_view query,
                       const std::function<ClusterStatus()>& cluster) {
  const auto parsed = ParseStatusQuery(query);
  if (!parsed.ok()) {
    return {.status = 400,
            .body = absl::StrCat(parsed.status().message(), "\n")};
  }
  std::optional<ClusterStatus> members;
  if (cluster) members = cluster();
  return {.content_type = "application/json",
          .body = StatusJson(*status.Read(), history, version, *parsed,
                             members.has_value() ? &*members : nullptr)};
}

}  // namespace

HttpPages OperatorPages(StatusReader& status, const FlowHistory& history,
                        std::string version, MetricDestinations& destinations,
                        std::vector<const prometheus::Collectable*> metrics,
                        std::function<ClusterStatus()> cluster) {
  using Work = HttpPage::Work;
  HttpPages pages;
  pages["/"] = {
      .work = Work::kInstant,
      .handler = [policy = PagePolicy(kStatusPage)](absl::string_view) {
        return HttpReply{.content_type = "text/html; charset=utf-8",
                         .body = std::string(kStatusPage),
                         .content_security_policy = policy};
      }};
  pages["/statusz.json"] = {.work = Work::kMayWait,
                            .handler = [&status, &history, version,
                                        cluster](absl::string_view query) {
                              return StatusAnswer(status, history, version,
                                                  query, cluster);
                            }};
  pages["/metrics"] = {
      .work = Work::kMayWait,
      .handler = [&status, &destinations, version = std::move(version),
                  metrics = std::move(metrics)](absl::string_view) {
        return HttpReply{
            .content_type = "text/plain; version=0.0.4; charset=utf-8",
            .body =
                MetricsText(*status.Read(), version, destinations, metrics)};
      }};
  pages["/healthz"] = {.work = Work::kInstant,
                       .handler = [&status](absl::string_view) -> HttpReply {
                         if (status.spool_healthy()) return {.body = "ok\n"};
                         return {.status = 503,
                                 .body = "the spool failed to write\n"};
                       }};
  return pages;
}

}  // namespace heapsync
