#include "client/cli/import_job.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message_lite.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/delivery_wait.h"
#include "client/cli/destination_watch.h"
#include "client/cli/import_state.h"
#include "client/cli/row_ledger.h"
#include "client/cli/run_lock.h"
#include "client/cli/utf8.h"
#include "client/random_id.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "heap_adapter/encoding/idempotency_key.h"
#include "heap_adapter/encoding/occurrences.h"
#include "heap_adapter/encoding/reasons.h"

namespace heapsync {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// The longest wait before progress, state and `stop` are checked.
constexpr milliseconds kPatience{100};
// How long an interrupted import waits for the acknowledgement of what it read,
// if no other one can read it again.
constexpr std::chrono::seconds kPatienceAfterStop{10};
constexpr uint64_t kRowsBetweenChores = 256;
constexpr size_t kMaxHeldBytes = 64 << 20;
constexpr size_t kRejectedToShow = 5;
// Without a delivery for so long, it is said what the import waits for.
constexpr milliseconds kDeliveriesPause{2'000};

// Programs that write a file line by line pause for less within a line.
constexpr absl::Duration kGrowthPatience = absl::Seconds(1);

// Larger: one key for different content is found at a greater distance, for 40
// bytes a key.
constexpr size_t kMaxOwnKeys = 200'000;

// gRPC servers take messages up to 4 MiB; the rest is for the fields that the
// first message of a stream has besides its items.
constexpr size_t kMaxItemBytes = (4 << 20) - (16 << 10);

std::string Joined(const std::map<std::string, std::string>& pairs) {
  return absl::StrJoin(pairs, "\n", absl::PairFormatter("="));
}

// Everything that decides what a row becomes, under its flag's name.
std::map<std::string, std::string> JobOptions(const ImportOptions& options,
                                              InputFormat format) {
  const MappingOptions& mapping = options.mapping;
  return {{"type", std::string(PolicyOf(mapping.type).short_name)},
          {"format", format == InputFormat::kCsv ? "csv" : "ndjson"},
          {"delimiter", std::string(1, options.rows.csv.delimiter)},
          // Not --escape: rows whose ends it decides are never sent without it,
          // and an import that stopped there is resumed with it.
          {"quote",
           options.rows.csv.quoting == CsvQuoting::kNone ? "none" : "double"},
          {"max_row_bytes", absl::StrCat(options.rows.max_row_bytes)},
          {"columns", absl::StrJoin(options.rows.columns, "\n")},
          {"null", absl::StrJoin(mapping.nulls, "\n")},
          {"map", Joined(mapping.columns)},
          {"properties",
           mapping.properties
               ? absl::StrCat("=", absl::StrJoin(*mapping.properties, "\n"))
               : "*"},
          {"set", Joined(mapping.fixed)},
          {"strings", absl::StrJoin(mapping.text_columns, "\n")},
          {"typed", mapping.typing == ValueTyping::kTyped ? "true" : "false"},
          {"destination", options.stream.destination},
          {"rejects", options.rejects_path}};
}

// Equal for equal messages, whatever the order of their properties.
std::string DeterministicBytes(const google::protobuf::MessageLite& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream output(&stream);
    output.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&output);
  }
  return bytes;
}

// The same error, with its details.
absl::Status WithPrefix(absl::string_view prefix, const absl::Status& status) {
  absl::Status result(status.code(), absl::StrCat(prefix, status.message()));
  status.ForEachPayload([&](absl::string_view type, const absl::Cord& payload) {
    result.SetPayload(type, payload);
  });
  return result;
}

// What is known before the first row is read.
struct Prepared {
  ImportOptions options;
  std::optional<RunLock> lock;  // none: the state is nowhere, or the query's
  std::unique_ptr<QueryInput> query;  // null: a file, or the like
  RowSource rows;
  ImportState state;
  RejectsFile rejects;
  ImportSummary summary;
  const std::atomic<bool>& stop;
};

