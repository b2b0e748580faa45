#include "tests/bench/load/load_generator.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"

namespace heapsync::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kUnaryMethod[] = "/heapsync.v1.HeapSyncService/TrackEvent";
constexpr char kBulkMethod[] = "/heapsync.v1.HeapSyncService/BulkTrackEvents";

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Counts what is in flight, and lets one thread wait for the end of it.
class Gate {
 public:
  void Enter() {
    MutexLock lock(mutex_);
    ++inside_;
  }
  void Leave() {
    MutexLock lock(mutex_);
    --inside_;
    changed_.NotifyAll();
  }
  void WaitUntilBelow(int most) {
    MutexLock lock(mutex_);
    while (inside_ >= most) changed_.Wait(mutex_);
  }
  int inside() {
    MutexLock lock(mutex_);
    return inside_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  int inside_ ABSL_GUARDED_BY(mutex_) = 0;
};

// A stream that keeps its window full until its chunks or its time are over.
class BulkStream final
    : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  struct Plan {
    std::string destination;
    uint64_t chunks = 0;  // zero: until Stop()
    uint64_t window = 0;
    bool paced = false;  // chunks leave by Permit()
    v1::AckLevel ack_level = v1::ACK_LEVEL_DURABLE;
    size_t first_message = 0;
  };

  BulkStream(std::shared_ptr<grpc::Channel> channel,
             const EventMessages& messages, Plan plan, Gate& gate)
      : messages_(messages),
        plan_(std::move(plan)),
        gate_(gate),
        stub_(std::move(channel)) {
    gate_.Enter();
  }

  void Start() {
    stub_.PrepareBidiStreamingCall(&context_, kBulkMethod, {}, this);
    AddHold();
    StartRead(&answer_);
    StartCall();
    Advance();
  }

  // No further chunk.
  void Stop() {
    {
      MutexLock lock(mutex_);
      stopped_ = true;
    }
    Advance();
  }
  void Permit() {
    {
      MutexLock lock(mutex_);
      ++permits_;
    }
    Advance();
  }
  uint64_t acknowledged() {
    MutexLock lock(mutex_);
    return acknowledged_;
  }

  // After the gate was left.
  LoadResult Result() {
    MutexLock lock(mutex_);
    LoadResult result;
    result.events = acknowledged_;
    result.latencies_us = std::move(latencies_us_);
    result.error = error_;
    return result;
  }

 private:
  void OnWriteDone(bool ok) override {
    {
      MutexLock lock(mutex_);
      writing_ = false;
      if (!ok) stopped_ = true;
    }
    Advance();
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Stop();
      return;
    }
    v1::BulkTrackEventsResponse answer;
    {
      grpc::ProtoBufferReader reader(&answer_);
      answer.ParseFromZeroCopyStream(&reader);
    }
    answer_.Clear();
    {
      MutexLock lock(mutex_);
      acknowledged_ = answer.durable_position();
      rejected_ += answer.rejected();
      const Clock::time_point now = Clock::now();
      while (!sent_.empty() &&
             answered_ + messages_.chunk_events() <= acknowledged_) {
        latencies_us_.push_back(
            std::chrono::duration<float, std::micro>(now - sent_.front())
                .count());
        sent_.pop_front();
        answered_ += messages_.chunk_events();
      }
    }
    StartRead(&answer_);
    Advance();
  }

  void OnDone(const grpc::Status& status) override {
    {
      MutexLock lock(mutex_);
      if (!status.ok()) {
        error_ = absl::StrCat("a stream failed: ", status.error_message());
      } else if (rejected_ > 0) {
        error_ = "events were refused";
      }
    }
    gate_.Leave();
  }

  // Writes the next chunk, or the end, if it is time for it.
  void Advance() {
    bool write = false;
    bool end = false;
    {
      MutexLock lock(mutex_);
      if (writing_ || ended_) return;
      const bool over =
          stopped_ || (plan_.chunks > 0 && written_ == plan_.chunks);
      if (over) {
        end = ended_ = true;
      } else if (sent_.size() < plan_.window &&
                 (!plan_.paced || permits_ > written_)) {
        write = writing_ = true;
        sent_.push_back(Clock::now());
        const size_t n = plan_.first_message + written_;
        if (written_ == 0) {
          v1::BulkTrackEventsRequest settings;
          settings.set_destination(plan_.destination);
          settings.set_ack_level(plan_.ack_level);
          message_ = messages_.FirstChunk(n, settings);
        } else {
          message_ = messages_.Chunk(n);
        }
        ++written_;
      }
    }
    if (write) StartWrite(&message_);
    if (end) {
      StartWritesDone();
      RemoveHold();
    }
  }

  const EventMessages& messages_;
  const Plan plan_;
  Gate& gate_;
  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::ByteBuffer message_;
  grpc::ByteBuffer answer_;

  Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t permits_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t written_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t answered_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t acknowledged_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t rejected_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Clock::time_point> sent_ ABSL_GUARDED_BY(mutex_);
  std::vector<float> latencies_us_ ABSL_GUARDED_BY(mutex_);
  std::string error_ ABSL_GUARDED_BY(mutex_);
};

