// A session under the threads that a server has: one that takes in messages,
// one that makes appends durable, one that settles them, one that writes, one
// for timers, and one that ends the stream in the middle. For ThreadSanitizer.

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "gtest/gtest.h"
#include "heap_adapter/stream/bulk_session.h"
#include "tests/stream/refusal_list.h"

namespace heapsync {
namespace {

// A thread that runs the tasks it is given, in their order, to the last.
class Worker {
 public:
  Worker() : thread_([this] { Run(); }) {}
  ~Worker() { Join(); }

  void Post(std::function<void()> task) {
    MutexLock lock(mutex_);
    tasks_.push_back(std::move(task));
    wake_.NotifyOne();
  }
  void Join() {
    {
      MutexLock lock(mutex_);
      closed_ = true;
      wake_.NotifyOne();
    }
    if (thread_.joinable()) thread_.join();
  }

 private:
  void Run() {
    while (true) {
      std::function<void()> task;
      {
        MutexLock lock(mutex_);
        while (tasks_.empty() && !closed_) wake_.Wait(mutex_);
        if (tasks_.empty()) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
  }

  Mutex mutex_;
  CondVar wake_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

enum class Ending { kHalfClose, kServerEnd, kCancel };

constexpr uint64_t kMessages = 60;
constexpr uint64_t kItemsPerMessage = 10;
// In each message one item is refused, between two chunks.
constexpr uint64_t kRejectedItem = 4;

class Server {
 public:
  Server(BulkLevel level, Ending ending) : level_(level), ending_(ending) {
    auto* const call = new DoomedCall(*this);
    BulkLimits limits;
    limits.max_in_flight_messages = 4;
    limits.max_unsent_bytes = 200;
    limits.answer_bytes = 20;
    session_ = std::make_shared<BulkSession>(*call, limits);
    session_->Start(BulkVerdict::kAccepted, MonotonicTime());
  }

  // Waits for the end of the stream and then for everything that comes after.
  BulkEnd Run() {
    BulkEnd end;
    {
      MutexLock lock(mutex_);
      while (!end_.has_value()) finished_.Wait(mutex_);
      end = *end_;
    }
    for (Worker* worker :
         {&reader_, &ender_, &committer_, &dispatcher_, &timer_, &writer_}) {
      worker->Join();
    }
    return end;
  }

  // Valid after Run().
  const BulkTotals& totals() const { return totals_; }
  uint64_t refusals_sent() const { return refusals_sent_; }

 private:
  // As a call of gRPC's, it is gone as soon as it has finished.
  class DoomedCall final : public BulkSession::Call {
   public:
    explicit DoomedCall(Server& server) : server_(server) {}
    void Read() override {
      server_.reader_.Post([&server = server_] { server.TakeIn(); });
    }
    void Write(BulkAnswer answer) override {
      server_.writer_.Post([&server = server_, answer = std::move(answer)] {
        server.Check(answer);
        server.session_->Written(WriteResult::kWritten, MonotonicTime());
      });
    }
    void Pause(Duration) override {
      server_.timer_.Post(
          [&server = server_] { server.session_->PauseOver(); });
    }
    void TakeHeld() override { server_.Store(); }
    void Abort() override {}
    void Finish(const BulkEnd& end) override {
      Server& server = server_;
      const BulkEnd copy = end;
      delete this;
      MutexLock lock(server.mutex_);
      EXPECT_FALSE(server.end_.has_value());
      server.end_ = copy;
      server.finished_.NotifyOne();
    }

   private:
    Server& server_;
  };

  // On the reader's thread.
  void TakeIn() {
    if (messages_ == kMessages) return session_->HalfClosed();
    if (!session_->MessageReceived(100, MonotonicTime())) return;
    if (messages_ == 0) session_->Configure(level_, 0);
    if (messages_ % 7 == 6) {
      return session_->MessageHeld(std::chrono::seconds(1));
    }
    Store();
  }

  // On the reader's thread, or on the timer's.
  void Store() {
    const uint64_t begin = messages_++ * kItemsPerMessage;
    Append(kRejectedItem, begin + kRejectedItem, ChunkPart::kMiddle);
    session_->Reject(begin + kRejectedItem, RefusalOf(begin + kRejectedItem));
    Append(kItemsPerMessage - kRejectedItem - 1, begin + kItemsPerMessage,
           ChunkPart::kEndOfMessage);
    if (messages_ == kMessages / 2) EndInTheMiddle();
    session_->MessageTaken(BulkVerdict::kAccepted);
  }

  void Append(uint64_t items, uint64_t position, ChunkPart part) {
    session_->AddAppend(items, position, part);
    auto settled = std::make_shared<SettledCallback>(nullptr);
    if (level_ == BulkLevel::kDelivered) {
      *settled = session_->SettledListener();
    }
    committer_.Post([this, items, settled] {
      session_->Durable(SeqRange{seq_, seq_ + items});
      seq_ += items;
      if (!*settled) return;
      dispatcher_.Post([items, settled] {
        (*settled)({.delivered = items, .dead_lettered = 0});
      });
    });
  }

  void EndInTheMiddle() {
    if (ending_ == Ending::kServerEnd) {
      ender_.Post([this] { session_->End(); });
    } else if (ending_ == Ending::kCancel) {
      ender_.Post([this] { session_->Cancelled(); });
    }
  }

  // On the writer's thread.
  void Check(const BulkAnswer& answer) {
    for (const uint64_t index : IndicesIn(answer.refusals)) {
      EXPECT_EQ(index, refusals_sent_ * kItemsPerMessage + kRejectedItem);
      ++refusals_sent_;
    }
    EXPECT_LE(answer.totals.durable_position,
              refusals_sent_ * kItemsPerMessage + kRejectedItem);
    EXPECT_GE(answer.totals.durable_position, totals_.durable_position);
    EXPECT_GE(answer.totals.accepted, totals_.accepted);
    EXPECT_LE(answer.totals.delivered, answer.totals.accepted);
    totals_ = answer.totals;
  }

  const BulkLevel level_;
  const Ending ending_;
  std::shared_ptr<BulkSession> session_;
  uint64_t messages_ = 0;       // the reader's
  Seq seq_ = 0;                 // the committer's
  BulkTotals totals_;           // the writer's
  uint64_t refusals_sent_ = 0;  // the writer's

  Mutex mutex_;
  CondVar finished_;
  std::optional<BulkEnd> end_ ABSL_GUARDED_BY(mutex_);

  Worker writer_;
  Worker timer_;
  Worker dispatcher_;
  Worker committer_;
  Worker ender_;
  Worker reader_;
};

class BulkSessionThreadsTest : public testing::TestWithParam<BulkLevel> {
 protected:
  static constexpr int kRounds = 40;
};

INSTANTIATE_TEST_SUITE_P(Levels, BulkSessionThreadsTest,
                         testing::Values(BulkLevel::kDurable,
                                         BulkLevel::kDelivered));

TEST_P(BulkSessionThreadsTest, EverythingIsSaidBeforeTheEnd) {
  for (int round = 0; round < kRounds; ++round) {
    Server server(GetParam(), Ending::kHalfClose);
    const BulkEnd end = server.Run();
    constexpr uint64_t kAccepted = kMessages * (kItemsPerMessage - 1);
    EXPECT_EQ(end.reason, BulkEnd::Reason::kComplete);
    EXPECT_EQ(end.accepted, kAccepted);
    EXPECT_EQ(server.refusals_sent(), kMessages);
    EXPECT_EQ(server.totals().received, kMessages * kItemsPerMessage);
    EXPECT_EQ(server.totals().accepted, kAccepted);
    EXPECT_EQ(server.totals().durable_position, kMessages * kItemsPerMessage);
    EXPECT_EQ(server.totals().delivered,
              GetParam() == BulkLevel::kDelivered ? kAccepted : 0);
  }
}

TEST_P(BulkSessionThreadsTest, AStopOfTheServerSaysHowFarTheStreamCame) {
  for (int round = 0; round < kRounds; ++round) {
    Server server(GetParam(), Ending::kServerEnd);
    const BulkEnd end = server.Run();
    // Everything may have been sent by the time of the stop.
    if (end.reason != BulkEnd::Reason::kComplete) {
      EXPECT_EQ(end.reason, BulkEnd::Reason::kShuttingDown);
    }
    EXPECT_EQ(server.totals().accepted, end.accepted);
    EXPECT_EQ(server.totals().durable_position,
              server.refusals_sent() * kItemsPerMessage);
  }
}

TEST_P(BulkSessionThreadsTest, ACancelledStreamFinishesOnce) {
  for (int round = 0; round < kRounds; ++round) {
    Server server(GetParam(), Ending::kCancel);
    const BulkEnd end = server.Run();
    if (end.reason != BulkEnd::Reason::kComplete) {
      EXPECT_EQ(end.reason, BulkEnd::Reason::kCancelled);
    }
    EXPECT_LE(server.totals().accepted, end.accepted);
  }
}

}  // namespace
}  // namespace heapsync
