#include "tests/sim/crowd.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <utility>

namespace rockdove::sim {
namespace {

using namespace std::chrono_literals;
using queue::Scheduler;

constexpr std::size_t kTenants = 20;
constexpr std::size_t kTenantsOfSite = 3;
constexpr std::uint32_t kWeightMax = 4;
constexpr std::size_t kWrongMax = 20;
constexpr base::Duration kDeadFor = 2h;
constexpr base::Duration kSilence = 2min;
// A provider that pushes back takes so many messages in ten seconds.
constexpr std::size_t kHiddenLimit = 10;
constexpr base::Duration kHiddenWindow = 10s;
constexpr base::Duration kAgain = 1min;
constexpr base::Duration kIdle = 5s;
constexpr double kTransaction = 0.15;  // seconds at most, as transact() draws them
// Beside the best possible time: for first connections while silent ones hold what there is, and
// for what comes back.
constexpr base::Duration kSlack = 150s;

std::string tenant_name(std::size_t tenant) {
  return "t" + std::to_string(tenant) + ".example";
}

std::uint32_t weight_of(std::size_t tenant) {
  return 1 + static_cast<std::uint32_t>(tenant) % kWeightMax;
}

std::size_t tenant_of(const std::string& name) {
  return std::stoul(name.substr(1));
}

// A fixed number for each job, as random as it takes (splitmix64).
std::uint64_t scatter(std::uint64_t number) {
  std::uint64_t mixed = (number + 1) * 0x9e3779b97f4a7c15U;
  mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9U;
  mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
  return mixed ^ (mixed >> 31U);
}

int priority_of_job(std::uint64_t scattered) {
  const std::uint64_t of_ten = scattered % 10;
  return of_ten == 0 ? 4 : of_ten < 7 ? 0 : -4;
}

}  // namespace

Crowd::Crowd(std::uint64_t seed, std::size_t sites)
    : random_(seed),
      budget_(static_cast<std::uint32_t>(sites / 2)),
      scheduler_random_(seed + 1),
      scheduler_(settings_, budget_, scheduler_random_),
      now_{base::Instant{} + 1000h, base::from_unix_milliseconds(1'800'000'000'000)},
      start_(now_.instant),
      message_([] {
        auto message = std::make_shared<queue::Message>();
        message->id = queue::MessageId{1};
        return message;
      }()) {
  scheduler_.set_weights([](std::string_view tenant) {
    return tenant.empty() ? 1 : weight_of(tenant_of(std::string(tenant)));
  });
  make_sites(sites);
}

Crowd::~Crowd() = default;

// One in five accounts is a provider with twenty sites; each kind has the same share of both.
void Crowd::make_account(std::size_t index) {
  struct Sort {
    Kind kind;
    std::string_view rates;
  };

  static constexpr std::array<Sort, 10> kSorts = {{
      {Kind::Plain, "off"},
      {Kind::Plain, "off"},
      {Kind::Plain, "off"},
      {Kind::Plain, "20/s"},
      {Kind::Plain, "30/min burst 3"},
      {Kind::Plain, "60/min"},
      {Kind::Breaks, "off"},
      {Kind::Dead, "10/s"},
      {Kind::Silent, "off"},
      {Kind::PushesBack, "20/s"},
  }};
  const Sort& sort = kSorts.at(index % kSorts.size());
  auto spec = std::make_shared<queue::AccountSpec>();
  spec->name = "account" + std::to_string(index);
  spec->rates = *traffic::parse_rates(sort.rates);
  const bool has_hours = index % 30 == 4;
  if (has_hours) spec->rates.push_back(*traffic::parse_rate("90/h"));
  auto account = std::make_unique<Account>();
  account->windows.rates = spec->rates;
  account->kind = sort.kind;
  if (sort.kind == Kind::PushesBack)
    account->backoff.emplace(traffic::Backoff::Settings{spec->rates[0].per_second(), 1.0 / 600});
  account->spec = std::move(spec);
  accounts_.push_back(std::move(account));
}

void Crowd::make_sites(std::size_t count) {
  std::size_t left_in_account = 0;
  sites_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (left_in_account == 0) {
      const std::size_t index = accounts_.size();
      make_account(index);
      left_in_account = index % 11 == 10 ? 20 : 1;
    }
    --left_in_account;
    Account& account = *accounts_.back();
    auto spec = std::make_shared<queue::SiteSpec>();
    spec->name = "site" + std::to_string(i);
    spec->account = account.spec;
    spec->connections_max = 1 + static_cast<std::uint32_t>(random_.below(10));
    Site& site = sites_.emplace_back();
    site.account = &account;
    site.first = static_cast<std::uint32_t>(jobs_.size());
    // One in a hundred has 30 times as much as the others.
    site.jobs = static_cast<std::uint32_t>(i % 100 == 3 ? 2000 + random_.below(2000)
                                                        : 1 + random_.below(140));
    site.spec = std::move(spec);
    account.jobs += site.jobs;
    ++account.sites;
    jobs_.resize(jobs_.size() + site.jobs);
  }
}