absl::Status CheckStopped(const std::atomic<bool>& stop) {
  return stop ? absl::CancelledError("interrupted") : absl::OkStatus();
}

template <typename Item>
class TypedImportJob : public ImportJob {
 public:
  explicit TypedImportJob(Prepared prepared)
      : options_(std::move(prepared.options)),
        lock_(std::move(prepared.lock)),
        query_(std::move(prepared.query)),
        rows_(std::move(prepared.rows)),
        state_(std::move(prepared.state)),
        rejects_(std::move(prepared.rejects)),
        summary_(std::move(prepared.summary)),
        stop_(prepared.stop),
        ledger_(state_.rows_done, state_.next_index, state_.rows_hash) {
    if constexpr (std::is_same_v<Item, v1::TrackEvent>) {
      if (state_.is_repeatable) keys_.emplace(state_.request_id);
    }
  }

  absl::Status Run(const Client& client, ProgressWriter& progress) override {
    started_ = last_checkpoint_ = SteadyClock::now();
    progress_ = &progress;
    absl::Status status = SkipSettledRows();
    bytes_at_start_ = rows_.bytes().stored_bytes_read();
    if (status.ok()) {
      BulkWriterOptions stream = options_.stream;
      stream.request_id = state_.request_id;
      stream.start_index = state_.next_index;
      stream.on_rejected = [this](const v1::RejectedItem& item) {
        ledger_.RejectItem(item.index(), ViolationsOfRow(item));
      };
      stream.on_warned = [this](const v1::WarnedItem& item) {
        summary_.warnings.Add(item, ledger_);
      };
      stream.on_unlisted_warnings = [this](const v1::UnlistedWarnings& each) {
        summary_.warnings.Add(each, ledger_);
      };
      BulkWriter<Item> writer(client, std::move(stream));
      writer_ = &writer;
      rows_.SetWhileWaiting([this] { return SendWhatIsThere(); });
      if (WaitsForDelivery()) {
        watch_.emplace(client, options_.stream.destination,
                       options_.mapping.type);
      }
      status = SendRows();
      // The items of the rows before it are sent all the same.
      if (absl::IsCancelled(status) && !CanBeResumed()) {
        FinishWhatWasRead();
      } else if (const bool all_read = status.ok(); all_read || input_failed_) {
        const absl::Status finished = FinishStream();
        if (all_read || !finished.ok()) status = finished;
      }
      if (status.ok()) status = AwaitEarlierRows(client, writer.totals());
      // After an error too, what was settled is worth keeping.
      const absl::Status kept = Checkpoint();
      if (status.ok()) status = kept;
      if (status.ok()) status = CheckWhole();
      summary_.stream = writer.totals();
      if (summary_.rows_before > 0 || summary_.stream.warnings_are_partial) {
        summary_.warnings.SetPartial();
      }
      summary_.changed_columns = rows_.ChangedColumns();
      watch_.reset();
      progress.Finish(Snapshot());
      writer_ = nullptr;
    }
    // After a row that cannot be read, with nothing sent before it, there is
    // nothing to resume either.
    const bool untouched = input_failed_ && ledger_.rows_done() == 0;
    if (untouched && !options_.state_path.empty()) {
      RemoveImportState(options_.state_path).IgnoreError();
      summary_.state_path.clear();
    }
    is_complete_ = status.ok();
    return status;
  }

  absl::Status Conclude() override {
    if (!is_complete_ || options_.state_path.empty()) return absl::OkStatus();
    summary_.state_path.clear();
    return RemoveImportState(options_.state_path);
  }

  const ImportSummary& summary() const override { return summary_; }

 private:
  absl::Status CheckStop() const { return CheckStopped(stop_); }

  // While the input's writer pauses.
  absl::Status SendWhatIsThere() {
    const absl::StatusOr<bool> sent = writer_->WaitDurableFor(
        std::numeric_limits<uint64_t>::max(), milliseconds{0});
    return sent.ok() ? DoChores() : sent.status();
  }

