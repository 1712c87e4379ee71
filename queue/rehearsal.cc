#include "queue/rehearsal.h"

#include <algorithm>
#include <queue>
#include <unordered_map>
#include <utility>

#include "mta/base/random.h"
#include "queue/budget.h"

namespace rockdove::queue {
namespace {

// Jobs of a site that the scheduler has, at least: it must never wait for one of them.
constexpr std::uint64_t kOfferedLeast = 4;
constexpr int kAcceptedSteps = 1000;  // in which the mail comes in
// What holds accounts up is looked at so often.
constexpr int kLooks = 2000;
constexpr double kAtRate = 0.95;  // of what is allowed; guards and new connections cost the rest
constexpr base::Duration kLookFirst = std::chrono::milliseconds(100);
// The first instant, away from "never" and "always".
constexpr base::Now kBegin{base::Instant{} + std::chrono::hours(1),
                           base::WallTime{} + std::chrono::hours(24 * 365)};

class Rehearsal {
 public:
  Rehearsal(const std::vector<RehearsedSite>& sites, const RehearsalSettings& settings)
      : settings_(settings),
        budget_(settings.queue.connections_out),
        random_(1),
        scheduler_(settings_.queue, budget_, random_) {
    auto message = std::make_shared<Message>();
    message->id = MessageId{1};
    message->body_octets = settings.message_octets;
    message_ = std::move(message);
    for (const auto& [account, pace] : settings.pace) scheduler_.set_pace(account, pace, now());
    for (const RehearsedSite& site : sites) add(site);
    std::uint64_t all = 0;
    for (const Hop& hop : hops_) all += hop.spec.messages;
    left_ = all;
    if (settings.accepted_per_second > 0)
      accepting_ = std::chrono::duration_cast<base::Duration>(
          std::chrono::duration<double>(static_cast<double>(all) / settings.accepted_per_second));
  }

  std::vector<RehearsedAccount> run() {
    at(settings_.longest, Happens::Over, {});
    if (left_ == 0) over_ = true;
    accept();
    at(kLookFirst, Happens::Look, {});
    while (!over_) {
      turn();
      if (left_ == 0) break;
      step();
    }
    std::vector<RehearsedAccount> done;
    for (auto& [name, account] : accounts_) {
      account.known.limit = limit_of(account);
      done.push_back(std::move(account.known));
    }
    return done;
  }

 private:
  struct Account {
    RehearsedAccount known;
    std::vector<std::size_t> hops;
    std::uint32_t connections = 0;
    std::array<std::uint64_t, kLimits> held_up{};  // looks
  };

  // A site and its mail.
  struct Hop {
    RehearsedSite spec;
    Account* account = nullptr;
    std::uint64_t offered = 0;   // so far
    std::uint64_t accepted = 0;  // may be offered
    std::uint64_t sent = 0;
    std::uint64_t waiting = 0;  // the scheduler's
    QueueName queue;
  };

  struct Session {
    std::size_t hop = 0;
    Job job;
    std::uint32_t messages = 0;
    std::uint64_t idle = 0;  // counts, for its time-out
    bool is_idle = false;
  };

  enum class Happens : std::uint8_t { Ready, Sent, IdleTooLong, Accepting, Look, Over };

  struct Event {
    base::Instant at;
    std::uint64_t order;
    Happens what;
    SessionId session;
    std::uint64_t idle;

    bool operator<(const Event& other) const {  // the top of a queue is its greatest
      return at != other.at ? at > other.at : order > other.order;
    }
  };

  [[nodiscard]] base::Now now() const {
    return {now_, kBegin.wall + std::chrono::duration_cast<base::Duration>(now_ - kBegin.instant)};
  }

  [[nodiscard]] base::Duration since_begin() const {
    return std::chrono::duration_cast<base::Duration>(now_ - kBegin.instant);
  }

  void add(const RehearsedSite& site) {
    if (site.messages == 0) return;
    const std::string& name = site.site->account->name;
    Account& account = accounts_[name];
    account.known.name = name;
    account.known.messages += site.messages;
    account.hops.push_back(hops_.size());
    ++account.known.sites;
    hops_.push_back({site, &account, 0, 0, 0, 0, {"site" + std::to_string(hops_.size()), "", 0}});
    if (hops_.back().spec.messages_per_connection == 0)
      hops_.back().spec.messages_per_connection = settings_.queue.messages_per_connection;
    hop_of_queue_.emplace(hops_.back().queue.destination, hops_.size() - 1);
  }

  void at(base::Duration wait, Happens what, SessionId session, std::uint64_t idle = 0) {
    events_.push({now_ + wait, order_++, what, session, idle});
  }

