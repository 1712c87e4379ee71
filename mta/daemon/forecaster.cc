#include "mta/daemon/forecaster.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "mta/outbound/dispatcher.h"
#include "mta/outbound/site_traffic.h"

namespace rockdove::daemon {

using admin::AccountForecast;
using queue::Scheduler;

namespace {

// Of deliveries, or octets, of which a part falls to each source.
std::uint64_t whole(double parts) {
  return static_cast<std::uint64_t>(std::llround(parts));
}

}  // namespace

void Forecaster::forecast(std::vector<admin::Waiting> waiting,
                          admin::QueueExplainer::ForecastDone done) {
  const std::uint64_t number = next_++;
  const unsigned loops = env_.loop_count();
  Work& work = works_[number];
  work.done = std::move(done);
  work.timer = env_.loop.make_timer([this, number] { finish(number, works_.at(number)); });
  work.timer->set(env_.now().instant + kPatience);
  work.missing = loops;
  std::vector<std::vector<admin::Waiting>> by_home(loops);
  for (admin::Waiting& one : waiting)
    by_home[queue::home_loop(one.destination, loops)].push_back(std::move(one));
  for (unsigned loop = 0; loop < loops; ++loop) {
    ask(loop, number,
        [this, number, asked = std::move(by_home[loop])](outbound::Dispatcher& dispatcher) {
          return [this, number, found = find_sites(dispatcher, asked)](Work& of) {
            take_sites(of, found);
            if (--of.missing == 0) ask_owners(number, of);
          };
        });
  }
}

// Posted even to ourselves: nothing is answered within the call that asked.
void Forecaster::ask(unsigned loop, std::uint64_t number,
                     std::function<std::function<void(Work&)>(outbound::Dispatcher&)> question) {
  env_.loops[loop]->post(
      [this, number, question = std::move(question), dispatcher = env_.peers[loop]] {
        env_.loop.post([this, number, answer = question(*dispatcher)] {
          const auto found = works_.find(number);
          if (found != works_.end() && !found->second.is_finished) answer(found->second);
        });
      });
}

std::vector<Forecaster::Found> Forecaster::find_sites(outbound::Dispatcher& dispatcher,
                                                      const std::vector<admin::Waiting>& waiting) {
  outbound::Home& home = dispatcher.home();
  std::vector<Found> all;
  all.reserve(waiting.size());
  for (const admin::Waiting& one : waiting) {
    Found found{one, home.site_of(one.destination), home.shares_of(one.destination), {}};
    if (found.site != nullptr && home.pauses() != nullptr) {
      for (const queue::Pause& pause :
           home.pauses()->about(one.destination, found.site->name, found.site->account->name, "")) {
        const base::WallTime until = pause.until.value_or(base::kNeverWall);
        found.paused_until = std::max(found.paused_until.value_or(until), until);
      }
    }
    all.push_back(std::move(found));
  }
  return all;
}

// Many destinations have one site. What no source can take is of the account all the same.
void Forecaster::take_sites(Work& work, const std::vector<Found>& found) {
  for (const Found& one : found) {
    if (one.site == nullptr) continue;
    const std::string& account = one.site->account->name;
    work.forecast.account_of[one.waiting.destination] = account;
    if (one.waiting.deliveries == 0) continue;
    if (one.shares.empty())
      take_forecast(work, account, {{}, one.waiting.deliveries, "no source can be used for it"});
    for (const outbound::SourceChooser::Share& share : one.shares) {
      AccountMail& of = work.accounts[share.site->account->name];
      const double deliveries = share.part * static_cast<double>(one.waiting.deliveries);
      of.of_all_sources = account;
      const double octets = share.part * static_cast<double>(one.waiting.octets);
      of.deliveries += deliveries;
      of.octets += octets;
      SiteMail& mail = of.sites[one.site->name];
      mail.site = share.site;
      mail.deliveries += deliveries;
      mail.octets += octets;
      mail.latest_due = std::max(mail.latest_due, one.waiting.latest_due);
      if (one.paused_until)
        mail.paused_until =
            std::max(mail.paused_until.value_or(*one.paused_until), *one.paused_until);
    }
  }
}

// Of one of its sources; the reason of the larger part stands.
void Forecaster::take_forecast(Work& work, const std::string& name,
                               const AccountForecast& forecast) {
  AccountForecast& sum = work.forecast.accounts[name];
  sum.done = std::max(sum.done, forecast.done);
  if (forecast.not_known > sum.not_known) sum.why_not_known = forecast.why_not_known;
  sum.not_known += forecast.not_known;
  // Of several the one that has room last.
  if (forecast.used_up_until > sum.used_up_until) {
    sum.used_up = forecast.used_up;
    sum.used_up_until = forecast.used_up_until;
  }
}

void Forecaster::ask_owners(std::uint64_t number, Work& work) {
  const unsigned loops = env_.loop_count();
  std::vector<std::map<std::string, AccountMail>> by_owner(loops);
  for (auto& [name, mail] : work.accounts)
    by_owner[outbound::owner_loop(name, loops)].emplace(name, mail);
  work.missing = loops;
  for (unsigned loop = 0; loop < loops; ++loop) {
    ask(loop, number,
        [this, number, owned = std::move(by_owner[loop])](outbound::Dispatcher& dispatcher) {
          std::map<std::string, AccountForecast> found;
          const base::Now now = dispatcher.now();
          for (const auto& [name, account] : owned) {
            for (const auto& [site_name, mail] : account.sites) {
              const std::uint32_t each =
                  outbound::messages_per_connection(*mail.site, dispatcher.environment().queue);
              const Scheduler::Backlog backlog{whole(account.deliveries), whole(mail.deliveries),
                                               each, whole(account.octets), whole(mail.octets)};
              take_outlook(found[name], mail,
                           {dispatcher.scheduler().outlook(*mail.site, backlog, now), now});
            }
          }
          return [this, number, found = std::move(found)](Work& of) {
            for (const auto& [name, forecast] : found) {
              AccountMail& account = of.accounts.at(name);
              account.is_known = true;
              take_forecast(of, account.of_all_sources, forecast);
            }
            if (--of.missing == 0) finish(number, of);
          };
        });
  }
}

void Forecaster::take_outlook(AccountForecast& forecast, const SiteMail& mail,
                              const Outlook& outlook) {
  using Unknown = Scheduler::Outlook::Unknown;
  const auto not_known = [&](std::string why) {
    // The reason of the larger part stands.
    const std::uint64_t deliveries = whole(mail.deliveries);
    if (deliveries > forecast.not_known) forecast.why_not_known = std::move(why);
    forecast.not_known += deliveries;
  };
  if (outlook.found.used_up_until > outlook.now.instant) {
    forecast.used_up = outlook.found.used_up;
    forecast.used_up_until =
        outlook.now.wall +
        std::chrono::ceil<base::Duration>(outlook.found.used_up_until - outlook.now.instant);
  }
  if (mail.paused_until == base::kNeverWall) return not_known("somebody has paused it");
  switch (outlook.found.unknown) {
    case Unknown::Untried:
      return not_known("nothing has been sent there lately");
    case Unknown::Failing:
      return not_known("its hosts take no mail at the moment");
    case Unknown::Nothing:
      break;
  }
  const auto from_now = std::chrono::ceil<base::Duration>(outlook.found.at - outlook.now.instant);
  base::WallTime done = std::max(outlook.now.wall + from_now, mail.latest_due);
  // All of it waits for the end of the pause.
  if (mail.paused_until && *mail.paused_until > outlook.now.wall)
    done = std::max(done, *mail.paused_until + from_now);
  forecast.done = std::max(forecast.done, done);
}

// When all was said, or the patience is over.
void Forecaster::finish(std::uint64_t number, Work& work) {
  work.is_finished = true;
  work.timer->set(base::kNever);
  for (const auto& [name, mail] : work.accounts) {
    if (mail.is_known) continue;
    take_forecast(work, mail.of_all_sources,
                  {{}, whole(mail.deliveries), "a part of rockdove did not answer"});
  }
  // Later, because this may be the timer's own call, and the work owns the timer.
  env_.loop.post([this, number] {
    auto finished = works_.extract(number);
    finished.mapped().done(std::move(finished.mapped().forecast));
  });
}

}  // namespace rockdove::daemon
