#include "heap_adapter/transport/curl_transport.h"

#include <algorithm>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "base/certificate_times.h"
#include "base/check.h"
#include "heap_adapter/transport/curl_failure.h"

namespace heapsync {
namespace {

// Maximum size of a response's heads, interim ones included, and trailers.
constexpr size_t kMaxHeadBytes = 64 * 1024;

struct EasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};

// The causes are a lack of memory, or an option that this libcurl does not
// know. Callers can handle neither.
template <typename Code>
void CheckOk(Code code) {
  HEAPSYNC_CHECK(static_cast<int>(code) == 0)
      << "libcurl refused an option: " << static_cast<int>(code);
}

// libcurl reads its arguments as varargs without knowing their types, so
// numbers must be converted to long.
template <typename Value>
void Set(CURL* easy, CURLoption option, Value value) {
  if constexpr (std::is_integral_v<Value>) {
    CheckOk(curl_easy_setopt(easy, option, static_cast<long>(value)));
  } else {
    CheckOk(curl_easy_setopt(easy, option, value));
  }
}

CURLM* NewMulti(const CurlTransportOptions& options) {
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  CheckOk(initialized);
  CURLM* multi = curl_multi_init();
  HEAPSYNC_CHECK(multi != nullptr) << "curl_multi_init failed";
  CheckOk(
      curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                        static_cast<long>(options.max_connections_per_host)));
  CheckOk(curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                            static_cast<long>(options.max_connections)));
  // One request on a connection at a time, in HTTP/2 too: a connection that
  // many share may be dead for all of them, and libcurl neither closes it after
  // a time-out nor renews it by age while one of them is in flight.
  CheckOk(curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING));
  return multi;
}

MonotonicTime MonotonicNow() {
  return std::chrono::time_point_cast<Duration>(
      std::chrono::steady_clock::now());
}

}  // namespace

curl_slist* CurlTransport::NewHeaders(const std::string& traceparent) {
  curl_slist* headers = nullptr;
  const auto add = [&headers](const char* line) {
    headers = curl_slist_append(headers, line);
    HEAPSYNC_CHECK(headers != nullptr) << "curl_slist_append failed";
  };
  add("Content-Type: application/json");
  // The empty Expect keeps libcurl from waiting for "100 Continue" before a
  // large body, which would cost a round trip.
  add("Expect:");
  if (!traceparent.empty()) add(("traceparent: " + traceparent).c_str());
  return headers;
}

// A request in flight, or an idle easy handle for reuse.
struct CurlTransport::Transfer {
  std::unique_ptr<CURL, EasyDeleter> easy{curl_easy_init()};
  size_t place = 0;  // index in `in_flight_`
  HeapRequest request{};
  // Headers of this request; null: the common ones.
  std::unique_ptr<curl_slist, ListDeleter> own_headers;
  RequestStage stage = RequestStage::kNotSent;
  bool has_proxy = false;
  bool head_complete = false;
  std::string answer_body;
  size_t answer_bytes = 0;
  size_t head_bytes = 0;  // of all heads and trailers
  size_t max_response_bytes = 0;
  const std::function<bool()>* may_send = nullptr;
  const RootCertificates* extra_roots = nullptr;
  std::string date;  // that makes a certificate of the way invalid
  char message[CURL_ERROR_SIZE] = {};

  static size_t OnBody(const char* bytes, size_t, size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    transfer.answer_bytes += count;
    if (transfer.answer_bytes > transfer.max_response_bytes) return 0;
    const size_t space = kMaxResponseBytes - transfer.answer_body.size();
    transfer.answer_body.append(bytes, std::min(count, space));
    return count;
  }

  // Called for each line of a response's head, including the final empty one,
  // and of its trailers. If the connection closes within the head, libcurl
  // accepts the part that it has.
  static size_t OnHeader(const char* line, size_t, size_t size, void* self) {
    const absl::string_view text(line, size);
    auto& transfer = *static_cast<Transfer*>(self);
    transfer.head_bytes += size;
    if (transfer.head_bytes > kMaxHeadBytes) return 0;
    bool& complete = transfer.head_complete;
    if (absl::StartsWith(text, "HTTP/")) complete = false;
    if (text == "\r\n" || text == "\n") complete = true;
    return size;
  }