  absl::Status SkipSettledRows() {
    uint64_t hash = 0;
    for (uint64_t row = 0; row < state_.rows_done; ++row) {
      const absl::StatusOr<const Row*> skipped = rows_.Next();
      if (!skipped.ok()) return skipped.status();
      if (*skipped == nullptr) {
        return absl::DataLossError(
            "the input has fewer rows than the interrupted import read");
      }
      hash = RowLedger::HashRow(hash, (*skipped)->raw);
      if (keys_.has_value()) {
        MappedRow mapped = rows_.Map(**skipped);
        if (mapped.violations.empty()) {
          Item item = ToItem<Item>(std::move(mapped));
          SetKey(item);
        }
      }
      if (row % kRowsBetweenChores == 0 && stop_) return CheckStop();
    }
    if (hash != state_.rows_hash) {
      return absl::DataLossError(
          "cannot resume the interrupted import: the rows that it read were "
          "changed; start again with --restart (which sends rows again that "
          "were sent already)");
    }
    return absl::OkStatus();
  }

  absl::Status SendRows() {
    for (uint64_t count = 1;; ++count) {
      const absl::StatusOr<const Row*> row = rows_.Next();
      if (!row.ok()) {
        input_failed_ = true;
        return row.status();
      }
      // What interrupted this may have ended a pipe's writer, too.
      if (*row == nullptr) return CheckStop();
      MappedRow mapped = rows_.Map(**row);
      for (const std::string& column : mapped.null_columns) {
        ++summary_.null_cells[column];
      }
      for (const std::string& column : mapped.null_like_columns) {
        ++summary_.null_like_cells[column];
      }
      if (!mapped.violations.empty()) {
        ledger_.AddRejected((*row)->line, (*row)->raw,
                            std::move(mapped.violations));
      } else if (absl::Status sent = SendRow(**row, std::move(mapped));
                 !sent.ok()) {
        return sent;
      }
      if (count % kRowsBetweenChores == 0) {
        if (absl::Status done = DoChores(); !done.ok()) return done;
      }
      while (ledger_.held_bytes() > kMaxHeldBytes) {
        const absl::StatusOr<bool> settled =
            writer_->WaitDurableFor(ledger_.settled_index() + 1, kPatience);
        if (!settled.ok()) return settled.status();
        if (absl::Status done = DoChores(); !done.ok()) return done;
      }
    }
  }

  absl::Status SendRow(const Row& row, MappedRow mapped) {
    Item item = ToItem<Item>(std::move(mapped));
    const size_t bytes = item.ByteSizeLong();
    if (bytes > kMaxItemBytes) {
      ledger_.AddRejected(row.line, row.raw,
                          {{"", "ITEM_TOO_LARGE",
                            absl::StrCat("the row becomes an item of ", bytes,
                                         " bytes; the server accepts at most ",
                                         kMaxItemBytes)}});
      return absl::OkStatus();
    }
    CheckKey(item);
    SetKey(item);
    // First, because the server's answer may come with the call that adds it.
    ledger_.AddItem(row.line, row.raw);
    while (true) {
      const absl::StatusOr<bool> added = writer_->AddFor(item, kPatience);
      if (!added.ok()) return added.status();
      if (*added) return absl::OkStatus();
      if (absl::Status done = DoChores(); !done.ok()) return done;
    }
  }

  // To be called with the next row's item.
  void CheckKey(const Item& item) {
    if constexpr (std::is_same_v<Item, v1::TrackEvent>) {
      if (!item.idempotency_key().empty() &&
          own_keys_.IsReused(item.idempotency_key(),
                             DigestContent(DeterministicBytes(item), ""))) {
        summary_.reused_keys.Add(ledger_.rows_read() + 1);
      }
    }
  }

