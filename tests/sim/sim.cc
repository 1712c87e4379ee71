#include "tests/sim/sim.h"

#include "mta/base/assert.h"
#include "mta/base/utf8.h"
#include "queue/change.h"
#include "queue/codec.h"
#include "queue/history.h"
#include "queue/keys.h"
#include "queue/ledger.h"
#include "queue/retry.h"

namespace rockdove::sim {
namespace {

constexpr std::string_view kRelayAddress = "10.0.0.1";
constexpr unsigned kWorldIndex = 63;
// Far more than any scenario needs: beyond it somebody runs in circles.
constexpr std::uint64_t kEventsMaxPerRun = 20'000'000;

base::IpAddress ip(std::string_view text) {
  const auto address = base::parse_ip_address(text);
  MTA_ASSERT(address.has_value());
  return *address;
}

base::SocketAddress relay_listener() {
  return {ip(kRelayAddress), 25};
}

}  // namespace

SimSettings default_settings() {
  SimSettings settings;
  daemon::RelaySettings& relay = settings.relay;
  relay.inbound.hostname = "relay.example";
  relay.inbound.postmaster = kPostmaster;
  relay.inbound.local.domains = {"relay.example"};
  inbound::ListenerSettings listener;
  listener.name = "lan";
  listener.addresses = {relay_listener()};
  listener.relay_from = {*base::parse_ip_network("10.0.0.0/8")};
  listener.rate = {};
  listener.connections = 1000;
  relay.inbound.listeners = {listener};
  relay.outbound.hostname = "relay.example";
  relay.queue.hostname = "relay.example";
  relay.queue.postmaster = kPostmaster;
  relay.queue.undo_time = 1h;
  relay.ourselves.names = {"relay.example"};
  relay.ourselves.listeners = {relay_listener()};
  return settings;
}

// One run of the process, from its start to its end.
struct Sim::Run {
  struct LoopWorld {
    LoopWorld(Sim& sim, unsigned index)
        : loop(sim.agenda_, sim.random_, index),
          network(sim.internet, loop, ip(kRelayAddress)),
          table(loop, base::Duration(1 + sim.random_.below(30))),
          resolver(loop, table),
          log(*sim.log_sink_, sim.settings_.is_verbose ? base::Level::Debug : base::Level::Info,
              base::LogFormat::Text, [&sim] { return sim.agenda_.wall(); }) {}

    SimLoop loop;
    SimNetwork network;
    tests::FakeResolver table;
    dns::CachingResolver resolver;
    base::Log log;
  };

