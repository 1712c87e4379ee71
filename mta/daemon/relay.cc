#include "mta/daemon/relay.h"

#include <algorithm>
#include <utility>

#include "mta/base/counters.h"
#include "mta/base/text.h"
#include "mta/daemon/activity_report.h"
#include "mta/daemon/forecaster.h"
#include "mta/daemon/learned_report.h"
#include "mta/daemon/route_report.h"
#include "mta/daemon/why_report.h"
#include "mta/inbound/access.h"
#include "mta/net/proxied.h"
#include "mta/outbound/dispatcher.h"
#include "mta/outbound/target.h"
#include "mta/outbound/verifier.h"
#include "queue/change.h"
#include "queue/learned.h"

namespace rockdove::daemon {
namespace {

constexpr base::Duration kReadAgain = std::chrono::seconds(2);

}  // namespace

std::shared_ptr<const PreparedSettings> prepare(RelaySettings settings) {
  auto prepared = std::make_shared<PreparedSettings>();
  const auto inbound = std::make_shared<const inbound::InboundSettings>(settings.inbound);
  for (std::size_t number = 0; number < inbound->listeners.size(); ++number)
    prepared->listeners.push_back(inbound::make_listener_context(inbound, number));
  prepared->submission = inbound::make_submission_context(inbound);
  prepared->settings = std::move(settings);
  return prepared;
}

// What belongs to one loop. Members are in the order in which they need each other.
struct Relay::Shard {
  Shard(Relay& relay, const LoopParts& parts, std::shared_ptr<const PreparedSettings> prepared,
        queue::MessageId highest, std::uint64_t seed, base::Now start);

  std::shared_ptr<const PreparedSettings> current;
  // Of `current`, at addresses that stay when it is replaced.
  outbound::OutboundSettings outbound;
  queue::QueueSettings queue;
  outbound::Ourselves ourselves;
  dns::HostsFile hosts_file;