std::uint32_t Crowd::site_of(std::uint32_t number) const {
  const auto behind =
      std::upper_bound(sites_.begin(), sites_.end(), number,
                       [](std::uint32_t value, const Site& site) { return value < site.first; });
  return static_cast<std::uint32_t>(behind - sites_.begin() - 1);
}

queue::Job Crowd::job(std::uint32_t number) const {
  const std::uint32_t site = site_of(number);
  const std::uint64_t scattered = scatter(number);
  const std::size_t tenant = (site + 7 * (scattered / 10 % kTenantsOfSite)) % kTenants;
  queue::Delivery delivery;
  delivery.number = number;
  return {message_,
          {delivery},
          {sites_[site].spec->name + ".example", tenant_name(tenant),
           queue::stored_priority(priority_of_job(scattered))}};
}

// As queue::Directory does: so much of a site is in memory as its scheduler finds worth it.
void Crowd::load(Site& site) {
  if (site.offered == site.jobs) return;
  const std::uint32_t room = scheduler_.room(*site.spec, now_);
  if (site.out > room / 2) return;
  while (site.out < room && site.offered < site.jobs) offer(site.first + site.offered++);
}

void Crowd::offer(std::uint32_t number) {
  Site& site = sites_[site_of(number)];
  ++site.out;
  out_most_ = std::max(out_most_, ++out_);
  queue::Job offered = job(number);
  Share& share =
      site.shares[{tenant_of(offered.queue.tenant), queue::lane_of(offered.queue.priority)}];
  if (share.waiting++ == 0) share.since = site.turns;
  scheduler_.offer(std::move(offered), site.spec, now_);
}

void Crowd::later(base::Duration wait, Event::What what, std::uint64_t subject,
                  std::uint64_t turn) {
  events_.push({now_.instant + wait, ++order_, what, subject, turn});
}

// Weighted round robin within a lane, and after eight of one lane one of those below.
void Crowd::take_turn(Site& site, const queue::Job& job) {
  const std::size_t tenant = tenant_of(job.queue.tenant);
  const queue::Lane lane = queue::lane_of(job.queue.priority);
  Share& share = site.shares[{tenant, lane}];
  const std::uint64_t waited = site.turns++ - share.since;
  const std::uint64_t round = kTenantsOfSite * kWeightMax;
  const std::uint64_t most = lane == queue::Lane::Urgent   ? 2 * round
                             : lane == queue::Lane::Normal ? 9 * (round + 1)
                                                           : 81 * (round + 1);
  // Sites of one account stand in one order, so that the others' jobs come between.
  if (site.account->sites == 1 && waited > most)
    wrong(site.spec->name + ": " + job.queue.tenant + " waited for " + std::to_string(waited) +
          " jobs of others");
  share.since = site.turns;
  --share.waiting;
}