  // Called every time the request is about to be sent.
  static int OnSend(void* self, char*, char*, int, int) {
    auto& transfer = *static_cast<Transfer*>(self);
    if (transfer.stage == RequestStage::kSent) return CURL_PREREQFUNC_ABORT;
    if (*transfer.may_send && !(*transfer.may_send)()) {
      return CURL_PREREQFUNC_ABORT;
    }
    transfer.stage = RequestStage::kSent;
    return CURL_PREREQFUNC_OK;
  }

  // Place of the transfer among the data that OpenSSL keeps for a context.
  static int PlaceInContext() {
    static const int place =
        SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return place;
  }

  // Called for each certificate that is verified; changes nothing.
  static int OnVerified(int good, X509_STORE_CTX* verified) {
    const int error = X509_STORE_CTX_get_error(verified);
    const auto* connection = static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(
        verified, SSL_get_ex_data_X509_STORE_CTX_idx()));
    const X509* certificate = X509_STORE_CTX_get_current_cert(verified);
    if (good == 1 || connection == nullptr || certificate == nullptr) {
      return good;
    }
    auto* transfer = static_cast<Transfer*>(
        SSL_CTX_get_ex_data(SSL_get_SSL_CTX(connection), PlaceInContext()));
    if (transfer == nullptr) return good;
    if (error == X509_V_ERR_CERT_HAS_EXPIRED) {
      transfer->date = " on " + DateText(TimesOf(*certificate).not_after);
    } else if (error == X509_V_ERR_CERT_NOT_YET_VALID) {
      transfer->date = " before " + DateText(TimesOf(*certificate).not_before);
    }
    return good;
  }

  // Called for each new TLS connection, with its options but before it begins.
  static CURLcode OnTls(CURL*, void* opaque, void* self) {
    auto* context = static_cast<SSL_CTX*>(opaque);
    auto* transfer = static_cast<Transfer*>(self);
    transfer->extra_roots->AddTo(*context);
    SSL_CTX_set_ex_data(context, PlaceInContext(), transfer);
    SSL_CTX_set_verify(context, SSL_CTX_get_verify_mode(context), &OnVerified);
    return CURLE_OK;
  }

  void ConfigureWay(const CurlTransportOptions& options) {
    CURL* handle = easy.get();
    has_proxy = !options.proxy.empty();
    // An empty text, unlike null, keeps libcurl from reading the environment.
    Set(handle, CURLOPT_PROXY, options.proxy.c_str());
    Set(handle, CURLOPT_NOPROXY, "");
    if (has_proxy) {
      Set(handle, CURLOPT_HTTPPROXYTUNNEL, 1);
      // Or they would count as Heap's.
      Set(handle, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1);
    }
    if (!options.proxy_user.empty()) {
      Set(handle, CURLOPT_PROXYAUTH, CURLAUTH_BASIC);
      Set(handle, CURLOPT_PROXYUSERNAME, options.proxy_user.c_str());
      Set(handle, CURLOPT_PROXYPASSWORD, options.proxy_password.c_str());
    }
    Set(handle, CURLOPT_SSL_VERIFYPEER, 1);
    Set(handle, CURLOPT_SSL_VERIFYHOST, 2);
    Set(handle, CURLOPT_SSL_CTX_FUNCTION, &OnTls);
    Set(handle, CURLOPT_SSL_CTX_DATA, this);
  }

  void Configure(const CurlTransportOptions& options,
                 const RootCertificates& roots) {
    CURL* handle = easy.get();
    extra_roots = &roots;
    max_response_bytes = options.max_response_bytes;
    may_send = &options.may_send;
    // A length that the head declares is refused before the body is read.
    CheckOk(curl_easy_setopt(handle, CURLOPT_MAXFILESIZE_LARGE,
                             static_cast<curl_off_t>(max_response_bytes)));
    Set(handle, CURLOPT_PRIVATE, this);
    Set(handle, CURLOPT_ERRORBUFFER, &message[0]);
    Set(handle, CURLOPT_WRITEFUNCTION, &OnBody);
    Set(handle, CURLOPT_WRITEDATA, this);
    Set(handle, CURLOPT_HEADERFUNCTION, &OnHeader);
    Set(handle, CURLOPT_HEADERDATA, this);
    Set(handle, CURLOPT_PREREQFUNCTION, &OnSend);
    Set(handle, CURLOPT_PREREQDATA, this);

    Set(handle, CURLOPT_POST, 1);
    Set(handle, CURLOPT_USERAGENT, options.user_agent.c_str());
    Set(handle, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
    Set(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    Set(handle, CURLOPT_FOLLOWLOCATION, 0);
    // Without the header a proxy may compress as it likes. One that does so in
    // spite of it is understood; what is unpacked is bounded as the rest.
    Set(handle, CURLOPT_ACCEPT_ENCODING, "identity");
    ConfigureWay(options);

    Set(handle, CURLOPT_TCP_NODELAY, 1);
    // New connections are rare, and a name that has moved should count.
    Set(handle, CURLOPT_DNS_CACHE_TIMEOUT, 0);
    Set(handle, CURLOPT_NOSIGNAL, 1);
    // Without this, ending a request joins the thread of its name lookup, and a
    // hanging name server would block all other requests.
    Set(handle, CURLOPT_QUICK_EXIT, 1);
    Set(handle, CURLOPT_CONNECTTIMEOUT_MS, options.connect_timeout.count());
    Set(handle, CURLOPT_TIMEOUT_MS, options.request_timeout.count());
    Set(handle, CURLOPT_LOW_SPEED_LIMIT, 1);
    Set(handle, CURLOPT_LOW_SPEED_TIME, options.stall_timeout.count());
  }

  // `max_age`: see ConnectionReuse::MaxAge().
  void Prepare(HeapRequest next, curl_slist* headers,
               std::chrono::seconds max_age) {
    request = std::move(next);
    std::unique_ptr<curl_slist, ListDeleter> former = std::move(own_headers);
    if (!request.traceparent.empty()) {
      own_headers.reset(NewHeaders(request.traceparent));
      headers = own_headers.get();
    }
    Set(easy.get(), CURLOPT_HTTPHEADER, headers);
    stage = RequestStage::kNotSent;
    head_complete = false;
    answer_body.clear();
    answer_bytes = 0;
    head_bytes = 0;
    date.clear();
    message[0] = '\0';
    Set(easy.get(), CURLOPT_URL, request.url.c_str());
    // To libcurl, a maximum age of zero is none.
    Set(easy.get(), CURLOPT_FRESH_CONNECT, max_age.count() == 0);
    Set(easy.get(), CURLOPT_MAXLIFETIME_CONN, max_age.count());
    CheckOk(curl_easy_setopt(easy.get(), CURLOPT_POSTFIELDSIZE_LARGE,
                             static_cast<curl_off_t>(request.body.size())));
    Set(easy.get(), CURLOPT_POSTFIELDS, request.body.c_str());
  }

  HeapResponse Answer(CURLcode code) {
    if (code != CURLE_OK) {
      TransportFailure failure = FailureOf(code, stage, message, ProxyStatus());
      if (failure.kind == TransportFailure::Kind::kTlsVerification) {
        failure.detail += date;
      }
      return {request.id, std::move(failure)};
    }
    if (!head_complete) {
      return {request.id, FailureOf(CURLE_PARTIAL_FILE, stage, "")};
    }
    long status = 0;
    CheckOk(curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status));
    return {request.id, HttpResponse{.status = static_cast<int>(status),
                                     .retry_after = Header("Retry-After"),
                                     .content_type = Header("Content-Type"),
                                     .body = std::move(answer_body)}};
  }

  // See FailureOf().
  std::optional<int> ProxyStatus() {
    if (!has_proxy) return std::nullopt;
    long status = 0;
    CheckOk(curl_easy_getinfo(easy.get(), CURLINFO_HTTP_CONNECTCODE, &status));
    return static_cast<int>(status);
  }

  std::optional<std::string> Header(const char* name) {
    constexpr int kLastAnswer = -1;
    curl_header* header = nullptr;
    if (curl_easy_header(easy.get(), name, 0, CURLH_HEADER, kLastAnswer,
                         &header) != CURLHE_OK) {
      return std::nullopt;
    }
    return header->value;
  }
};