// One caller, who calls again as soon as it is answered.
class UnaryCaller {
 public:
  UnaryCaller(std::shared_ptr<grpc::Channel> channel,
              const EventMessages& messages, size_t first_message,
              Clock::time_point until, Gate& gate)
      : messages_(messages),
        until_(until),
        gate_(gate),
        stub_(std::move(channel)),
        next_message_(first_message) {
    gate_.Enter();
  }

  void Call() {
    context_.emplace();
    request_ = messages_.Single(next_message_++);
    began_ = Clock::now();
    stub_.UnaryCall(&*context_, kUnaryMethod, {}, &request_, &answer_,
                    [this](const grpc::Status& status) { OnDone(status); });
  }

  LoadResult Result() { return std::move(result_); }

 private:
  void OnDone(const grpc::Status& status) {
    const Clock::time_point now = Clock::now();
    if (status.ok()) {
      ++result_.events;
      result_.latencies_us.push_back(
          std::chrono::duration<float, std::micro>(now - began_).count());
    } else {
      result_.error = absl::StrCat("a call failed: ", status.error_message());
    }
    if (status.ok() && now < until_) return Call();
    gate_.Leave();
  }

  const EventMessages& messages_;
  const Clock::time_point until_;
  Gate& gate_;
  grpc::GenericStub stub_;
  size_t next_message_;
  std::optional<grpc::ClientContext> context_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer answer_;
  Clock::time_point began_;
  LoadResult result_;
};

}  // namespace

double LoadResult::Percentile(double part) {
  if (latencies_us.empty()) return 0;
  const auto at = latencies_us.begin() +
                  static_cast<std::ptrdiff_t>(
                      part * static_cast<double>(latencies_us.size() - 1));
  std::nth_element(latencies_us.begin(), at, latencies_us.end());
  return *at;
}

void LoadResult::Add(LoadResult other) {
  seconds += other.seconds;
  events += other.events;
  latencies_us.insert(latencies_us.end(), other.latencies_us.begin(),
                      other.latencies_us.end());
  if (error.empty()) error = std::move(other.error);
}

LoadGenerator::LoadGenerator(int port, int connections,
                             const EventMessages& messages)
    : messages_(messages) {
  for (int i = 0; i < connections; ++i) {
    grpc::ChannelArguments args;
    args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channels_.push_back(
        grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", port),
                                  grpc::InsecureChannelCredentials(), args));
    channels_.back()->WaitForConnected(std::chrono::system_clock::now() +
                                       std::chrono::seconds(30));
  }
}

LoadGenerator::~LoadGenerator() = default;