void Crowd::run_commands() {
  while (auto command = scheduler_.next(Scheduler::Recording::Possible, now_)) {
    // Its word goes to another loop.
    const base::Duration lateness{random_.below(100) == 0 ? 60 : random_.below(2)};
    const auto begin = [&](queue::SessionId id, const queue::SitePointer& where, queue::Job& job,
                           bool is_paced, std::optional<base::Instant> valid_until) {
      const std::uint32_t site = site_of(job.deliveries[0].number);
      if (sites_[site].spec != where) wrong("a job of another site");
      take_turn(sites_[site], job);
      Session& session = sessions_[id.value];
      if (session.work) wrong("a session has two jobs");
      session.work = Work{std::move(job), site, is_paced, valid_until, {}, false};
      later(lateness, Event::What::Begins, id.value);
    };
    if (auto* open = std::get_if<Scheduler::Open>(&*command)) {
      begin(open->session, open->site, open->job, open->is_paced, open->valid_until);
    } else if (auto* start = std::get_if<Scheduler::Start>(&*command)) {
      begin(start->session, start->site, start->job, false, start->valid_until);
    } else if (const auto* quit = std::get_if<Scheduler::Quit>(&*command)) {
      later(lateness, Event::What::Closed, quit->session.value);
    } else if (const auto* give_up = std::get_if<Scheduler::GiveUp>(&*command)) {
      const auto found = sessions_.find(give_up->session.value);
      if (found != sessions_.end() && found->second.work) {
        found->second.work->is_asked_to_end = true;
        later(lateness, Event::What::Answered, give_up->session.value);
      }
    } else {
      scheduler_.kept(std::get<Scheduler::Keep>(*command), Scheduler::Durable::Yes);
    }
    sessions_most_ = std::max(sessions_most_, scheduler_.sessions());
  }
}

void Crowd::happen(const Event& event) {
  if (event.what == Event::What::Again) {
    return offer(static_cast<std::uint32_t>(event.subject));
  }
  const queue::SessionId id{event.subject};
  const auto found = sessions_.find(event.subject);
  if (found == sessions_.end()) return;
  Session& session = found->second;
  switch (event.what) {
    case Event::What::Begins:
      return begins(id, session);
    case Event::What::Connected:
      return connected(id, session);
    case Event::What::Answered:
      return answered(id, session);
    case Event::What::IdleOver:
      if (session.work || session.turn != event.turn) return;
      [[fallthrough]];
    case Event::What::Closed:
      sessions_.erase(found);
      return scheduler_.closed(id, now_);
    case Event::What::Again:
      return;
  }
}

void Crowd::begins(queue::SessionId id, Session& session) {
  if (session.is_open) {
    if (session.work->valid_until && now_.instant >= *session.work->valid_until)
      return not_ready(id, session);
    return transact(id, session);
  }
  const Kind kind = sites_[session.work->site].account->kind;
  const bool is_dead = now_.instant - start_ < kDeadFor;
  const bool breaks =
      (kind == Kind::Breaks && random_.below(10) < 3) || (kind == Kind::Dead && is_dead);
  if (breaks) return later(30ms, Event::What::Answered, id.value);
  if (kind == Kind::Silent && is_dead) return later(kSilence, Event::What::Answered, id.value);
  later(base::Duration(20 + random_.below(300)), Event::What::Connected, id.value);
}

void Crowd::connected(queue::SessionId id, Session& session) {
  if (!session.work) return;  // it was asked to end
  session.is_open = true;
  if (session.work->is_paced) return not_ready(id, session);
  transact(id, session);
}

void Crowd::transact(queue::SessionId id, Session& session) {
  Account& account = *sites_[session.work->site].account;
  session.work->sent = now_.instant;
  count(account.windows);
  if (account.backoff) account.backoff->sent(now_.instant);
  later(base::Duration(50 + random_.below(100)), Event::What::Answered, id.value);
}