  // All that may be sent by now.
  void accept() {
    const bool is_all = since_begin() >= accepting_;
    for (Hop& hop : hops_) {
      const std::uint64_t all = hop.spec.messages;
      hop.accepted = is_all ? all
                            : all * static_cast<std::uint64_t>(since_begin().count()) /
                                  static_cast<std::uint64_t>(accepting_.count());
      offer(hop);
    }
    if (is_all) return;
    at(std::max(accepting_ / kAcceptedSteps, base::Duration(1)), Happens::Accepting, {});
  }

  void offer(Hop& hop) {
    if (hop.waiting * 2 > kOfferedLeast || hop.offered == hop.accepted) return;
    const std::uint64_t room = std::max<std::uint64_t>(
        std::min<std::uint64_t>(scheduler_.room(*hop.spec.site, now()), 64), kOfferedLeast);
    while (hop.waiting < room && hop.offered < hop.accepted) {
      ++hop.waiting;
      ++hop.offered;
      Delivery delivery;
      delivery.number = static_cast<std::uint32_t>(hop.offered);
      delivery.destination = hop.queue.destination;
      scheduler_.offer({message_, {std::move(delivery)}, hop.queue}, hop.spec.site, now());
    }
  }

  // All that the scheduler wants by now.
  void turn() {
    while (std::optional<Scheduler::Command> command =
               scheduler_.next(Scheduler::Recording::Possible, now())) {
      std::visit([this](auto& wanted) { obey(wanted); }, *command);
    }
  }

  void obey(Scheduler::Open& open) {
    Session& session = sessions_[open.session.value];
    session.hop = hop_of_queue_.at(open.job.queue.destination);
    session.job = std::move(open.job);
    Hop& hop = hops_[session.hop];
    --hop.waiting;
    ++hop.account->known.connections;
    ++hop.account->connections;
    hop.account->known.connections_most =
        std::max(hop.account->known.connections_most, hop.account->connections);
    if (open.is_paced) return at(settings_.connecting, Happens::Ready, open.session);
    at(settings_.connecting + settings_.sending, Happens::Sent, open.session);
    offer(hop);
  }

  void obey(Scheduler::Start& start) {
    Session& session = sessions_.at(start.session.value);
    session.is_idle = false;
    session.hop = hop_of_queue_.at(start.job.queue.destination);
    session.job = std::move(start.job);
    Hop& hop = hops_[session.hop];
    --hop.waiting;
    at(settings_.sending, Happens::Sent, start.session);
    offer(hop);
  }

  void obey(Scheduler::Quit& quit) { close(quit.session); }

  // Its final dot has left; nothing refuses here.
  void obey(Scheduler::GiveUp& give_up) { scheduler_.took_content(give_up.session, now()); }

  void obey(Scheduler::Keep& keep) { scheduler_.kept(keep, Scheduler::Durable::Yes); }

  void close(SessionId id) {
    const auto found = sessions_.find(id.value);
    MTA_ASSERT(found != sessions_.end() && found->second.is_idle);
    scheduler_.closed(id, now());
    forget(found->second, id);
  }

  void forget(const Session& session, SessionId id) {
    --hops_[session.hop].account->connections;
    sessions_.erase(id.value);
  }

  // On to the next event, or to when the scheduler has more to say.
  void step() {
    const base::Instant wake = scheduler_.wake_at();
    if (events_.empty() || wake < events_.top().at) {
      now_ = std::max(now_, wake);
      return;
    }
    const Event event = events_.top();
    events_.pop();
    now_ = std::max(now_, event.at);
    switch (event.what) {
      case Happens::Ready:
        return came_ready(event.session);
      case Happens::Sent:
        return was_sent(event.session);
      case Happens::IdleTooLong:
        return idle_too_long(event);
      case Happens::Accepting:
        return accept();
      case Happens::Look:
        return look();
      case Happens::Over:
        over_ = true;
        return;
    }
  }

  void came_ready(SessionId id) {
    Session& session = sessions_.at(id.value);
    Hop& hop = hops_[session.hop];
    scheduler_.came_ready(id, Scheduler::SessionAfter::Idle, Scheduler::Grant::Unused, now());
    ++hop.waiting;
    scheduler_.give_back(std::move(session.job), hop.spec.site, now());
    begin_idle(session, id);
  }

  void was_sent(SessionId id) {
    Session& session = sessions_.at(id.value);
    Hop& hop = hops_[session.hop];
    ++hop.sent;
    --left_;
    RehearsedAccount& known = hop.account->known;
    if (known.sent++ == 0) known.first = since_begin();
    known.last = since_begin();
    const bool is_last = ++session.messages >= hop.spec.messages_per_connection;
    scheduler_.finished(id, Scheduler::Finish::Success,
                        is_last ? Scheduler::SessionAfter::Gone : Scheduler::SessionAfter::Idle, "",
                        now());
    if (is_last) {
      forget(session, id);
    } else {
      begin_idle(session, id);
    }
    offer(hop);
  }

