#include "tests/fake_heap/http_session.h"

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "tests/fake_heap/query_router.h"

namespace heapsync::fake_heap {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

using Response = http::response<http::string_body>;

absl::string_view View(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

std::string Serialize(const Response& response) {
  std::ostringstream text;
  text << response;
  return text.str();
}

// Shared, because each pending operation holds the session it belongs to; the
// last one to go ends it.
class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  HttpSession(tcp::socket socket, Region region, uint64_t number,
              const SessionWorld& world)
      : socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        region_(region),
        number_(number),
        world_(world) {
    world_.simulator.CountConnection(region_, +1);
  }

  ~HttpSession() { world_.simulator.CountConnection(region_, -1); }

  void Start() {
    error_code ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
    ReadHeaders();
  }

 private:
  void ReadHeaders() {
    parser_.emplace();
    parser_->header_limit(64 * 1024);
    parser_->body_limit(world_.max_body_bytes);
    http::async_read_header(
        socket_, buffer_, *parser_,
        [self = shared_from_this()](error_code error, size_t) {
          if (error == http::error::body_limit) return self->RefuseSize();
          if (!error) self->HaveHeaders();
        });
  }

  void HaveHeaders() {
    if (!IsQuery()) {
      const bool reset = world_.simulator.ResetsBeforeBody(
          Incoming(/*with_body=*/false), world_.clock.Read());
      if (reset) return Reset();
    }
    const auto& headers = parser_->get();
    if (boost::beast::iequals(headers[http::field::expect], "100-continue")) {
      text_ = "HTTP/1.1 100 Continue\r\n\r\n";
      asio::async_write(socket_, asio::buffer(text_),
                        [self = shared_from_this()](error_code error, size_t) {
                          if (!error) self->ReadBody();
                        });
      return;
    }
    ReadBody();
  }

  void ReadBody() {
    http::async_read(socket_, buffer_, *parser_,
                     [self = shared_from_this()](error_code error, size_t) {
                       if (error == http::error::body_limit) {
                         return self->RefuseSize();
                       }
                       if (!error) self->HaveRequest();
                     });
  }

  void HaveRequest() {
    if (IsQuery()) return AnswerFakeQuery();
    reaction_ = world_.simulator.Take(Incoming(/*with_body=*/true),
                                      world_.clock.Read());
    if (reaction_.delay == Duration::zero()) return React();
    timer_.expires_after(reaction_.delay);
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (!error) self->React();
    });
  }

  void React() {
    switch (reaction_.way) {
      case Reaction::Way::kAnswer:
        return Send(reaction_.reply);
      case Reaction::Way::kCutResponse:
        return SendAndEnd(CutText());
      case Reaction::Way::kGarbage:
        return SendAndEnd(Garbage());
      case Reaction::Way::kHang:
        return WaitForEnd();
      case Reaction::Way::kReset:
        return Reset();
    }
  }

  bool IsQuery() const {
    return absl::StartsWith(View(parser_->get().target()), "/_fake/");
  }

  IncomingRequest Incoming(bool with_body) const {
    const auto& message = parser_->get();
    IncomingRequest request;
    request.region = region_;
    request.connection = number_;
    request.method = View(message.method_string());
    request.path = View(message.target());
    request.path = request.path.substr(0, request.path.find('?'));
    request.content_type = View(message[http::field::content_type]);
    for (const auto& field : message) {
      request.headers.emplace_back(std::string(View(field.name_string())),
                                   std::string(View(field.value())));
    }
    if (with_body) request.body = message.body();
    return request;
  }

  Response ToResponse(const Reply& reply) const {
    Response response;
    response.version(11);
    response.result(static_cast<unsigned>(reply.status));
    response.set(http::field::server, "fake-heap");
    response.set(http::field::content_type, reply.content_type);
    for (const auto& [name, value] : reply.headers) response.set(name, value);
    response.keep_alive(parser_->get().keep_alive());
    // Neither of these may have a body, or a client would take it for the next
    // answer.
    if (reply.status != 204 && reply.status != 304) {
      response.body() = reply.body;
      response.prepare_payload();
    }
    return response;
  }

  void Send(const Reply& reply) {
    response_ = ToResponse(reply);
    http::async_write(socket_, response_,
                      [self = shared_from_this()](error_code error, size_t) {
                        if (!error) self->Sent();
                      });
  }

  void Sent() {
    if (parser_->get().keep_alive()) return ReadHeaders();
    End();
  }

  void AnswerFakeQuery() {
    const auto& message = parser_->get();
    const auto answer = AnswerQuery(
        world_.simulator, View(message.method_string()), View(message.target()),
        message.body(), world_.clock.Read());
    if (const auto* reply = std::get_if<Reply>(&answer)) return Send(*reply);
    keys_ = std::get<KeyStream>(answer);
    text_ =
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Transfer-Encoding: chunked\r\n\r\n";
    next_key_ = 0;
    asio::async_write(socket_, asio::buffer(text_),
                      [self = shared_from_this()](error_code error, size_t) {
                        if (!error) self->SendKeys();
                      });
  }

  void SendKeys() {
    KeyLines lines = NextKeys(world_.simulator, keys_, next_key_);
    next_key_ = lines.next;
    text_ = std::move(lines.text);
    const bool last = lines.last;
    auto sent = [self = shared_from_this(), last](error_code error, size_t) {
      if (error) return;
      if (last) return self->EndKeys();
      self->SendKeys();
    };
    // An empty chunk would be the end.
    if (text_.empty()) return EndKeys();
    asio::async_write(socket_, http::make_chunk(asio::buffer(text_)),
                      std::move(sent));
  }

  void EndKeys() {
    asio::async_write(socket_, http::make_chunk_last(),
                      [self = shared_from_this()](error_code error, size_t) {
                        if (!error) self->Sent();
                      });
  }

  // The rest of such a body is discarded while the client reads the response:
  // closing with unread bytes would reset the connection.
  void RefuseSize() {
    Response response = ToResponse(world_.simulator.RefuseSize(
        Incoming(/*with_body=*/false), world_.clock.Read()));
    response.keep_alive(false);
    text_ = Serialize(response);
    asio::async_write(socket_, asio::buffer(text_),
                      [self = shared_from_this()](error_code error, size_t) {
                        if (error) return;
                        error_code ignored;
                        self->socket_.shutdown(tcp::socket::shutdown_send,
                                               ignored);
                        self->WaitForEnd();
                      });
  }

  std::string CutText() const {
    const std::string whole = Serialize(ToResponse(reaction_.reply));
    const size_t body = reaction_.reply.body.size();
    const size_t head = whole.size() - body;
    return whole.substr(0, reaction_.cut == Fault::Cut::kInHeaders
                               ? head / 2
                               : head + body / 2);
  }

  std::string Garbage() const {
    std::string noise(reaction_.garbage_bytes, '\0');
    unsigned state = 1;
    for (char& c : noise) {
      state = state * 1103515245 + 12345;
      c = static_cast<char>(state >> 24);
    }
    return noise;
  }

  void SendAndEnd(std::string text) {
    text_ = std::move(text);
    asio::async_write(
        socket_, asio::buffer(text_),
        [self = shared_from_this()](error_code, size_t) { self->End(); });
  }

  void End() {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_both, ignored);
    socket_.close(ignored);
  }

  // A close that does not linger sends RST instead of FIN.
  void Reset() {
    error_code ignored;
    socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    socket_.close(ignored);
  }

  // Discards further input.
  void WaitForEnd() {
    socket_.async_read_some(
        asio::buffer(scratch_),
        [self = shared_from_this()](error_code error, size_t) {
          if (!error) self->WaitForEnd();
        });
  }

  tcp::socket socket_;
  asio::steady_timer timer_;
  const Region region_;
  const uint64_t number_;
  const SessionWorld world_;

  boost::beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  Reaction reaction_;
  Response response_;
  std::string text_;  // in flight to the client
  KeyStream keys_;
  size_t next_key_ = 0;
  std::array<char, 1024> scratch_;
};

}  // namespace

void StartHttpSession(tcp::socket socket, Region region, uint64_t number,
                      const SessionWorld& world) {
  std::make_shared<HttpSession>(std::move(socket), region, number, world)
      ->Start();
}

}  // namespace heapsync::fake_heap
