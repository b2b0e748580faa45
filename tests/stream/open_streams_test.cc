#include "heap_adapter/stream/open_streams.h"

#include <memory>

#include "gtest/gtest.h"

namespace heapsync {
namespace {

class CountingStream final : public EndableStream {
 public:
  void End() override { ++ends; }
  int ends = 0;
};

TEST(OpenStreamsTest, EndsEveryOpenStream) {
  OpenStreams streams;
  const auto open = std::make_shared<CountingStream>();
  const auto removed = std::make_shared<CountingStream>();
  EXPECT_TRUE(streams.Add(open));
  EXPECT_TRUE(streams.Add(removed));
  streams.Remove(removed);
  streams.EndAll();
  EXPECT_EQ(open->ends, 1);
  EXPECT_EQ(removed->ends, 0);
}

TEST(OpenStreamsTest, TakesNoStreamAfterTheEnd) {
  OpenStreams streams;
  streams.EndAll();
  const auto late = std::make_shared<CountingStream>();
  EXPECT_FALSE(streams.Add(late));
  streams.EndAll();
  EXPECT_EQ(late->ends, 0);
}

// A stream that ends at once removes itself from within its end.
class RemovingStream final
    : public EndableStream,
      public std::enable_shared_from_this<RemovingStream> {
 public:
  explicit RemovingStream(OpenStreams& streams) : streams_(streams) {}
  void End() override { streams_.Remove(shared_from_this()); }

 private:
  OpenStreams& streams_;
};

TEST(OpenStreamsTest, AStreamMayRemoveItselfWhenItIsEnded) {
  OpenStreams streams;
  std::weak_ptr<RemovingStream> weak;
  {
    const auto stream = std::make_shared<RemovingStream>(streams);
    weak = stream;
    EXPECT_TRUE(streams.Add(stream));
  }
  streams.EndAll();
  EXPECT_TRUE(weak.expired());
}

}  // namespace
}  // namespace heapsync
