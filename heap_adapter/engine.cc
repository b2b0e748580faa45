#include "heap_adapter/engine.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/promise.h"
#include "heap_adapter/delivery/open_lanes.h"
#include "heap_adapter/delivery/published_snapshot.h"
#include "heap_adapter/inspection/dead_letter_order.h"
#include "heap_adapter/inspection/edited_item.h"
#include "heap_adapter/sharing/dead_letter_commands.h"

namespace heapsync {
namespace {

absl::Status ShuttingDown() {
  return absl::UnavailableError("the server is shutting down");
}

// The error of a question; kUnavailable may be the store.
absl::Status Stopping() {
  return absl::CancelledError("the server is shutting down");
}

// A person has to do something first.
constexpr Duration kDeadLetterRetry = std::chrono::minutes(1);
constexpr Duration kWaitRetry = std::chrono::seconds(1);

// Of a snapshot, in one step of the dispatcher.
constexpr size_t kDestinationsAtOnce = 250;

absl::Status NoSuchDestination() {
  return absl::NotFoundError("no such destination");
}

}  // namespace

Engine::Engine(Transport& transport, const Clock& clock, EngineOptions options)
    : transport_(transport),
      clock_(clock),
      options_(std::move(options)),
      disk_(options_.spool_path, options_.min_free_disk_bytes),
      thread_(transport, clock, Hooks()) {
  generations_.push_back(std::make_unique<Generation>(options_.destinations));
  current_ = generations_.back().get();
}

Engine::Generation::Generation(DestinationConfig config_in)
    : config(std::move(config_in)) {
  for (const Destination& destination : config.destinations) {
    by_name.emplace(destination.name, &destination);
  }
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Open(
    Store& store, Transport& transport, const Clock& clock,
    EngineOptions options, AttemptSink attempts, ExpirySink expired) {
  std::unique_ptr<Engine> engine(
      new Engine(transport, clock, std::move(options)));
  engine->attempts_ = std::move(attempts);
  engine->expired_ = std::move(expired);
  absl::BitGen random;
  auto spool = Spool::Open(store, absl::Uniform<uint64_t>(random));
  if (!spool.ok()) return spool.status();
  engine->spool_ = *std::move(spool);
  const bool shared = engine->spool_->shared();
  engine->directory_ =
      std::make_unique<LaneDirectory>(LaneDirectory::Bounds{.shared = shared});
  absl::StatusOr<std::vector<StoredLane>> lanes =
      OpenLanes(*engine->spool_, engine->destinations(), *engine->directory_);
  if (!lanes.ok()) return lanes.status();
  engine->publisher_ = std::make_unique<OwnerPublisher>(
      *engine->directory_, engine->dead_letters_,
      [e = engine.get()](DestinationSnapshot& each) { e->Complete(each); });
  engine->CountDeadLetters();
  engine->SetBacklogs(*engine->generations_.front());

  engine->committer_ = std::make_unique<Committer>(
      *engine->spool_, engine->options_.commit, *lanes,
      [e = engine.get()](Committer::Notices notices) {
        e->Receive(std::move(notices));
      },
      [e = engine.get()] { e->transport_.Wake(); });
  if (!shared) engine->opened_lanes_ = *std::move(lanes);
  if (!engine->options_.spool_path.empty()) {
    engine->space_reclaimer_ = std::make_unique<SpaceReclaimer>(
        store, engine->disk_, [e = engine.get()] {
          return e->QueuedBytes() + e->dead_letters_.bytes();
        });
  }
  engine->letters_ = std::make_unique<DeadLetterAdmin>(
      *engine->spool_, clock, engine->LanesOfSpool(),
      engine->DeadLetterWriter());
  engine->committer_thread_ =
      std::thread([e = engine.get()] { e->committer_->Run(); });
  if (shared) {
    engine->sharing_ =
        std::make_unique<Sharing>(*engine->spool_, *engine->committer_, clock);
  }
  return engine;
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Start(
    Store& store, Transport& transport, const Clock& clock,
    EngineOptions options, AttemptSink attempts, ExpirySink expired) {
  auto engine = Open(store, transport, clock, std::move(options),
                     std::move(attempts), std::move(expired));
  if (!engine.ok()) return engine.status();
  if (absl::Status s = (*engine)->Deliver(); !s.ok()) return s;
  return engine;
}

absl::Status Engine::Deliver() {
  // Reads from here on see everything whose notice was not kept.
  thread_.Open();
  if (absl::Status s = StartDispatcher(); !s.ok()) {
    DropDispatcher();
    return s;
  }
  publisher_->Restart();
  auto generation = std::make_unique<Generation>(Current().config);
  // Callers of an earlier one may have destinations that are not in this.
  generation->backlogs = Current().backlogs;
  for (const Destination& destination : generation->config.destinations) {
    generation->backlogs[destination.name] =
        dispatcher_->BacklogOf(destination.name);
  }
  Renew(std::move(generation));
  thread_.Run(*dispatcher_, spool_->shared());
  delivers_.store(true, std::memory_order_release);
  if (sharing_ == nullptr) return absl::OkStatus();
  sharing_->Obey(
      [this](absl::string_view destination) { return DeliversTo(destination); },
      [this](const StoredCommand& command, std::weak_ptr<const void> wanted,
             CommandRunner::Answer answer) {
        Obey(command, std::move(wanted), std::move(answer));
      });
  LookAtOthers();
  return absl::OkStatus();
}

absl::Status Engine::StartDispatcher() {
  std::vector<StoredLane> lanes = std::exchange(opened_lanes_, {});
  if (spool_->shared()) {
    if (absl::Status s = spool_->MeasureDeadLetters(); !s.ok()) return s;
    auto read = spool_->Lanes();
    if (!read.ok()) return read.status();
    lanes = *std::move(read);
    for (const StoredLane& lane : lanes) directory_->Add(lane.id, lane.key);
    dead_letters_.Clear();
    CountDeadLetters();
  }
  dispatcher_ = std::make_unique<Dispatcher>(
      *spool_, *committer_, transport_, options_.delivery,
      [generator = std::make_shared<absl::BitGen>()] {
        return absl::Uniform(*generator, 0.0, 1.0);
      },
      attempts_, expired_);
  return dispatcher_->Start(destinations(), lanes, clock_.Read(),
                            clock_.Epoch());
}

// It has asked for nothing, and who has asked it something asks the store.
void Engine::DropDispatcher() {
  dispatcher_.reset();
  for (Committer::Notices& notices : thread_.Close()) {
    Receive(std::move(notices));
  }
}

void Engine::Renew(std::unique_ptr<Generation> generation) {
  current_.store(generation.get(), std::memory_order_release);
  generations_.push_back(std::move(generation));
}

absl::Status Engine::StopDelivering() {
  // From now on commands are left to the next owner.
  delivers_.store(false, std::memory_order_release);
  sharing_->Rest();
  // The last outcomes, and what the dispatcher does once they are stored.
  if (absl::Status s = Barrier(); !s.ok()) return s;
  thread_.Leave();
  auto generation = std::make_unique<Generation>(Current().config);
  generation->backlogs = Current().backlogs;
  SetBacklogs(*generation);
  for (const auto& [name, backlog] : accepting_backlogs_) {
    const std::shared_ptr<Backlog> last = dispatcher_->BacklogOf(name);
    if (last == nullptr) continue;
    backlog->SetBytes(last->bytes());
    backlog->SetForecast(last->drained_in());
  }
  Renew(std::move(generation));
  for (Dispatcher::Waiter& waiter : dispatcher_->TakeWaiters()) {
    sharing_->Wait(waiter.lane, waiter.items, std::move(waiter.callback));
  }
  dispatcher_.reset();
  // Others may have changed something meanwhile.
  return Barrier();
}

void Engine::LookAtOthers() {
  committer_->LookForAppends(Committer::Look::kNew);
  if (sharing_ != nullptr) sharing_->LookForCommands();
}

void Engine::StopAccepting() {
  // Commands that are taken back are still to be stored.
  if (sharing_ != nullptr) sharing_->StopAsking();
  committer_->StopAccepting();
}

void Engine::SetBacklogs(Generation& generation) {
  for (const Destination& destination : generation.config.destinations) {
    auto& backlog = accepting_backlogs_[destination.name];
    if (backlog == nullptr) backlog = std::make_shared<Backlog>();
    generation.backlogs[destination.name] = backlog;
  }
}

Engine::~Engine() { StopThreads(); }

void Engine::StopThreads() {
  if (std::exchange(stopped_, true)) return;
  space_reclaimer_.reset();
  if (committer_ != nullptr) StopAccepting();
  if (sharing_ != nullptr) sharing_->Stop();
  thread_.Stop();
  if (committer_ != nullptr) committer_->Stop();
  if (committer_thread_.joinable()) committer_thread_.join();
}

void Engine::Stop() {
  StopThreads();
  delivers_.store(false, std::memory_order_release);
  if (sharing_ != nullptr) sharing_->Abandon();
  // Notices that no dispatcher takes any more.
  for (Committer::Notices& notices : thread_.Close()) {
    for (Appended& appended : notices.appended) {
      if (appended.on_settled) appended.on_settled({.abandoned = true});
    }
  }
  if (dispatcher_ == nullptr) return;
  for (Dispatcher::Waiter& waiter : dispatcher_->TakeWaiters()) {
    waiter.callback({.abandoned = true});
  }
}

const Destination* Engine::FindDestination(absl::string_view name) const {
  const Generation& current = Current();
  if (name.empty()) name = current.config.default_destination;
  const auto it = current.by_name.find(name);
  return it == current.by_name.end() ? nullptr : it->second;
}

absl::Status Engine::SetDestinations(DestinationConfig destinations) {
  if (!delivers()) {
    auto generation = std::make_unique<Generation>(std::move(destinations));
    generation->backlogs = Current().backlogs;
    SetBacklogs(*generation);
    const Generation& next = *generation;
    generations_.push_back(std::move(generation));
    for (const Destination& destination : next.config.destinations) {
      for (const ObjectType type : kObjectTypes) LaneFor(destination, type);
    }
    current_.store(&next, std::memory_order_release);
    return absl::OkStatus();
  }
  // The dispatcher takes over the lanes of destinations that it did not serve
  // so far; nothing else changes those.
  const absl::StatusOr<std::vector<StoredLane>> lanes = spool_->Lanes();
  if (!lanes.ok()) return lanes.status();
  auto generation = std::make_unique<Generation>(std::move(destinations));
  Generation& next = *generation;
  next.backlogs = Current().backlogs;
  absl::Status status = absl::UnavailableError("the server is shutting down");
  thread_.Ask([&](Dispatcher& dispatcher, Now now) {
    status = dispatcher.SetDestinations(next.config.destinations, *lanes, now);
    if (!status.ok()) return;
    for (const Destination& destination : next.config.destinations) {
      next.backlogs.emplace(destination.name,
                            dispatcher.BacklogOf(destination.name));
    }
  });
  if (!status.ok()) return status;
  generations_.push_back(std::move(generation));
  for (const Destination& destination : next.config.destinations) {
    for (const ObjectType type : kObjectTypes) LaneFor(destination, type);
  }
  current_.store(&next, std::memory_order_release);
  // Others may have appended to the lanes of a new one before it was served.
  if (spool_->shared()) committer_->LookForAppends(Committer::Look::kAll);
  return absl::OkStatus();
}

LaneId Engine::LaneFor(const Destination& destination, ObjectType type,
                       absl::string_view caller) {
  const auto lane = directory_->FindOrAdd(destination.name, type, caller);
  if (lane.is_new) {
    committer_->AddLane(lane.id, {.destination = destination.name,
                                  .type = type,
                                  .caller = std::string(caller)});
    directory_->Publish(lane.id);
  }
  return lane.id;
}

uint64_t Engine::QueuedBytes() const {
  uint64_t bytes = 0;
  for (const auto& [name, backlog] : Current().backlogs) {
    bytes += backlog->bytes();
  }
  return bytes;
}

Backlog& Engine::BacklogOf(const Destination& destination) const {
  const auto it = Current().backlogs.find(destination.name);
  HEAPSYNC_CHECK(it != Current().backlogs.end()) << "no such destination";
  return *it->second;
}

Admission Engine::Append(const Destination& destination, LaneId lane,
                         EncodedChunk chunk, Committer::AppendDone done,
                         SettledCallback on_settled,
                         Committer::StillWanted still_wanted) {
  const uint64_t max_bytes = destination.max_dead_letter_mib << 20;
  if (!dead_letters_.HasRoom(destination.name, lane, max_bytes)) {
    return {
        .status = absl::ResourceExhaustedError(absl::StrCat(
            "destination \"", destination.name, "\" has ",
            dead_letters_.Of(destination.name).bytes >> 20,
            " MiB of dead letters of at most ", destination.max_dead_letter_mib,
            ", half of it for one caller; replay or discard some "
            "(heapsync dead-letters)")),
        .limit = Admission::Limit::kDeadLetters,
        .retry_after = kDeadLetterRetry};
  }
  if (on_settled && sharing_ != nullptr && !DeliversTo(destination.name)) {
    if (!sharing_->HasRoom()) {
      return {.status = absl::ResourceExhaustedError(
                  "too many calls wait for deliveries of another server"),
              .limit = Admission::Limit::kNone,
              .retry_after = kWaitRetry};
    }
    done = [this, lane, done = std::move(done),
            on_settled =
                std::move(on_settled)](absl::StatusOr<SeqRange> items) mutable {
      const absl::StatusOr<SeqRange> stored = items;
      done(std::move(items));
      if (stored.ok()) sharing_->Wait(lane, *stored, std::move(on_settled));
    };
    on_settled = nullptr;
  }
  return AppendQueued(destination, lane, std::move(chunk), std::move(done),
                      std::move(on_settled), std::move(still_wanted), nullptr);
}

Admission Engine::AppendQueued(const Destination& destination, LaneId lane,
                               EncodedChunk chunk, Committer::AppendDone done,
                               SettledCallback on_settled,
                               Committer::StillWanted still_wanted,
                               Committer::AppendAlong along) {
  Backlog& backlog = BacklogOf(destination);
  if (disk_.NearlyFull()) {
    return {.status = absl::ResourceExhaustedError(
                "the server's disk is nearly full"),
            .limit = Admission::Limit::kDisk,
            .retry_after = backlog.RetryAfter()};
  }
  auto reservation =
      backlog.Reserve(chunk.text.size(), destination.max_queued_mib << 20);
  if (!reservation.has_value()) {
    return {.status = absl::ResourceExhaustedError(
                absl::StrCat("destination \"", destination.name, "\" has ",
                             backlog.bytes() >> 20, " MiB waiting of at most ",
                             destination.max_queued_mib)),
            .limit = Admission::Limit::kDestination,
            .retry_after = backlog.RetryAfter()};
  }
  return {.status =
              committer_->Append(lane, std::move(chunk), std::move(done),
                                 std::move(on_settled), std::move(still_wanted),
                                 std::move(along), *std::move(reservation)),
          .retry_after = std::nullopt};
}

std::string Engine::ReceiptOf(LaneId lane, std::vector<SeqRange> items) const {
  return Receipt{
      .spool_id = spool_->id(), .lane = lane, .items = std::move(items)}
      .Encode();
}

void Engine::Receive(Committer::Notices notices) {
  for (const AddedLane& lane : notices.lanes) {
    directory_->Add(lane.id, lane.key);
  }
  if (thread_.Notify(notices)) return;
  for (Appended& appended : notices.appended) {
    accepted_.Add(appended.lane, appended.items.size());
    // It was meant for a dispatcher that has left meanwhile.
    if (appended.on_settled) {
      sharing_->Wait(appended.lane, appended.items,
                     std::move(appended.on_settled));
    }
    const std::optional<LaneKey> key = directory_->KeyOf(appended.lane);
    if (!key.has_value()) continue;
    const auto backlog = Current().backlogs.find(key->destination);
    if (backlog == Current().backlogs.end()) continue;
    backlog->second->AddBytes(appended.text_bytes);
  }
}

absl::Status Engine::Apply(SpoolChange change) {
  Promise<absl::Status> stored;
  Future<absl::Status> result = stored.future();
  const absl::Status queued = committer_->Change(
      std::move(change),
      [stored = std::move(stored)](absl::Status status) mutable {
        stored.Set(std::move(status));
      });
  if (!queued.ok()) return queued;
  return result.Wait().value_or(ShuttingDown());
}

absl::Status Engine::Barrier(std::optional<Duration> timeout) {
  Promise<absl::Status> passed;
  Future<absl::Status> result = passed.future();
  const absl::Status queued = committer_->Barrier(
      [passed = std::move(passed)](absl::Status status) mutable {
        passed.Set(std::move(status));
      });
  if (!queued.ok()) return queued;
  if (!timeout.has_value()) return result.Wait().value_or(ShuttingDown());
  return result.WaitFor(*timeout).value_or(
      absl::DeadlineExceededError("the spool has not stored all in time"));
}

CommandRecord Engine::NewCommand(CommandRecord::Kind kind,
                                 absl::string_view destination,
                                 absl::string_view caller) const {
  return {.kind = kind,
          .destination = std::string(destination),
          .server = options_.server_name,
          .caller = std::string(caller),
          .body = {}};
}

absl::Status Engine::Flush(absl::string_view destination, SettledCallback done,
                           absl::string_view caller) {
  if (!destination.empty() && !Current().by_name.contains(destination)) {
    return NoSuchDestination();
  }
  if (sharing_ == nullptr || DeliversTo(destination)) {
    return FlushHere(destination, std::move(done));
  }
  const auto listener = done.listener();
  sharing_->Send(
      NewCommand(CommandRecord::Kind::kFlush, destination, caller),
      {.until = std::nullopt, .listener = listener},
      [done = std::move(done)](absl::StatusOr<std::string> answer) mutable {
        if (!answer.ok()) return;
        const auto settlement = Settlement::Decode(*answer);
        if (settlement.ok()) done(*settlement);
      });
  return absl::OkStatus();
}

absl::Status Engine::FlushHere(absl::string_view destination,
                               SettledCallback done) {
  // Items that others have appended to a shared spool are waited for, too.
  if (spool_->shared()) committer_->LookForAppends(Committer::Look::kNew);
  return committer_->Barrier(
      [this, name = std::string(destination),
       done = std::move(done)](const absl::Status& status) mutable {
        if (!status.ok()) return;
        DispatcherThread::Command command =
            [name = std::move(name), done = std::move(done)](
                Dispatcher& dispatcher, Now) mutable {
              dispatcher.Flush(name, std::move(done));
            };
        static_cast<void>(thread_.Post(command));
      });
}

bool Engine::Drain(Duration timeout) {
  if (!delivers()) return Barrier(timeout).ok();
  Promise<Settlement> drained;
  Future<Settlement> end = drained.future();
  const absl::Status begun =
      Flush("", [drained = std::move(drained)](Settlement settlement) mutable {
        drained.Set(settlement);
      });
  return begun.ok() && end.WaitFor(timeout).has_value();
}

void Engine::SetPaused(absl::string_view destination, bool paused,
                       const Asker& asker, PauseDone done) {
  if (sharing_ == nullptr) return done(SetPausedHere(destination, paused));
  sharing_->Send(NewCommand(paused ? CommandRecord::Kind::kPause
                                   : CommandRecord::Kind::kResume,
                            destination, asker.caller),
                 {.until = clock_.Read().monotonic + asker.patience,
                  .listener = std::nullopt},
                 [done = std::move(done)](
                     const absl::StatusOr<std::string>& answer) mutable {
                   done(answer.status());
                 });
}

void Engine::Replay(std::vector<FoundDeadLetter> letters,
                    const DeadLetterRules& rules,
                    std::optional<EncodedChunk> instead, const Asker& asker,
                    DeadLettersDone done) {
  if (sharing_ == nullptr || rules.dry_run) {
    return done(
        letters_->Replay(std::move(letters), rules, std::move(instead)));
  }
  SendOrders(
      *sharing_, NewCommand(CommandRecord::Kind::kReplay, "", asker.caller),
      clock_.Read().monotonic + asker.patience, letters,
      {.force = rules.force, .instead = std::move(instead)}, std::move(done));
}

void Engine::Discard(const std::vector<FoundDeadLetter>& letters,
                     const DeadLetterRules& rules, const Asker& asker,
                     DeadLettersDone done) {
  if (sharing_ == nullptr || rules.dry_run) {
    return done(letters_->Discard(letters, rules));
  }
  SendOrders(
      *sharing_, NewCommand(CommandRecord::Kind::kDiscard, "", asker.caller),
      clock_.Read().monotonic + asker.patience, letters, {}, std::move(done));
}

// On the thread that obeys commands.
void Engine::Obey(const StoredCommand& stored, std::weak_ptr<const void> wanted,
                  CommandRunner::Answer answer) {
  const CommandRecord& command = *stored.command;
  CommandAnswer result{.status = absl::OkStatus(), .body = {}};
  SpoolChange along;
  const auto finish = [&] {
    if (options_.on_command) {
      options_.on_command({.command = command, .status = result.status});
    }
    answer(std::move(result), std::move(along));
  };
  switch (command.kind) {
    case CommandRecord::Kind::kFlush:
      if (!command.destination.empty() &&
          !Current().by_name.contains(command.destination)) {
        result.status = NoSuchDestination();
        return finish();
      }
      static_cast<void>(FlushHere(
          command.destination,
          SettledCallback(
              std::move(wanted),
              [answer = std::move(answer)](Settlement settlement) mutable {
                // The next owner answers.
                if (settlement.abandoned) return;
                answer(
                    {.status = absl::OkStatus(), .body = settlement.Encode()},
                    {});
              })));
      return;
    case CommandRecord::Kind::kPause:
    case CommandRecord::Kind::kResume: {
      result.status = SetPausedHere(
          command.destination, command.kind == CommandRecord::Kind::kPause);
      const auto snapshot = SnapshotOf({command.destination});
      // The server that asked shows the change immediately.
      if (snapshot.ok() && !snapshot->destinations.empty()) {
        along.PutSnapshot(command.destination,
                          EncodeSnapshot(snapshot->destinations.front()));
      }
      return finish();
    }
    case CommandRecord::Kind::kReplay:
    case CommandRecord::Kind::kDiscard: {
      auto order = DeadLetterOrder::Decode(command.body);
      result.status = order.status();
      if (!order.ok()) return finish();
      const auto results = command.kind == CommandRecord::Kind::kReplay
                               ? letters_->Replay(*std::move(order), stored.id)
                               : letters_->Discard(*order, stored.id);
      result.status = results.status();
      if (results.ok()) result.body = EncodeResults(*results);
      return finish();
    }
  }
}

absl::Status Engine::SetPausedHere(absl::string_view destination, bool paused) {
  bool found = false;
  if (!thread_.Ask([&](Dispatcher& dispatcher, Now) {
        found = dispatcher.Pause(destination, paused);
      })) {
    return ShuttingDown();
  }
  // The dispatcher has handed the change to the committer by now.
  return found ? Barrier() : NoSuchDestination();
}

absl::Status Engine::ReadFigures() {
  std::vector<std::pair<std::string, OwnerFigures>> read;
  const absl::Status status = spool_->published().VisitFigures(
      [&](absl::string_view destination, const OwnerFigures& figures) {
        read.emplace_back(std::string(destination), figures);
      });
  if (!status.ok()) return status;
  dead_letters_.Clear();
  for (const auto& [destination, figures] : read) {
    for (const OwnerFigures::DeadLetters& lane : figures.dead_letters) {
      dead_letters_.Add(destination,
                        {.lane = lane.lane,
                         .letters = static_cast<int64_t>(lane.letters),
                         .bytes = static_cast<int64_t>(lane.bytes)});
    }
    const auto found = accepting_backlogs_.find(destination);
    if (found == accepting_backlogs_.end()) continue;
    found->second->SetBytes(figures.queued_bytes);
    std::optional<Duration> drained_in;
    if (figures.drained_in.has_value()) {
      drained_in = std::chrono::seconds(*figures.drained_in);
    }
    found->second->SetForecast(drained_in);
  }
  return status;
}

std::optional<LaneKey> Engine::FindLane(LaneId lane) const {
  std::optional<LaneKey> known = directory_->KeyOf(lane);
  if (known.has_value() || !spool_->shared()) return known;
  auto read = spool_->ReadLaneKey(lane);
  return read.ok() ? *std::move(read) : std::nullopt;
}

void Engine::RequestSnapshot(absl::AnyInvocable<void(EngineSnapshot)> done) {
  if (!delivers()) return done(SnapshotOfOthers());
  ContinueSnapshot({}, std::make_shared<SnapshotDone>(std::move(done)));
}

// Takes some destinations at a time, between which the dispatcher turns to
// other work.
void Engine::ContinueSnapshot(EngineSnapshot snapshot,
                              std::shared_ptr<SnapshotDone> done) {
  DispatcherThread::Command command = [this, snapshot = std::move(snapshot),
                                       done](Dispatcher& dispatcher,
                                             Now now) mutable {
    std::vector<DestinationSnapshot> next = dispatcher.Snapshot(
        snapshot.destinations.size(), kDestinationsAtOnce, now);
    snapshot.taken_at = now;
    const bool complete = next.size() < kDestinationsAtOnce;
    for (DestinationSnapshot& each : next) {
      Complete(each);
      snapshot.destinations.push_back(std::move(each));
    }
    if (complete) return (*done)(std::move(snapshot));
    ContinueSnapshot(std::move(snapshot), std::move(done));
  };
  if (!thread_.Post(command)) (*done)(SnapshotOfOthers());
}

void Engine::RequestFlows(absl::AnyInvocable<void(EngineFlows)> done) {
  if (!delivers()) return done(FlowsOfOthers());
  const auto shared =
      std::make_shared<absl::AnyInvocable<void(EngineFlows)>>(std::move(done));
  DispatcherThread::Command command = [shared](Dispatcher& dispatcher,
                                               Now now) {
    (*shared)(
        {.taken_at = now, .destinations = dispatcher.Flows(now.monotonic)});
  };
  if (!thread_.Post(command)) (*shared)(FlowsOfOthers());
}

EngineSnapshot Engine::AcceptedHere() const {
  EngineSnapshot snapshot{.taken_at = clock_.Read()};
  snapshot.accepted = accepted_.Snapshots(destinations(), *directory_);
  snapshot.destinations = snapshot.accepted;
  return snapshot;
}

EngineSnapshot Engine::SnapshotOfOthers() const {
  EngineSnapshot snapshot = AcceptedHere();
  auto published = ReadPublished(*spool_, destinations());
  if (published.ok()) snapshot.destinations = *std::move(published);
  for (DestinationSnapshot& each : snapshot.destinations) {
    each.delivers = false;
  }
  return snapshot;
}

EngineFlows Engine::FlowsOfOthers() const {
  // None, and of no time: a gap in the history.
  EngineFlows flows{.taken_at = {}, .destinations = {}};
  const auto published = ReadPublished(*spool_, destinations());
  if (!published.ok()) return flows;
  flows.taken_at = clock_.Read();
  for (const DestinationSnapshot& snapshot : *published) {
    DestinationFlow& flow = flows.destinations.emplace_back(
        DestinationFlow{.destination = FindDestination(snapshot.name),
                        .allowance_used = snapshot.allowance_used,
                        .allowance_total = snapshot.allowance_total});
    for (const LaneSnapshot& lane : snapshot.lanes) {
      flow.accepted += lane.counts.arrived();
      flow.delivered += lane.counts.delivered;
      flow.queued_items += lane.queued_items;
    }
  }
  return flows;
}

absl::StatusOr<EngineSnapshot> Engine::SnapshotOf(
    const std::vector<absl::string_view>& destinations) {
  EngineSnapshot snapshot;
  if (thread_.Ask([&](Dispatcher& dispatcher, Now now) {
        snapshot.taken_at = now;
        for (const absl::string_view name : destinations) {
          auto each = dispatcher.SnapshotOf(name, now);
          if (!each.has_value()) continue;
          Complete(*each);
          snapshot.destinations.push_back(*std::move(each));
        }
      })) {
    return snapshot;
  }
  if (thread_.stopping()) return Stopping();
  snapshot.taken_at = clock_.Read();
  std::vector<const Destination*> known;
  for (const absl::string_view name : destinations) {
    const auto found = Current().by_name.find(name);
    if (found != Current().by_name.end()) known.push_back(found->second);
  }
  auto published = ReadPublishedOf(*spool_, known);
  if (!published.ok()) return published.status();
  snapshot.destinations = *std::move(published);
  for (DestinationSnapshot& each : snapshot.destinations) {
    each.delivers = false;
  }
  return snapshot;
}

absl::StatusOr<std::vector<ItemDelivery>> Engine::LookUp(
    LaneId lane, const std::vector<SeqRange>& items) {
  std::vector<InFlightAttempt> in_flight;
  if (!thread_.Ask([&](Dispatcher& dispatcher, Now) {
        in_flight = dispatcher.InFlightAttempts(lane);
      }) &&
      thread_.stopping()) {
    return Stopping();
  }
  return LookUpDeliveries(*spool_, lane, items, in_flight);
}

void Engine::CountDeadLetters() {
  for (const DeadLetterDelta& delta : spool_->TakeDeadLetterDeltas()) {
    const std::optional<LaneKey> key = directory_->KeyOf(delta.lane);
    if (key.has_value()) dead_letters_.Add(key->destination, delta);
  }
}

void Engine::Complete(DestinationSnapshot& snapshot) const {
  if (spool_->shared()) snapshot.delivered_by = options_.server_name;
  snapshot.dead_letters = dead_letters_.Of(snapshot.name);
  const Destination* destination = FindDestination(snapshot.name);
  if (destination == nullptr) return;
  snapshot.max_dead_letter_bytes = destination->max_dead_letter_mib << 20;
}

DeadLetterAdmin::Lanes Engine::LanesOfSpool() const {
  return {.all = [this]() -> absl::StatusOr<DeadLetterAdmin::Lanes::Keys> {
            if (spool_->shared()) return spool_->LaneKeys();
            return directory_->All();
          },
          .key_of = [this](LaneId lane) { return FindLane(lane); }};
}

DeadLetterAdmin::Writer Engine::DeadLetterWriter() {
  return {
      .is_configured =
          [this](absl::string_view name) {
            return !name.empty() && FindDestination(name) != nullptr;
          },
      .append = [this](const LaneKey& key, LaneId lane, EncodedChunk chunk,
                       Committer::AppendDone done,
                       Committer::AppendAlong along) -> absl::Status {
        const Destination* destination = FindDestination(key.destination);
        if (destination == nullptr) return NoSuchDestination();
        return AppendQueued(*destination, lane, std::move(chunk),
                            std::move(done), nullptr, nullptr, std::move(along))
            .status;
      },
      .store = [this](SpoolChange change) { return Apply(std::move(change)); }};
}

std::variant<EncodedChunk, std::vector<Finding>> Engine::EncodeEdited(
    const FoundDeadLetter& letter, absl::string_view json,
    absl::string_view field) const {
  const Destination* destination = FindDestination(letter.key.destination);
  if (destination == nullptr) return EncodedChunk{};
  return EncodeEditedItem(destination->encoding, letter.key.type, letter.letter,
                          json, field, clock_.Read().wall);
}

DispatcherThread::Hooks Engine::Hooks() {
  return {.turn = [this] { CountDeadLetters(); },
          .disk_short = [this] { return disk_.Short(); },
          .publish = [this] { PublishFigures(); },
          .step = options_.on_step};
}

void Engine::PublishFigures() {
  SpoolChange change =
      publisher_->Next(destinations(), *dispatcher_, clock_.Read());
  if (!change.empty()) committer_->Apply(std::move(change), nullptr);
}

}  // namespace heapsync
