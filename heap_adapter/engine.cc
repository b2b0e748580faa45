#include "heap_adapter/engine.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "heap_adapter/spool/receipt.h"

namespace heapsync {

Engine::Engine(Transport& transport, const Clock& clock, EngineOptions options)
    : transport_(transport),
      clock_(clock),
      options_(std::move(options)),
      disk_(options_.spool_path, options_.min_free_disk_bytes) {
  generations_.push_back(std::make_unique<Generation>(options_.destinations));
  current_ = generations_.back().get();
}

Engine::Generation::Generation(DestinationConfig config_in)
    : config(std::move(config_in)) {
  for (const Destination& destination : config.destinations) {
    by_name.emplace(destination.name, &destination);
  }
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Start(
    Store& store, Transport& transport, const Clock& clock,
    EngineOptions options, Dispatcher::EventSink events) {
  std::unique_ptr<Engine> engine(
      new Engine(transport, clock, std::move(options)));
  absl::BitGen random;
  auto spool = Spool::Open(store, absl::Uniform<uint64_t>(random));
  if (!spool.ok()) return spool.status();
  engine->spool_ = *std::move(spool);
  absl::StatusOr<std::vector<StoredLane>> lanes = engine->OpenLanes();
  if (!lanes.ok()) return lanes.status();

  engine->committer_ = std::make_unique<Committer>(
      *engine->spool_, engine->options_.commit, *lanes,
      [e = engine.get()](Committer::Notices notices) {
        e->Receive(std::move(notices));
      });
  engine->dispatcher_ = std::make_unique<Dispatcher>(
      *engine->spool_, *engine->committer_, transport,
      engine->options_.delivery, engine->destinations(),
      [generator = std::make_shared<absl::BitGen>()] {
        return absl::Uniform(*generator, 0.0, 1.0);
      },
      std::move(events));
  for (const Destination& destination : engine->destinations()) {
    engine->generations_.front()->backlogs.emplace(
        destination.name, engine->dispatcher_->BacklogOf(destination.name));
  }
  absl::Status recovered =
      engine->dispatcher_->Recover(*lanes, clock.Read(), clock.Epoch());
  if (!recovered.ok()) return recovered;
  if (!engine->options_.spool_path.empty()) {
    engine->space_reclaimer_ = std::make_unique<SpaceReclaimer>(
        store, engine->disk_, [e = engine.get()] { return e->QueuedBytes(); });
  }
  engine->committer_thread_ =
      std::thread([e = engine.get()] { e->committer_->Run(); });
  engine->dispatcher_thread_ =
      std::thread([e = engine.get()] { e->RunDispatcher(); });
  return engine;
}

absl::StatusOr<std::vector<StoredLane>> Engine::OpenLanes() {
  absl::StatusOr<std::vector<StoredLane>> lanes = spool_->Lanes();
  if (!lanes.ok()) return lanes;
  for (const StoredLane& lane : *lanes) lanes_.Add(lane.id, lane.key);
  SpoolChange change;
  for (const Destination& destination : destinations()) {
    for (const ObjectType type : kObjectTypes) {
      const auto lane = lanes_.FindOrAdd(destination.name, type, "");
      if (!lane.is_new) continue;
      const LaneKey key{
          .destination = destination.name, .type = type, .caller = {}};
      change.PutLane(lane.id, key);
      lanes->push_back({.id = lane.id, .key = key, .progress = {}});
    }
  }
  if (!change.empty()) {
    change.RequireDisk();
    if (absl::Status s = spool_->Commit(change); !s.ok()) return s;
  }
  return lanes;
}

Engine::~Engine() {
  space_reclaimer_.reset();
  if (committer_ != nullptr) committer_->StopAccepting();
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  transport_.Wake();
  if (dispatcher_thread_.joinable()) dispatcher_thread_.join();
  if (committer_ != nullptr) committer_->Stop();
  if (committer_thread_.joinable()) committer_thread_.join();
}

const Destination* Engine::FindDestination(absl::string_view name) const {
  const Generation& current = Current();
  if (name.empty()) name = current.config.default_destination;
  const auto it = current.by_name.find(name);
  return it == current.by_name.end() ? nullptr : it->second;
}

absl::Status Engine::SetDestinations(DestinationConfig destinations) {
  // Of these the dispatcher takes those that it left alone so far, in which
  // nothing moves.
  const absl::StatusOr<std::vector<StoredLane>> lanes = spool_->Lanes();
  if (!lanes.ok()) return lanes.status();
  // Kept in any case: the dispatcher may know some of it before an error.
  generations_.push_back(std::make_unique<Generation>(std::move(destinations)));
  Generation& next = *generations_.back();
  next.backlogs = Current().backlogs;
  absl::Status status = absl::UnavailableError("the server is shutting down");
  Ask([&](Dispatcher& dispatcher, Now now) {
    status = absl::OkStatus();
    for (const Destination& destination : next.config.destinations) {
      status.Update(dispatcher.SetDestination(destination, *lanes, now));
      if (!status.ok()) return;
      next.backlogs.emplace(destination.name,
                            dispatcher.BacklogOf(destination.name));
    }
  });
  if (!status.ok()) return status;
  for (const Destination& destination : next.config.destinations) {
    for (const ObjectType type : kObjectTypes) LaneFor(destination, type);
  }
  current_.store(&next, std::memory_order_release);
  return absl::OkStatus();
}

LaneId Engine::LaneFor(const Destination& destination, ObjectType type,
                       absl::string_view caller) {
  const auto lane = lanes_.FindOrAdd(destination.name, type, caller);
  if (lane.is_new) {
    committer_->AddLane(lane.id, {.destination = destination.name,
                                  .type = type,
                                  .caller = std::string(caller)});
    lanes_.Publish(lane.id);
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

const Backlog& Engine::BacklogOf(const Destination& destination) const {
  return *Current().backlogs.find(destination.name)->second;
}

absl::Status Engine::Append(const Destination& destination, LaneId lane,
                            EncodedChunk chunk, Committer::AppendDone done,
                            SettledCallback on_settled,
                            Committer::AppendAlong along) {
  const Backlog& backlog = BacklogOf(destination);
  if (disk_.NearlyFull()) {
    return Refused(Refusal::kDiskNearlyFull, backlog.RetryAfter(),
                   "the server's disk is nearly full");
  }
  if (backlog.bytes() + chunk.text.size() > destination.max_queued_mib << 20) {
    return Refused(
        Refusal::kDestinationFull, backlog.RetryAfter(),
        absl::StrCat("destination \"", destination.name, "\" has ",
                     backlog.bytes() >> 20, " MiB waiting of at most ",
                     destination.max_queued_mib));
  }
  return committer_->Append(lane, std::move(chunk), std::move(done),
                            std::move(on_settled), std::move(along));
}

std::string Engine::ReceiptOf(LaneId lane, std::vector<SeqRange> items) const {
  return Receipt{
      .spool_id = spool_->id(), .lane = lane, .items = std::move(items)}
      .Encode();
}

void Engine::Receive(Committer::Notices notices) {
  {
    MutexLock lock(mutex_);
    notices_.push_back(std::move(notices));
  }
  transport_.Wake();
}

void Engine::Post(Command command) {
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    commands_.push_back(std::move(command));
  }
  transport_.Wake();
}

bool Engine::Ask(absl::FunctionRef<void(Dispatcher&, Now)> question) {
  struct Wait {
    Mutex mutex;
    CondVar changed;
    bool over = false;
    bool ran = false;
  };
  // Tells that the command is over: it ran, or it never will.
  struct Ticket {
    explicit Ticket(std::shared_ptr<Wait> wait_in) : wait(std::move(wait_in)) {}
    ~Ticket() {
      MutexLock lock(wait->mutex);
      wait->over = true;
      wait->changed.NotifyAll();
    }
    const std::shared_ptr<Wait> wait;
  };
  // Shared with the ticket, which may still be at the mutex when this returns.
  const auto wait = std::make_shared<Wait>();
  Post([question, ticket = std::make_unique<Ticket>(wait)](
           Dispatcher& dispatcher, Now now) mutable {
    question(dispatcher, now);
    ticket->wait->ran = true;
    ticket.reset();
  });
  MutexLock lock(wait->mutex);
  while (!wait->over) wait->changed.Wait(wait->mutex);
  return wait->ran;
}  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): the command owns it

absl::Status Engine::Apply(SpoolChange change) {
  struct Wait {
    Mutex mutex;
    CondVar changed;
    std::optional<absl::Status> result;
  };
  // Shared with the callback, which may still be at the mutex at the end.
  const auto wait = std::make_shared<Wait>();
  absl::Status queued =
      committer_->Change(std::move(change), [wait](const absl::Status& status) {
        MutexLock lock(wait->mutex);
        wait->result = status;
        wait->changed.NotifyAll();
      });
  if (!queued.ok()) return queued;
  MutexLock lock(wait->mutex);
  while (!wait->result.has_value()) wait->changed.Wait(wait->mutex);
  return *wait->result;
}

absl::Status Engine::Flush(absl::string_view destination,
                           SettledCallback done) {
  if (!destination.empty() && !Current().by_name.contains(destination)) {
    return absl::NotFoundError("no such destination");
  }
  // By the time that a later change is stored, the dispatcher has been notified
  // of every append whose caller was answered before.
  return committer_->Change(
      {}, [this, name = std::string(destination),
           done = std::move(done)](const absl::Status& status) mutable {
        if (!status.ok()) return;
        Post([name = std::move(name), done = std::move(done)](
                 Dispatcher& dispatcher, Now) mutable {
          dispatcher.Flush(name, std::move(done));
        });
      });
}

void Engine::RunDispatcher() {
  while (true) {
    std::vector<Committer::Notices> notices;
    std::vector<Command> commands;
    {
      MutexLock lock(mutex_);
      if (stopping_) return;
      notices = std::exchange(notices_, {});
      commands = std::exchange(commands_, {});
    }
    const Now now = clock_.Read();
    for (Committer::Notices& each : notices) {
      dispatcher_->OnNotices(std::move(each), now);
    }
    for (Command& command : commands) command(*dispatcher_, now);
    dispatcher_->SetDiskShort(disk_.Short());
    const Duration idle = dispatcher_->Step(now);
    const std::vector<HeapResponse> answers = transport_.Wait(idle);
    // Not as arguments of one call: it may read the clock before it waits, and
    // a slot of a limit would be free before its time.
    dispatcher_->OnResponses(answers, clock_.Read());
  }
}

bool Engine::Drain(Duration timeout) {
  // Shared with the callback, which may come after the wait is over.
  struct Wait {
    std::mutex mutex;
    std::condition_variable done;
    bool drained = false;
  };
  const auto wait = std::make_shared<Wait>();
  Post([wait](Dispatcher& dispatcher, Now) {
    dispatcher.Flush("", [wait](Settlement) {
      const std::lock_guard<std::mutex> lock(wait->mutex);
      wait->drained = true;
      wait->done.notify_all();
    });
  });
  std::unique_lock<std::mutex> lock(wait->mutex);
  return wait->done.wait_for(lock, timeout, [&] { return wait->drained; });
}

}  // namespace heapsync
