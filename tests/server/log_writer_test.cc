#include "server/log/log_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;

constexpr size_t kQueue = 1 << 20;
constexpr std::chrono::minutes kPatience{5};

std::string Report(uint64_t lines) { return absl::StrCat("dropped ", lines); }

// A pipe whose reading end is read only on demand.
class Pipe {
 public:
  static constexpr int kCapacity = 16'384;

  Pipe() {
    signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(pipe(ends_.data()), 0);
    EXPECT_EQ(fcntl(writer(), F_SETPIPE_SZ, kCapacity), kCapacity);
  }
  ~Pipe() {
    CloseReader();
    close(writer());
  }

  int reader() const { return ends_[0]; }
  int writer() const { return ends_[1]; }

  void CloseReader() {
    if (ends_[0] >= 0) close(ends_[0]);
    ends_[0] = -1;
  }

  void WaitForBytes() const {
    pollfd wait{.fd = reader(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(poll(&wait, 1, -1), 1);
  }

  // The next line; blocks until there is one, unless the reader does not block.
  std::string ReadLine() {
    size_t end = 0;
    while ((end = text_.find('\n')) == std::string::npos) {
      std::array<char, 1 << 16> bytes{};
      const ssize_t size = read(ends_[0], bytes.data(), bytes.size());
      if (size <= 0) return "the end";
      text_.append(bytes.data(), static_cast<size_t>(size));
    }
    std::string line = text_.substr(0, end);
    text_.erase(0, end + 1);
    return line;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
  std::string text_;
};

// Writes numbered lines of 1,000 bytes until one is dropped, behind one that
// does not fit into the pipe. Returns how many lines that are.
uint64_t WriteUntilDropped(Pipe& pipe, LogWriter& writer) {
  writer.Write(absl::StrCat(0, " ", std::string(Pipe::kCapacity, 'x')));
  pipe.WaitForBytes();
  uint64_t lines = 1;
  while (writer.dropped() == 0) {
    std::string line = absl::StrCat(lines++, " ");
    line.resize(1'000, 'x');
    writer.Write(std::move(line));
  }
  return lines;
}

// Longer than PIPE_BUF, so that a write of a line is not atomic.
std::string LongLine(uint64_t thread, uint64_t number) {
  return absl::StrCat(thread, " ", number, " ",
                      std::string(5'000, thread % 2 == 0 ? 'x' : 'y'));
}

uint64_t NumberOf(const std::string& line) {
  uint64_t number = 0;
  EXPECT_TRUE(absl::SimpleAtoi(line.substr(0, line.find(' ')), &number))
      << line;
  return number;
}

TEST(LogWriterTest, LinesOfSeveralThreadsArriveWholeAndInOrderOfTheirThread) {
  constexpr size_t kThreads = 4;
  constexpr uint64_t kLines = 500;
  Pipe pipe;
  LogWriter writer(pipe.writer(), 10 * kQueue, &Report);
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&writer, thread] {
      for (uint64_t i = 0; i < kLines; ++i) {
        writer.Write(LongLine(thread, i));
      }
    });
  }
  std::array<uint64_t, kThreads> next{};
  for (uint64_t i = 0; i < kThreads * kLines; ++i) {
    const std::string line = pipe.ReadLine();
    const uint64_t thread = NumberOf(line);
    ASSERT_LT(thread, kThreads);
    EXPECT_EQ(line, LongLine(thread, next[thread]++));
  }
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(writer.dropped(), 0u);
}

TEST(LogWriterTest, APipeThatIsNeverReadBlocksNothing) {
  Pipe pipe;
  LogWriter writer(pipe.writer(), kQueue, &Report);
  const uint64_t lines = WriteUntilDropped(pipe, writer);
  EXPECT_GE(lines * 1'000 + Pipe::kCapacity, kQueue);
  for (int i = 0; i < 100'000; ++i) writer.Write("one more");
  EXPECT_EQ(writer.dropped(), 100'001u);
}

TEST(LogWriterTest, DroppedLinesAreReportedInTheirPlaceOnceThereIsSpace) {
  Pipe pipe;
  LogWriter writer(pipe.writer(), kQueue, &Report);
  const uint64_t lines = WriteUntilDropped(pipe, writer);
  for (int i = 0; i < 5; ++i) writer.Write("dropped too");
  for (uint64_t i = 0; i + 1 < lines; ++i) {
    ASSERT_EQ(NumberOf(pipe.ReadLine()), i);
  }
  EXPECT_EQ(pipe.ReadLine(), "dropped 6");
  writer.Write("all is well again");
  EXPECT_EQ(pipe.ReadLine(), "all is well again");
  EXPECT_EQ(writer.dropped(), 6u);
}

TEST(LogWriterTest, AFlushWaitsForAllLines) {
  Pipe pipe;
  LogWriter writer(pipe.writer(), kQueue, &Report);
  for (int i = 0; i < 10; ++i) writer.Write(absl::StrCat(i));
  EXPECT_TRUE(writer.Flush(kPatience));
  ASSERT_EQ(fcntl(pipe.reader(), F_SETFL, O_NONBLOCK), 0);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(pipe.ReadLine(), absl::StrCat(i));
}

TEST(LogWriterTest, AFlushOfAPipeThatIsNeverReadIsBounded) {
  Pipe pipe;
  LogWriter writer(pipe.writer(), kQueue, &Report);
  WriteUntilDropped(pipe, writer);
  EXPECT_FALSE(writer.Flush(std::chrono::milliseconds(1)));
}

TEST(LogWriterTest, ADescriptorThatFailsIsCountedAndBlocksNothing) {
  Pipe pipe;
  pipe.CloseReader();
  LogWriter writer(pipe.writer(), kQueue, &Report);
  for (int i = 0; i < 10; ++i) writer.Write("nobody reads this");
  EXPECT_TRUE(writer.Flush(kPatience));
  EXPECT_EQ(writer.dropped(), 10u);
}

TEST(LogWriterTest, ADescriptorThatIsNonBlockingLosesNothing) {
  Pipe pipe;
  ASSERT_EQ(fcntl(pipe.writer(), F_SETFL, O_NONBLOCK), 0);
  LogWriter writer(pipe.writer(), kQueue, &Report);
  const uint64_t lines = WriteUntilDropped(pipe, writer);
  for (uint64_t i = 0; i + 1 < lines; ++i) {
    ASSERT_EQ(NumberOf(pipe.ReadLine()), i);
  }
}

// A full disk, as far as the writer can tell.
TEST(LogWriterTest, TheLineAfterAFailureInTheMiddleOfALineIsWhole) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(tmpfile(), &fclose);
  signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit ten_bytes{.rlim_cur = 10, .rlim_max = limit.rlim_max};
  {
    LogWriter writer(fileno(file.get()), kQueue, &Report);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &ten_bytes), 0);
    writer.Write("longer than ten bytes");
    const bool flushed = writer.Flush(kPatience);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    EXPECT_TRUE(flushed);
    writer.Write("whole");
    EXPECT_TRUE(writer.Flush(kPatience));
  }
  std::string text(1'000, '\0');
  const ssize_t size = pread(fileno(file.get()), text.data(), text.size(), 0);
  text.resize(static_cast<size_t>(size));
  EXPECT_THAT(absl::StrSplit(text, '\n'),
              ElementsAre("longer tha", "whole", "dropped 1", ""));
}

}  // namespace
}  // namespace heapsync
