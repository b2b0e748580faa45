#include "client/cli/progress.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/utf8.h"

namespace heapsync {
namespace {

constexpr std::chrono::milliseconds kBarInterval{100};
constexpr std::chrono::milliseconds kLogInterval{5'000};
constexpr size_t kBarWidth = 24;

std::optional<double> Fraction(const ProgressSnapshot& snapshot) {
  if (!snapshot.bytes_total || *snapshot.bytes_total == 0) return std::nullopt;
  return std::min(1.0, static_cast<double>(snapshot.bytes_read) /
                           static_cast<double>(*snapshot.bytes_total));
}

// "1,234 rows  45,000 rows/s  1:23 left  12 rejected"
std::string Figures(const ProgressSnapshot& snapshot) {
  std::string text = absl::StrCat(WithThousands(snapshot.rows), " rows");
  const double seconds =
      std::chrono::duration<double>(snapshot.elapsed).count();
  if (seconds > 0) {
    const auto rows =
        static_cast<double>(snapshot.rows - snapshot.rows_at_start);
    absl::StrAppend(
        &text, "  ",
        WithThousands(static_cast<uint64_t>(std::llround(rows / seconds))),
        " rows/s");
    const auto bytes = static_cast<double>(
        std::max(snapshot.bytes_read, snapshot.bytes_at_start) -
        snapshot.bytes_at_start);
    if (snapshot.bytes_total && bytes > 0 &&
        *snapshot.bytes_total > snapshot.bytes_read) {
      const double left =
          static_cast<double>(*snapshot.bytes_total - snapshot.bytes_read) *
          seconds / bytes;
      absl::StrAppend(&text, "  ",
                      ShortDuration(std::chrono::seconds(std::llround(left))),
                      " left");
    }
  }
  absl::StrAppend(&text, "  ", WithThousands(snapshot.rejected), " rejected");
  if (!snapshot.trouble.empty()) {
    absl::StrAppend(&text, "  ", Printable(snapshot.trouble));
  }
  return text;
}

}  // namespace

std::string WithThousands(uint64_t number) {
  std::string text = absl::StrCat(number);
  for (size_t i = text.size(); i > 3; i -= 3) text.insert(i - 3, ",");
  return text;
}

std::string ShortDuration(std::chrono::seconds duration) {
  const int64_t seconds = duration.count();
  if (seconds < 3'600) {
    return absl::StrFormat("%d:%02d", seconds / 60, seconds % 60);
  }
  return absl::StrFormat("%d:%02d:%02d", seconds / 3'600, seconds / 60 % 60,
                         seconds % 60);
}

std::string ProgressBar(const ProgressSnapshot& snapshot, size_t width) {
  std::string text;
  if (!snapshot.trouble.empty()) {
    // In place of the figures, which say little now: it must not be cut.
    return absl::StrCat(WithThousands(snapshot.rows), " rows  ",
                        Printable(snapshot.trouble))
        .substr(0, width);
  }
  if (const std::optional<double> fraction = Fraction(snapshot)) {
    const auto filled = static_cast<size_t>(*fraction * kBarWidth);
    std::string bar(kBarWidth, ' ');
    std::fill_n(bar.begin(), filled, '=');
    if (filled < kBarWidth) bar[filled] = '>';
    text = absl::StrFormat("[%s] %3d %%  ", bar,
                           static_cast<int>(*fraction * 100));
  }
  absl::StrAppend(&text, Figures(snapshot));
  return text.substr(0, width);
}

std::string ProgressLog(const ProgressSnapshot& snapshot) {
  std::string text = "import: ";
  if (const std::optional<double> fraction = Fraction(snapshot)) {
    absl::StrAppend(&text, static_cast<int>(*fraction * 100), " %  ");
  }
  return absl::StrCat(text, Figures(snapshot));
}

ProgressWriter::ProgressWriter(ProgressStyle style, std::ostream& out,
                               size_t width)
    : style_(style), out_(out), width_(width) {
  // Short imports need no log line but the last.
  if (style_ == ProgressStyle::kLog) next_ = kLogInterval;
}

bool ProgressWriter::IsDue(std::chrono::milliseconds elapsed) const {
  return style_ != ProgressStyle::kNone && elapsed >= next_;
}

void ProgressWriter::Show(const ProgressSnapshot& snapshot) {
  if (!IsDue(snapshot.elapsed)) return;
  if (style_ == ProgressStyle::kBar) {
    // Back to the first column; then wipe what a longer line left behind.
    out_ << '\r' << ProgressBar(snapshot, width_) << "\x1b[K" << std::flush;
    bar_shown_ = true;
    next_ = snapshot.elapsed + kBarInterval;
  } else {
    out_ << ProgressLog(snapshot) << std::endl;
    next_ = snapshot.elapsed + kLogInterval;
  }
}

void ProgressWriter::Finish(const ProgressSnapshot& snapshot) {
  next_ = snapshot.elapsed;
  Show(snapshot);
  if (bar_shown_) out_ << std::endl;
}

}  // namespace heapsync
