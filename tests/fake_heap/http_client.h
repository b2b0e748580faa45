#ifndef HEAPSYNC_TESTS_FAKE_HEAP_HTTP_CLIENT_H_
#define HEAPSYNC_TESTS_FAKE_HEAP_HTTP_CLIENT_H_

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cstdint>
#include <memory>
#include <string>

namespace heapsync::fake_heap {

// The response, as far as it arrived.
struct ClientAnswer {
  boost::system::error_code error;
  int status = 0;
  boost::beast::http::response<boost::beast::http::string_body> response;
};

// One blocking HTTP connection to 127.0.0.1. One thread at a time.
class HttpClient {
 public:
  explicit HttpClient(uint16_t port);

  // Sends a request and waits for its answer.
  ClientAnswer Call(const std::string& method, const std::string& target,
                    const std::string& body = "");

  // The two halves of Call.
  void Send(const std::string& method, const std::string& target,
            const std::string& body);
  ClientAnswer Receive();

  // Says goodbye, without waiting for anything that comes.
  void Close();

 private:
  boost::asio::io_context context_;
  boost::asio::ip::tcp::socket socket_;
  boost::beast::flat_buffer buffer_;
};

}  // namespace heapsync::fake_heap

#endif  // HEAPSYNC_TESTS_FAKE_HEAP_HTTP_CLIENT_H_