  // Of an event without a key of its own, in the order of the rows. The key
  // depends on the content alone and not on its place in the input, so that an
  // input that is exported again in another order makes no duplicates. Without
  // a time, equal content may be a later event: the server's keys depend on
  // the place, too.
  void SetKey(Item& item) {
    if constexpr (std::is_same_v<Item, v1::TrackEvent>) {
      if (!keys_.has_value() || !item.idempotency_key().empty() ||
          !item.has_timestamp()) {
        return;
      }
      const ContentDigest content = DigestContent(DeterministicBytes(item), "");
      const auto occurrence = keys_->occurrences.Next(content);
      if (!occurrence.has_value()) return;
      const IdempotencyKey key = keys_->derived.At(*occurrence, content);
      item.set_idempotency_key(std::string(key.view()));
    }
  }

  bool CanBeResumed() const {
    return query_ != nullptr || !options_.state_path.empty();
  }

  // For an import that was interrupted: rows that a pipe has given are given
  // to nobody else.
  void FinishWhatWasRead() {
    const SteadyClock::time_point deadline =
        SteadyClock::now() + kPatienceAfterStop;
    while (!writer_->FinishFor(kPatience).has_value() &&
           SteadyClock::now() < deadline && ShowAndSave().ok()) {
    }
  }