  void begin_idle(Session& session, SessionId id) {
    session.is_idle = true;
    at(settings_.idle_timeout, Happens::IdleTooLong, id, ++session.idle);
  }

  void idle_too_long(const Event& event) {
    const auto found = sessions_.find(event.session.value);
    if (found == sessions_.end() || !found->second.is_idle || found->second.idle != event.idle)
      return;
    close(event.session);
  }

  // Less and less often, so that long and short mailings cost the same.
  void look() {
    for (auto& [name, account] : accounts_) {
      if (account.known.sent < account.known.messages)
        ++account.held_up[static_cast<std::size_t>(what_holds_up(account))];
    }
    at(std::max(kLookFirst, since_begin() / kLooks), Happens::Look, {});
  }

  // Of the site with the most mail left, which is the account's last one.
  [[nodiscard]] Limit what_holds_up(const Account& account) const {
    const Hop* most = nullptr;
    for (const std::size_t index : account.hops) {
      const Hop& hop = hops_[index];
      if (hop.waiting == 0) continue;
      if (most == nullptr || hop.spec.messages - hop.sent > most->spec.messages - most->sent)
        most = &hop;
    }
    if (most == nullptr) return Limit::Nothing;
    const std::optional<Scheduler::Standing> standing =
        scheduler_.standing(*most->spec.site, now());
    if (!standing) return Limit::Nothing;
    if (standing->account_connections_max > 0 &&
        standing->account_sessions >= standing->account_connections_max)
      return Limit::AccountConnections;
    if (standing->sessions >= standing->window)
      return standing->window < standing->connections_max ? Limit::Window : Limit::SiteConnections;
    if (sessions_.size() >= settings_.queue.connections_out) return Limit::AllConnections;
    if (standing->next_grant > now_) return Limit::Rate;
    const bool has_rates = !most->spec.site->account->connection_rates.empty() ||
                           !most->spec.site->connection_rates.empty();
    return has_rates ? Limit::ConnectionRate : Limit::Nothing;
  }

  // Messages a second that the account's rates and pace allow; 0: any number.
  [[nodiscard]] double allowed(const Account& account) const {
    double least = 0;
    const auto take = [&least](double per_second) {
      if (least == 0 || per_second < least) least = per_second;
    };
    const AccountSpec& spec = *hops_[account.hops.front()].spec.site->account;
    for (const auto* rates : {&spec.rates, &spec.recipient_rates}) {  // one recipient a message
      for (const traffic::Rate& rate : *rates) take(rate.per_second());
    }
    for (const traffic::Rate& rate : spec.octet_rates)
      take(rate.per_second() / static_cast<double>(std::max<std::uint64_t>(
                                   traffic::units_of(settings_.message_octets), 1)));
    const auto pace = settings_.pace.find(account.known.name);
    if (pace != settings_.pace.end()) take(pace->second);
    return least;
  }

  // Where it went as fast as its rates allow, they are it: connections at work do not tell, since
  // there are only as many as that takes.
  [[nodiscard]] Limit limit_of(const Account& account) const {
    const double seconds =
        std::chrono::duration<double>(account.known.last - account.known.first).count();
    if (account.known.sent > 1 && seconds > 0 && allowed(account) > 0 &&
        static_cast<double>(account.known.sent - 1) / seconds >= kAtRate * allowed(account))
      return Limit::Rate;
    const auto most = std::max_element(account.held_up.begin(), account.held_up.end());
    return *most == 0 ? Limit::Nothing : static_cast<Limit>(most - account.held_up.begin());
  }

  const RehearsalSettings settings_;
  base::Instant now_ = kBegin.instant;
  ConnectionBudget budget_;
  base::Random random_;
  Scheduler scheduler_;
  MessagePointer message_;
  std::map<std::string, Account> accounts_;
  std::vector<Hop> hops_;
  std::unordered_map<std::string, std::size_t> hop_of_queue_;
  std::unordered_map<std::uint64_t, Session> sessions_;
  std::priority_queue<Event> events_;
  std::uint64_t order_ = 0;
  std::uint64_t left_ = 0;
  base::Duration accepting_{0};
  bool over_ = false;
};

}  // namespace

std::vector<RehearsedAccount> rehearse(const std::vector<RehearsedSite>& sites,
                                       const RehearsalSettings& settings) {
  return Rehearsal(sites, settings).run();
}

}  // namespace rockdove::queue