void Crowd::count(Windows& windows) {
  if (windows.rates.empty()) return;
  std::size_t most = 0;
  windows.sent.push_back(now_.instant);
  for (const traffic::Rate& rate : windows.rates) {
    const std::size_t allowed = rate.most_in_window();
    most = std::max(most, allowed);
    if (windows.sent.size() <= allowed) continue;
    if (now_.instant - windows.sent[windows.sent.size() - 1 - allowed] < rate.per)
      wrong("more than " + traffic::format_rate(rate));
  }
  while (windows.sent.size() > most) windows.sent.pop_front();
}

void Crowd::answered(queue::SessionId id, Session& session) {
  if (!session.work) return;  // it has been asked to end, and had ended
  Work work = *std::exchange(session.work, std::nullopt);
  if (!session.is_open || work.is_asked_to_end) {
    sessions_.erase(id.value);
    return failed(id, work);
  }
  Account& account = *sites_[work.site].account;
  const bool is_deferred = random_.below(200) == 0;
  if (account.kind == Kind::PushesBack && is_pushed_back(account)) {
    ++pushed_back_;
    account.backoff->pushed_back(0.5, 0, work.sent, now_);
    scheduler_.set_pace(account.spec->name, account.backoff->pace(), now_);
    later(kAgain, Event::What::Again, work.job.deliveries[0].number);
    finish(id, std::move(work), Scheduler::Finish::Refused);
  } else if (is_deferred) {
    ++deferred_;
    later(kAgain, Event::What::Again, work.job.deliveries[0].number);
    finish(id, std::move(work), Scheduler::Finish::Refused);
  } else {
    if (account.backoff) {
      account.backoff->accepted(work.sent, now_.instant);
      scheduler_.set_pace(account.spec->name, account.backoff->pace(), now_);
    }
    done(work.job.deliveries[0].number);
    finish(id, std::move(work), Scheduler::Finish::Success);
  }
  go_idle(id, session);
}

bool Crowd::is_pushed_back(Account& account) {
  while (!account.taken.empty() && now_.instant - account.taken.front() >= kHiddenWindow)
    account.taken.pop_front();
  if (account.taken.size() >= kHiddenLimit) return true;
  account.taken.push_back(now_.instant);
  return false;
}

void Crowd::done(std::uint32_t number) {
  if (jobs_[number]) wrong("delivery " + std::to_string(number) + " was taken twice");
  jobs_[number] = true;
  ++done_;
  Account& account = *sites_[site_of(number)].account;
  ++account.done;
  account.last = now_.instant;
}

void Crowd::finish(queue::SessionId id, Work work, Scheduler::Finish how) {
  Site& site = sites_[work.site];
  --site.out;
  --out_;
  scheduler_.finished(id, how, Scheduler::SessionAfter::Idle, "", now_);
  load(site);
}

void Crowd::failed(queue::SessionId id, const Work& work) {
  ++failed_;
  Site& site = sites_[work.site];
  --site.out;
  --out_;
  later(5min, Event::What::Again, work.job.deliveries[0].number);
  scheduler_.finished(id, Scheduler::Finish::SiteFailed, Scheduler::SessionAfter::Gone,
                      "421 not now", now_);
}

void Crowd::not_ready(queue::SessionId id, Session& session) {
  Work work = *std::exchange(session.work, std::nullopt);
  scheduler_.came_ready(id, Scheduler::SessionAfter::Idle, Scheduler::Grant::Unused, now_);
  go_idle(id, session);
  give_back(std::move(work));
}

void Crowd::give_back(Work work) {
  Site& site = sites_[work.site];
  Share& share =
      site.shares[{tenant_of(work.job.queue.tenant), queue::lane_of(work.job.queue.priority)}];
  if (share.waiting++ == 0) share.since = site.turns;
  scheduler_.give_back(std::move(work.job), site.spec, now_);
}

