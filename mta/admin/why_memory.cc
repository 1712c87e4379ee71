// What `queue why` says of mail that is in memory, or behind others of its site.
#include <algorithm>

#include "mta/admin/why_explanation.h"
#include "queue/types.h"

namespace rockdove::admin {
namespace {

constexpr std::size_t kSenderOctetsShown = 300;

}  // namespace

// Behind the reply may stand which rule it matched.
bool Explanation::is_reply_of_last_attempt(std::string_view reason) const {
  return !delivery_.last.reply.empty() && reason.starts_with(delivery_.last.reply);
}

void Explanation::site_paused() {
  std::string text = "All mail to " + site() + " waits, because an attempt failed there";
  if (!where_.site_pause_reason.empty()) {
    text += ": \"" + base::printable(where_.site_pause_reason, queue::kReplyOctetsKept) + '"';
  }
  say("site-paused",
      text + ". After this wait one delivery is tried first; the others follow if it goes.");
  why_.next = next_try();
  if (delivery_.attempts == 0) why_.reply = where_.site_pause_reason;
  tells_last_attempt_ = is_reply_of_last_attempt(where_.site_pause_reason);
  add_route_setting();
  add_retry();
  advise_queue("end the wait and try now", "retry");
  advise("see hosts and limits", "rockdove route " + shell_quoted(delivery_.recipient));
  advise("send it another way", "rockdove queue reroute " + id_ + " --to smtp://HOST:25");
}

void Explanation::site_busy() {
  why_.cause = "site-busy";
  if (!where_.is_proven) {
    add("Until " + site() +
        " has taken a message it gets a single connection, and that one is at work.");
  } else if (where_.window == 1) {
    add("The one connection that " + site() + " gets at the moment is at work.");
  } else {
    add("All " + count_of(where_.window, "connection") + " that " + site() +
        " gets at the moment are at work.");
  }
  why_.estimate = "as soon as one of them is free";
  if (where_.window == 1) why_.estimate = "as soon as it is free";
  add_connections_setting();
  add_route_setting();
  advise("see what is slow", "rockdove top");
  advise("see hosts and limits", "rockdove route " + shell_quoted(delivery_.recipient));
}

void Explanation::budget_used_up() {
  const std::string budget =
      where_.used_up.empty() ? "" : " (" + base::printable(where_.used_up) + ")";
  if (where_.has_sources && where_.place == Whereabouts::Place::OnDisk) {
    std::string text = "No source address that it could leave from takes mail for " +
                       plain_name(where_.account) + " now.";
    if (where_.source_pause_reason.empty()) {
      text += " Their budgets there are used up, or warm-up plans allow no more.";
    } else {
      text +=
          " A traffic rule has paused at least one of them, because a server there answered: \"" +
          base::printable(where_.source_pause_reason, queue::kReplyOctetsKept) + '"';
    }
    say("budget", text);
  } else {
    say("budget", "The budget of " + plain_name(where_.account) + budget + " is used up.");
  }
  if (!where_.overflow.empty()) {
    add("Mail goes by route " + base::printable(where_.overflow) +
        " meanwhile, unless that is paused or used up, too.");
  }
  why_.next = where_.used_up_until;
  advise("see the budget", "rockdove route " + shell_quoted(delivery_.recipient));
  advise("send it another way", "rockdove queue reroute " + id_ + " --to smtp://HOST:25");
}

void Explanation::rate_holds(const std::string& before) {
  if (where_.used_up_until > now_) {
    budget_used_up();
    return add(before);
  }
  const bool is_shared = where_.account != where_.site;
  say("rate", "Mail to " + (is_shared ? plain_name(where_.account) : site()) +
                  " goes no faster than it may: " + base::printable(where_.rates) + ".");
  if (is_shared) add("All sites of " + plain_name(where_.account) + " share that.");
  add(before);
  if (where_.before == 0 && (!where_.goes || where_.goes->before == 0)) {
    why_.next = where_.next_grant;
  } else {
    why_.estimate = "as the rate lets those before it go";
  }
  advise("see rates and hosts", "rockdove route " + shell_quoted(delivery_.recipient));
  advise("see what the profiles say", "rockdove traffic");
}

void Explanation::account_busy(const std::string& before) {
  const std::string account = plain_name(where_.account);
  const bool is_full = where_.account_connections_max > 0 &&
                       where_.account_connections >= where_.account_connections_max;
  say("account-busy",
      is_full ? "All " + count_of(where_.account_connections_max, "connection") + " that " +
                    account + " may have are at work, for all of its sites together."
              : "No further connection to " + account + " may be opened at the moment.");
  add(before);
  why_.estimate = is_full ? "as soon as one of them is free" : "within moments";
  advise("see what is slow", "rockdove top");
  advise("see what the profiles say", "rockdove traffic");
}

// From the same arithmetic as `queue summary --by provider`.
void Explanation::add_estimate() {
  if (!where_.goes || why_.next) return;
  const std::string account = plain_name(where_.account);
  if (where_.place == Whereabouts::Place::InMemory) {
    if (where_.goes->before == 0) return;  // the words say more
    why_.about = where_.goes->at;
    why_.estimate += "; about " + count_of(where_.goes->before, "other") + " of " + account +
                     (where_.goes->before == 1 ? " goes" : " go") + " before it";
  } else {
    why_.latest = where_.goes->at;
    why_.estimate += "; at the latest when all " + std::to_string(where_.goes->before) +
                     " that wait for " + account + " have gone";
  }
}

// Only where nothing else keeps it: mail of a campaign comes back from disk a little later, that of
// a tenant when its queue is asked again.
bool Explanation::is_tenant_paused() {
  if (where_.tenant_paused_until <= std::max(now_, delivery_.due)) return false;
  std::string text = "A traffic rule has paused the mail of tenant " +
                     base::printable(message_.tenant, kSenderOctetsShown) + " to " +
                     plain_name(where_.account);
  if (!where_.tenant_pause_reason.empty()) {
    text += ", because a server there answered: \"" +
            base::printable(where_.tenant_pause_reason, queue::kReplyOctetsKept) + '"';
  }
  say("tenant-paused", text + ". Mail of others goes there meanwhile.");
  why_.next = where_.tenant_paused_until;
  if (delivery_.attempts == 0) why_.reply = where_.tenant_pause_reason;
  tells_last_attempt_ = is_reply_of_last_attempt(where_.tenant_pause_reason);
  advise_queue("end the pause and try now", "retry");
  advise("see what that rule did", "rockdove route " + shell_quoted(delivery_.recipient));
  return true;
}

bool Explanation::is_sender_at_limit() {
  if (where_.sender_limit.empty()) return false;
  const bool is_next =
      where_.place == Whereabouts::Place::InMemory && where_.gate == Whereabouts::Gate::Open;
  const bool is_put_off =
      where_.place == Whereabouts::Place::OnDisk && !queue::is_scheduled(delivery_, now_) &&
      where_.site_paused_until <= now_ && (delivery_.attempts == 0 || delivery_.due <= now_);
  if (!is_next && !is_put_off) return false;
  say("sender-rate", "The rate of " + base::printable(where_.sender_limit, kSenderOctetsShown) +
                         " lets nothing more go for now, wherever it goes. Other mail of the same "
                         "sender may go before it.");
  const auto wait = std::chrono::ceil<std::chrono::seconds>(where_.sender_limit_until - now_);
  why_.estimate = "as that rate lets it go";
  if (wait > std::chrono::seconds(0))
    why_.estimate += ", not within the next " + base::format_duration(wait);
  const std::string kind = where_.sender_limit.starts_with("tenant ") ? "tenant" : "campaign";
  advise("see who waits with how much", "rockdove queue summary --by " + kind);
  advise_more("rate of the [[" + kind + "]]");
  return true;
}

void Explanation::in_memory() {
  const std::string before =
      where_.before == 0 ? "It is the next one of " + destination() + "."
                         : count_of(where_.before, "other") + " of " + destination() +
                               " in memory " + (where_.before == 1 ? "goes" : "go") + " before it.";
  switch (where_.gate) {
    case Whereabouts::Gate::Paused:
      return site_paused();
    case Whereabouts::Gate::Budget:
      say("no-connection-left", "All connections that rockdove may have open are at work.");
      if (!where_.is_proven) {
        add("Sites that have taken no mail within the last ten minutes share half of them, and " +
            site() + " is one of those.");
      }
      add(before);
      why_.estimate = "as soon as a connection is free";
      if (settings_) {
        setting("[limits] connections_out", std::to_string(settings_->connections_out));
      }
      advise("see how many are open", "rockdove top");
      return advise_more("[limits] connections_out");
    case Whereabouts::Gate::Source:
      say("no-connection-left",
          "All connections that may leave from its source address are at work.");
      add(before);
      why_.estimate = "as soon as one of them is free";
      advise("see what is slow", "rockdove top");
      return advise("raise connections_source in a traffic profile, then",
                    "systemctl reload rockdove");
    case Whereabouts::Gate::Window:
      site_busy();
      return add(before);
    case Whereabouts::Gate::Backoff:
      say("site-busy", "A further connection to " + site() +
                           " failed a moment ago, while others there are at work.");
      add(before);
      why_.estimate = "within half a minute";
      return;
    case Whereabouts::Gate::Rate:
      return rate_holds(before);
    case Whereabouts::Gate::Account:
      return account_busy(before);
    case Whereabouts::Gate::Open:
      break;
  }
  say("due", "Its turn comes in a moment.");
  add(before);
  why_.estimate = "now";
}

}  // namespace rockdove::admin
