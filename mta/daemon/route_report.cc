#include "mta/daemon/route_report.h"

#include <algorithm>
#include <utility>

#include "mta/admin/why_words.h"
#include "mta/daemon/config_target.h"
#include "mta/inbound/access.h"
#include "mta/mail/address.h"
#include "mta/outbound/dispatcher.h"
#include "mta/outbound/site_traffic.h"
#include "mta/outbound/source_chooser.h"

namespace rockdove::daemon {
namespace {

using admin::RouteExplanation;

std::string rule_text(const outbound::OutboundSettings& settings, const outbound::Route* route) {
  if (route == nullptr) return "no route matches: by MX";
  return "route " + std::to_string(route - settings.routes.data() + 1) + " (" + route->name + ")";
}

std::string tls_text(const outbound::Manner& manner, const outbound::OutboundSettings& settings,
                     bool implicit) {
  const outbound::HostAddress host{"", {}, implicit};
  const outbound::TlsLevel level = level_at(manner, host);
  std::string text(level_name(level));
  switch (level) {
    case outbound::TlsLevel::Off:
      return text + ": in clear";
    case outbound::TlsLevel::May:
      return text + ": where it is offered and works, else in clear; any certificate";
    case outbound::TlsLevel::Require:
      text += ": never in clear; any certificate";
      break;
    case outbound::TlsLevel::Verify:
      text += ": never in clear; name and chain are checked, by ";
      text += manner.tls_context == settings.tls ? "the system's certificates" : "its own CA file";
      break;
  }
  if (implicit) return text + " (smtps://)";
  if (manner.tls == outbound::TlsLevel::May) text += " (because there is a password)";
  return text;
}

// What the route comes to for its site.
void add_settings(RouteExplanation& explanation, const outbound::OutboundSettings& settings,
                  const outbound::Route* route, const outbound::Site& site) {
  const auto add = [&explanation](std::string name, std::string value) {
    explanation.settings.emplace_back(std::move(name), std::move(value));
  };
  add("to", route == nullptr ? "mx" : format_target(route->target));
  if (!site.maildir.empty()) {
    return add("writes", "a file a recipient, into " + site.maildir + "/new");
  }
  const bool is_lmtp = site.manner.speaks == outbound::ToHosts::Speaks::Lmtp;
  add("protocol", is_lmtp ? "LMTP" : "SMTP");
  const outbound::HostAddress& first = site.hosts.front();
  add("TLS", first.unix_path.empty() ? tls_text(site.manner, settings, first.implicit_tls)
                                     : "off: a socket of this machine");
  if (!site.manner.credentials) return;
  const bool in_clear = level_at(site.manner, first) == outbound::TlsLevel::Off;
  add("user", site.manner.credentials->user +
                  (in_clear ? " (its password is sent in clear, because of tls = \"off\")" : ""));
}

base::WallTime wall_of(base::Instant instant, base::Now now) {
  return now.wall + std::chrono::ceil<base::Duration>(instant - now.instant);
}

std::string used_up_text(const queue::Scheduler::Standing& standing, base::Now now) {
  return "its budget (" + standing.used_up + ") is used up until " +
         base::format_timestamp(wall_of(standing.used_up_until, now));
}

// What mail that nothing has paused would do now.
std::string conclusion_of(const queue::Scheduler::Standing& standing, const std::string& overflow,
                          base::Now now) {
  if (standing.used_up_until > now.instant) {
    const std::string meanwhile =
        overflow.empty() ? "" : "; it goes by route " + overflow + " if that is long from now";
    return "mail to it waits: " + used_up_text(standing, now) + meanwhile;
  }
  constexpr base::Duration kSoon = std::chrono::seconds(1);
  if (standing.next_grant > now.instant + kSoon) {
    return "mail to it waits for its rate, which lets the next message go at " +
           base::format_timestamp(wall_of(standing.next_grant, now));
  }
  if (standing.jobs > 0 && standing.sessions >= standing.window) {
    return "mail to it waits for its turn: all connections that it gets at the moment are at work, "
           "and others wait for them";
  }
  return "mail to it would be sent now";
}

void add_standing(RouteExplanation& explanation,
                  const std::optional<queue::Scheduler::Standing>& standing,
                  const std::string& overflow, base::Now now) {
  if (!standing) {
    explanation.conclusion = "mail to it would be sent now";
    return;
  }
  explanation.limits.emplace_back("connections now", std::to_string(standing->sessions));
  explanation.limits.emplace_back("window", std::to_string(standing->window));
  explanation.limits.emplace_back("waiting in memory", std::to_string(standing->jobs));
  if (!standing->rates.empty()) explanation.limits.emplace_back("rates", standing->rates);
  if (standing->account_connections_max > 0) {
    explanation.limits.emplace_back("connections of " + standing->account,
                                    std::to_string(standing->account_sessions) + " of " +
                                        std::to_string(standing->account_connections_max));
  }
  if (standing->paused_until <= now.instant) {
    explanation.conclusion = conclusion_of(*standing, overflow, now);
    return;
  }
  const auto wait =
      std::chrono::duration_cast<base::Duration>(standing->paused_until - now.instant);
  explanation.conclusion =
      "mail to it waits " + base::format_duration(wait) + ", because " + standing->pause_reason;
}

// One explanation on its way from loop to loop.
struct Explaining {
  const outbound::Environment& environment;
  outbound::Router router;
  RouteExplanation explanation;
  admin::RouteExplainer::Done done;
  std::string recipient{};  // what the rules were asked about
  bool has_free_source = false;