  std::vector<std::unique_ptr<LoopWorld>> loops;
  std::unique_ptr<SimStore> store;
  std::unique_ptr<daemon::Relay> relay;
  std::vector<std::shared_ptr<admin::BulkAct>> acts;
};

void SimDns::add(Step step) {
  for (tests::FakeResolver* resolver : resolvers_) step(*resolver);
  steps_.push_back(std::move(step));
}

void SimDns::mx(const std::string& name, std::uint16_t preference, const std::string& exchange) {
  add([=](tests::FakeResolver& table) { table.mx(name, preference, exchange); });
}

void SimDns::address(const std::string& name, const std::string& text) {
  add([=](tests::FakeResolver& table) { table.address(name, text); });
}

void SimDns::fails(const std::string& name, dns::RecordType type, dns::Status status) {
  add([=](tests::FakeResolver& table) { table.fails(name, type, status); });
}

void SimDns::forget(const std::string& name) {
  add([=](tests::FakeResolver& table) { table.forget(name); });
}

void SimDns::set_ttl(base::Duration ttl) {
  add([=](tests::FakeResolver& table) { table.set_ttl(ttl); });
}

Sim::Sim(std::uint64_t seed, SimSettings settings)
    : random_(seed),
      settings_(std::move(settings)),
      internet(agenda_, random_),
      truth(agenda_, internet, disk_),
      seed_(seed),
      world_(agenda_, random_, kWorldIndex) {
  base::Result<std::unique_ptr<base::LogSink>> sink =
      base::LogSink::open(settings_.is_verbose ? "stderr" : "/dev/null");
  MTA_ASSERT(sink.is_ok());
  log_sink_ = std::move(*sink);
  client_options_.hostname = "client.example";
  truth.set_lifetime(settings_.relay.queue.lifetime);
  truth.set_quarantine(settings_.relay.queue.quarantine);
  truth.set_postmaster(std::string(kPostmaster));
  start();
}

Sim::~Sim() {
  kill();
  world_.stop();
  internet.vanish(world_, Internet::Which::Taken);
  internet.vanish(world_, Internet::Which::Made);
}

void Sim::start() {
  ++runs_;
  disk_.free_space();  // on a full disk it would not start
  run_ = std::make_unique<Run>();
  run_->store =
      std::make_unique<SimStore>(agenda_, random_, disk_, settings_.store,
                                 [this](const queue::Change& change) { truth.applied(change); });
  std::vector<daemon::LoopParts> parts;
  for (unsigned index = 0; index < settings_.loops; ++index) {
    run_->loops.push_back(std::make_unique<Run::LoopWorld>(*this, index));
    Run::LoopWorld& world = *run_->loops.back();
    for (const SimDns::Step& step : dns.steps_) step(world.table);
    dns.resolvers_.push_back(&world.table);
    parts.push_back({world.loop, world.network, world.resolver, world.log});
  }
  run_->relay = std::make_unique<daemon::Relay>(settings_.relay, *run_->store, parts,
                                                run_->store->highest_id(), seed_ * 1000 + runs_,
                                                agenda_.now());
  truth.clock_doubtful();
  std::vector<Internet::Door> doors;
  for (unsigned index = 0; index < settings_.loops; ++index) {
    SimLoop& loop = run_->loops[index]->loop;
    loop.at(now().instant, [this, index] { run_->relay->find_queues(index); });
    doors.push_back({&loop, [this, index](const net::ConnectionInfo& info) {
                       return run_->relay->accept(index, 0, info);
                     }});
  }
  internet.listen(relay_listener(), std::move(doors));
  run_->store->on_reopened([this] {
    for (unsigned index = 0; index < settings_.loops; ++index) {
      run_->loops[index]->loop.post([this, index] { run_->relay->find_queues(index); });
    }
  });
}

// In this order: nothing runs any more, then what refers to the relay goes, then the relay, then
// what it referred to.
void Sim::kill() {
  if (run_ == nullptr) return;
  internet.close(relay_listener());
  dns.resolvers_.clear();
  run_->store->crash();
  for (const auto& world : run_->loops) world->loop.stop();
  for (const auto& world : run_->loops) internet.vanish(world->loop, Internet::Which::Taken);
  run_->acts.clear();
  run_->relay.reset();
  for (const auto& world : run_->loops) internet.vanish(world->loop, Internet::Which::Made);
  truth.crashed();
  run_.reset();
}

void Sim::crash_and_restart(base::Duration down) {
  kill();
  truth.check_disk();
  truth.check_history(tests::MemoryRows(disk_));
  run_for(down);
  start();
}

RemoteServer& Sim::remote_server(const std::string& name,
                                 const std::vector<std::string>& addresses) {
  auto made = std::make_unique<RemoteServer>(internet, world_, truth, name);
  RemoteServer& server = *made;
  remotes_[name] = std::move(made);
  for (const std::string& address : addresses) {
    dns.address(name, address);
    internet.listen({ip(address), 25},
                    {{&world_, [&server](const net::ConnectionInfo&) { return server.accept(); }}});
  }
  return server;
}

Submission& Sim::submit(std::string sender, std::vector<std::string> recipients,
                        std::string_view body) {
  Submission& submission = truth.submission(std::move(sender), std::move(recipients), body);
  submit(std::deque<Submission*>{&submission});
  return submission;
}

void Sim::submit(std::deque<Submission*> messages, const std::string& client) {
  auto protocol = std::make_unique<SimClient>(truth, client_options_, std::move(messages));
  internet.connect(world_, ip(client), {relay_listener(), std::nullopt, 30s}, std::move(protocol));
}

Submission& Sim::plant(queue::Message message, std::vector<queue::Delivery> deliveries,
                       std::string_view body) {
  kill();
  disk_.free_space();
  truth.check_disk();
  std::vector<std::string> recipients;
  for (queue::Delivery& delivery : deliveries) {
    delivery.number = static_cast<std::uint32_t>(recipients.size() + 1);
    delivery.destination = delivery.recipient.substr(delivery.recipient.find('@') + 1);
    delivery.due = now().wall;
    recipients.push_back(delivery.recipient);
  }
  Submission& submission = truth.submission(message.sender, std::move(recipients), body);
  tests::MemoryRows rows(disk_);
  queue::Ledger ledger(rows);
  MTA_ASSERT(ledger.open().is_ok());
  base::IdGenerator ids(0, ledger.highest_id());
  message.id = ids.next(now().wall);
  message.client = {ip("10.0.1.1"), "client.example", "lan", message.client.user};
  message.accepted = now().wall;
  const std::size_t header_octets = submission.content.find("\r\n\r\n") + 4;
  message.header_block = "Received: planted\r\n" + submission.content.substr(0, header_octets);
  message.body = std::make_shared<const std::string>(submission.content.substr(header_octets));
  message.body_octets = message.body->size();
  message.eight_bit = !base::is_ascii(*message.body);
  message.body_chunks = queue::body_chunks_of(message.body_octets);
  message.recipients = static_cast<std::uint32_t>(deliveries.size());
  const queue::Change change = queue::accepted(message, deliveries);
  const std::vector<const queue::Change*> changes{&change};
  MTA_ASSERT(ledger.apply(changes).is_ok());
  truth.applied(change);
  truth.accepted(submission, message.id);
  run_for(1s);
  start();
  return submission;
}

void Sim::run_until(base::Instant end) {
  while (failures().empty() && agenda_.next() <= end) {
    agenda_.run_next();
    if (agenda_.events_run() > kEventsMaxPerRun) agenda_.fail("there is no end to what happens");
  }
  if (failures().empty()) agenda_.advance_to(end);
}

bool Sim::run_until_quiet(base::Duration limit) {
  const base::Instant end = now().instant + limit;
  while (failures().empty() && now().instant < end) {
    run_for(1min);
    if (is_queue_empty() && internet.connections() == 0 && run_->store->is_quiet()) return true;
  }
  return false;
}

void Sim::move_wall_clock(base::Duration by) {
  agenda_.move_wall(by);
  if (by >= queue::ClockWatch::kJump || -by >= queue::ClockWatch::kJump) truth.clock_doubtful();
}

void Sim::fill_disk() {
  run_->store->fail_next_group();
}

std::shared_ptr<admin::BulkAct> Sim::make_act(const queue::Order& order, Told done) {
  run_->acts.push_back(std::make_shared<admin::BulkAct>(
      admin::BulkAct::Services{run_->loops[0]->loop, *run_->store, *run_->relay}, order,
      std::move(done), [](const std::optional<base::Error>&) {}));
  return run_->acts.back();
}

void Sim::act(const queue::Order& order, std::vector<queue::DeliveryId> ids, Told done) {
  run_->loops[0]->loop.at(now().instant, [act = make_act(order, std::move(done)),
                                          ids = std::move(ids)] { act->start(ids); });
}

void Sim::act(const queue::Order& order, const queue::QueueFilter& filter, Told done) {
  run_->loops[0]->loop.at(now().instant,
                          [act = make_act(order, std::move(done)), filter] { act->start(filter); });
}

void Sim::pause(queue::Pause pause) {
  pause.since = now().wall;
  pause.by = "the test";
  run_->loops[0]->loop.at(now().instant, [this, pause = std::move(pause)] {
    run_->relay->pause(pause, [](const base::Result<void>&) {});
  });
}

void Sim::resume(queue::PauseKind kind, const std::string& pattern) {
  run_->loops[0]->loop.at(now().instant, [this, kind, pattern] {
    run_->relay->resume(kind, pattern, "the test",
                        [](const base::Result<std::optional<queue::Pause>>&) {});
  });
}

void Sim::end_pauses() {
  for (const queue::Pause& pause : run_->relay->pauses()) resume(pause.kind, pause.pattern);
}

void Sim::free_disk() {
  disk_.free_space();
  if (run_ != nullptr) run_->store->fail_no_more();
}

std::optional<queue::Delivery> Sim::delivery(queue::MessageId id,
                                             std::string_view recipient) const {
  for (const auto& [key, value] : disk_.rows(queue::Family::Deliveries)) {
    const queue::DeliveryId delivery_id = *queue::parse_delivery_key(key);
    if (delivery_id.message != id || delivery_id.number == 0) continue;
    const base::Result<queue::Delivery> found = queue::decode_delivery(delivery_id, value);
    if (found && found->recipient == recipient) return *found;
  }
  return std::nullopt;
}

std::vector<queue::DeliveryId> Sim::waiting() const {
  std::vector<queue::DeliveryId> ids;
  for (const auto& [key, value] : disk_.rows(queue::Family::Deliveries)) {
    const queue::DeliveryId id = *queue::parse_delivery_key(key);
    if (id.number != 0) ids.push_back(id);
  }
  return ids;
}

std::vector<queue::HistoryStep> Sim::steps(queue::MessageId id) {
  queue::Damaged damaged;
  const tests::MemoryRows rows(disk_);
  const auto traced = queue::read_traced(*rows.view(), id, queue::Depth::Steps, damaged);
  MTA_ASSERT(traced.is_ok() && damaged.empty());
  if (!traced->has_value() || (*traced)->deliveries.empty()) return {};
  return (*traced)->deliveries.front().steps;
}

std::string Sim::describe(queue::DeliveryId id) const {
  const auto& rows = disk_.rows(queue::Family::Deliveries);
  const auto row = rows.find(queue::delivery_key(id));
  if (row == rows.end()) return base::format_id(id) + ": no longer there";
  const base::Result<queue::Delivery> found = queue::decode_delivery(id, row->second);
  if (!found) return found.error().text();
  return base::format_id(id) + " to " + found->recipient + " in " + found->destination + ", due " +
         base::format_timestamp(found->due) + ", " + std::to_string(found->attempts) +
         " attempts, " + (found->state == queue::DeliveryState::Waiting ? "" : "on hold, ") +
         "failed \"" + found->final_status + "\", last: " + found->last.reply;
}

void Sim::check_invariants() {
  truth.check_disk();
}

void Sim::check_quiet() {
  truth.check_end();
  truth.check_end_of_history(tests::MemoryRows(disk_));
  if (run_->relay->inbound_connections() != 0)
    agenda_.fail("inbound connections are still counted");
  if (run_->relay->memory_used() != 0) {
    agenda_.fail(std::to_string(run_->relay->memory_used()) +
                 " octets of memory are still counted");
  }
  for (unsigned index = 0; index < settings_.loops; ++index) {
    if (!run_->relay->is_drained(index)) agenda_.fail("a session is left though all is quiet");
    if (internet.ends_at(run_->loops[index]->loop) != 0) {
      agenda_.fail("a connection is left though all is quiet");
    }
  }
}

void Sim::reload(daemon::RelaySettings relay) {
  relay.outbound.generation = ++generation_;
  settings_.relay = std::move(relay);
  const auto prepared = daemon::prepare(settings_.relay);
  for (unsigned index = 0; index < settings_.loops; ++index) {
    run_->loops[index]->loop.post([this, index, prepared] { run_->relay->use(index, prepared); });
  }
}

daemon::Relay& Sim::relay() {
  return *run_->relay;
}

SimStore& Sim::store() {
  return *run_->store;
}

}  // namespace rockdove::sim
