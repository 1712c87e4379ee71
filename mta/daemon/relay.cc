#include "mta/daemon/relay.h"

#include <algorithm>
#include <utility>

#include "mta/base/counters.h"
#include "mta/daemon/route_report.h"
#include "mta/inbound/access.h"
#include "mta/net/proxied.h"
#include "mta/outbound/dispatcher.h"
#include "mta/outbound/verifier.h"

namespace rockdove::daemon {

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
                  relay.loops_},
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
  parts.log.when_lines_wait(
      [&loop = parts.loop, &log = parts.log] { loop.at_turn_end([&log] { log.flush(); }); });
}

Relay::Relay(RelaySettings settings, queue::Store& store, std::vector<LoopParts> loops,
             queue::MessageId highest, std::uint64_t seed, base::Now start)
    : store_(store), connection_budget_(settings.connections_out), memory_(settings.queue.memory) {
  MTA_ASSERT(!loops.empty() && loops.size() <= base::kLoopsMax);
  const std::shared_ptr<const PreparedSettings> prepared = prepare(std::move(settings));
  for (const LoopParts& parts : loops) {
    MTA_ASSERT(parts.loop.index() == loops_.size());
    loops_.push_back(&parts.loop);
  }
  for (const LoopParts& parts : loops) {
    shards_.push_back(std::make_unique<Shard>(*this, parts, prepared, highest, seed, start));
    dispatchers_.push_back(&shards_.back()->dispatcher);
  }
}

Relay::~Relay() = default;

void Relay::hold_clients(std::unordered_set<base::IpAddress> clients) {
  held_clients_ = std::move(clients);
}

void Relay::use_authenticator(inbound::Authenticator& authenticator) {
  for (const auto& shard : shards_) shard->reception.authenticator = &authenticator;
}

void Relay::use_user_names(std::function<std::string(std::uint32_t user)> name_of_user) {
  for (const auto& shard : shards_) shard->reception.name_of_user = name_of_user;
}

void Relay::find_queues(unsigned loop) {
  shards_[loop]->dispatcher.find_queues();
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
  shard.dispatcher.settings_replaced();
  shard.verifier->forget_answers();
  if (loop != 0) return;  // these are everybody's
  connection_budget_.change(now.connections_out);
  memory_.change(now.queue.memory);
}

void Relay::stop(unsigned loop) {
  shards_[loop]->reception.stopping = true;
  shards_[loop]->dispatcher.stop();
}

bool Relay::is_drained(unsigned loop) const {
  return shards_[loop]->dispatcher.is_drained();
}

void Relay::act(admin::Act act, base::DeliveryId id, admin::QueueActs::Done done) {
  base::Loop& loop = *loops_.front();
  store_.view(
      loop, id.message,
      [this, act, id, done = std::move(done)](base::Result<queue::MessageView> view) mutable {
        if (!view) return done(view.error());
        const auto row = std::find_if(
            view->deliveries.begin(), view->deliveries.end(),
            [id](const queue::Delivery& delivery) { return delivery.number == id.number; });
        if (row == view->deliveries.end()) return done(admin::ActOutcome::NotFound);
        const queue::QueueName queue = queue::queue_of(*row);
        const unsigned home =
            queue::home_loop(queue.destination, static_cast<unsigned>(loops_.size()));
        loops_[home]->post([this, home, act, queue, id, done = std::move(done)]() mutable {
          const auto what =
              act == admin::Act::Retry ? outbound::Home::Act::Retry : outbound::Home::Act::Delete;
          dispatchers_[home]->act(
              what, queue, id,
              [this, done = std::move(done)](outbound::Home::ActOutcome outcome) mutable {
                loops_.front()->post([outcome, done = std::move(done)]() mutable {
                  switch (outcome) {
                    case outbound::Home::ActOutcome::Done:
                      return done(admin::ActOutcome::Done);
                    case outbound::Home::ActOutcome::BeingSent:
                      return done(admin::ActOutcome::BeingSent);
                    case outbound::Home::ActOutcome::Gone:
                      return done(admin::ActOutcome::NotFound);
                  }
                });
              });
        });
      });
}

void Relay::explain(std::string address, admin::RouteExplainer::Done done) {
  const Shard& first = *shards_.front();
  explain_route(first.environment, first.current->settings.inbound, std::move(address),
                std::move(done));
}

}  // namespace rockdove::daemon
