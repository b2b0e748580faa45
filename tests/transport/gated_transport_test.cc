#include "heap_adapter/transport/gated_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class RecordingTransport final : public Transport {
 public:
  void Send(HeapRequest request) override { sent.push_back(request.id); }
  std::vector<HeapResponse> Wait(Duration timeout) override {
    waited.push_back(timeout);
    return {};
  }
  void Wake() override {}

  std::vector<uint64_t> sent;
  std::vector<Duration> waited;
};

class GatedTransportTest : public ::testing::Test {
 protected:
  void Send(uint64_t id) {
    gated_.Send({.id = id, .url = "http://heap", .body = "{}"});
  }

  RecordingTransport inner_;
  int open_for_ = 0;  // requests
  GatedTransport gated_{inner_, [this] { return open_for_-- > 0; }};
};

TEST_F(GatedTransportTest, AnOpenGateLetsEverythingPass) {
  open_for_ = 2;
  Send(1);
  Send(2);
  gated_.Wait(std::chrono::hours(1));
  EXPECT_THAT(inner_.sent, ElementsAre(1, 2));
  EXPECT_THAT(inner_.waited, ElementsAre(std::chrono::hours(1)));
}

TEST_F(GatedTransportTest, AClosedGateHoldsAndAnOpenOneSendsInOrder) {
  Send(1);
  Send(2);
  gated_.Wait(Duration(0));
  EXPECT_THAT(inner_.sent, IsEmpty());
  open_for_ = 3;
  Send(3);
  EXPECT_THAT(inner_.sent, ElementsAre(1, 2, 3));
}

TEST_F(GatedTransportTest, TheGateIsAskedBeforeEachRequest) {
  for (uint64_t id = 1; id <= 3; ++id) Send(id);
  open_for_ = 1;
  gated_.Wait(Duration(0));
  EXPECT_THAT(inner_.sent, ElementsAre(1));
}

TEST_F(GatedTransportTest, AClosedGateIsLookedAtAgainSoon) {
  Send(1);
  gated_.Wait(std::chrono::hours(1));
  EXPECT_THAT(inner_.waited, ElementsAre(std::chrono::milliseconds(100)));
  open_for_ = 1;
  gated_.Wait(std::chrono::hours(1));
  EXPECT_THAT(inner_.sent, ElementsAre(1));
}

}  // namespace
}  // namespace heapsync