  absl::Status CheckWhole() const {
    const uint64_t bytes = rows_.bytes().grown_by();
    if (bytes == 0) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(
        "the input grew by ", WithThousands(bytes),
        " bytes meanwhile, which were not read: all complete rows that it held "
        "at first are imported",
        CanBeResumed() ? "" : ", the others are not"));
  }

  absl::Status FinishStream() {
    while (true) {
      const auto result = writer_->FinishFor(kPatience);
      if (result.has_value()) return result->status();
      if (absl::Status done = DoChores(); !done.ok()) return done;
    }
  }

  // The stream waits for its own items only: those of an earlier process or of
  // a connection that broke are still on their way to Heap.
  absl::Status AwaitEarlierRows(const Client& client,
                                const BulkTotals& totals) {
    if (!WaitsForDelivery() || (summary_.rows_before == 0 &&
                                totals.ack_level == v1::ACK_LEVEL_DELIVERED)) {
      return absl::OkStatus();
    }
    summary_.counts_are_partial = true;
    awaiting_earlier_rows_ = true;
    const absl::Status status = AwaitDelivery(
        client, options_.stream.destination, options_.stream.give_up_after,
        [this] { return DoChores(); });
    awaiting_earlier_rows_ = false;
    if (status.ok() || absl::IsCancelled(status)) return status;
    return WithPrefix(
        "all accepted rows are stored on the server, but it is not known "
        "whether those sent before the interruption reached Heap: ",
        status);
  }

  absl::Status DoChores() {
    if (absl::Status status = ShowAndSave(); !status.ok()) return status;
    return CheckStop();
  }

  absl::Status ShowAndSave() {
    if (absl::Status status = Settle(); !status.ok()) return status;
    const SteadyClock::time_point now = SteadyClock::now();
    if (now - last_checkpoint_ >= options_.checkpoint_interval) {
      last_checkpoint_ = now;
      if (absl::Status status = Checkpoint(); !status.ok()) return status;
    }
    if (progress_->IsDue(Elapsed())) progress_->Show(Snapshot());
    return absl::OkStatus();
  }

  absl::Status Settle() {
    for (RejectedRow& row : ledger_.Settle(writer_->durable_position())) {
      if (absl::Status status = rejects_.Write(row); !status.ok()) {
        return status;
      }
      ++summary_.rejected;
      if (summary_.first_rejected.size() < kRejectedToShow) {
        row.raw.clear();
        summary_.first_rejected.push_back(std::move(row));
      }
    }
    summary_.rows = ledger_.rows_done();
    return absl::OkStatus();
  }

  absl::Status Checkpoint() {
    if (absl::Status status = Settle(); !status.ok()) return status;
    // The state names a length of the rejects file, so that comes first.
    if (absl::Status status = rejects_.Sync(); !status.ok()) return status;
    if (query_ != nullptr) return query_->Checkpoint(ledger_.rows_done());
    if (options_.state_path.empty() ||
        state_.rows_done == ledger_.rows_done()) {
      return absl::OkStatus();
    }
    state_.rows_done = ledger_.rows_done();
    state_.next_index = ledger_.settled_index();
    state_.rows_hash = ledger_.rows_hash();
    state_.rejected_rows = summary_.rejected;
    state_.rejects_bytes = rejects_.bytes();
    return WriteImportState(options_.state_path, state_);
  }

  milliseconds Elapsed() const {
    return std::chrono::duration_cast<milliseconds>(SteadyClock::now() -
                                                    started_);
  }

  bool WaitsForDelivery() const {
    return options_.stream.ack_level == v1::ACK_LEVEL_DELIVERED;
  }

  // The reason why deliveries that are waited for do not come; empty while they
  // do.
  std::string HoldUp(const BulkTotals& totals) {
    if (!watch_.has_value()) return "";
    const SteadyClock::time_point now = SteadyClock::now();
    const uint64_t ended = totals.delivered + totals.dead_lettered;
    if (awaiting_earlier_rows_) {
      const std::string why = watch_->HoldUp(now);
      return absl::StrCat("waiting until Heap has the rows sent before",
                          why.empty() ? "" : ": ", why);
    }
    if (ended != ended_ || totals.accepted <= ended) {
      ended_ = ended;
      last_ended_ = now;
    }
    if (now - last_ended_ < kDeliveriesPause) return "";
    const std::string why = watch_->HoldUp(now);
    return absl::StrCat("waiting until Heap has ",
                        WithThousands(totals.accepted - ended), " of them",
                        why.empty() ? "" : ": ", why);
  }

  ProgressSnapshot Snapshot() {
    ProgressSnapshot snapshot{.elapsed = Elapsed(),
                              .bytes_read = rows_.bytes().stored_bytes_read(),
                              .bytes_total = state_.input.size,
                              .rows = ledger_.rows_done(),
                              .rejected = summary_.rejected,
                              .rows_at_start = summary_.rows_before,
                              .bytes_at_start = bytes_at_start_,
                              .trouble = ""};
    const BulkTotals totals = writer_->totals();
    snapshot.trouble = HoldUp(totals);
    if (totals.outage.has_value()) {
      snapshot.trouble =
          absl::StrCat("waiting for the server: ", totals.outage->message());
    }
    return snapshot;
  }

  const ImportOptions options_;
  const std::optional<RunLock> lock_;
  const std::unique_ptr<QueryInput> query_;  // what rows_ read; null: a file
  RowSource rows_;
  ImportState state_;  // as saved last
  RejectsFile rejects_;
  ImportSummary summary_;
  const std::atomic<bool>& stop_;
  RowLedger ledger_;
  RepeatedKeys own_keys_{kMaxOwnKeys};
  struct KeysOfContent {
    // A caller and a destination have no part in these keys: they are the
    // same however the import is called.
    explicit KeysOfContent(absl::string_view request_id)
        : derived({.caller = "", .destination = "", .request_id = request_id}) {
    }
    DerivedKeys derived;
    Occurrences occurrences;
  };
  std::optional<KeysOfContent> keys_;  // none: the server makes the keys
  uint64_t bytes_at_start_ = 0;
  bool input_failed_ = false;
  bool is_complete_ = false;
  bool awaiting_earlier_rows_ = false;
  std::optional<DestinationWatch> watch_;  // with ACK_LEVEL_DELIVERED
  uint64_t ended_ = 0;                     // delivered or dead-lettered
  SteadyClock::time_point last_ended_ = SteadyClock::now();
  SteadyClock::time_point started_;
  SteadyClock::time_point last_checkpoint_;
  // Not owned; set during Run().
  BulkWriter<Item>* writer_ = nullptr;
  ProgressWriter* progress_ = nullptr;
};

