#include "tests/fake_heap/http_client.h"

#include <utility>

namespace heapsync::fake_heap {

namespace http = boost::beast::http;
using boost::asio::ip::tcp;

HttpClient::HttpClient(uint16_t port) : socket_(context_) {
  socket_.connect({boost::asio::ip::address_v4::loopback(), port});
}

ClientAnswer HttpClient::Call(const std::string& method,
                              const std::string& target,
                              const std::string& body) {
  Send(method, target, body);
  return Receive();
}

void HttpClient::Send(const std::string& method, const std::string& target,
                      const std::string& body) {
  http::request<http::string_body> request;
  request.method_string(method);
  request.target(target);
  request.version(11);
  request.set(http::field::host, "127.0.0.1");
  request.set(http::field::content_type, "application/json");
  request.body() = body;
  request.prepare_payload();
  // A reset may come while the body still goes out; Receive() sees it too.
  boost::system::error_code ignored;
  http::write(socket_, request, ignored);
}

ClientAnswer HttpClient::Receive() {
  ClientAnswer answer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(UINT64_MAX);
  http::read(socket_, buffer_, parser, answer.error);
  answer.response = parser.release();
  if (!answer.error) answer.status = answer.response.result_int();
  return answer;
}

void HttpClient::Close() {
  boost::system::error_code ignored;
  socket_.close(ignored);
}

}  // namespace heapsync::fake_heap
