#include "mta/daemon/route_report.h"

#include <utility>

#include "mta/inbound/access.h"
#include "mta/mail/address.h"
#include "mta/outbound/dispatcher.h"

namespace rockdove::daemon {
namespace {

using admin::RouteExplanation;

std::string rule_text(const outbound::OutboundSettings& settings, const outbound::Route* route) {
  if (route == nullptr) return "no route matches: by MX";
  return "route " + std::to_string(route - settings.routes.data() + 1) + " (" + route->name + ")";
}

void add_standing(RouteExplanation& explanation,
                  const std::optional<queue::Scheduler::Standing>& standing, base::Now now) {
  if (!standing) {
    explanation.conclusion = "mail to it would be sent now";
    return;
  }
  explanation.limits.emplace_back("connections now", std::to_string(standing->sessions));
  explanation.limits.emplace_back("window", std::to_string(standing->window));
  explanation.limits.emplace_back("waiting in memory", std::to_string(standing->jobs));
  if (standing->paused_until <= now.instant) {
    explanation.conclusion = "mail to it would be sent now";
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
};

void finish(const std::shared_ptr<Explaining>& explaining) {
  // Posted, because the router may answer within the call that asked it.
  explaining->environment.loop.post(
      [explaining] { explaining->done(std::move(explaining->explanation)); });
}

void add_site(const std::shared_ptr<Explaining>& explaining, const outbound::Resolved& resolved) {
  RouteExplanation& explanation = explaining->explanation;
  const outbound::Site& site = *resolved.site;
  for (const outbound::HostAddress& host : site.hosts) {
    if (explanation.hosts.empty() || explanation.hosts.back().name != host.host) {
      explanation.hosts.push_back({host.host, 0, {}, {}});
    }
    explanation.hosts.back().addresses.push_back(base::format_socket_address(host.address));
  }
  explanation.account = site.account;
  explanation.site = site.account;
  explanation.limits.emplace_back("connections", std::to_string(site.connections_max));
  explanation.limits.emplace_back(
      "messages per connection",
      std::to_string(explaining->environment.queue.messages_per_connection));
  const unsigned owner = outbound::owner_loop(site.account, explaining->environment.loop_count());
  const unsigned asker = explaining->environment.loop.index();
  explaining->environment.on_loop(
      owner, [explaining, asker, account = site.account](outbound::Dispatcher& dispatcher) {
        const auto standing = dispatcher.scheduler().standing(account, dispatcher.now());
        dispatcher.environment().on_loop(asker, [explaining, standing](outbound::Dispatcher&) {
          add_standing(explaining->explanation, standing, explaining->environment.now());
          finish(explaining);
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
  const outbound::RoutedMail mail{targets.front(), "", "", {}};
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
          result.conclusion = "mail to it is discarded, as the route says";
        }
        finish(explaining);
      });
}

}  // namespace rockdove::daemon