// Neither output may be the input: writing would destroy it.
absl::Status CheckOutputs(const ImportOptions& options, const ByteSource& in) {
  for (const auto& [flag, path] : {std::pair("--rejects", options.rejects_path),
                                   std::pair("--state", options.state_path)}) {
    if (!path.empty() && in.IsReadFrom(path)) {
      return absl::InvalidArgumentError(
          absl::StrCat(flag, " names the input file: ", path));
    }
  }
  if (!options.rejects_path.empty() &&
      options.rejects_path == options.state_path) {
    return absl::InvalidArgumentError(
        "--rejects and --state name the same file");
  }
  return absl::OkStatus();
}

// Determines the row to start at, and saves the state before anything is sent,
// so that another process can resume the import. Gives the lock of the state;
// none if there is no state.
absl::StatusOr<std::optional<RunLock>> SettleState(ImportOptions& options,
                                                   const ByteSource& bytes,
                                                   ImportState& state,
                                                   ImportSummary& summary) {
  const bool chosen = !options.state_path.empty();
  if (!chosen && state.input.size && options.input != "-") {
    options.state_path = absl::StrCat(options.input, ".heapsync-state");
  }
  if (options.state_path.empty()) {
    if (options.start == ImportOptions::Start::kResume) {
      return absl::FailedPreconditionError(
          "--resume needs --state=FILE where the input is not a file");
    }
    return std::nullopt;
  }
  std::optional<RunLock> lock;
  absl::Status written;
  if (auto locked = RunLock::Acquire(options.state_path); locked.ok()) {
    lock.emplace(*std::move(locked));
  } else if (absl::IsFailedPrecondition(locked.status())) {
    return locked.status();
  } else {
    written = locked.status();
  }
  if (options.start != ImportOptions::Start::kRestart) {
    auto saved = ReadImportState(options.state_path);
    if (!saved.ok()) return saved.status();
    if (saved->has_value()) {
      if (options.start == ImportOptions::Start::kFresh) {
        return absl::FailedPreconditionError(absl::StrCat(
            options.state_path,
            " is the state of an import of this input that was interrupted. "
            "Continue it with --resume, or start again with --restart (which "
            "sends rows again that were sent already)"));
      }
      if (bytes.Continues((*saved)->input)) (*saved)->input = state.input;
      if (absl::Status same = CheckSameJob(**saved, state); !same.ok()) {
        return same;
      }
      if (!options.stream.request_id.empty() &&
          options.stream.request_id != (*saved)->request_id) {
        return absl::FailedPreconditionError(
            "cannot resume the interrupted import: --request_id has changed");
      }
      state = **std::move(saved);
      summary.notes.push_back(
          absl::StrCat("resuming after row ", WithThousands(state.rows_done)));
    }
  }
  if (written.ok()) written = WriteImportState(options.state_path, state);
  if (!written.ok() &&
      (chosen || options.start == ImportOptions::Start::kResume)) {
    return written;
  }
  if (!written.ok()) {
    summary.notes.push_back(
        absl::StrCat("this import cannot be resumed if it is interrupted: ",
                     written.message(), " (choose a file with --state)"));
    options.state_path.clear();
    lock.reset();
  }
  return lock;
}

// Moves the state's path into the query, which keeps another state.
absl::StatusOr<std::unique_ptr<QueryInput>> OpenQuery(ImportOptions& options) {
  QueryOptions& query = *options.query;
  options.rows.format = InputFormat::kNdjson;
  query.query.max_row_bytes = options.rows.max_row_bytes;
  if (!query.dry_run) {
    query.state_path = std::exchange(options.state_path, "");
  }
  query.forget_state = options.start == ImportOptions::Start::kRestart;
  std::map<std::string, std::string> job =
      JobOptions(options, InputFormat::kNdjson);
  // Each import may have a file of its own.
  job.erase("rejects");
  return QueryInput::Open(query, std::move(job), options.mapping);
}

}  // namespace