  // Mail from nobody in particular.
  [[nodiscard]] outbound::RoutedMail mail() const { return {recipient, "", "", {}, ""}; }
};

std::string name_of(const outbound::HostAddress& host) {
  return host.unix_path.empty() ? host.host : describe(host);
}

// While one lasts that is about all mail to it, nothing else decides what would happen now.
void add_pauses(RouteExplanation& explanation, const queue::Pauses& pauses, base::WallTime now) {
  explanation.pauses =
      pauses.about(explanation.destination, explanation.site, explanation.account, "");
  std::string waits;
  for (const queue::Pause& pause : explanation.pauses) {
    waits += waits.empty() ? "nothing is sent to it: " : "; ";
    waits += admin::describe_pause(pause);
    if (pause.until) {
      const auto left = std::max<base::Duration>(*pause.until - now, base::Duration::zero());
      waits += ", for another " + base::format_duration(left);
    }
  }
  if (!waits.empty()) explanation.conclusion = waits;
  for (const queue::Pause& pause : pauses.all()) {
    const bool is_senders = pause.kind == queue::PauseKind::User ||
                            pause.kind == queue::PauseKind::Tenant ||
                            pause.kind == queue::PauseKind::Campaign;
    if (is_senders) explanation.pauses.push_back(pause);
  }
}

void finish(const std::shared_ptr<Explaining>& explaining) {
  const outbound::Environment& environment = explaining->environment;
  const outbound::Home& home = environment.peers[environment.loop.index()]->home();
  if (!explaining->explanation.destination.empty() && home.pauses() != nullptr) {
    add_pauses(explaining->explanation, *home.pauses(), environment.now().wall);
  }
  // Posted, because the router may answer within the call that asked it.
  explaining->environment.loop.post(
      [explaining] { explaining->done(std::move(explaining->explanation)); });
}

// What the sessions of one loop have learned of this host; "" for nothing.
std::string note_on(const outbound::HostAddress& host, const outbound::SessionContext& learned,
                    const outbound::Manner& manner, base::Instant now) {
  const auto left = [now](base::Instant until) {
    return base::format_duration(std::chrono::duration_cast<base::Duration>(until - now));
  };
  if (host.is_v6() && learned.no_ipv6_until > now) {
    return describe(host) + " is passed over for another " + left(learned.no_ipv6_until) +
           ": this machine has no IPv6 route";
  }
  const auto* broken = learned.broken_tls.find(host.address, now);
  if (broken == nullptr || level_at(manner, host) != outbound::TlsLevel::May) return "";
  return describe(host) + " gets mail in clear for another " + left(broken->until) +
         ", because its TLS does not work: " + broken->reason;
}

// Asks each loop in turn, since each learns by itself.
void add_notes(const std::shared_ptr<Explaining>& explaining,
               const std::shared_ptr<const outbound::Site>& site, unsigned loop) {
  const outbound::Environment& environment = explaining->environment;
  if (loop == environment.loop_count()) return finish(explaining);
  const unsigned asker = environment.loop.index();
  environment.on_loop(loop, [explaining, site, loop, asker](outbound::Dispatcher& dispatcher) {
    std::vector<std::pair<std::string, std::string>> notes;  // host and note
    for (const outbound::HostAddress& host : site->hosts) {
      std::string note =
          note_on(host, dispatcher.learned(), site->manner, dispatcher.now().instant);
      if (!note.empty()) notes.emplace_back(name_of(host), std::move(note));
    }
    dispatcher.environment().on_loop(
        asker, [explaining, site, loop, notes = std::move(notes)](outbound::Dispatcher&) {
          for (const auto& [name, note] : notes) {
            for (admin::RouteHost& host : explaining->explanation.hosts) {
              const bool is_new =
                  std::find(host.notes.begin(), host.notes.end(), note) == host.notes.end();
              if (host.name == name && is_new) host.notes.push_back(note);
            }
          }
          add_notes(explaining, site, loop + 1);
        });
  });
}

void add_hosts(RouteExplanation& explanation, const outbound::Site& site) {
  for (const outbound::HostAddress& host : site.hosts) {
    const std::string name = name_of(host);
    if (explanation.hosts.empty() || explanation.hosts.back().name != name) {
      explanation.hosts.push_back({name, host.preference, {}, {}});
    }
    if (!host.unix_path.empty()) continue;
    explanation.hosts.back().addresses.push_back(base::format_socket_address(host.address));
  }
}

// The answer that decided where mail by MX goes, as far as the router keeps it.
void add_mx_answer(RouteExplanation& explanation, const outbound::Site& site,
                   base::Duration keep_for) {
  const std::string domain =
      explanation.destination.substr(0, explanation.destination.find_first_of(":/"));
  if (domain.starts_with('[')) return;
  std::string answer;
  std::string last;
  for (const outbound::HostAddress& host : site.hosts) {
    if (host.host == last) continue;
    last = host.host;
    if (!answer.empty()) answer += ", ";
    answer += std::to_string(host.preference) + " " + host.host;
  }
  if (site.hosts.front().host == domain) answer = "none: the domain's own addresses count";
  explanation.answers.emplace_back(domain + " MX",
                                   answer + " (kept for " + base::format_duration(keep_for) + ")");
}

// What a person may rely on: "50/min burst 5 (at most 54 in a minute)".
std::string rates_text(const std::vector<traffic::Rate>& rates) {
  std::string text;
  for (const traffic::Rate& rate : rates) {
    text += (text.empty() ? "" : ", ") + traffic::format_rate(rate) + " (at most " +
            std::to_string(rate.most_in_window()) + " in any " + base::format_duration(rate.per) +
            ")";
  }
  return text;
}

void add_limits(RouteExplanation& explanation, const outbound::Site& site,
                const queue::QueueSettings& settings) {
  const auto add = [&explanation](std::string name, std::string value) {
    explanation.limits.emplace_back(std::move(name), std::move(value));
  };
  add("connections", std::to_string(site.connections_max));
  if (site.maildir.empty()) {
    add("messages per connection",
        std::to_string(outbound::messages_per_connection(site, settings)));
  }
  if (!site.overflow.empty()) {
    add("overflow", "route " + site.overflow + ", while a budget is used up for over " +
                        base::format_duration(site.overflow_after));
  }
  const queue::AccountSpec& account = *site.account;
  if (account.connections_max > 0)
    add("connections of the account", std::to_string(account.connections_max));
  if (!account.rates.empty()) add("rate of the account", rates_text(account.rates));
  if (!account.connection_rates.empty())
    add("new connections of the account", rates_text(account.connection_rates));
  if (!account.recipient_rates.empty())
    add("recipients of the account", rates_text(account.recipient_rates));
  if (!account.octet_rates.empty())
    add("octets of the account",
        queue::describe_rates(queue::LimitKind::Octets, account.octet_rates));
  if (!site.rates.empty()) add("rate", rates_text(site.rates));
  if (!site.connection_rates.empty()) add("new connections", rates_text(site.connection_rates));
  if (!site.recipient_rates.empty()) add("recipients", rates_text(site.recipient_rates));
  if (!site.octet_rates.empty())
    add("octets", queue::describe_rates(queue::LimitKind::Octets, site.octet_rates));
}

void add_learned(RouteExplanation& explanation, const outbound::Learned& learned, base::Now now) {
  if (learned.pace) {
    explanation.limits.emplace_back(
        "pace now", traffic::format_pace(*learned.pace) + ", because its servers have pushed back");
  }
  if (learned.mark)
    explanation.limits.emplace_back("believed limit", traffic::format_pace(*learned.mark));
  if (learned.mean) {
    explanation.limits.emplace_back("taken while mail waited",
                                    traffic::format_pace(*learned.mean) + " on average");
  }
  for (const outbound::Learned::Set& set : learned.sets) {
    const auto left = std::chrono::duration_cast<base::Duration>(set.until - now.instant);
    explanation.limits.emplace_back(set.knob + " for another " + base::format_duration(left),
                                    set.value);
  }
  for (const outbound::TaughtRule& taught : learned.rules) {
    std::string text = taught.rule + ": ";
    for (const std::string& act : taught.acts) text += act + ", ";
    text += "acted " + std::to_string(taught.acted) + " times on " +
            std::to_string(taught.replies) + " replies, last " +
            base::format_timestamp(taught.last) + ": " + taught.reply;
    explanation.taught.push_back(std::move(text));
  }
}

struct SourceStanding {
  std::string text;
  bool is_free = true;  // mail may leave from it
};

// How mail to the site stands at one of our sources, which has a budget of its own there.
SourceStanding source_standing(const outbound::Dispatcher& dispatcher, const outbound::Site& seen) {
  SourceStanding found;
  std::vector<std::string> parts;
  if (const std::string plan = dispatcher.teaching().warm_ups().describe(seen); !plan.empty())
    parts.push_back(plan);
  if (const auto learned = dispatcher.teaching().learned(seen.account->name);
      learned && learned->pace)
    parts.push_back("pace now " + traffic::format_pace(*learned->pace));
  const base::Now now = dispatcher.now();
  if (const auto standing = dispatcher.scheduler().standing(seen, now)) {
    parts.push_back(std::to_string(standing->sessions) + " connections, " +
                    std::to_string(standing->jobs) + " waiting in memory");
    if (standing->paused_until > now.instant) parts.push_back(standing->pause_reason);
    if (standing->used_up_until > now.instant) parts.push_back(used_up_text(*standing, now));
  }
  if (const auto until = dispatcher.used_up_until(seen)) {
    found.is_free = false;
    parts.push_back("nothing leaves from it before " +
                    base::format_timestamp(wall_of(*until, now)));
  }
  for (const std::string& part : parts)
    found.text.append(found.text.empty() ? "" : "; ").append(part);
  if (found.text.empty()) found.text = "nothing was sent lately";
  return found;
}

// Of the pool of mail from nobody in particular, one after the other.
void add_sources(const std::shared_ptr<Explaining>& explaining,
                 const std::shared_ptr<const outbound::Site>& site, std::size_t member) {
  const outbound::Environment& environment = explaining->environment;
  const auto& pools = environment.outbound.pools;
  const auto pool =
      std::find_if(pools.begin(), pools.end(), [](const auto& one) { return one.tenants.empty(); });
  const bool has_none = pool == pools.end() || site->has_budget;
  if (has_none || member == pool->members.size()) {
    if (!has_none && !explaining->has_free_source) {
      explaining->explanation.conclusion =
          "mail to it waits: none of our source addresses may send to it now";
    }
    return add_notes(explaining, site, 0);
  }
  const std::shared_ptr<const outbound::Site> seen =
      outbound::seen_from(*site, pool->members[member].source);
  if (seen == nullptr) return add_sources(explaining, site, member + 1);
  const unsigned asker = environment.loop.index();
  environment.on_loop(
      outbound::owner_loop(seen->account->name, environment.loop_count()),
      [explaining, asker, site, seen, member](outbound::Dispatcher& dispatcher) {
        dispatcher.environment().on_loop(asker, [explaining, site, seen, member,
                                                 found = source_standing(dispatcher, *seen)](
                                                    outbound::Dispatcher&) {
          explaining->explanation.limits.emplace_back("from " + seen->source_address, found.text);
          if (found.is_free) explaining->has_free_source = true;
          add_sources(explaining, site, member + 1);
        });
      });
}

void add_site(const std::shared_ptr<Explaining>& explaining, const outbound::Resolved& resolved) {
  RouteExplanation& explanation = explaining->explanation;
  const outbound::Environment& environment = explaining->environment;
  const std::shared_ptr<const outbound::Site>& site = resolved.site;
  add_settings(explanation, environment.outbound,
               outbound::find_route(environment.outbound, explaining->mail()), *site);
  add_hosts(explanation, *site);
  if (!explanation.destination.starts_with("route:")) {
    add_mx_answer(explanation, *site, resolved.keep_for);
  }
  explanation.account = site->account->name;
  explanation.site = site->name;
  add_limits(explanation, *site, environment.queue);
  const unsigned owner = outbound::owner_loop(site->account->name, environment.loop_count());
  const unsigned asker = environment.loop.index();
  environment.on_loop(owner, [explaining, asker, site](outbound::Dispatcher& dispatcher) {
    const auto standing = dispatcher.scheduler().standing(*site, dispatcher.now());
    const auto learned = dispatcher.teaching().learned(site->account->name);
    dispatcher.environment().on_loop(
        asker, [explaining, site, standing, learned](outbound::Dispatcher&) {
          add_standing(explaining->explanation, standing, site->overflow,
                       explaining->environment.now());
          if (learned)
            add_learned(explaining->explanation, *learned, explaining->environment.now());
          add_sources(explaining, site, 0);
        });
  });
}

}  // namespace

void explain_route(const outbound::Environment& environment,
                   const inbound::InboundSettings& inbound, std::string address,
                   admin::RouteExplainer::Done done) {
  const base::Result<mail::Address> parsed = mail::parse_mailbox_or_local_part(address);
  if (!parsed) {
    environment.loop.post(
        [error = parsed.error(), done = std::move(done)]() mutable { done(error); });
    return;
  }
  auto explaining = std::shared_ptr<Explaining>(new Explaining{
      environment,
      outbound::Router(environment.outbound, environment.queue, environment.ourselves,
                       environment.hosts_file, environment.resolver, environment.random),
      {},
      std::move(done)});
  RouteExplanation& explanation = explaining->explanation;
  explanation.address = mail::format_address(*parsed);
  const std::vector<std::string> targets = inbound::expand_address(inbound, explanation.address);
  if (targets.empty()) {
    explanation.conclusion =
        "this is a local address that is in no alias: mail to it is refused with 550 5.1.1";
    return finish(explaining);
  }
  if (targets.front() != explanation.address)
    explanation.answers.emplace_back("alias", targets.front());
  explaining->recipient = targets.front();
  const outbound::RoutedMail mail = explaining->mail();
  explanation.rule =
      rule_text(environment.outbound, outbound::find_route(environment.outbound, mail));
  explanation.destination = outbound::destination_of(environment.outbound, mail);
  explaining->router.resolve(
      explanation.destination, [explaining](outbound::Resolution resolution) {
        RouteExplanation& result = explaining->explanation;
        if (const auto* resolved = std::get_if<outbound::Resolved>(&resolution))
          return add_site(explaining, *resolved);
        if (const auto* failed = std::get_if<outbound::NotResolved>(&resolution)) {
          const bool is_final = queue::judge(failed->failure).action == queue::Action::Bounce;
          result.conclusion =
              (is_final ? "mail to it goes back to its sender: " : "mail to it waits: ") +
              smtp::one_line(failed->failure.reply);
        } else {
          result.settings.emplace_back("to", "discard:");
          result.conclusion = "mail to it is discarded, as the route says";
        }
        finish(explaining);
      });
}

}  // namespace rockdove::daemon