CurlTransport::CurlTransport(CurlTransportOptions options)
    : options_(std::move(options)),
      extra_roots_(options_.extra_roots),
      reuse_(options_.max_connection_age),
      multi_(NewMulti(options_)),
      headers_(NewHeaders("")) {}

CurlTransport::~CurlTransport() {
  for (const auto& transfer : in_flight_) {
    curl_multi_remove_handle(multi_.get(), transfer->easy.get());
  }
}

std::unique_ptr<CurlTransport::Transfer> CurlTransport::TakeTransfer() {
  if (!idle_.empty()) {
    std::unique_ptr<Transfer> transfer = std::move(idle_.back());
    idle_.pop_back();
    return transfer;
  }
  auto transfer = std::make_unique<Transfer>();
  HEAPSYNC_CHECK(transfer->easy != nullptr) << "curl_easy_init failed";
  transfer->Configure(options_, extra_roots_);
  return transfer;
}

void CurlTransport::Send(HeapRequest request) {
  std::unique_ptr<Transfer> transfer = TakeTransfer();
  const std::chrono::seconds max_age =
      reuse_.MaxAge(request.url, MonotonicNow());
  transfer->Prepare(std::move(request), headers_.get(), max_age);
  CheckOk(curl_multi_add_handle(multi_.get(), transfer->easy.get()));
  transfer->place = in_flight_.size();
  in_flight_.push_back(std::move(transfer));
}

