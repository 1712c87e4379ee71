#include "tests/sim/scenario.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "queue/quarantine.h"

namespace rockdove::sim {
namespace {

constexpr std::string_view kOddDomains[] = {"null.example", "nx.example",    "servfail.example",
                                            "loop.example", "smart.example", "discard.example"};
// Everything that is wanted is healthy: the longest wait between two attempts, its jitter, two more
// attempts, and an hour for the last report.
constexpr base::Duration kDrainMax = std::chrono::hours(24);

void add_routes(SimSettings& settings, base::Random& random) {
  outbound::Route smart;
  smart.name = "smart";
  smart.recipient = "*@smart.example";
  outbound::ToHosts hosts;
  hosts.hosts = {{"smart1.example", 25}};
  if (random.below(2) == 0) hosts.hosts.push_back({"smart2.example", 25});
  hosts.order =
      random.below(2) == 0 ? outbound::ToHosts::Order::First : outbound::ToHosts::Order::Share;
  smart.target = hosts;
  outbound::Route discard;
  discard.name = "discard";
  discard.recipient = "*@discard.example";
  discard.target = outbound::ToDiscard{};
  settings.relay.outbound.routes = {smart, discard};
}

}  // namespace

SimSettings Scenario::draw_settings(base::Random& random, Trace trace) {
  SimSettings settings = default_settings();
  settings.is_verbose = trace == Trace::On;
  settings.loops = static_cast<unsigned>(1 + random.below(3));
  settings.relay.connections_out =
      static_cast<std::uint32_t>(random.below(3) == 0 ? 1 + random.below(3) : 50);
  queue::QueueSettings& queue = settings.relay.queue;
  if (random.below(2) == 0) queue.retry = {1min, 2min, 5min, 20min};
  if (random.below(4) == 0) queue.lifetime = 2h;
  queue.undo_time = std::chrono::minutes(1 + random.below(300));
  queue.quarantine = std::chrono::minutes(1 + random.below(300));
  if (random.below(4) == 0) queue.bounce_returned = 2'000;
  if (random.below(4) == 0) queue.bounce_returned = 2'000'000;
  constexpr base::Duration kDelayNotices[] = {0min, 2min, 20min, 4h};
  queue.delay_notice = kDelayNotices[random.below(std::size(kDelayNotices))];
  if (random.below(4) == 0) queue.messages_per_connection = 1;
  if (random.below(8) == 0) queue.memory = 400'000;
  if (random.below(8) == 0) queue.loaded_max = 3;
  if (random.below(4) == 0) queue.site_connections = 1;
  settings.store.sync_max = std::chrono::microseconds(random.below(4) == 0 ? 200'000 : 3'000);
  settings.store.read_max = std::chrono::microseconds(random.below(4) == 0 ? 100'000 : 2'000);
  add_routes(settings, random);
  return settings;
}

Scenario::Scenario(std::uint64_t seed, Trace trace)
    : random_(seed * 0x9E3779B97F4A7C15ULL + 1),
      sim_(seed, draw_settings(random_, trace)),
      trace_(trace) {
  draw_hosts();
  draw_odd_domains();
  draw_weather();
  plan_messages();
  plan_trouble();
}

RemoteServer& Scenario::add_host(const std::string& name) {
  std::vector<std::string> addresses;
  const std::string number = std::to_string(next_address_++);
  if (!one_in(6)) addresses.push_back("192.0.2." + number);
  if (addresses.empty() || one_in(3)) addresses.push_back("2001:db8::" + number);
  for (const std::string& address : addresses) {
    addresses_.push_back(*base::parse_ip_address(address));
  }
  RemoteServer& server = sim_.remote_server(name, addresses);
  remotes_.push_back(&server);
  return server;
}

void Scenario::draw_hosts() {
  home_ = &sim_.remote_server("mx.home.example", {"192.0.2.250"});
  sim_.dns.mx("home.example", 10, "mx.home.example");
  const std::size_t count = 1 + below(5);
  for (std::size_t domain = 0; domain < count; ++domain) {
    const std::string name = "d" + std::to_string(domain) + ".example";
    domains_.push_back(name);
    const std::size_t hosts = 1 + below(3);
    for (std::size_t host = 0; host < hosts; ++host) {
      // Sometimes the host of another domain, sometimes of the same preference.
      const std::string mx = !remotes_.empty() && one_in(4)
                                 ? remotes_[below(remotes_.size())]->name()
                                 : add_host("mx" + std::to_string(host) + "." + name).name();
      sim_.dns.mx(name, static_cast<std::uint16_t>(10 * (1 + below(2))), mx);
    }
  }
}

void Scenario::draw_odd_domains() {
  sim_.dns.mx("null.example", 0, "");
  sim_.dns.fails("servfail.example", dns::RecordType::MX, dns::Status::ServerFailure);
  sim_.dns.mx("loop.example", 10, "relay.example");
  sim_.dns.address("relay.example", "10.0.0.1");
  add_host("smart1.example");
  add_host("smart2.example");
  for (const std::string_view odd : kOddDomains) {
    if (one_in(3)) domains_.emplace_back(odd);
  }
}

void Scenario::draw_weather() {
  sim_.internet.set_latency_max(base::Duration(one_in(4) ? 500 : 1 + below(40)));
  faults_in_thousand_ = static_cast<unsigned>(one_in(3) ? 0 : below(400));
  scripts_in_thousand_ = static_cast<unsigned>(one_in(3) ? 0 : below(500));
  home_suffers_ = one_in(3);
  sim_.internet.on_fault([this](const base::SocketAddress& to) {
    const bool is_home = to.ip == *base::parse_ip_address("192.0.2.250");
    if (healed_ || (is_home && !home_suffers_)) return Fault{};
    return draw_fault();
  });
  for (RemoteServer* remote : remotes_) {
    remote->sessions_go_by([this] { return draw_script(); });
    if (one_in(6)) remote->set_recipients_max(1 + below(3));
    remote->recipients_go_by([this](const std::string& address) -> std::optional<smtp::Reply> {
      if (address.starts_with("no")) return smtp::make_reply(550, "5.1.1", "no such user");
      if (address.starts_with("full")) return smtp::make_reply(452, "4.2.2", "mailbox full");
      if (address.starts_with("grey") && one_in(2)) {
        return smtp::make_reply(450, "4.7.1", "try again later");
      }
      return std::nullopt;
    });
  }
  if (home_suffers_) home_->sessions_go_by([this] { return draw_script(); });
  home_->recipients_go_by([](const std::string& address) -> std::optional<smtp::Reply> {
    if (!address.starts_with("no")) return std::nullopt;
    return smtp::make_reply(550, "5.1.1", "no such user");
  });
  for (const base::IpAddress& address : addresses_) {
    if (!address.is_v4() && one_in(3)) {
      sim_.internet.set_reach(address, Reach::NoRoute);
    } else if (one_in(10)) {
      sim_.internet.set_reach(address, one_in(2) ? Reach::Refused : Reach::TimesOut);
    }
  }
}

Fault Scenario::draw_fault() {
  if (below(1000) >= faults_in_thousand_) return {};
  Fault fault;
  switch (below(6)) {
    case 0:
      fault.kind = Fault::Kind::BeforeFinalDot;
      break;
    case 1:
    case 2:
      fault.kind = Fault::Kind::AfterFinalDot;
      break;
    case 3:
      fault.kind = Fault::Kind::SilenceAfter;
      break;
    default:
      fault.kind = Fault::Kind::ResetAfter;
      break;
  }
  fault.pipe = static_cast<unsigned>(below(2));
  fault.octets = one_in(4) ? below(20'000) : below(800);
  return fault;
}

SessionScript Scenario::draw_script() {
  SessionScript script;
  if (below(1000) >= scripts_in_thousand_) return script;
  const bool permanent = one_in(4);
  const smtp::Reply reply = permanent ? smtp::make_reply(554, "5.7.1", "we do not want this")
                                      : smtp::make_reply(451, "4.3.0", "something is wrong here");
  switch (below(8)) {
    case 0:
      script.greets_with(permanent ? 554 : 421, permanent ? "5.7.1" : "4.3.2", "not today");
      break;
    case 1:
      script.sender = reply;
      break;
    case 2:
      script.data = reply;
      break;
    case 3:
      script.content = reply;
      break;
    default:
      script.does(static_cast<SessionScript::Deed>(below(5)),
                  static_cast<SessionScript::At>(1 + below(8)));
      // A server that says 421 to what it takes is beyond help: its message comes again.
      if (script.at == SessionScript::At::Taken && script.deed == SessionScript::Deed::Busy) {
        script.deed = SessionScript::Deed::Drop;
      }
      script.transactions_before = static_cast<unsigned>(below(3));
      break;
  }
  return script;
}

std::string Scenario::draw_sender() {
  switch (below(11)) {
    case 0:
      return "";
    case 4:
      return "nobody@relay.example";  // would be here, and is not
    case 1:
      return "no" + std::to_string(below(3)) + "@home.example";  // who takes no reports
    case 2:
      return "s@" + domains_[below(domains_.size())];
    case 3:
      return "postmaster@relay.example";  // an alias here
    default:
      return "s" + std::to_string(below(3)) + "@home.example";
  }
}

std::string Scenario::draw_recipient() {
  constexpr std::string_view kNames[] = {"ok", "ok", "ok", "no", "full", "grey"};
  return std::string(kNames[below(std::size(kNames))]) + std::to_string(below(30)) + "@" +
         domains_[below(domains_.size())];
}

std::string Scenario::draw_body() {
  std::size_t octets = below(2'000);
  if (one_in(8)) octets = 0;
  if (one_in(12)) octets = below(600'000);
  const bool eight_bit = one_in(6);
  std::string body;
  body.reserve(octets + 80);
  while (body.size() < octets) {
    if (one_in(10)) body += '.';  // to be stuffed
    if (eight_bit && one_in(5)) body += "\xC3\xA4";
    body.append(below(78), static_cast<char>('a' + below(26)));
    body += "\r\n";
  }
  return body;
}

void Scenario::at(base::Duration when, base::Task what) {
  plan_.emplace_back(when, std::move(what));
}

void Scenario::plan_messages() {
  chaos_ = std::chrono::minutes(one_in(3) ? 10 + below(360) : 3 + below(30));
  const std::size_t clients = 1 + below(6);
  for (std::size_t client = 0; client < clients; ++client) {
    const base::Duration when =
        one_in(3) ? base::Duration(below(static_cast<std::uint64_t>(chaos_.count())))
                  : base::Duration(below(3'000));
    std::deque<Submission*> messages;
    const std::size_t count = 1 + below(4);
    for (std::size_t message = 0; message < count; ++message) {
      std::vector<std::string> recipients;
      const std::size_t recipients_count = one_in(2) ? 1 : 1 + below(20);
      for (std::size_t i = 0; i < recipients_count; ++i) {
        std::string recipient = draw_recipient();
        if (std::find(recipients.begin(), recipients.end(), recipient) == recipients.end()) {
          recipients.push_back(std::move(recipient));
        }
      }
      messages.push_back(&sim_.truth.submission(draw_sender(), std::move(recipients), draw_body()));
    }
    messages_ += count;
    at(when,
       [this, messages = std::move(messages)]() mutable { sim_.submit(std::move(messages)); });
  }
}

void Scenario::plan_trouble() {
  const auto when = [this] {
    return one_in(2) ? base::Duration(below(5'000))
                     : base::Duration(below(static_cast<std::uint64_t>(chaos_.count())));
  };
  for (std::uint64_t crashes = below(4); crashes > 0 && !one_in(4); --crashes) {
    ++crashes_;
    at(when(), [this, down = base::Duration(one_in(4) ? below(7'200'000) : below(3'000))] {
      sim_.crash_and_restart(down);
    });
  }
  for (std::uint64_t plants = below(4); plants > 0; --plants) {
    ++messages_;
    at(when(), [this] { plant(); });
  }
  if (one_in(4)) {
    const base::Duration full = when();
    at(full, [this] { sim_.fill_disk(); });
    at(full + base::Duration(below(120'000)), [this] { sim_.free_disk(); });
  }
  if (one_in(6)) {
    constexpr base::Duration kJumps[] = {5min, 1h, 72h, -5min, -1h, -72h, 240h};
    const base::Duration by = kJumps[below(std::size(kJumps))];
    is_set_back_ = by < base::Duration::zero();
    at(when(), [this, by] { sim_.move_wall_clock(by); });
  }
  if (one_in(2)) plan_steering();
}

void Scenario::plan_steering() {
  const auto when = [this] {
    return one_in(2) ? base::Duration(below(5'000))
                     : base::Duration(below(static_cast<std::uint64_t>(chaos_.count())));
  };
  for (std::uint64_t acts = below(12); acts > 0; --acts) {
    at(when(), [this] { steer(); });
  }
  for (std::uint64_t pauses = one_in(2) ? below(4) : 0; pauses > 0; --pauses) {
    queue::Pause pause;
    pause.kind = static_cast<queue::PauseKind>(below(4));
    switch (pause.kind) {
      case queue::PauseKind::Everything:
        break;
      case queue::PauseKind::Destination:
        pause.pattern = domains_[below(domains_.size())];
        break;
      case queue::PauseKind::Site:
        pause.pattern = one_in(2) ? "*mx*" : "route:smart";
        break;
      case queue::PauseKind::User:
        pause.pattern = one_in(2) ? "bob" : "*";
        break;
      case queue::PauseKind::Tenant:
      case queue::PauseKind::Campaign:
      case queue::PauseKind::Provider:
      case queue::PauseKind::Source:
        break;  // not chosen: no mail here has any
    }
    const base::Duration begin = when();
    const bool has_limit = one_in(2);
    const base::Duration limit(1 + below(1'200'000));
    at(begin, [this, pause, has_limit, limit] {
      queue::Pause set = pause;
      if (has_limit) set.until = sim_.now().wall + limit;
      sim_.pause(set);
    });
    if (!has_limit && one_in(2)) {
      at(begin + base::Duration(below(600'000)),
         [this, pause] { sim_.resume(pause.kind, pause.pattern); });
    }
  }
}

// What a person thinks of: any act, on some of what waits, or on all from one sender or to one
// domain.
void Scenario::steer() {
  queue::Order order;
  order.act = static_cast<queue::Act>(below(queue::kActs));
  order.by = "the test";
  constexpr std::string_view kTargets[] = {"mx", "smtp://smart1.example:25", "", "discard:"};
  if (order.act == queue::Act::Reroute) order.target = kTargets[below(std::size(kTargets))];
  if (one_in(3)) {
    queue::QueueFilter filter;
    if (one_in(2)) filter.destination = domains_[below(domains_.size())];
    if (filter.destination.empty()) filter.sender = "s" + std::to_string(below(3)) + "@*";
    return sim_.act(order, filter);
  }
  const std::vector<queue::DeliveryId> waiting = sim_.waiting();
  if (waiting.empty()) return;
  std::vector<queue::DeliveryId> ids;
  for (std::uint64_t count = one_in(2) ? 1 : 1 + below(20); count > 0; --count) {
    ids.push_back(waiting[below(waiting.size())]);
    if (one_in(4)) ids.back().number = 0;
  }
  sim_.act(order, std::move(ids));
}

// Mail whose sender said what reports he wants.
void Scenario::plant() {
  queue::Message message;
  message.sender = draw_sender();
  if (one_in(2)) message.client.user = one_in(2) ? "bob" : "alice";
  message.envelope_id = "QQ 1=+";
  message.returned = static_cast<mail::ReturnContent>(below(3));
  std::vector<queue::Delivery> deliveries;
  for (std::uint64_t count = one_in(2) ? 1 : 1 + below(12); count > 0; --count) {
    queue::Delivery delivery;
    delivery.recipient = std::to_string(count) + draw_recipient();
    delivery.original_recipient = "rfc822;someone else@example";
    const std::uint64_t notify = below(9);
    delivery.notify = {notify == 8, notify < 8 && (notify & 1) != 0,
                       notify < 8 && (notify & 2) != 0, notify < 8 && (notify & 4) != 0};
    deliveries.push_back(std::move(delivery));
  }
  if (one_in(2)) {
    queue::quarantine(deliveries, "dmarc: home.example asks for quarantine", sim_.now().wall,
                      std::chrono::minutes(1 + below(300)));
  }
  sim_.plant(std::move(message), std::move(deliveries), draw_body());
}

void Scenario::heal() {
  healed_ = true;
  sim_.free_disk();
  for (const base::IpAddress& address : addresses_) sim_.internet.set_reach(address, Reach::Open);
  for (RemoteServer* remote : remotes_) {
    remote->heal();
    remote->recipients_go_by([](const std::string& address) -> std::optional<smtp::Reply> {
      if (!address.starts_with("no")) return std::nullopt;
      return smtp::make_reply(550, "5.1.1", "no such user");
    });
  }
  home_->sessions_go_by({});
  sim_.dns.forget("servfail.example");
  sim_.dns.mx("servfail.example", 10, remotes_.front()->name());
}

std::vector<std::string> Scenario::run() {
  std::stable_sort(plan_.begin(), plan_.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  const base::Instant start = sim_.now().instant;
  for (auto& [when, what] : plan_) {
    sim_.run_until(start + when);
    if (!sim_.failures().empty()) return sim_.failures();
    what();
    sim_.check_invariants();
  }
  sim_.run_until(start + chaos_);
  sim_.check_invariants();
  heal();
  const base::Instant healed = sim_.now().instant;
  // The disk may take a while, and what a paused user has is released in two passes.
  for (int round = 0; round < 3; ++round) {
    sim_.run_for(2min);
    sim_.end_pauses();
    sim_.run_for(2min);
    // The undo time of what was deleted before the clock was set back is as much longer.
    queue::QueueFilter deleted;
    deleted.state = queue::DeliveryState::Deleted;
    if (is_set_back_) sim_.act({queue::Act::Undelete, "", "", "the test"}, deleted);
    sim_.run_for(1min);
    queue::QueueFilter held;
    held.state = queue::DeliveryState::Held;
    sim_.act({queue::Act::Release, "", "", "the test"}, held);
  }
  const bool is_quiet = sim_.run_until_quiet(kDrainMax);
  drained_in_ = std::chrono::duration_cast<base::Duration>(sim_.now().instant - healed);
  if (is_quiet) {
    sim_.check_quiet();
  } else if (sim_.failures().empty()) {
    sim_.agenda().fail("not all is quiet " + base::format_duration(kDrainMax) +
                       " after everything has healed: " + std::to_string(sim_.waiting().size()) +
                       " deliveries wait, " + std::to_string(sim_.internet.connections()) +
                       " connections are open");
    for (const queue::DeliveryId id : sim_.waiting()) sim_.agenda().fail(sim_.describe(id));
    sim_.truth.check_end();
  }
  return sim_.failures();
}

std::string Scenario::summary() const {
  return std::to_string(messages_) + " messages, " + std::to_string(domains_.size()) +
         " domains, " + std::to_string(crashes_) + " crashes, chaos " +
         base::format_duration(chaos_) + ", drained in " + base::format_duration(drained_in_);
}

}  // namespace rockdove::sim
