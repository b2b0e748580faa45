#include "tests/fake_heap/fake_heap_server.h"

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>
#include <variant>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/fake_heap/http_session.h"
#include "tests/fake_heap/query_router.h"

namespace heapsync::fake_heap {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

size_t Column(Region region) { return region == Region::kUs ? 0 : 1; }

absl::StatusOr<tcp::endpoint> ParseEndpoint(const std::string& text) {
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  error_code error;
  asio::ip::address address;
  if (colon != std::string::npos) {
    std::string host = text.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
      host = host.substr(1, host.size() - 2);
    }
    if (host == "localhost") host = "127.0.0.1";
    address = asio::ip::make_address(host, error);
  }
  if (colon == std::string::npos || error ||
      !absl::SimpleAtoi(text.substr(colon + 1), &port) || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is not an address and a port"));
  }
  return tcp::endpoint(address, static_cast<uint16_t>(port));
}

absl::Status Listen(tcp::acceptor& acceptor, const std::string& text) {
  const auto endpoint = ParseEndpoint(text);
  if (!endpoint.ok()) return endpoint.status();
  error_code error;
  acceptor.open(endpoint->protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(*endpoint, error);
  if (!error) acceptor.listen(tcp::acceptor::max_listen_connections, error);
  if (error) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", text, ": ", error.message()));
  }
  return absl::OkStatus();
}

}  // namespace

class FakeHeapServer::EventLoop {
 public:
  explicit EventLoop(ServerOptions options)
      : simulator_(std::move(options.simulator)),
        acceptors_{tcp::acceptor(context_), tcp::acceptor(context_)},
        timers_{asio::steady_timer(context_), asio::steady_timer(context_)},
        world_{simulator_, *options.clock, options.max_body_bytes} {}

  ~EventLoop() {
    context_.stop();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Open(Region region, const std::string& text) {
    tcp::acceptor& acceptor = acceptors_[Column(region)];
    const absl::Status listening = Listen(acceptor, text);
    if (!listening.ok()) return listening;
    endpoints_[Column(region)] = acceptor.local_endpoint();
    Accept(region);
    return absl::OkStatus();
  }

  void Run() {
    thread_ = std::thread([this] { context_.run(); });
  }

  void Inspect(absl::FunctionRef<void(HeapSimulator&)> look) {
    std::promise<void> looked;
    asio::post(context_, [&] {
      look(simulator_);
      looked.set_value();
    });
    looked.get_future().wait();
  }

  const tcp::endpoint& endpoint(Region region) const {
    return endpoints_[Column(region)];
  }
  const Clock& clock() const { return world_.clock; }

 private:
  void Accept(Region region) {
    acceptors_[Column(region)].async_accept(
        [this, region](error_code error, tcp::socket socket) {
          if (error == asio::error::operation_aborted) return;
          if (error) return AcceptLater(region);
          StartHttpSession(std::move(socket), region, ++connections_, world_);
          Accept(region);
        });
  }

  // Accepting fails for want of file descriptors, mostly, and would at once
  // fail again.
  void AcceptLater(Region region) {
    asio::steady_timer& timer = timers_[Column(region)];
    timer.expires_after(std::chrono::milliseconds(20));
    timer.async_wait([this, region](error_code error) {
      if (!error) Accept(region);
    });
  }

  // Sessions live in the handlers that `context_` holds and use the simulator
  // to their end, so it comes first.
  HeapSimulator simulator_;
  asio::io_context context_{1};
  std::array<tcp::acceptor, 2> acceptors_;
  std::array<asio::steady_timer, 2> timers_;
  std::array<tcp::endpoint, 2> endpoints_;
  SessionWorld world_;
  uint64_t connections_ = 0;
  std::thread thread_;
};

FakeHeapServer::FakeHeapServer(std::unique_ptr<EventLoop> loop)
    : loop_(std::move(loop)) {}

FakeHeapServer::~FakeHeapServer() = default;

absl::StatusOr<std::unique_ptr<FakeHeapServer>> FakeHeapServer::Start(
    ServerOptions options) {
  auto loop = std::make_unique<EventLoop>(options);
  absl::Status opened = loop->Open(Region::kUs, options.listen_us);
  if (opened.ok()) opened = loop->Open(Region::kEu, options.listen_eu);
  if (!opened.ok()) return opened;
  loop->Run();
  return std::unique_ptr<FakeHeapServer>(new FakeHeapServer(std::move(loop)));
}

std::string FakeHeapServer::address(Region region) const {
  const tcp::endpoint& endpoint = loop_->endpoint(region);
  const std::string host = endpoint.address().to_string();
  return endpoint.address().is_v6()
             ? absl::StrCat("[", host, "]:", endpoint.port())
             : absl::StrCat(host, ":", endpoint.port());
}

uint16_t FakeHeapServer::port(Region region) const {
  return loop_->endpoint(region).port();
}

std::string FakeHeapServer::url(Region region) const {
  return absl::StrCat("http://", address(region));
}

absl::Status FakeHeapServer::SetFaults(absl::string_view script) {
  auto parsed = FaultScript::Parse(script);
  if (!parsed.ok()) return parsed.status();
  Inspect([&](HeapSimulator& simulator) {
    simulator.SetFaults(*std::move(parsed));
  });
  return absl::OkStatus();
}

void FakeHeapServer::ClearFaults() {
  Inspect([](HeapSimulator& simulator) { simulator.SetFaults(FaultScript()); });
}

void FakeHeapServer::ClearState() {
  Inspect([](HeapSimulator& simulator) { simulator.Clear(); });
}

nlohmann::json FakeHeapServer::Ask(absl::string_view target) {
  std::string text;
  Inspect([&](HeapSimulator& simulator) {
    const auto answer =
        AnswerQuery(simulator, "GET", target, "", loop_->clock().Read());
    text = std::get<Reply>(answer).body;
  });
  return nlohmann::json::parse(text);
}

void FakeHeapServer::Inspect(absl::FunctionRef<void(HeapSimulator&)> look) {
  loop_->Inspect(look);
}

}  // namespace heapsync::fake_heap
