#include "heap_adapter/stream/open_streams.h"

#include <chrono>
#include <memory>
#include <optional>

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

class SilentStream final : public EndableStream {
 public:
  explicit SilentStream(MonotonicTime since) : since_(since) {}
  void End() override {}
  std::optional<MonotonicTime> SilentSince() override { return since_; }
  bool EndIfSilent(MonotonicTime time) override {
    if (!since_.has_value() || *since_ > time) return false;
    since_.reset();
    return true;
  }

 private:
  std::optional<MonotonicTime> since_;
};

TEST(OpenStreamsTest, EndsTheLongestSilentOneOfAllOrOfAnOwner) {
  const auto at = [](int seconds) {
    return MonotonicTime(std::chrono::seconds(seconds));
  };
  OpenStreams streams;
  const auto oldest = std::make_shared<SilentStream>(at(10));
  const auto older = std::make_shared<SilentStream>(at(20));
  const auto newest = std::make_shared<SilentStream>(at(30));
  streams.Add(oldest, "shop");
  streams.Add(newest, "shop");
  streams.Add(older, "crm");
  streams.Add(std::make_shared<CountingStream>(), "crm");
  EXPECT_FALSE(streams.EndLongestSilent(at(9), std::nullopt));
  EXPECT_TRUE(streams.EndLongestSilent(at(30), "crm"));
  EXPECT_EQ(older->SilentSince(), std::nullopt);
  EXPECT_FALSE(streams.EndLongestSilent(at(30), "crm"));
  EXPECT_TRUE(streams.EndLongestSilent(at(30), std::nullopt));
  EXPECT_EQ(oldest->SilentSince(), std::nullopt);
  EXPECT_EQ(newest->SilentSince(), at(30));
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
