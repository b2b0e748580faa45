#include "client/unacknowledged_window.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "heapsync/v1/heap_sync_service.pb.h"

namespace heapsync {
namespace {

struct Users {
  using Item = v1::UserProperties;
  using Request = v1::BulkUserPropertiesRequest;
  static auto& Items(Request& request) { return *request.mutable_users(); }
};
using Window = UnacknowledgedWindow<Users>;

constexpr WindowLimits kLimits = {.max_items = 10,
                                  .max_bytes = 1'000,
                                  .max_chunk_items = 3,
                                  .max_chunk_bytes = 100};

void Add(Window& window, int count, size_t bytes = 10) {
  for (int i = 0; i < count; ++i) {
    v1::UserProperties user;
    user.set_identity(std::to_string(window.end_position()));
    window.Add(std::move(user), bytes);
  }
}

// What the stream sends now: "first:identity,identity,".
std::vector<std::string> Send(Window& window) {
  std::vector<std::string> sent;
  while (window.HasSealedToSend()) {
    const auto chunk = window.TakeNextToSend();
    std::string text = std::to_string(chunk->first_index) + ":";
    for (const auto& user : chunk->request.users()) {
      text += user.identity() + ",";
    }
    sent.push_back(text);
  }
  return sent;
}

TEST(UnacknowledgedWindowTest, PacksItemsIntoChunks) {
  Window window(kLimits, 7);
  window.Rewind();
  Add(window, 4);
  EXPECT_EQ(Send(window), std::vector<std::string>{"7:7,8,9,"});
  window.Seal();
  EXPECT_EQ(Send(window), std::vector<std::string>{"10:10,"});
}

TEST(UnacknowledgedWindowTest, AChunkEndsBeforeItGrowsTooLarge) {
  Window window(kLimits, 0);
  window.Rewind();
  Add(window, 2, 60);
  EXPECT_EQ(Send(window), std::vector<std::string>{"0:0,"});
}

TEST(UnacknowledgedWindowTest, IsFullByItemsOrBytesButTakesOneOfAnySize) {
  Window window(kLimits, 0);
  window.Rewind();
  EXPECT_TRUE(window.HasSpace(5'000));
  Add(window, 9);
  EXPECT_TRUE(window.HasSpace(910));
  EXPECT_FALSE(window.HasSpace(911));
  Add(window, 1);
  EXPECT_FALSE(window.HasSpace(1));
  Send(window);
  window.Acknowledge(3);
  EXPECT_TRUE(window.HasSpace(1));
}

TEST(UnacknowledgedWindowTest, ANewStreamRepeatsWhatIsNotDurable) {
  Window window(kLimits, 0);
  window.Rewind();
  Add(window, 9);
  EXPECT_EQ(Send(window).size(), 3u);
  window.Acknowledge(4);
  window.Rewind();
  EXPECT_EQ(Send(window), (std::vector<std::string>{"4:4,5,", "6:6,7,8,"}));
  window.Acknowledge(5);
  window.Rewind();
  EXPECT_EQ(Send(window), (std::vector<std::string>{"5:5,", "6:6,7,8,"}));
}

TEST(UnacknowledgedWindowTest, PositionsNeverGoBackOrBeyondWhatWasSent) {
  Window window(kLimits, 0);
  window.Rewind();
  Add(window, 6);
  window.TakeNextToSend();
  window.Acknowledge(6);
  EXPECT_EQ(window.durable_position(), 3u);
  window.Acknowledge(1);
  EXPECT_EQ(window.durable_position(), 3u);
  EXPECT_EQ(Send(window), std::vector<std::string>{"3:3,4,5,"});
}

}  // namespace
}  // namespace heapsync