LoadResult LoadGenerator::Bulk(const BulkLoad& load, Progress& progress) const {
  const uint64_t chunk = messages_.chunk_events();
  Gate gate;
  std::vector<std::unique_ptr<BulkStream>> streams;
  for (int i = 0; i < load.streams; ++i) {
    const size_t n = static_cast<size_t>(i);
    streams.push_back(std::make_unique<BulkStream>(
        ChannelOf(n), messages_,
        BulkStream::Plan{
            .chunks = load.events / chunk / static_cast<uint64_t>(load.streams),
            .window = load.window,
            .paced = load.events_per_second > 0,
            .ack_level = load.ack_level,
            .first_message = n * 7},
        gate));
  }
  const Clock::time_point start = Clock::now();
  for (const auto& stream : streams) stream->Start();
  const auto stop_at = load.duration.count() > 0 ? start + load.duration
                                                 : Clock::time_point::max();
  const std::chrono::duration<double> gap(load.events_per_second > 0
                                              ? static_cast<double>(chunk) /
                                                    load.events_per_second
                                              : 0.1);
  Clock::time_point next = start;
  Clock::time_point next_update = start;
  size_t turn = 0;
  while (gate.inside() > 0) {
    const Clock::time_point now = Clock::now();
    if (now >= stop_at) break;
    if (load.events_per_second > 0) streams[turn++ % streams.size()]->Permit();
    if (now >= next_update) {
      uint64_t acknowledged = 0;
      for (const auto& stream : streams) {
        acknowledged += stream->acknowledged();
      }
      progress.Update(absl::StrCat(
          acknowledged, " events, ",
          static_cast<uint64_t>(static_cast<double>(acknowledged) /
                                std::max(SecondsSince(start), 1e-3)),
          "/s"));
      next_update = now + std::chrono::milliseconds(200);
    }
    next += std::chrono::duration_cast<Clock::duration>(gap);
    std::this_thread::sleep_until(std::min(next, stop_at));
  }
  if (load.duration.count() > 0) {
    for (const auto& stream : streams) stream->Stop();
  }
  gate.WaitUntilBelow(1);
  LoadResult sum;
  sum.seconds = SecondsSince(start);
  for (const auto& stream : streams) sum.Add(stream->Result());
  return sum;
}

LoadResult LoadGenerator::Unary(const UnaryLoad& load) const {
  Gate gate;
  const Clock::time_point start = Clock::now();
  std::vector<std::unique_ptr<UnaryCaller>> callers;
  for (int i = 0; i < load.callers; ++i) {
    const size_t n = static_cast<size_t>(i);
    callers.push_back(std::make_unique<UnaryCaller>(
        ChannelOf(n), messages_, n * 7, start + load.duration, gate));
  }
  for (const auto& caller : callers) caller->Call();
  gate.WaitUntilBelow(1);
  LoadResult sum;
  sum.seconds = SecondsSince(start);
  for (const auto& caller : callers) sum.Add(caller->Result());
  return sum;
}

LoadResult LoadGenerator::Spread(const SpreadLoad& load,
                                 Progress& progress) const {
  Gate gate;
  LoadResult sum;
  const Clock::time_point start = Clock::now();
  // Kept to the end, since the last callback of a stream may still be running
  // when the gate is left.
  std::vector<std::unique_ptr<BulkStream>> streams;
  streams.reserve(load.streams);
  for (uint64_t n = 0; n < load.streams; ++n) {
    gate.WaitUntilBelow(load.at_once);
    streams.push_back(std::make_unique<BulkStream>(
        ChannelOf(n), messages_,
        BulkStream::Plan{
            .destination = absl::StrCat("d", n % load.destinations),
            .chunks = load.chunks,
            .window = load.chunks,
            .ack_level = load.ack_level,
            .first_message = n},
        gate));
    streams.back()->Start();
    if (n % 64 == 0) {
      progress.Update(absl::StrCat(n, " of ", load.streams, " streams"));
    }
  }
  gate.WaitUntilBelow(1);
  sum.seconds = SecondsSince(start);
  for (const auto& stream : streams) sum.Add(stream->Result());
  return sum;
}

}  // namespace heapsync::bench