void CurlTransport::CollectFinished() {
  // Only some idle handles are kept, because each keeps its buffers (about 80
  // KiB).
  constexpr size_t kMaxIdle = 64;
  int left = 0;
  while (const CURLMsg* done = curl_multi_info_read(multi_.get(), &left)) {
    if (done->msg != CURLMSG_DONE) continue;
    // Removing the handle invalidates `done`.
    const CURLcode code = done->data.result;
    char* self = nullptr;
    CheckOk(curl_easy_getinfo(done->easy_handle, CURLINFO_PRIVATE, &self));
    const size_t place = reinterpret_cast<Transfer*>(self)->place;

    std::swap(in_flight_[place], in_flight_.back());
    in_flight_[place]->place = place;
    std::unique_ptr<Transfer> transfer = std::move(in_flight_.back());
    in_flight_.pop_back();

    if (code == CURLE_OPERATION_TIMEDOUT &&
        transfer->stage == RequestStage::kSent) {
      reuse_.OnTimeout(transfer->request.url, MonotonicNow());
    }
    answers_.push_back(transfer->Answer(code));
    CheckOk(curl_multi_remove_handle(multi_.get(), transfer->easy.get()));
    // Moved out to free its memory: an idle transfer must not keep a megabyte.
    { const HeapRequest released = std::move(transfer->request); }
    if (idle_.size() < kMaxIdle) idle_.push_back(std::move(transfer));
  }
}

void CurlTransport::GiveUp(uint64_t request_id) {
  const auto found =
      std::find_if(in_flight_.begin(), in_flight_.end(),
                   [request_id](const std::unique_ptr<Transfer>& each) {
                     return each->request.id == request_id;
                   });
  if (found == in_flight_.end()) return;
  // Its connection ends with it.
  CheckOk(curl_multi_remove_handle(multi_.get(), (*found)->easy.get()));
  const size_t place = (*found)->place;
  std::swap(*found, in_flight_.back());
  in_flight_[place]->place = place;
  in_flight_.pop_back();
  answers_.push_back({.request_id = request_id,
                      .result = TransportFailure{
                          .kind = TransportFailure::Kind::kTimeout,
                          .detail = "no response, while later requests had "
                                    "theirs"}});
}

std::vector<HeapResponse> CurlTransport::Wait(Duration timeout) {
  const auto start = std::chrono::steady_clock::now();
  while (true) {
    int running = 0;
    CheckOk(curl_multi_perform(multi_.get(), &running));
    CollectFinished();
    const bool woken = woken_.exchange(false);
    // Compared as elapsed time, because start + timeout may overflow.
    const auto elapsed = std::chrono::duration_cast<Duration>(
        std::chrono::steady_clock::now() - start);
    if (woken || !answers_.empty() || elapsed >= timeout) break;

    const auto rest = std::min<std::chrono::milliseconds>(
        std::chrono::ceil<std::chrono::milliseconds>(timeout - elapsed),
        std::chrono::hours(1));
    CheckOk(curl_multi_poll(multi_.get(), nullptr, 0,
                            static_cast<int>(rest.count()), nullptr));
  }
  return std::exchange(answers_, {});
}

void CurlTransport::Wake() {
  woken_.store(true);
  CheckOk(curl_multi_wakeup(multi_.get()));
}

}  // namespace heapsync