absl::StatusOr<ImportInput> OpenInput(ImportOptions& options,
                                      const std::atomic<bool>& stop) {
  std::unique_ptr<QueryInput> query;
  if (options.query) {
    auto opened = OpenQuery(options);
    if (!opened.ok()) return opened.status();
    query = *std::move(opened);
    options.mapping = query->mapping();
  }
  // Without a state there is nothing to compare the whole head with.
  ByteSourceOptions waiting{
      .whole_head = !options.state_path.empty(),
      .growth_patience = kGrowthPatience,
      .while_waiting = [&stop] { return CheckStopped(stop); }};
  absl::StatusOr<ByteSource> bytes =
      query == nullptr ? ByteSource::Open(options.input, std::move(waiting))
                       : query->Bytes();
  if (!bytes.ok()) return bytes.status();
  if (absl::Status status = CheckOutputs(options, *bytes); !status.ok()) {
    return status;
  }
  options.rows.name = options.input;
  absl::StatusOr<RowSource> rows =
      RowSource::Open(*std::move(bytes), options.rows, options.mapping);
  if (!rows.ok()) return rows.status();
  return ImportInput{std::move(query), *std::move(rows)};
}

absl::StatusOr<std::unique_ptr<ImportJob>> ImportJob::Prepare(
    ImportOptions options, const std::atomic<bool>& stop) {
  absl::StatusOr<ImportInput> input = OpenInput(options, stop);
  if (!input.ok()) return input.status();
  std::unique_ptr<QueryInput> query = std::move(input->query);
  RowSource rows = std::move(input->rows);
  ImportState state;
  state.input = rows.bytes().fingerprint();

  state.options = JobOptions(options, rows.format());
  state.request_id = options.stream.request_id.empty()
                         ? RandomId()
                         : options.stream.request_id;
  state.is_repeatable = !options.stream.request_id.empty();
  ImportSummary summary;
  if (query != nullptr) summary.notes = query->notes();
  auto lock = SettleState(options, rows.bytes(), state, summary);
  if (!lock.ok()) return lock.status();
  const bool appends = options.query && options.query->is_incremental();
  absl::StatusOr<RejectsFile> rejects = RejectsFile::Open(
      options.rejects_path,
      appends ? CompleteLines(options.rejects_path) : state.rejects_bytes);
  if (!rejects.ok()) {
    // Nothing was begun, so nothing may look interrupted.
    if (options.start != ImportOptions::Start::kResume &&
        !options.state_path.empty()) {
      RemoveImportState(options.state_path).IgnoreError();
    }
    return rejects.status();
  }
  for (const std::string& column : rows.TextColumns()) {
    if (options.mapping.text_columns.count(column) > 0) continue;
    summary.notes.push_back(absl::StrCat(
        "column \"", Printable(column),
        "\" stays text: as numbers, some of its cells could change"));
  }
  for (std::string& note : rows.NotesOnNames()) {
    summary.notes.push_back(std::move(note));
  }
  summary.request_id = state.request_id;
  summary.rows = summary.rows_before = state.rows_done;
  summary.rejected = state.rejected_rows;
  summary.state_path = options.state_path;
  const ObjectType type = options.mapping.type;
  Prepared prepared{std::move(options), *std::move(lock),
                    std::move(query),   std::move(rows),
                    std::move(state),   *std::move(rejects),
                    std::move(summary), stop};
  return WithItem(type, [&](auto item) -> std::unique_ptr<ImportJob> {
    return std::make_unique<TypedImportJob<decltype(item)>>(
        std::move(prepared));
  });
}

}  // namespace heapsync