  base::IdGenerator ids;
  base::Random random;
  queue::ClockWatch clocks;
  outbound::Environment environment;
  outbound::Dispatcher dispatcher;
  std::unique_ptr<smtp::RecipientProbe> verifier;
  inbound::Reception reception;
};

Relay::Shard::Shard(Relay& relay, const LoopParts& parts,
                    std::shared_ptr<const PreparedSettings> prepared, queue::MessageId highest,
                    std::uint64_t seed, base::Now start)
    : current(std::move(prepared)),
      outbound(current->settings.outbound),
      queue(current->settings.queue),
      ourselves(current->settings.ourselves),
      hosts_file(current->settings.hosts_file),
      ids(parts.loop.index(), highest),
      random(seed + parts.loop.index()),
      clocks(start),
      environment{parts.loop,
                  parts.network,
                  parts.resolver,
                  relay.store_,
                  outbound,
                  queue,
                  ourselves,
                  hosts_file,
                  relay.connection_budget_,
                  relay.memory_,
                  parts.log,
                  ids,
                  random,
                  clocks,
                  [this](std::string_view address) {
                    return inbound::expand_address(current->settings.inbound, address);
                  },
                  relay.dispatchers_,
                  relay.loops_,
                  relay.senders_},
      dispatcher(environment),
      verifier(outbound::make_verifier(environment)),
      reception{parts.loop,
                relay.store_,
                relay.memory_,
                relay.clients_,
                relay.inbound_connections_,
                parts.log,
                ids,
                *verifier,
                [this](const inbound::HandedIn& mail) {
                  return outbound::destination_of(
                      outbound,
                      {mail.recipient, mail.sender, mail.listener, mail.client, mail.user});
                },
                [this](queue::MessagePointer message, std::vector<queue::Delivery> deliveries) {
                  dispatcher.hand_in(message, std::move(deliveries));
                },
                relay.held_clients_} {
  reception.greeting_pause = current->settings.greeting_pause;
  reception.client_policy = current->settings.inbound.clients;
  parts.log.when_lines_wait(
      [&loop = parts.loop, &log = parts.log] { loop.at_turn_end([&log] { log.flush(); }); });
}

Relay::Relay(RelaySettings settings, queue::Store& store, std::vector<LoopParts> loops,
             queue::MessageId highest, std::uint64_t seed, base::Now start)
    : store_(store), connection_budget_(settings.connections_out), memory_(settings.queue.memory) {
  MTA_ASSERT(!loops.empty() && loops.size() <= base::kLoopsMax);
  senders_.use(settings.queue, start);
  const std::shared_ptr<const PreparedSettings> prepared = prepare(std::move(settings));
  for (const LoopParts& parts : loops) {
    MTA_ASSERT(parts.loop.index() == loops_.size());
    loops_.push_back(&parts.loop);
  }
  for (const LoopParts& parts : loops) {
    shards_.push_back(std::make_unique<Shard>(*this, parts, prepared, highest, seed, start));
    dispatchers_.push_back(&shards_.back()->dispatcher);
  }
  pauses_ = std::make_unique<PauseKeeper>(
      *loops_.front(), store_, loops.front().log,
      [this](const std::shared_ptr<const queue::Pauses>& pauses) { use_pauses(pauses); },
      [this](const queue::Pause& pause, base::UniqueFunction<void(bool)> done) {
        release_held(pause, std::move(done));
      });
  read_again_ = loops_.front()->make_timer([this] { read_learned(); });
  locator_ = std::make_unique<Locator>(shards_.front()->environment);
  forecaster_ = std::make_unique<Forecaster>(shards_.front()->environment);
  collector_ = std::make_unique<ActivityCollector>(shards_.front()->environment);
}

Relay::~Relay() = default;

void Relay::hold_clients(std::unordered_set<base::IpAddress> clients) {
  held_clients_ = std::move(clients);
}

void Relay::use_authenticator(inbound::Authenticator& authenticator) {
  for (const auto& shard : shards_) shard->reception.authenticator = &authenticator;
}

void Relay::use_workers(base::Workers& workers) {
  for (const std::unique_ptr<Shard>& shard : shards_) {
    shard->reception.workers = &workers;
    shard->reception.resolver = &shard->environment.resolver;
    shard->reception.random = &shard->random;
  }
}

void Relay::use_user_names(std::function<std::string(std::uint32_t user)> name_of_user) {
  for (const auto& shard : shards_) shard->reception.name_of_user = name_of_user;
}

void Relay::find_queues(unsigned loop) {
  if (loop == 0) read_learned();
  shards_[loop]->dispatcher.find_queues();
}

// Before the pauses, without which nothing is sent: so no account begins faster than it should.
void Relay::read_learned() {
  if (is_learned_known_) return pauses_->start();
  if (std::exchange(is_learned_read_, true)) return;
  read_learned(0);
}

void Relay::read_learned(std::size_t kind) {
  const auto kinds = queue::learned_notes();
  if (kind == kinds.size()) {
    is_learned_known_ = true;
    return pauses_->start();
  }
  store_.read_notes(
      *loops_.front(), std::string(kinds.at(kind)),
      [this, kind, name = kinds.at(kind)](base::Result<std::vector<queue::NotedRow>> rows) {
        if (!rows) {
          shards_.front()
              ->environment.log
              .line(base::Level::Error,
                    "what was learned of limits cannot be read, nothing is sent")
              .field("error", rows.error().text());
          is_learned_read_ = false;
          return read_again_->set(loops_.front()->now().instant + kReadAgain);
        }
        restore_learned(name, std::move(*rows));
        read_learned(kind + 1);
      });
}

void Relay::restore_learned(std::string_view kind, std::vector<queue::NotedRow> rows) {
  if (kind == queue::kSenderNotes) return restore_senders(rows);
  const auto loops = static_cast<unsigned>(loops_.size());
  std::vector<std::vector<queue::NotedRow>> by_loop(loops);
  for (queue::NotedRow& row : rows)
    by_loop[outbound::owner_loop(queue::account_of_limits(row.name), loops)].push_back(
        std::move(row));
  for (unsigned loop = 0; loop < loops; ++loop) {
    if (by_loop[loop].empty()) continue;
    // The pauses come behind it, by the same way.
    loops_[loop]->post([dispatcher = dispatchers_[loop], kind, theirs = std::move(by_loop[loop])] {
      for (const queue::NotedRow& row : theirs)
        dispatcher->restore_learned(kind, row.name, row.value);
    });
  }
}

void Relay::restore_senders(const std::vector<queue::NotedRow>& rows) {
  const outbound::Environment& env = shards_.front()->environment;
  for (const queue::NotedRow& row : rows) {
    base::Result<traffic::LimiterState> state = queue::decode_limiter(row.value);
    if (state && !queue::is_over(*state, env.now().wall)) {
      senders_.restore(row.name, *std::move(state));
      continue;
    }
    if (!state)
      env.log
          .line(base::Level::Warning,
                "what a sender has sent before the start cannot be read: his rates over an hour "
                "and more begin anew")
          .field("sender", row.name);
    store_.commit(env.loop, queue::noted(queue::kSenderNotes, row.name, ""),
                  [](const base::Result<void>&) {});
  }
}

std::unique_ptr<net::Protocol> Relay::accept(unsigned loop, std::size_t listener,
                                             const net::ConnectionInfo& info) {
  Shard& shard = *shards_[loop];
  std::shared_ptr<const inbound::ListenerContext> context = shard.current->listeners.at(listener);
  const std::vector<base::IpNetwork>& proxies = context->settings->proxy_from;
  const bool is_proxied = std::any_of(
      proxies.begin(), proxies.end(),
      [&info](const base::IpNetwork& network) { return network.contains(info.peer.ip); });
  if (!is_proxied) return inbound::make_receiver(shard.reception, std::move(context), info);
  net::ProxiedHandlers handlers;
  handlers.refused = [&shard, context, proxy = info.peer.ip](std::string_view why) {
    base::count(base::Counter::ProxyErrors);
    shard.reception.log.line(base::Level::Info, "rejected")
        .field("what", "proxy")
        .field("client", base::format_ip_address(proxy))
        .field("listener", context->settings->name)
        .field("reason", why);
  };
  handlers.make = [&shard, context](const net::ConnectionInfo& client) {
    return inbound::make_receiver(shard.reception, context, client);
  };
  return net::make_proxied(std::move(handlers));
}

std::unique_ptr<net::Protocol> Relay::accept_local(unsigned loop, const net::ConnectionInfo& info) {
  if (!info.credentials) return nullptr;  // the kernel did not say who it is
  Shard& shard = *shards_[loop];
  return inbound::make_receiver(shard.reception, shard.current->submission, info);
}

std::unique_ptr<inbound::Submission> Relay::submit(unsigned loop, inbound::SubmittedFile file,
                                                   inbound::Submission::Handlers handlers) {
  Shard& shard = *shards_[loop];
  return std::make_unique<inbound::Submission>(shard.reception, shard.current->submission,
                                               std::move(file), std::move(handlers));
}

void Relay::use(unsigned loop, std::shared_ptr<const PreparedSettings> settings) {
  Shard& shard = *shards_[loop];
  shard.current = std::move(settings);
  const RelaySettings& now = shard.current->settings;
  shard.outbound = now.outbound;
  shard.queue = now.queue;
  shard.ourselves = now.ourselves;
  shard.hosts_file = now.hosts_file;
  shard.reception.greeting_pause = now.greeting_pause;
  shard.reception.client_policy = now.inbound.clients;
  shard.dispatcher.settings_replaced();
  shard.verifier->forget_answers();
  senders_.use(now.queue, loops_[loop]->now());
  if (loop != 0) return;  // these are everybody's
  connection_budget_.change(now.connections_out);
  memory_.change(now.queue.memory);
}

void Relay::use_clients(policy::ClientPolicyPointer clients) {
  for (std::size_t loop = 0; loop < loops_.size(); ++loop) {
    loops_[loop]->post([&in_use = shards_[loop]->reception.client_policy, clients] {
      if (in_use != nullptr && in_use->generation == clients->generation) in_use = clients;
    });
  }
}

void Relay::use_absent(const std::shared_ptr<const outbound::AbsentAddresses>& absent) {
  for (std::size_t loop = 0; loop < loops_.size(); ++loop) {
    loops_[loop]->post(
        [dispatcher = dispatchers_[loop], absent] { dispatcher->use_absent(absent); });
  }
}

void Relay::stop(unsigned loop) {
  shards_[loop]->reception.stopping = true;
  if (loop == 0) {
    for (const queue::SenderLimits::Keep& last : senders_.stop(loops_.front()->now()))
      store_.commit(*loops_.front(),
                    queue::noted(queue::kSenderNotes, last.name,
                                 last.state ? queue::encode_limiter(*last.state) : ""),
                    [](const base::Result<void>&) {});
  }
  shards_[loop]->dispatcher.stop();
}

bool Relay::is_drained(unsigned loop) const {
  return shards_[loop]->dispatcher.is_drained();
}

void Relay::act(std::shared_ptr<const queue::Order> order, std::vector<queue::Selected> targets,
                admin::QueueActs::Done done) {
  struct Gathering {
    std::size_t open;
    queue::ActAnswer answer;
    admin::QueueActs::Done done;
  };

  std::map<unsigned, std::vector<queue::Selected>> by_home;
  for (queue::Selected& target : targets) {
    by_home[queue::home_loop(target.queue.destination, static_cast<unsigned>(loops_.size()))]
        .push_back(std::move(target));
  }
  base::Loop& asker = *loops_.front();
  if (by_home.empty()) return asker.post([done = std::move(done)]() mutable { done({}); });
  auto gathering = std::shared_ptr<Gathering>(new Gathering{by_home.size(), {}, std::move(done)});
  for (auto& [home, theirs] : by_home) {
    loops_[home]->post(
        [this, home = home, order, theirs = std::move(theirs), gathering, &asker]() mutable {
          dispatchers_[home]->steer(order, std::move(theirs),
                                    [gathering, &asker](queue::ActAnswer answer) {
                                      asker.post([gathering, answer = std::move(answer)]() mutable {
                                        gathering->answer.add(std::move(answer));
                                        if (--gathering->open == 0)
                                          gathering->done(std::move(gathering->answer));
                                      });
                                    });
        });
  }
}

base::Result<std::string> Relay::check_target(std::string_view text) const {
  constexpr std::string_view kRoutes = "routes";
  constexpr std::string_view kRoute = "route:";
  if (text == kRoutes) return std::string();
  if (text.starts_with(kRoute)) {
    const std::vector<outbound::Route>& routes = shards_.front()->outbound.routes;
    const bool is_there = std::any_of(
        routes.begin(), routes.end(),
        [name = text.substr(kRoute.size())](const auto& route) { return route.name == name; });
    if (is_there) return std::string(text);
    return base::Error("there is no route \"" + base::printable(text.substr(kRoute.size()), 80) +
                       "\"");
  }
  const base::Result<outbound::Target> target = outbound::parse_targets(text);
  if (!target) {
    return base::Error(target.error().text() +
                       "; or \"route:NAME\" of a route that there is, or "
                       "\"routes\" to go by the routes again");
  }
  return outbound::format_target(*target);
}

void Relay::restored(const std::vector<queue::Delivery>& deliveries) {
  std::map<queue::QueueName, base::WallTime> earliest;
  for (const queue::Delivery& delivery : deliveries) {
    if (delivery.state != queue::DeliveryState::Waiting) continue;
    const auto found = earliest.emplace(queue::queue_of(delivery), delivery.due).first;
    found->second = std::min(found->second, delivery.due);
  }
  for (const auto& [queue, due] : earliest) {
    const unsigned home = queue::home_loop(queue.destination, static_cast<unsigned>(loops_.size()));
    loops_[home]->post([dispatcher = dispatchers_[home], queue = queue, due = due] {
      dispatcher->found_row(queue, due);
    });
  }
}

bool Relay::is_busy() const {
  return inbound_connections() > 0 || outbound_connections() > 0;
}

void Relay::pause(queue::Pause pause, base::UniqueFunction<void(base::Result<void>)> done) {
  pauses_->pause(std::move(pause), std::move(done));
}

void Relay::resume(queue::PauseKind kind, std::string pattern, std::string by,
                   base::UniqueFunction<void(base::Result<std::optional<queue::Pause>>)> done) {
  pauses_->resume(kind, pattern, by, std::move(done));
}

void Relay::use_pauses(const std::shared_ptr<const queue::Pauses>& pauses) {
  for (std::size_t loop = 0; loop < loops_.size(); ++loop) {
    loops_[loop]->post(
        [dispatcher = dispatchers_[loop], pauses] { dispatcher->use_pauses(pauses); });
  }
}

void Relay::release_held(const queue::Pause& pause, base::UniqueFunction<void(bool)> done) {
  queue::QueueFilter filter;
  filter.state = queue::DeliveryState::Held;
  filter.reason = queue::hold_reason_of(pause);
  (pause.kind == queue::PauseKind::Campaign ? filter.campaign : filter.user) = pause.pattern;
  const std::string name = queue::pause_name(pause);
  auto is_whole = std::make_shared<bool>(true);
  std::shared_ptr<admin::BulkAct>& bulk = releasing_[name];
  bulk = std::make_shared<admin::BulkAct>(
      admin::BulkAct::Services{*loops_.front(), store_, *this},
      queue::Order{queue::Act::Release, "", "", pause.by},
      [is_whole](const queue::ActAnswer& answer) {
        if (answer.error || answer.count(queue::ActOutcome::BeingSent) > 0) *is_whole = false;
      },
      [this, name, is_whole,
       done = std::move(done)](const std::optional<base::Error>& error) mutable {
        // Not within its own call.
        loops_.front()->post(
            [this, name, whole = *is_whole && !error, done = std::move(done)]() mutable {
              releasing_.erase(name);
              done(whole);
            });
      });
  bulk->start(filter);
}

admin::WhySettings Relay::why_settings() const {
  const RelaySettings& settings = shards_.front()->current->settings;
  admin::WhySettings told{settings.queue, settings.connections_out, {}};
  if (settings.outbound.traffic == nullptr) return told;
  for (const traffic::Provider& provider : settings.outbound.traffic->providers())
    told.providers.push_back(provider.name);
  return told;
}

void Relay::locate(const queue::Message& message, const queue::Delivery& delivery,
                   admin::QueueExplainer::Done done) {
  locator_->locate(queue::queue_of(delivery), {message.id, delivery.number}, message.client.user,
                   message.campaign, std::move(done));
}

void Relay::forecast(std::vector<admin::Waiting> waiting,
                     admin::QueueExplainer::ForecastDone done) {
  forecaster_->forecast(std::move(waiting), std::move(done));
}

void Relay::paces(admin::RouteExplainer::PacesDone done) {
  collect_paces(shards_.front()->environment, std::move(done));
}

void Relay::recent(admin::ActivitySource::Done done) {
  collector_->collect(std::move(done));
}

void Relay::explain(std::string address, admin::RouteExplainer::Done done) {
  const Shard& first = *shards_.front();
  explain_route(first.environment, first.current->settings.inbound, std::move(address),
                std::move(done));
}

}  // namespace rockdove::daemon