void Crowd::go_idle(queue::SessionId id, Session& session) {
  later(kIdle, Event::What::IdleOver, id.value, ++session.turn);
}

void Crowd::wrong(std::string what) {
  if (wrong_.size() < kWrongMax)
    wrong_.push_back(
        "after " +
        base::format_duration(std::chrono::duration_cast<base::Duration>(now_.instant - start_)) +
        ": " + std::move(what));
}

// Whoever never failed has sent as fast as his rate, or his connections, let him.
void Crowd::check_work_was_conserved() {
  // What the largest site of each account takes by itself: the others' connections do not help it.
  std::unordered_map<const Account*, double> of_one_site;
  for (const Site& site : sites_) {
    double& most = of_one_site[site.account];
    most = std::max(most, site.jobs * kTransaction / site.spec->connections_max);
  }
  for (const auto& account : accounts_) {
    if (account->kind != Kind::Plain) continue;
    const auto jobs = static_cast<double>(account->jobs);
    double best = of_one_site.at(account.get());
    for (const traffic::Rate& rate : account->spec->rates) {
      // A counted window may be used up at once, and then lasts for its time.
      const double windows =
          rate.is_counted() ? std::max(0.0, std::ceil(jobs / rate.count) - 1) : jobs / rate.count;
      best = std::max(best, windows * std::chrono::duration<double>(rate.per).count());
    }
    const double took = std::chrono::duration<double>(account->last - start_).count();
    const double most = 1.1 * best + std::chrono::duration<double>(kSlack).count();
    if (took > most)
      wrong(account->spec->name + " (" + traffic::format_rates(account->spec->rates) + ") took " +
            std::to_string(took) + " s for " + std::to_string(account->jobs) + " messages, where " +
            std::to_string(best) + " were possible");
  }
}

void Crowd::check_all_is_forgotten() {
  if (scheduler_.sessions() != 0) wrong("sessions are left");
  for (const Site& site : sites_) {
    if (scheduler_.standing(*site.spec, now_)) wrong(site.spec->name + " is still known");
  }
  if (scheduler_.wake_at() != base::kNever) wrong("the scheduler still waits for something");
}

std::vector<std::string> Crowd::run() {
  for (Site& site : sites_) load(site);
  run_commands();
  const base::Instant give_up = start_ + 7 * 24h;
  while (true) {
    base::Instant next = scheduler_.wake_at();
    if (!events_.empty()) next = std::min(next, events_.top().at);
    if (next == base::kNever) break;
    if (next > give_up) {
      wrong("it does not end");
      break;
    }
    if (next > now_.instant) {
      now_.wall += std::chrono::duration_cast<base::Duration>(next - now_.instant);
      now_.instant = next;
    }
    while (!events_.empty() && events_.top().at <= now_.instant) {
      const Event event = events_.top();
      events_.pop();
      happen(event);
    }
    run_commands();
    if (done_ == jobs_.size() && finished_ == base::Instant{}) finished_ = now_.instant;
  }
  const auto missing = std::count(jobs_.begin(), jobs_.end(), false);
  if (missing > 0) wrong(std::to_string(missing) + " deliveries were not taken");
  check_work_was_conserved();
  check_all_is_forgotten();
  return wrong_;
}

std::string Crowd::summary() const {
  return std::to_string(sites_.size()) + " sites, " + std::to_string(accounts_.size()) +
         " accounts, " + std::to_string(jobs_.size()) + " deliveries in " +
         base::format_duration(std::chrono::duration_cast<base::Duration>(finished_ - start_)) +
         ": " + std::to_string(pushed_back_) + " pushed back, " + std::to_string(deferred_) +
         " deferred, " + std::to_string(failed_) + " failed connections; at most " +
         std::to_string(out_most_) + " in memory, " + std::to_string(sessions_most_) + " sessions";
}

}  // namespace rockdove::sim
